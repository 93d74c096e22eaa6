"""A micro-batch of arrivals into PostgreSQL: one transaction, so that all of it is there exactly once or not at all.

Told apart by message id (`duplicates`), named and looked at by their schemas (`schemas`), given to their people
(`identity`), written by COPY, and passed to the steps of the apps above (`registry`). The hot path: statements over the
whole batch, no ORM object for an event, text for COPY written by hand.
"""

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import StringIO
from typing import Any, Final, TypeVar

import orjson
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper

from apps.data.profiles.errors import MasterKeyMissing
from apps.data.profiles.merging import people_hold
from apps.foundation.core.clock import now
from apps.foundation.core.postgres import copy_text, copy_value

from . import registry
from .contracts import RecordedEvent
from .dead_letters import Letter, letter_of, letters_put
from .duplicates import message_digest, messages_mark
from .identity import People, traits_write
from .reading import Arrival
from .schemas import Known, Schemas, faults_find
from .services import events_follow

logger = logging.getLogger(__name__)

T = TypeVar("T", Arrival, Letter)

_COLUMNS: Final = (
    "profile_id",
    "name",
    "occurred_at",
    "recorded_at",
    "message_id",
    "properties",
    "source",
    "anonymous",
    "context",
    "faults",
    "schema_version",
)
_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": None})
_UNKNOWN_MOST: Final = 2_000
"""Names and properties that are counted of one source; what comes beyond counts as one, so that a source that makes
names up can't fill the table."""
_BEYOND: Final = "(others)"
_TALLY: Final = """
INSERT INTO events_unknownname AS known (source, name, property, count, first_at, last_at)
SELECT told.source, told.name, told.property, told.count, %s, %s
FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[]) AS told(source, name, property, count)
ORDER BY 1, 2, 3
ON CONFLICT (source, name, property) DO UPDATE SET count = known.count + excluded.count, last_at = excluded.last_at
"""
_WITHDRAWN: Final = """
SELECT DISTINCT profile_id, purpose_id FROM consent_consentstate
WHERE profile_id = ANY(%s) AND purpose_id = ANY(%s) AND NOT granted
"""
_RESTRICTED: Final = """
SELECT id, restricted_at IS NULL AND erased_at IS NULL FROM profiles_profile WHERE id = ANY(%s)
"""
_JOIN: Final = """
UPDATE events_event AS event SET profile_id = met.profile_id
FROM unnest(%s::bytea[], %s::bigint[]) AS met(digest, profile_id)
WHERE event.anonymous = met.digest AND event.profile_id IS NULL
RETURNING met.profile_id, event.name, event.occurred_at, event.recorded_at, event.message_id, event.properties::text,
          met.digest
"""

schemas = Schemas()


@dataclass(slots=True)
class Recorded:
    """What came of a batch: events written, messages that were taken before, and letters set aside."""

    events: int = 0
    duplicates: int = 0
    dead: int = 0

    def __iadd__(self, other: "Recorded") -> "Recorded":
        self.events += other.events
        self.duplicates += other.duplicates
        self.dead += other.dead
        return self


def batch_record(arrivals: Sequence[Arrival], letters: Sequence[Letter] = ()) -> Recorded:
    """Write arrivals down, and what could not even be read as dead letters. Safe to repeat: what is there stays once.

    Where something in a batch can't be written, it is halved until that is found, which becomes a dead letter.
    Raises django.db.OperationalError and InterfaceError when the database is away, MasterKeyMissing where people's keys
    can't be opened: nothing of the last transaction is written then, and the caller tries again.
    """
    try:
        return _record(arrivals, letters)
    except (OperationalError, InterfaceError, MasterKeyMissing):
        raise
    except Exception as error:  # whatever it is, it is one event's: that one must not hold up the others
        if not arrivals:
            raise
        if len(arrivals) == 1 and not letters:
            return _set_aside(arrivals[0], error)
        logger.warning("%s events can't be written at once: %s", len(arrivals), type(error).__name__)
    done = _record([], letters)
    middle = (len(arrivals) + 1) // 2
    for half in (arrivals[:middle], arrivals[middle:]):
        if half:
            done += batch_record(half)
    return done


