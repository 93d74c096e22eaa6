"""A way to a server that can be cut, or go silent: what a network or a machine does that is lost."""

import socket
import threading
import time
from contextlib import closing, suppress

from bin.lib.servers import free_port


class Wire:
    """A way to a server that can be cut, or go silent."""

    def __init__(self, host: str, port: int) -> None:
        self._goal = host, port
        self.port = free_port()
        self.silent = threading.Event()
        self._open: list[socket.socket] = []
        self._listener: socket.socket | None = None
        self.join()

    def close(self) -> None:
        """Cut it for good."""
        self.silent.clear()
        self.cut()

    def join(self) -> None:
        """Let connections through."""
        self.silent.clear()
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port), reuse_port=True)
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """Break all connections, and take none."""
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
                far = socket.create_connection(self._goal)
            except OSError:
                return
            self._open += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with closing(one), closing(other), suppress(OSError):
            while data := one.recv(65_536):
                while self.silent.is_set():
                    time.sleep(0.05)
                other.sendall(data)
