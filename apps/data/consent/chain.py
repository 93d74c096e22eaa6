"""The chain over the consent ledger: each record gets its place and its link, and the head goes to a file outside.

A record is sealed when it is written, and linked right after its transaction has committed, by a short transaction of
its own: so opt-outs never wait for each other, nor for an import. An import links its grants itself, as the last thing
of their transaction. What a crash leaves unlinked, the next one links, or beat within seconds. See `ledger.py` for what
each protects against.
"""

import json
import logging
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.conf import settings
from django.db import Error as AnyDatabaseError
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from apps.foundation.core.clock import now
from apps.foundation.core.postgres import copy_text, ids_text

from .ledger import FIRST, SEALED, Head, head_key, head_line, head_read, link_of, seal_holds
from .models import ConsentLink

logger = logging.getLogger(__name__)

_LOCK: Final = 7307  # class of the advisory lock of the one who links
_BATCH: Final = 5_000
UNLINKED_FOR: Final = timedelta(minutes=5)
"""A record without a link after so long is a fault; before, it is work under way."""

# By a range, because this table grows and shrinks faster than the planner's figures of it.
_TAKE = """
DELETE FROM consent_consentpending WHERE record_id <= (
  SELECT max(record_id) FROM (SELECT record_id FROM consent_consentpending ORDER BY record_id LIMIT %s) AS batch)
RETURNING record_id
"""


def chain_extend() -> int:
    """Link the records that wait for it, in the order in which they were written down. Returns how many.

    One process links at a time; who finds another at it leaves the work to that one, or to beat.
    """
    linked = 0
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s, 0)", [_LOCK])
            if cursor.fetchone() != (True,):
                return linked
            cursor.execute(_TAKE, [_BATCH])
            ids = sorted(row[0] for row in cursor.fetchall())
            if not ids:
                return linked
            cursor.execute("SELECT id, seal FROM consent_consentrecord WHERE id = ANY(%s::bigint[])", [ids_text(ids)])
            head = _links_add(cursor, sorted((record_id, bytes(seal)) for record_id, seal in cursor.fetchall()))
        linked += len(ids)
        head_keep(head)


def _links_add(cursor: CursorWrapper, records: Sequence[tuple[int, bytes]]) -> Head:
    """Link records, each with its seal, under the lock of the one who links. Returns the head that this makes."""
    cursor.execute("SELECT place, link FROM consent_consentlink ORDER BY place DESC LIMIT 1")
    place, stored = cursor.fetchone() or (0, FIRST)
    link, at = bytes(stored), now()
    said = at.isoformat()
    rows = []
    for record_id, seal in records:
        place += 1
        link = link_of(settings.LEDGER_KEY, before=link, place=place, seal=seal)
        rows.append(f"{place}\t{record_id}\t\\\\x{link.hex()}\t{said}\n")
    copy_text(cursor, ConsentLink._meta.db_table, ["place", "record_id", "link", "linked_at"], StringIO("".join(rows)))
    return Head(place, link, at)


def records_wait(records: Sequence[tuple[int, bytes]]) -> None:
    """Have records, each with its seal, linked once the caller's transaction, which wrote them, has committed."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO consent_consentpending (record_id) SELECT unnest(%s::bigint[])",
            [ids_text(record_id for record_id, _ in records)],
        )


def records_link(records: Sequence[tuple[int, bytes]], *, on_disk: bool) -> None:
    """Link records, each with its seal, in the caller's transaction, which wrote them, instead of having them wait.

    The last thing that a short transaction locks, so that nobody waits in a ring; others leave their records to be
    linked until it ends, so that `chain_extend` belongs behind it. on_disk: whether it is on the disk once it is
    committed, and with it all links before: only then is the head kept, since no head may tell of more than a crash of
    the database leaves.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, 0)", [_LOCK])
        head = _links_add(cursor, records)
    if on_disk:
        transaction.on_commit(partial(head_keep, head))


def chain_extend_soon() -> None:
    """Link after a commit; whatever fails, beat does it."""
    try:
        chain_extend()
    except AnyDatabaseError as error:
        logger.warning("records wait for their link (%s)", type(error).__name__)


# --- heads, outside the database ---


def heads_folder() -> Path:
    """Where this installation keeps its heads: a file for each host that writes."""
    return Path(settings.LEDGER_HEADS_DIR)


def head_keep(head: Head) -> None:
    """Append a head to this host's file, and have it on the disk. A fault is logged: the next head covers it."""
    path = heads_folder() / f"{socket.gethostname()}.jsonl"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="ascii") as lines:
            lines.write(head_line(settings.LEDGER_KEY, head) + "\n")
            lines.flush()
            os.fsync(lines.fileno())
    except OSError as error:
        logger.error("the ledger's head could not be kept: %s", error.strerror)


