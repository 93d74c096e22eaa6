"""What was sent and could not become an event: kept whole and sealed, with its reason, to be tried again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson
from django.db.backends.utils import CursorWrapper

from apps.foundation.core.ids import uuid7
from apps.foundation.core.postgres import copy_rows

from .contracts import Entry, EventSource
from .identity import digests_of
from .models import DeadLetter
from .reading import Arrival
from .sealing import EventSealer

_COLUMNS: Final = (
    "id", "source", "name", "message_id", "reason", "problem", "sealed", "digests", "received_at", "failed_at", "tries",
)  # fmt: skip

_sealer = EventSealer("dead letter")


@dataclass(frozen=True, slots=True)
class Letter:
    """Something that can't become an event. raw: JSON as it was sent, or bytes that are none; reason: a code; problem:
    in words, without values."""

    entry: Entry
    raw: Any
    message_id: str
    reason: str
    problem: str
    sent_at: datetime | None = None
    name: str = ""
    tries: int = 1


def letter_of(arrival: Arrival, reason: str, problem: str) -> Letter:
    """The letter of something that could be read."""
    return Letter(
        entry=arrival.entry,
        raw=arrival.raw,
        message_id=arrival.message_id,
        reason=reason,
        problem=problem,
        sent_at=arrival.sent_at,
        name=arrival.name,
        tries=arrival.tries + 1,
    )


def letters_put(cursor: CursorWrapper, letters: Sequence[Letter], at: datetime) -> None:
    """Write letters down, in the caller's transaction."""
    rows = []
    for one in letters:
        number, entry = uuid7(), one.entry
        whole = {
            "raw": one.raw if not isinstance(one.raw, bytes) else one.raw.decode(errors="replace"),
            "sent_at": one.sent_at,
            "shape": entry.shape,
            "kind": entry.kind,
            "numbers": entry.source.numbers,
            "trusted": sorted(entry.source.trusted),
        }
        sealed = _sealer.seal(orjson.dumps(whole), number.bytes)
        digests = "{" + ",".join(f'"\\\\x{digest.hex()}"' for digest in digests_of(one.raw, entry)) + "}"
        rows.append(
            (number, entry.source.name, one.name, one.message_id, one.reason, one.problem[:300], sealed, digests,
             entry.received_at, at, one.tries)
        )  # fmt: skip
    if rows:
        copy_rows(cursor, DeadLetter._meta.db_table, _COLUMNS, rows)


@dataclass(frozen=True, slots=True)
class Opened:
    """A letter, opened."""

    entry: Entry
    raw: Any
    sent_at: datetime | None


def letter_open(letter: DeadLetter) -> Opened:
    """What was sent. Raises Tampered and MasterKeyMissing."""
    whole = orjson.loads(_sealer.open(bytes(letter.sealed), letter.pk.bytes))
    source = EventSource(letter.source, whole["numbers"], frozenset(whole["trusted"]))
    entry = Entry(str(letter.pk), source, whole["shape"], whole["kind"], letter.received_at, b"")
    sent_at = datetime.fromisoformat(whole["sent_at"]) if whole["sent_at"] else None
    return Opened(entry, whole["raw"], sent_at)
