"""Lines of a CSV file as they come off the disk: streamed, in bounded memory, whatever they hold.

The `csv` module alone won't do: an unclosed quotation mark makes it swallow the rest of the file, and it can't say
at which byte a record ended, which resuming needs. So records are cut here, and only those with a quotation mark in
them are given to it. A bad record is yielded with its reason, and reading goes on at the next line.
"""

import csv
import zlib
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from apps.foundation.core.errors import Invalid

LINE_LIMIT = 1024 * 1024
"""Bytes of a line. Above the longest that a shop writes; a longer one is skipped without being held."""
RECORD_LINES = 200
"""Lines over which one quoted field may run. It bounds what is read again after an unclosed quotation mark."""
_BLOCK = 256 * 1024
_KEPT_OF_LONG = 600
_QUOTE = 0x22

_FOREIGN = (
    (b"PK\x03\x04", "a workbook or zip archive: save it as CSV (UTF-8) and import that"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook: save it as CSV (UTF-8) and import that"),
    (b"%PDF", "a PDF: export the data as CSV"),
    (b"\xff\xfe", "written in UTF-16: save it as CSV in UTF-8"),
    (b"\xfe\xff", "written in UTF-16: save it as CSV in UTF-8"),
)


class FileDamaged(Exception):
    """The file ends too early, or what is compressed can't be read. All before it was yielded."""


@dataclass(frozen=True, slots=True)
class Bad:
    """Why a record can't be read."""

    reason: str


class LineFile:
    """A CSV file, plain or gzip (told by its first bytes, not by its name).

    Raises Invalid (`file_unreadable`) when it is something else. `position` is how far the file on disk was read,
    in bytes; offsets of records count in the uncompressed text.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise Invalid("file_unreadable", f"There is no file {path}")
        self._path = path
        self.size = path.stat().st_size
        self.position = 0
        with path.open("rb") as raw:
            head = raw.read(8)
            self._gzip = head.startswith(b"\x1f\x8b")
        if self._gzip:
            try:
                head = next(self.blocks(), b"")
            except FileDamaged:
                head = b""
        for magic, what in _FOREIGN:
            if head.startswith(magic):
                raise Invalid("file_unreadable", f"This is no CSV file but {what}")
        if not head.strip():
            raise Invalid("file_unreadable", "The file is empty")
        self.start = 3 if head.startswith(b"\xef\xbb\xbf") else 0
        """Where the text begins: behind the byte order mark, if there is one."""

    def blocks(self, start: int = 0) -> Generator[bytes, None, None]:
        """The text from `start` on. Raises FileDamaged after the last block that could be read."""
        with self._path.open("rb") as raw:
            if not self._gzip:
                raw.seek(start)
                while block := raw.read(_BLOCK):
                    self.position = raw.tell()
                    yield block
                return
            for block in self._gunzip(raw):
                if start >= len(block):
                    start -= len(block)
                    continue
                yield block[start:] if start else block
                start = 0

    def _gunzip(self, raw: BinaryIO) -> Iterator[bytes]:
        # by hand, because gzip.GzipFile forgets what it had unpacked when the rest is missing
        unpacker = zlib.decompressobj(wbits=31)
        try:
            while packed := raw.read(_BLOCK // 4):
                self.position = raw.tell()
                while packed:
                    if unpacker.eof:
                        packed = packed.lstrip(b"\0")  # padding, as tapes and some tools leave it
                        if not packed:
                            break
                        unpacker = zlib.decompressobj(wbits=31)
                    if block := unpacker.decompress(packed, _BLOCK):
                        yield block
                    packed = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
            if not unpacker.eof:
                if block := unpacker.flush():
                    yield block
                raise FileDamaged("The compressed file ends too early: it was cut off while it was copied")
        except zlib.error:
            raise FileDamaged("The compressed file is damaged") from None


Record = tuple[int, int, bytes, "list[str] | Bad"]
"""Line number (the first line of the file is 1), offset behind the record, its bytes, its fields or why it is bad."""


def records_read(
    blocks: Iterator[bytes],
    *,
    offset: int = 0,
    line: int = 0,
    width: int | None = None,
    delimiter: str = ",",
    encoding: str = "utf-8",
) -> Iterator[Record]:
    """The records of a text (RFC 4180; line ends CRLF, LF or CR), without blank lines.

    offset, line: where `blocks` begins, and how many lines were before it. width: fields that each must have.
    FileDamaged of `blocks` passes through, after what was cut off with it was yielded as bad.
    """
    lines = _Lines(blocks, offset=offset, line=line)
    quote_after = delimiter.encode() + b'"'
    while (taken := lines.take()) is not None:
        number, end, raw, problem = taken
        if problem:
            yield number, end, raw, Bad(problem)
        elif b'"' not in raw:
            if not raw.strip():
                continue
            yield number, end, raw, _checked(raw, None, delimiter, encoding, width)
        else:
            more: list[tuple[int, int, bytes, str]] = []
            is_open = _quote_open(raw, quote_after, opened=False)
            size = len(raw)
            while is_open and len(more) < RECORD_LINES and size <= LINE_LIMIT:
                following = lines.take()
                if following is None:
                    break
                more.append(following)
                if following[3]:
                    break
                size += len(following[2])
                is_open = _quote_open(following[2], quote_after, opened=True)
            fields: list[str] | Bad
            if is_open:
                fields = Bad("a quotation mark is opened and never closed")
            else:
                whole = b"\n".join([raw, *(part[2] for part in more)])
                fields = _checked(whole, csv, delimiter, encoding, width)
                if not isinstance(fields, Bad):
                    yield number, more[-1][1] if more else end, whole, fields
                    continue
            lines.give_back(more)  # only this line is lost, not those it would have swallowed
            yield number, end, raw, fields
    if lines.damage is not None:
        raise lines.damage


def _checked(raw: bytes, quoted: object, delimiter: str, encoding: str, width: int | None) -> "list[str] | Bad":
    if b"\0" in raw:
        return Bad("it holds a NUL byte")
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        return Bad(f"it is not {encoding.upper()}: byte 0x{raw[error.start]:02x} at position {error.start + 1}")
    if quoted is None:
        fields = text.split(delimiter)
    else:
        try:
            fields = next(csv.reader([text], delimiter=delimiter, strict=True))
        except csv.Error as error:
            return Bad(f"its quotation marks are wrong: {error}")
    if width is not None and len(fields) != width:
        return Bad(f"it has {len(fields)} columns, the header has {width}")
    return fields


def _quote_open(raw: bytes, quote_after: bytes, *, opened: bool) -> bool:
    """Whether a quoted field is still open at the end of a line. Looks at each quotation mark once."""
    at = 0
    if not opened and raw.startswith(b'"'):
        opened, at = True, 1
    while True:
        if opened:
            at = raw.find(b'"', at)
            if at < 0:
                return True
            if at + 1 < len(raw) and raw[at + 1] == _QUOTE:
                at += 2
                continue
            at += 1
            opened = False
        at = raw.find(quote_after, at)
        if at < 0:
            return False
        at += 2
        opened = True


class _Lines:
    """Lines with their numbers and offsets; those given back come again."""

    def __init__(self, blocks: Iterator[bytes], *, offset: int, line: int) -> None:
        self._lines = self._cut(blocks, offset, line)
        self._again: deque[tuple[int, int, bytes, str]] = deque()
        self.damage: FileDamaged | None = None

    def take(self) -> tuple[int, int, bytes, str] | None:
        """Line number, offset behind it, the line without its end, and what is wrong with it."""
        if self._again:
            return self._again.popleft()
        return next(self._lines, None)

    def give_back(self, lines: list[tuple[int, int, bytes, str]]) -> None:
        """Let these come again, before all others."""
        self._again.extendleft(reversed(lines))

    def _cut(self, blocks: Iterator[bytes], offset: int, line: int) -> Iterator[tuple[int, int, bytes, str]]:
        tail = b""
        dropped = 0  # bytes of a line too long to be held, of which `tail` keeps the beginning
        too_long = f"it is longer than {LINE_LIMIT} bytes"
        while True:
            try:
                block = next(blocks, b"")
            except FileDamaged as damage:
                self.damage = damage
                block = b""
            if not block:
                break
            parts = block.splitlines(keepends=True) if dropped else (tail + block).splitlines(keepends=True)
            if dropped:
                if not parts[0].endswith((b"\n", b"\r")):
                    dropped += len(parts[0])
                    continue
                offset += dropped + len(parts[0])
                line += 1
                yield line, offset, tail, too_long
                dropped = 0
                del parts[0]
            # an ending CR may be half of a CRLF
            tail = parts.pop() if parts and not parts[-1].endswith(b"\n") else b""
            for part in parts:
                offset += len(part)
                line += 1
                if len(part) > LINE_LIMIT:
                    yield line, offset, part[:_KEPT_OF_LONG], too_long
                else:
                    yield line, offset, part.rstrip(b"\r\n"), ""
            if len(tail) > LINE_LIMIT and not tail.endswith(b"\r"):
                dropped = len(tail)
                tail = tail[:_KEPT_OF_LONG]
        if dropped or tail:
            offset += dropped or len(tail)
            line += 1
            problem = too_long if dropped else ""
            if self.damage is not None and not problem:
                problem = "it was cut off with the end of the file"
            yield line, offset, tail.rstrip(b"\r\n"), problem
