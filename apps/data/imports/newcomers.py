"""People of a large file who are certainly new are written down with their chunk, and not staged for the merge.

Certainly new is whom nobody else may be: no profile is known by any of their identifiers, nor does another line tell of
one. So what comes of them is what the merge would have made of them; what is staged is only what they agreed to.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from io import BytesIO
from typing import Final

from django.conf import settings
from django.db import connection

from apps.data.profiles.attributes import shapes_read
from apps.foundation.core.postgres import copy_text

from .merge import merges_hold
from .people import NEW_TABLES, PERSON_COLUMNS, Shapes, staged_row
from .reading import Read

_DIGESTS: Final = tuple(place for place, name in enumerate(PERSON_COLUMNS) if name.endswith("_digest"))
_LAST_DIGEST: Final = _DIGESTS[-1]
_MOST: Final = 100_000
"""Identifiers of people who wait for the merge, up to which new ones are looked for: they are kept in memory. A file of
which so many are known already is merged as a whole."""
# One look-up for each, whatever the figures of the table.
_KNOWN: Final = """
SELECT told.id FROM unnest(%s::bigint[], %s::bytea[]) AS told(id, digest)
WHERE (SELECT true FROM profiles_identifier AS known WHERE known.kind = %s AND known.digest = told.digest LIMIT 1)
"""
_WAIT: Final = """
SELECT external_digest, email_digest, phone_digest FROM imports_stagedperson WHERE import_id = %s AND key <> ''
LIMIT %s
"""


class Arrivals:
    """Tells who of a chunk is new, and writes those down. wanted: whether to look for them in the next chunks."""

    def __init__(self, import_id: int, attributes: list[str], wanted: bool) -> None:
        self._attributes = attributes
        # while two lookup keys live, others must hear of each value
        self.wanted = wanted and len(settings.LOOKUP_KEYS) == 1
        self._waiting: set[int] = set()
        if self.wanted:
            with connection.cursor() as cursor:
                cursor.execute(_WAIT, [import_id, _MOST + 1])
                rows = cursor.fetchall()
            self._wait(f"\\\\x{bytes(one).hex()}" for row in rows for one in row if one is not None)

    def _wait(self, digests: Iterable[str]) -> None:
        self._waiting.update(map(hash, digests))
        if len(self._waiting) > _MOST:
            self.wanted = False
            self._waiting.clear()

    def write(self, read: Read, shapes: Shapes) -> bytes:
        """Write down whoever is new, in the caller's transaction. shapes: the definitions that the chunk was read by.
        Returns the staging rows of the others.

        Raises django.db.IntegrityError where somebody else made one meanwhile, DataError for what the database does not
        take.
        """
        if not read.new:
            return read.people
        if not self.wanted or (self._attributes and shapes_read(self._attributes, locked=True) != shapes):
            return staged_of(read.new)
        with connection.cursor() as cursor:
            merges_hold(cursor)
            others = set(read.twice)
            for kind, (numbers, digests) in read.told.items():
                cursor.execute(_KNOWN, [numbers, digests, kind])
                others.update(row[0] for row in cursor.fetchall())
            others |= self._who_waits(read)
            new, rest = (_without(read, others), staged_of(read.new, others)) if others else (read.new, b"")
            for table, columns in NEW_TABLES.items():
                copy_text(cursor, table, columns, BytesIO(new[table]))
                if table == "profiles_profile":  # they are in the feed of changes with it
                    cursor.execute("SET LOCAL tessera.people_noted = on")
            cursor.execute("SET LOCAL tessera.people_noted = off")
        return rest

    def _who_waits(self, read: Read) -> set[int]:
        if not self._waiting:
            return set()
        return {
            int(number)
            for numbers, digests in read.told.values()
            for number, digest in zip(numbers[1:-1].split(","), digests[1:-1].split(","), strict=True)
            if hash(digest[1:-1]) in self._waiting  # without its quotation marks
        }

    def staged(self, rows: bytes) -> None:
        """Keep in mind by what those are known whose rows were staged."""
        if self.wanted:
            fields = (row.split(b"\t", _LAST_DIGEST + 1) for row in rows.splitlines())
            self._wait(field[place].decode() for field in fields for place in _DIGESTS if field[place] != b"\\N")


def _without(read: Read, others: set[int]) -> dict[str, bytes]:
    numbers = {str(number).encode() for number in others}
    return {
        table: b"".join(row for row in rows.splitlines(keepends=True) if row[: row.index(b"\t")] not in numbers)
        for table, rows in read.new.items()
    }


def staged_of(new: Mapping[str, bytes], whose: Collection[int] | None = None) -> bytes:
    """Rows for NEW_TABLES as staging rows, for the merge. whose: of these people alone."""
    profiles, _, identifiers, staged = (new[table].decode().splitlines() for table in NEW_TABLES)
    known: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for row in identifiers:
        number, kind, sealed, digest, _ = row.split("\t", 4)
        known[number][kind] = f"{sealed}\t{digest}"
    rows = []
    for profile, consents in zip(profiles, staged, strict=True):
        number, *about, _source, _made, _changed = profile.split("\t")
        if whose is not None and int(number) not in whose:
            continue
        _, import_id, line, said = consents.split("\t", 3)
        key = next(iter(known[number].values())).rpartition("\\\\x")[2]
        row = staged_row(key, number, known[number], False, "\t".join(about), "\\N", said)
        rows.append(f"{import_id}\t{line}\t{row}\t\\N\n")
    return "".join(rows).encode()
