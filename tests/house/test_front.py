"""The front: the right server for each path, and bytes passed on as they come."""

import http.client
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

import pytest

from bin.lib.front import Refused, body_length, head_parse
from bin.lib.servers import free_port
from bin.lib.venv import ROOT

from .conftest import wait_for

Handler = Callable[[socket.socket], None]


class Backend:
    """A server of the test's own: answers each connection by a function that has the socket."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.handler: Handler = self.echo
        self.heads: list[str] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                link, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(link,), daemon=True).start()

    def _one(self, link: socket.socket) -> None:
        with link:
            self.handler(link)

    def read_head(self, link: socket.socket) -> bytes:
        """Reads a request's head; gives what came of its body with it."""
        got = b""
        while b"\r\n\r\n" not in got:
            got += link.recv(65536)
        head, rest = got.split(b"\r\n\r\n", 1)
        self.heads.append(head.decode("latin-1"))
        return rest

    def echo(self, link: socket.socket) -> None:
        """Answers with the number of bytes in the body."""
        count = len(self.read_head(link))
        length = int((re.search(r"(?i)content-length: (\d+)", self.heads[-1]) or [0, 0])[1])
        while count < length:
            count += len(link.recv(1 << 20))
        body = f"{self.port}:{count}".encode()
        link.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: keep-alive\r\n\r\n%s" % (len(body), body))


@pytest.fixture
def wsgi() -> Iterator[Backend]:
    backend = Backend()
    yield backend
    backend.listener.close()


@pytest.fixture
def asgi() -> Iterator[Backend]:
    backend = Backend()
    yield backend
    backend.listener.close()


@pytest.fixture
def front(wsgi: Backend, asgi: Backend) -> Iterator[int]:
    """The front's port."""
    port = free_port()
    ports = ["--port", str(port), "--wsgi-port", str(wsgi.port), "--asgi-port", str(asgi.port)]
    process = subprocess.Popen([sys.executable, "-m", "bin.lib.front", *ports], cwd=ROOT, stderr=subprocess.DEVNULL)

    def listens() -> bool:
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_for(listens)
    yield port
    process.terminate()
    assert process.wait(10) == 0