def heads_read(paths: Iterable[Path], public: Ed25519PublicKey) -> Iterator[tuple[str, Head | None]]:
    """The heads of files, each with its place (`file:line`); None for a line that we did not sign."""
    for path in paths:
        with path.open(encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    yield f"{path.name}:{number}", head_read(public, line)
                except ValueError:
                    yield f"{path.name}:{number}", None


# --- verifying ---


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is not as it was written. code: changed, removed, cut, relinked, unlinked, added, head; where: the
    record, or the places, meant; text: for people.
    """

    code: str
    where: str
    text: str


@dataclass(frozen=True, slots=True)
class Report:
    """records: how many were looked at; head: the last place; heads: how many signed heads were compared."""

    records: int
    head: int
    heads: int
    faults: Sequence[Fault]


_WALK = f"""
SELECT link.place, link.record_id, link.link, link.linked_at, record.id, record.seal,
       {", ".join(f"record.{name}" for name in SEALED)}
FROM consent_consentlink AS link
LEFT JOIN consent_consentrecord AS record ON record.id = link.record_id
ORDER BY link.place
"""  # noqa: S608  # names of our own
_UNLINKED = f"""
SELECT record.id, record.seal, {", ".join(f"record.{name}" for name in SEALED)}
FROM consent_consentrecord AS record
WHERE NOT EXISTS (SELECT FROM consent_consentlink AS link WHERE link.record_id = record.id)
ORDER BY record.id
"""  # noqa: S608  # names of our own


def chain_verify(
    *, heads: Sequence[Path] | None = None, most_faults: int = 1_000, progress: Callable[[int], None] = lambda _: None
) -> Report:
    """Look at every record, link and head, and say what is not as it was written, and where.

    heads: files to compare with, those of this installation unless told; progress: called now and then with the
    number of records looked at. One pass over the ledger in one snapshot, in memory of a constant size beside the
    heads. After `most_faults` it stops.
    """
    paths = sorted(heads_folder().glob("*.jsonl")) if heads is None else list(heads)
    kept: dict[int, list[tuple[str, Head]]] = {}
    faults: list[Fault] = []
    count = 0
    for where, head in heads_read(paths, head_key(settings.LEDGER_KEY)):
        count += 1
        if head is None:
            faults.append(Fault("head", where, f"{where} was not signed by this installation"))
        else:
            kept.setdefault(head.place, []).append((where, head))
    walk = _Walk(kept, faults, most_faults)
    own = not connection.in_atomic_block
    with transaction.atomic(), connection.cursor() as cursor:
        if own:  # records are linked meanwhile: both passes must see one moment
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        for number, row in enumerate(_rows(cursor, "ledger_links", _WALK)):
            walk.step(row)
            if len(faults) >= most_faults:
                break
            if number % 10_000 == 0:
                progress(number)
        walk.end()
        for row in _rows(cursor, "ledger_unlinked", _UNLINKED):
            walk.unlinked(row)
            if len(faults) >= most_faults:
                break
    return Report(walk.records, walk.place, count, faults)


def _rows(cursor: Any, name: str, query: str) -> Iterator[tuple[Any, ...]]:
    """Rows through a server-side cursor: the ledger is larger than memory."""
    cursor.execute(f"DECLARE {name} NO SCROLL CURSOR FOR {query}")
    while True:
        cursor.execute(f"FETCH {_BATCH} FROM {name}")
        rows = cursor.fetchall()
        if not rows:
            break
        yield from rows
    cursor.execute(f"CLOSE {name}")


class _Walk:
    """Along the links, from the first."""

    def __init__(self, heads: dict[int, list[tuple[str, Head]]], faults: list[Fault], most: int) -> None:
        self._heads, self._faults, self._most = heads, faults, most
        self.place = self.records = 0
        self._link = FIRST

    def _fault(self, code: str, where: str, text: str) -> None:
        self._faults.append(Fault(code, where, text))

    def step(self, row: tuple[Any, ...]) -> None:
        """One link with its record."""
        place, record_id, stored, _, found, seal, *values = row
        link = bytes(stored)
        if place != self.place + 1:
            self._fault(
                "removed",
                f"places {self.place + 1} to {place - 1}",
                f"the links from place {self.place + 1} to {place - 1} were removed",
            )
        elif found is not None and link != link_of(
            settings.LEDGER_KEY, before=self._link, place=place, seal=bytes(seal)
        ):
            self._fault("relinked", f"place {place}", f"the link at place {place} (record {record_id}) is not ours")
        if found is None:
            self._fault("removed", f"record {record_id}", f"record {record_id}, at place {place}, was removed")
        else:
            self.records += 1
            self._record(record_id, seal, values)
        for where, head in self._heads.get(place, ()):
            if head.link != link:
                self._fault("head", where, f"place {place} is not what the head in {where} says")
        self.place, self._link = place, link

    def _record(self, record_id: int, seal: Any, values: Sequence[Any]) -> None:
        if not seal_holds(settings.LEDGER_KEY, _said(values), bytes(seal)):
            self._fault("changed", f"record {record_id}", f"record {record_id} was changed after it was written")

    def end(self) -> None:
        """What heads say of places behind the last link."""
        last = max(self._heads, default=0)
        if last > self.place:
            where, head = self._heads[last][-1]
            self._fault(
                "cut",
                f"places {self.place + 1} to {last}",
                f"the ledger ends at place {self.place}, and {where} knows it up to {last} ({_moment(head.at)}): "
                f"{last - self.place} records were cut off its end, or an older copy was restored",
            )

    def unlinked(self, row: tuple[Any, ...]) -> None:
        """A record without a link: fresh and sealed by us, or not in order."""
        record_id, seal, *values = row
        self.records += 1
        said = _said(values)
        if not seal_holds(settings.LEDGER_KEY, said, bytes(seal)):
            self._fault("added", f"record {record_id}", f"record {record_id} was not written by this application")
        elif said["recorded_at"] < now() - UNLINKED_FOR:
            self._fault("unlinked", f"record {record_id}", f"record {record_id} has no link: its link was removed")


def _said(values: Sequence[Any]) -> dict[str, Any]:
    """What a record says, as it was sealed."""
    said = dict(zip(SEALED, values, strict=True))
    if isinstance(said["confirmation"], str):
        said["confirmation"] = json.loads(said["confirmation"])
    return said


def _moment(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")
