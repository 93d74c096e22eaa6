"""How fast messages may go out: of a run, by a provider, to a domain of recipients. Counted under the claim.

Each limit has a row, which is a bucket: it fills with `per_minute` and holds BURST_SECONDS of it. Who claims locks the
rows that its messages fall under until the claim commits, so that what several workers take together is what the rows
say. A message without room in one of them is put back in the same transaction:

- its run's or its provider's is empty: that one is passed over by claims until it has filled (`held_until`);
- its domain's is empty: the message waits for a turn of its own, one after the other.

Transactional messages count, and are never put back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final, NamedTuple

from django.conf import settings
from django.db.backends.utils import CursorWrapper

from config.pace import SendLimit

BURST_SECONDS: Final = 15.0
"""What a bucket holds: a little more than the time between two sweeps, which wake senders."""

LOOK_AGAIN: Final = timedelta(minutes=10)
"""For so long at most claims pass a run or provider over before they look again: a limit may have been raised."""

_ROWS: Final = """
INSERT INTO sending_allowance (key, tokens, filled_at, day, day_count)
SELECT key, room, clock_timestamp(), (clock_timestamp() AT TIME ZONE 'UTC')::date, 0
FROM unnest(%s::text[], %s::float[]) AS fresh(key, room) ORDER BY key
ON CONFLICT (key) DO NOTHING
"""
_LOCKED: Final = """
SELECT key, tokens, filled_at, day, day_count, held_until, turn_at, clock_timestamp()
FROM sending_allowance WHERE key = ANY(%s) ORDER BY key FOR UPDATE
"""
_KEEP: Final = """
UPDATE sending_allowance AS allowance
SET tokens = now.tokens, filled_at = now.filled_at, day = now.day, day_count = now.day_count,
    held_until = now.held_until, turn_at = now.turn_at
FROM unnest(%s::text[], %s::float[], %s::timestamptz[], %s::date[], %s::int[], %s::timestamptz[], %s::timestamptz[])
     AS now(key, tokens, filled_at, day, day_count, held_until, turn_at)
WHERE allowance.key = now.key
"""


@dataclass(slots=True)
class Bucket:
    """One limit as it stands. turn_at: until when turns are given away; at: now, by the database's clock."""

    key: str
    limit: SendLimit
    at: datetime
    tokens: float
    filled_at: datetime
    day_count: int
    held_until: datetime | None
    turn_at: datetime | None

    @property
    def room(self) -> float:
        """The most it holds."""
        return room(self.limit)

    def fill(self) -> None:
        """Bring it to now."""
        if self.limit.per_minute is not None:
            passed = max(0.0, (self.at - self.filled_at).total_seconds())
            self.tokens = min(self.room, self.tokens + passed * self.limit.per_minute / 60)
        self.filled_at = self.at

    def free(self) -> bool:
        """Whether one more may go."""
        most = self.limit.of_day(self.at.astimezone(UTC).date())
        return (self.limit.per_minute is None or self.tokens >= 1) and (most is None or self.day_count < most)

    def take(self) -> None:
        """One goes."""
        self.tokens -= 1 if self.limit.per_minute is not None else 0
        self.day_count += 1

    def free_at(self) -> datetime:
        """When half of what it holds is there again; on the next day where this one's are gone."""
        most = self.limit.of_day(self.at.astimezone(UTC).date())
        if most is not None and self.day_count >= most:
            return _next_day(self.at)
        missing = max(1.0, self.room / 2) - self.tokens
        return self.at + timedelta(seconds=max(1.0, missing * 60 / (self.limit.per_minute or 60)))

    def turn(self) -> datetime:
        """The next turn that nobody has."""
        first = self.free_at()
        tomorrow = self.limit.of_day(first.astimezone(UTC).date())
        paces = [60 / self.limit.per_minute] if self.limit.per_minute else []
        paces += [86_400 / tomorrow] if tomorrow else []
        self.turn_at = max(first, self.turn_at or first) + timedelta(seconds=max(paces, default=1.0))
        return self.turn_at


class Wanted(NamedTuple):
    """A claimed message, for its limits. run: of its run, in messages a minute; domain: of the recipient."""

    dispatch_id: int
    run: int | None
    urgent: bool
    domain: str


def room(limit: SendLimit) -> float:
    """How many messages a bucket holds at most; at least one."""
    return max(1.0, (limit.per_minute or 0) * BURST_SECONDS / 60)


def domain_of(address: str) -> str:
    """What the limits know an address by; "" for what has no domain."""
    return address.rpartition("@")[2].lower() if "@" in address else ""


def limits_take(cursor: CursorWrapper, wanted: Sequence[Wanted], *, provider: str) -> dict[int, datetime | None]:
    """Count these messages, in their order, under all limits; to be called within the transaction that claims them.

    Returns those that must be put back, by their place: until when, or None where claims pass over them by themselves.
    """
    keys = [_keys(one, provider) for one in wanted]
    limits = {key: limit for found in keys for key, limit in found.items()}
    if not limits:
        return {}
    buckets = _locked(cursor, limits)
    back: dict[int, datetime | None] = {}
    for place, (one, found) in enumerate(zip(wanted, keys, strict=True)):
        mine = [buckets[key] for key in found]
        empty = [] if one.urgent else [bucket for bucket in mine if not bucket.free()]
        if not empty:
            for bucket in mine:
                bucket.take()
            continue
        whole = [bucket for bucket in empty if not bucket.key.startswith("domain:")]
        for bucket in whole:
            bucket.held_until = min(bucket.free_at(), bucket.at + LOOK_AGAIN)
        back[place] = None if whole else max(bucket.turn() for bucket in empty)
    _keep(cursor, list(buckets.values()))
    return back


def _keys(one: Wanted, provider: str) -> dict[str, SendLimit]:
    """The limits that a message falls under."""
    found = {} if one.run is None else {f"run:{one.dispatch_id}": SendLimit(one.run)}
    known: Mapping[str, SendLimit] = settings.SEND_LIMITS
    for key in (f"provider:{provider}", f"domain:{one.domain}"):
        if key in known:
            found[key] = known[key]
    return found


def _locked(cursor: CursorWrapper, limits: Mapping[str, SendLimit]) -> dict[str, Bucket]:
    cursor.execute(_ROWS, [list(limits), [room(limit) for limit in limits.values()]])
    cursor.execute(_LOCKED, [list(limits)])
    buckets: dict[str, Bucket] = {}
    for key, tokens, filled_at, day, day_count, held_until, turn_at, at in cursor.fetchall():
        today = day == at.astimezone(UTC).date()
        buckets[key] = Bucket(key, limits[key], at, tokens, filled_at, day_count if today else 0, held_until, turn_at)
        buckets[key].fill()
    return buckets


def _keep(cursor: CursorWrapper, buckets: Sequence[Bucket]) -> None:
    cursor.execute(
        _KEEP,
        [
            [one.key for one in buckets],
            [one.tokens for one in buckets],
            [one.filled_at for one in buckets],
            [one.at.astimezone(UTC).date() for one in buckets],
            [one.day_count for one in buckets],
            [one.held_until for one in buckets],
            [one.turn_at for one in buckets],
        ],
    )


def _next_day(at: datetime) -> datetime:
    return datetime.combine(at.astimezone(UTC).date() + timedelta(days=1), time(), UTC)