def _set_aside(arrival: Arrival, error: Exception) -> Recorded:
    """One that can't be written becomes a dead letter; it is tried once more, since it may have met another writer."""
    try:
        return _record([arrival], ())
    except (OperationalError, InterfaceError, MasterKeyMissing):
        raise
    except Exception as again:  # as above
        logger.exception("an event can't be written, and is set aside")
        problem = f"Writing it down failed: {type(again).__name__}"
    return _record((), [letter_of(arrival, "not_written", problem)])


def _record(arrivals: Sequence[Arrival], letters: Sequence[Letter]) -> Recorded:
    at = now()
    with transaction.atomic(), connection.cursor() as cursor:
        digests = [message_digest(one.source.name, one.message_id) for one in arrivals]
        of_letters = [message_digest(one.entry.source.name, one.message_id) for one in letters]
        fresh = messages_mark(cursor, [*digests, *of_letters])
        kept = _once(arrivals, digests, fresh)
        dead = _once(letters, of_letters, fresh)
        duplicates = len(arrivals) + len(letters) - len(kept) - len(dead)
        kept, schema_of, aside = _look_at(cursor, kept, at)
        letters_put(cursor, [*dead, *aside], at)
        if kept:
            _write(cursor, kept, schema_of, at)
    return Recorded(len(kept), duplicates, len(dead) + len(aside))


def _once(told: Sequence[T], digests: Sequence[str], fresh: set[str]) -> list[T]:
    """Those whose digest is fresh, which it is no more then: the same one twice in a batch is one."""
    kept = []
    for one, digest in zip(told, digests, strict=True):
        if digest in fresh:
            fresh.discard(digest)
            kept.append(one)
    return kept


def _look_at(
    cursor: CursorWrapper, arrivals: Sequence[Arrival], at: datetime
) -> tuple[list[Arrival], list[Known | None], list[Letter]]:
    """Name arrivals as their schemas do, and mark what does not fit. What no schema knows is counted."""
    known = schemas.fresh()
    kept: list[Arrival] = []
    schema_of: list[Known | None] = []
    aside: list[Letter] = []
    unknown: Counter[tuple[str, str, str]] = Counter()
    for one in arrivals:
        schema = known.get(one.name)
        if schema is None:
            unknown[one.source.name, one.name, ""] += 1
        else:
            one.name = schema.name
            faults = faults_find(schema.validator, one.properties) if schema.validator is not None else None
            if faults and schema.sets_aside:
                aside.append(letter_of(one, "does_not_fit", "; ".join(faults)))
                continue
            if faults:
                one.faults = [*(one.faults or ()), *faults]
            if schema.known is not None and (more := one.properties.keys() - schema.known):
                unknown.update((one.source.name, one.name, name[:120]) for name in more)
        kept.append(one)
        schema_of.append(schema)
    if unknown:
        _tally(cursor, unknown, at)
    return kept, schema_of, aside


def _tally(cursor: CursorWrapper, unknown: Counter[tuple[str, str, str]], at: datetime) -> None:
    """Count what no schema knows. Each source has room for so many; the rest counts as one."""
    sources = sorted({source for source, _, _ in unknown})
    cursor.execute("SELECT source, count(*) FROM events_unknownname WHERE source = ANY(%s) GROUP BY source", [sources])
    full = {source for source, count in cursor.fetchall() if count >= _UNKNOWN_MOST}
    if full:
        cursor.execute("SELECT source, name, property FROM events_unknownname WHERE source = ANY(%s)", [sorted(full)])
        there = set(cursor.fetchall())
        folded: Counter[tuple[str, str, str]] = Counter()
        for key, count in unknown.items():
            folded[key if key[0] not in full or key in there else (key[0], _BEYOND, "")] += count
        unknown = folded
    keys = [[_plain(part) for part in key] for key in unknown]
    cursor.execute(_TALLY, [at, at, *map(list, zip(*keys, strict=True)), list(unknown.values())])


def _plain(text: str) -> str:
    return text.replace("\0", "")


