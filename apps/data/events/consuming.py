"""From the stream into PostgreSQL, in micro-batches: what `manage.py events_consume` does until it is told to stop.

An entry is settled in Redis only after the transaction that wrote its events has committed, and is handed out again
otherwise: so none is lost, and those that were written before are told by their message ids. An entry that ended
its consumers several times is set aside whole, before it ends the next.
"""

import logging
import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson
import redis
from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections, connection

from apps.data.profiles.errors import MasterKeyMissing
from apps.foundation.core.clock import now
from apps.foundation.core.crypto import Tampered

from .accepting import own_problems
from .contracts import Entry, EventSource
from .dead_letters import Letter
from .errors import Unreadable
from .reading import EVENT_BYTES, Arrival, arrival_read, is_too_large, items_of, sent_at_of
from .recording import Recorded, batch_record
from .stream import (
    consumer_seen,
    consumers_forget,
    entries_claim,
    entries_read,
    entries_settle,
    entry_open,
    entry_weight,
    group_ensure,
    tries_of,
)

logger = logging.getLogger(__name__)

_AT_ONCE: Final = 100
"""Entries that are read in one go, at most."""
_WAIT_MS: Final = 1_000
_SAY_EVERY: Final = 2.0
_CLAIM_EVERY: Final = 5.0
_TRIES_MOST: Final = 20
_FORGET_AFTER: Final = 86_400.0
_PAUSE_MOST: Final = 5.0

Raw = tuple[str, dict[bytes, bytes]]