def ask(port: int, raw: bytes) -> bytes:
    """Sends bytes and reads to the end."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as link:
        link.sendall(raw)
        got = b""
        while part := link.recv(65536):
            got += part
        return got


def get(port: int, path: str) -> tuple[int, bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as client:
        client.request("GET", path)
        answer = client.getresponse()
        return answer.status, answer.read()


@pytest.mark.parametrize(
    ("path", "live"),
    [
        ("/", False),
        ("/live/runs/1", True),
        ("/live", False),
        ("/lively/", False),
        ("/console/?next=/live/", False),
        ("http://127.0.0.1/live/x", True),
        ("//live/x", False),
    ],
)
def test_live_paths_go_to_the_asgi_process(front: int, wsgi: Backend, asgi: Backend, path: str, live: bool) -> None:
    status, body = get(front, path)

    assert status == 200
    assert body.decode() == f"{(asgi if live else wsgi).port}:0"


def test_the_head_says_who_asks_and_nobody_else_says_it(front: int, wsgi: Backend) -> None:
    ask(
        front,
        b"GET / HTTP/1.1\r\nHost: shop.example:8000\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n"
        b"Connection: keep-alive, X-Secret\r\nX-Secret: 1\r\nUpgrade: h2c\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n",
    )

    assert wsgi.heads[0].split("\r\n") == [
        "GET / HTTP/1.1",
        "Host: shop.example:8000",
        "Cookie: a=1",
        "Cookie: b=2",
        "X-Forwarded-For: 127.0.0.1",
        "X-Forwarded-Proto: http",
        "Connection: close",
    ]


def test_a_big_body_passes_whole(front: int, wsgi: Backend) -> None:
    body = bytes(20_000_000)
    with closing(http.client.HTTPConnection("127.0.0.1", front, timeout=60)) as client:
        client.request("POST", "/upload", body=body)
        answer = client.getresponse().read()

    assert answer == f"{wsgi.port}:20000000".encode()


def test_a_big_answer_passes_whole_to_a_slow_reader(front: int, wsgi: Backend) -> None:
    def big(link: socket.socket) -> None:
        wsgi.read_head(link)
        link.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(30_000_000))

    wsgi.handler = big
    with socket.create_connection(("127.0.0.1", front), timeout=20) as link:
        link.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.3)  # the reader is slow; the front has to wait for it
        got = 0
        while part := link.recv(1 << 20):
            got += len(part)

    assert got == 30_000_000 + len(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")


def test_a_chunked_body_passes_and_what_follows_it_does_not(front: int, wsgi: Backend) -> None:
    seen = bytearray()

    def collect(link: socket.socket) -> None:
        seen.extend(wsgi.read_head(link))
        while not seen.endswith(b"0\r\n\r\n"):
            seen.extend(link.recv(65536))
        link.settimeout(0.5)
        with suppress(TimeoutError):
            seen.extend(link.recv(65536))
        link.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    wsgi.handler = collect
    answer = ask(
        front,
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;ext=1\r\nhello\r\n0\r\nTrailer: 1\r\n\r\n"
        b"GET /admin/ HTTP/1.1\r\nHost: x\r\n\r\n",
    )

    assert bytes(seen) == b"5\r\nhello\r\n0\r\n\r\n"
    assert answer.endswith(b"\r\n\r\nok")
    assert len(wsgi.heads) == 1


def test_a_stream_comes_as_it_is_sent_and_ends_behind_when_the_browser_goes(front: int, asgi: Backend) -> None:
    ended = threading.Event()

    def stream(link: socket.socket) -> None:
        asgi.read_head(link)
        link.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        link.sendall(b"data: one\n\n")
        link.settimeout(20)
        if link.recv(1) == b"":
            ended.set()

    asgi.handler = stream
    with socket.create_connection(("127.0.0.1", front), timeout=10) as link:
        link.sendall(b"GET /live/x HTTP/1.1\r\nHost: x\r\n\r\n")
        got = b""
        while b"data: one\n\n" not in got:  # while the stream is still open
            got += link.recv(65536)
        assert not ended.is_set()

    assert ended.wait(10)


def test_expected_continue_is_answered_at_once(front: int, wsgi: Backend) -> None:
    with socket.create_connection(("127.0.0.1", front), timeout=10) as link:
        link.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert link.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        link.sendall(b"abc")
        assert link.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_server_that_is_down_gives_a_page_that_says_so(front: int, wsgi: Backend) -> None:
    wsgi.listener.close()
    wait_for(lambda: get(front, "/")[0] == 502)

    status, body = get(front, "/<script>")
    assert status == 502
    assert b"502 Bad Gateway" in body
    assert b"script" not in body


def test_a_server_that_breaks_off_gives_502(front: int, wsgi: Backend) -> None:
    def break_off(link: socket.socket) -> None:
        wsgi.read_head(link)

    wsgi.handler = break_off

    assert get(front, "/")[0] == 502


def test_an_early_answer_arrives_though_the_body_is_not_taken(front: int, wsgi: Backend) -> None:
    def refuse(link: socket.socket) -> None:
        wsgi.read_head(link)
        link.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno!")
        link.shutdown(socket.SHUT_WR)
        while link.recv(65536):  # closing with bytes unread would reset the connection
            pass

    wsgi.handler = refuse
    with socket.create_connection(("127.0.0.1", front), timeout=20) as link:
        link.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n" + bytes(100_000))
        got = b""
        while part := link.recv(65536):
            got += part

    assert got.startswith(b"HTTP/1.1 413")
    assert got.endswith(b"no!")


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 60_000 + b"\r\n\r\n", 431),
    ],
)
def test_a_malformed_request_is_refused(front: int, wsgi: Backend, raw: bytes, status: int) -> None:
    def wait(link: socket.socket) -> None:
        while link.recv(65536):
            pass

    wsgi.handler = wait

    assert ask(front, raw).startswith(b"HTTP/1.1 %d " % status)


def test_many_browsers_at_once(front: int, wsgi: Backend) -> None:
    answers: list[bytes] = []
    threads = [threading.Thread(target=lambda: answers.append(get(front, "/")[1])) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [f"{wsgi.port}:0".encode()] * 100


def test_lengths_are_read_strictly() -> None:
    assert body_length(head_parse(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")) == 0
    assert body_length(head_parse(b"P / HTTP/1.1\r\nContent-Length: 12\r\n\r\n")) == 12
    assert body_length(head_parse(b"P / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n")) is None
    with pytest.raises(Refused):
        head_parse(b"GET / HTTP/1.1\r\n: x\r\n\r\n")