def _write(cursor: CursorWrapper, arrivals: Sequence[Arrival], schema_of: Sequence[Known | None], at: datetime) -> None:
    people = People(arrivals)
    whose = people.resolve()
    held = people_hold({one for one in (*whose, *people.joined.values()) if one is not None})
    whose = [None if one is None else held[one] for one in whose]
    people.joined = {digest: held[one] for digest, one in people.joined.items()}
    told = [(one, person) for one, person in zip(arrivals, whose, strict=True) if one.kind == "identify" and person]
    if told:
        traits_write(told)
    may = _linkable(cursor, {one for one in (*whose, *people.joined.values()) if one is not None})
    withdrawn = _withdrawn(cursor, whose, schema_of)
    rows, recorded = StringIO(), []
    moment = at.isoformat()
    for one, person, schema in zip(arrivals, whose, schema_of, strict=True):
        nameless = person is not None and (
            not may.get(person, False) or (schema is not None and (person, schema.purpose) in withdrawn)
        )
        if nameless:
            person = None
        anonymous = people.device_digest(one, one.device) if one.device and not nameless else None
        rows.write(
            f"{person or _NULL}\t{_text(one.name)}\t{one.occurred_at.isoformat()}\t{moment}\t{_text(one.message_id)}"
            f"\t{_json(one.properties)}\t{_text(one.source.name)}\t{_bytes(anonymous)}\t{_json(one.context)}"
            f"\t{_json(one.faults)}\t{schema.version if schema is not None else _NULL}\n"
        )
        recorded.append(
            RecordedEvent(person, one.name, one.occurred_at, at, one.message_id, one.properties, one.source.numbers)
        )
    rows.seek(0)
    copy_text(cursor, "events_event", _COLUMNS, rows)
    numbers = {people.device_digest(one, one.device): one.source.numbers for one in arrivals if one.device}
    _join(cursor, {digest: person for digest, person in people.joined.items() if may.get(person)}, numbers)
    events_follow(recorded)


def _linkable(cursor: CursorWrapper, people: Collection[int]) -> dict[int, bool]:
    """Of profiles that are there: whether what they do may be kept with them (not restricted, not erased)."""
    if not people:
        return {}
    cursor.execute(_RESTRICTED, [list(people)])
    return dict(cursor.fetchall())


def _withdrawn(
    cursor: CursorWrapper, whose: Sequence[int | None], schema_of: Sequence[Known | None]
) -> set[tuple[int, str]]:
    """Who withdrew what the events of their schemas are for."""
    asked = [
        (person, schema.purpose)
        for person, schema in zip(whose, schema_of, strict=True)
        if person is not None and schema is not None and schema.purpose
    ]
    if not asked:
        return set()
    cursor.execute(_WITHDRAWN, [list({person for person, _ in asked}), list({purpose for _, purpose in asked})])
    return set(cursor.fetchall())


def _join(cursor: CursorWrapper, joined: Mapping[bytes, int], numbers: Mapping[bytes, str]) -> None:
    """Give the earlier events of devices to those who were identified on them. numbers: of the source, by device."""
    if not joined:
        return
    cursor.execute(_JOIN, [list(joined), list(joined.values())])
    events = [
        RecordedEvent(
            profile_id, name, occurred_at, recorded_at, message_id, orjson.loads(told), numbers.get(bytes(digest), "")
        )
        for profile_id, name, occurred_at, recorded_at, message_id, told, digest in cursor.fetchall()
    ]
    if events:
        for step in registry.join_steps:
            step(events)


# --- COPY's text format (PostgreSQL, «COPY», File Formats) ---

_NULL: Final = "\\N"


def _text(text: str) -> str:
    return text if text.isprintable() and "\\" not in text else text.translate(_ESCAPES)


def _bytes(value: bytes | None) -> str:
    return _NULL if value is None else "\\\\x" + value.hex()


def _json(value: Any) -> str:
    """JSON, whose control characters are escaped already; NUL, which jsonb can't hold, goes the long way."""
    if value is None:
        return _NULL
    text = orjson.dumps(value).decode()
    if "\\u0000" in text:
        return copy_value(value)
    return text.replace("\\", "\\\\") if "\\" in text else text
