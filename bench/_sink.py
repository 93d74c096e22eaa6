"""A mail server that takes everything and keeps nothing: usage: _sink.py PORT"""

import asyncio
import sys


class Sink(asyncio.Protocol):
    """One connection. Enough of RFC 5321 and 2920 (pipelining) for a sender that does nothing strange."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self.out, self.buffer, self.content = transport, b"", False
        self.out.write(b"220 sink ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while True:
            if self.content:
                end = self.buffer.find(b"\r\n.\r\n")
                if end < 0:
                    return
                self.buffer, self.content = self.buffer[end + 5 :], False
                self.out.write(b"250 2.0.0 taken\r\n")
                continue
            line, found, rest = self.buffer.partition(b"\r\n")
            if not found:
                return
            self.buffer = rest
            verb = line[:4].upper()
            if verb == b"EHLO":
                self.out.write(b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 50000000\r\n")
            elif verb == b"DATA":
                self.content = True
                self.out.write(b"354 go on\r\n")
            elif verb == b"QUIT":
                self.out.write(b"221 2.0.0 bye\r\n")
                self.out.close()
                return
            else:
                self.out.write(b"250 2.1.0 ok\r\n")


async def main(port: int) -> None:
    """Serve until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", port, backlog=200)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
