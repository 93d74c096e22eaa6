"""A chunk of a file's records to rows for staging and what is wrong with it. Pure: it goes on in processes of its own.

What goes to such a process and comes back is plain data, so that `marshal` carries it: quickly, and between programs of
one file on one machine.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from apps.foundation.core.postgres import array_text

from .faults import Fault, line_mask
from .people import NEW_TABLES
from .rows import LineLost, OrderRows, ProfileRows

Line = tuple[int, bytes, "list[str] | None", str]
"""A record's line number, its bytes, its fields, or None and why it is bad."""


@dataclass(slots=True)
class Read:
    """What was read of a chunk.

    people, lines: rows for COPY; errors: in the order of the lines, each line number, column, reason, whether the whole
    line is lost, and the line as it may be shown; left: numbers of profiles that nobody got; new: instead of people
    rows for NEW_TABLES, should they be new; told, twice: as `Newcomers` has them, told as arrays of PostgreSQL.
    """

    people: bytes = b""
    lines: bytes = b""
    records: int = 0
    people_count: int = 0
    lines_count: int = 0
    bad: int = 0
    faults: int = 0
    errors: list[tuple[int, str, str, bool, bytes]] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    new: dict[str, bytes] = field(default_factory=dict)
    told: dict[str, tuple[str, str]] = field(default_factory=dict)
    twice: list[int] = field(default_factory=list)

    def plain(self) -> tuple[Any, ...]:
        """As plain data: what makes an equal one."""
        return tuple(getattr(self, name) for name in self.__slots__)


def chunk_read(
    reader: ProfileRows | OrderRows, chunk: Sequence[Line], numbers: Sequence[int], masked: Collection[int], new: bool
) -> Read:
    """Read a chunk. Hot: some microseconds for a line.

    numbers: of profiles, for people who should be new, one for each record at least; masked: places of fields that must
    not be shown; new: write people down as new ones.
    """
    told = Read(records=len(chunk))
    newcomers = reader.newcomers(new) if isinstance(reader, ProfileRows) else None
    waiting = iter(numbers)
    reader.chunk(waiting, len(chunk))
    read = reader.read
    people, lines = BytesIO(), BytesIO()
    found: list[Fault] = []
    for number, raw, fields, reason in chunk:
        if fields is None:
            told.bad += 1
            told.errors.append((number, "", reason, True, line_mask(None, masked, raw)))
            continue
        try:
            person_row, line_row = read(fields, number, found)
        except LineLost as lost:
            told.bad += 1
            told.errors.append(_error(number, lost.fault, line_mask(fields, masked, raw)))
        else:
            if person_row:
                people.write(person_row.encode())
                told.people_count += 1
            if line_row:
                lines.write(line_row.encode())
                told.lines_count += 1
        if found:
            shown = line_mask(fields, masked, raw)
            told.errors += [_error(number, fault, shown) for fault in found]
            told.faults += len(found)
            found.clear()
    told.people, told.lines = people.getvalue(), lines.getvalue()
    told.left = list(waiting)
    if newcomers is not None:
        told.people_count = len(newcomers.rows[0])
        for table, rows in zip(NEW_TABLES, newcomers.rows, strict=True):
            told.new[table] = "".join(rows).encode()
            rows.clear()
        told.told = {
            kind: (array_text(who), array_text(f'"{digest}"' for digest in digests))
            for kind, (who, digests) in newcomers.told.items()
            if who
        }
        told.twice = newcomers.twice()
    return told


def _error(number: int, fault: Fault, shown: bytes) -> tuple[int, str, str, bool, bytes]:
    return number, fault.column, fault.reason, fault.whole_line, shown