@dataclass(slots=True)
class Consumer:
    """One consumer of the group. count, seconds: when a micro-batch is full; claim_seconds: for how long another's
    entries must have lain, beyond the time of a batch, to be taken over."""

    count: int = field(default_factory=lambda: settings.EVENT_BATCH_COUNT)
    seconds: float = field(default_factory=lambda: settings.EVENT_BATCH_SECONDS)
    claim_seconds: float = field(default_factory=lambda: float(settings.EVENT_CLAIM_SECONDS))
    name: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")
    done: Recorded = field(default_factory=Recorded)
    _said: float = -1e9
    _claimed: float = -1e9
    _held: list[Raw] = field(default_factory=list)
    _per_entry: float = 1.0
    _ended: set[str] = field(default_factory=set)

    def run(self, stopping: Callable[[], bool]) -> None:
        """Go on until told to stop. Redis or PostgreSQL away: wait and try again, with what was read still in hand."""
        pause = 0.1
        ready = False
        while not stopping():
            try:
                if not ready:
                    group_ensure()
                    ready = True
                close_old_connections()
                self.turn(stopping)
                pause = 0.1
            except (redis.RedisError, OperationalError, InterfaceError, MasterKeyMissing) as error:
                logger.warning("events can't be written down just now: %s", type(error).__name__)
                connection.close()
                ready = False
                time.sleep(pause)
                pause = min(pause * 2, _PAUSE_MOST)

    def turn(self, stopping: Callable[[], bool] = lambda: False) -> Recorded:
        """One micro-batch: gather, write, settle. Returns what came of it."""
        if not self._held:
            self._held = self._gather(stopping)
        came = self._write(self._held) if self._held else Recorded()
        self._held = []
        self.done += came
        return came

    def _gather(self, stopping: Callable[[], bool]) -> list[Raw]:
        """Entries until there are events enough, or time is up since the first one came."""
        if time.monotonic() - self._said >= _SAY_EVERY:
            self._said = time.monotonic()
            consumer_seen(self.name)
        if time.monotonic() - self._claimed >= min(_CLAIM_EVERY, self.claim_seconds):
            self._claimed = time.monotonic()
            idle = int((self.seconds + self.claim_seconds) * 1000)
            if taken := entries_claim(consumer=self.name, idle_ms=idle, count=_AT_ONCE):
                logger.info("took over %s entries whose consumer is gone", len(taken))
                self._ended = {number for number, _ in taken if tries_of(number) > _TRIES_MOST}
                return taken
            consumers_forget(idle_seconds=_FORGET_AFTER)
        gathered = entries_read(consumer=self.name, count=self._entries_for(self.count), wait_ms=_WAIT_MS)
        until, events = time.monotonic() + self.seconds, _events_in(gathered)
        while gathered and events < self.count and not stopping():
            left = int((until - time.monotonic()) * 1000)
            if left <= 0:
                break
            wanted = self._entries_for(self.count - events)
            more = entries_read(consumer=self.name, count=wanted, wait_ms=min(left, _WAIT_MS))
            gathered += more
            events += _events_in(more)
        if gathered:
            self._per_entry = events / len(gathered)
        return gathered

    def _entries_for(self, events: int) -> int:
        """How many entries hold so many events, going by the batch before: one may hold 1 or 1,000 of them, and what
        is read at once is written at once."""
        return max(1, min(_AT_ONCE, round(events / max(self._per_entry, 1.0))))

    def _write(self, gathered: Sequence[Raw]) -> Recorded:
        arrivals: list[Arrival] = []
        letters: list[Letter] = []
        settled: list[tuple[str, int, int]] = []
        for number, fields in gathered:
            try:
                entry = entry_open(number, fields)
            except (Tampered, KeyError, ValueError) as error:
                logger.error("entry %s of the stream does not open: %s", number, type(error).__name__)
                letters.append(_unopened(number, fields))
                continue
            finally:
                settled.append((number, *entry_weight(fields)))
            self._read(entry, arrivals, letters, ended=number in self._ended)
        came = batch_record(arrivals, letters)
        entries_settle(settled)
        return came

    def _read(self, entry: Entry, arrivals: list[Arrival], letters: list[Letter], *, ended: bool) -> None:
        origin = entry.origin or entry.id
        if entry.aside is not None:
            reason, problem = entry.aside
            letters.append(
                Letter(entry=entry, raw=entry.body, message_id=f"{origin}:0", reason=reason, problem=problem)
            )
            return
        body = orjson.loads(entry.body)
        sent_at, large = sent_at_of(body), len(entry.body) > EVENT_BYTES
        for number, raw in enumerate(items_of(body)):
            made_id = f"{origin}:{number}"
            try:
                if ended:
                    raise Unreadable("ended_consumers", f"What came with it ended {_TRIES_MOST} consumers")
                if large and is_too_large(raw):
                    raise Unreadable("too_large", f"It has more than {EVENT_BYTES:,} bytes")
                if entry.origin and entry.shape == "own" and isinstance(raw, dict) and (problems := own_problems(raw)):
                    # Over HTTP the sender is told; a broker's can't be.
                    said = "; ".join(f"{name}: {words}" for name, words in problems)
                    raise Unreadable("event_invalid", said)
                arrivals.append(arrival_read(raw, entry=entry, made_id=made_id, sent_at=sent_at))
            except Unreadable as error:
                given = raw.get("messageId") or raw.get("id") if isinstance(raw, dict) else None
                letters.append(
                    Letter(
                        entry=entry,
                        raw=raw,
                        message_id=given if isinstance(given, str) and 0 < len(given) <= 120 else made_id,
                        reason=error.reason,
                        problem=error.says,
                        sent_at=sent_at,
                    )
                )


def _events_in(gathered: Sequence[Raw]) -> int:
    return sum(entry_weight(fields)[0] for _, fields in gathered)


def _unopened(number: str, fields: dict[bytes, bytes]) -> Letter:
    """An entry that does not open, as it lies there."""
    entry = Entry(number, EventSource("", ""), "segment", "", now(), b"")
    raw = {name.decode(errors="replace"): value.hex() for name, value in fields.items()}
    return Letter(
        entry=entry, raw=raw, message_id=f"{number}:0", reason="not_opened", problem="It does not open with our keys"
    )
