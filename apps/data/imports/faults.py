"""The errors file of an import: which line or value was lost, where, and why. A CSV that is safe to open.

Its lines come from strangers: a spreadsheet must show them, never compute them (OWASP, «CSV Injection»).
"""

import csv
import io
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from apps.foundation.core.masking import MASK

_RAW_LIMIT = 300
_HEADER = ("line", "column", "what is lost", "reason", "the line as it was")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def cell_defuse(text: str) -> str:
    """A cell that a spreadsheet takes for text: one that could be a formula gets an apostrophe in front."""
    return f"'{text}" if text.lstrip().startswith(_FORMULA) or text.startswith(_FORMULA) else text


def line_mask(fields: Sequence[str] | None, places: Collection[int], raw: bytes) -> bytes:
    """A line as it may be written down: without its sensitive fields. fields: None for one that could not be split."""
    if not places:
        return raw
    if fields is None:
        return b"(left out: the file has sensitive columns)"
    line = io.StringIO()
    csv.writer(line).writerow([MASK if place in places and text else text for place, text in enumerate(fields)])
    return line.getvalue().rstrip("\r\n").encode()


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a value: its column, and why. whole_line: it costs the line."""

    column: str
    reason: str
    whole_line: bool = False


class FaultFile:
    """Writes the errors file. `size` is what is safe on disk after `flush`; opening goes on from a size."""

    def __init__(self, path: Path, *, size: int = 0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("r+" if size and path.exists() else "w+", encoding="utf-8", newline="")
        if size:
            # what a killed process wrote after its last commit comes again
            self._file.truncate(size)
            self._file.seek(0, os.SEEK_END)
        self._writer = csv.writer(self._file, quoting=csv.QUOTE_ALL)
        if self._file.tell() == 0:
            self._writer.writerow(_HEADER)

    def __enter__(self) -> "FaultFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, line: int, fault: Fault, raw: bytes) -> None:
        """Write one fault."""
        text = raw[:_RAW_LIMIT].decode("utf-8", "backslashreplace")
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
        if len(raw) > _RAW_LIMIT:
            text += " …"
        lost = "the line" if fault.whole_line else "the value"
        self._writer.writerow(map(cell_defuse, (str(line), fault.column, lost, fault.reason, text)))

    def flush(self) -> int:
        """Bring all to the disk. Returns the size."""
        self._file.flush()
        return self._file.tell()
