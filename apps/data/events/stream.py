"""Events on their way: a Redis Stream between those who accept and those who write down.

One entry holds all that one request brought, sealed. Whatever changes the stream and the count of what waits in it is
one script, so that they never disagree. An entry is deleted when it is settled, so what is in the stream is what waits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import orjson
import redis
from django.conf import settings

from .contracts import Entry, EventSource, Shape
from .errors import StreamDown, StreamFull
from .sealing import EventSealer

STREAM: Final = "events:stream"
WAITING: Final = "events:waiting"
"""Hash with the `events` and `bytes` that wait."""
SEEN: Final = "events:consumers"
"""Hash of consumers and when each last said that it is there, in seconds by Redis's clock. Redis itself knows only when
it last gave one something (6.2; from 7.2 on it knows more)."""
GROUP: Final = "record"
_ANSWER_SECONDS: Final = 5.0

_ACCEPT: Final = """
local events = tonumber(redis.call('HGET', KEYS[2], 'events') or '0')
local bytes = tonumber(redis.call('HGET', KEYS[2], 'bytes') or '0')
if events > 0 and (events + ARGV[1] > tonumber(ARGV[3]) or bytes + ARGV[2] > tonumber(ARGV[4])) then return false end
redis.call('HINCRBY', KEYS[2], 'events', ARGV[1])
redis.call('HINCRBY', KEYS[2], 'bytes', ARGV[2])
return redis.call('XADD', KEYS[1], '*', 'h', ARGV[5], 'd', ARGV[6], 'n', ARGV[1])
"""
# Each entry counts once, whoever settles it: XACK says whether it still waited.
_SETTLE: Final = """
local settled = 0
for at = 2, #ARGV, 3 do
  if redis.call('XACK', KEYS[1], ARGV[1], ARGV[at]) == 1 then
    redis.call('XDEL', KEYS[1], ARGV[at])
    redis.call('HINCRBY', KEYS[2], 'events', -ARGV[at + 1])
    redis.call('HINCRBY', KEYS[2], 'bytes', -ARGV[at + 2])
    settled = settled + 1
  end
end
if settled > 0 and redis.call('XLEN', KEYS[1]) == 0 then redis.call('DEL', KEYS[2]) end
return settled
"""

_FORGET: Final = """
local gone = 0
for _, one in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  if one[4] == 0 and one[6] > tonumber(ARGV[2]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], one[2])
    gone = gone + 1
  end
end
return gone
"""

_sealer = EventSealer("stream")


@lru_cache(maxsize=4)
def _client(url: str) -> "redis.Redis":
    return redis.Redis.from_url(url, socket_timeout=_ANSWER_SECONDS, socket_connect_timeout=2.0)


def stream_client() -> "redis.Redis":
    """The Redis of the stream (setting EVENT_REDIS_URL)."""
    return _client(settings.EVENT_REDIS_URL)


@dataclass(frozen=True, slots=True)
class NewEntry:
    """What is to go into the stream. count: how many events it has; the rest as of `Entry`."""

    source: EventSource
    shape: Shape
    received_at: datetime
    body: bytes
    count: int
    kind: str = ""
    origin: str = ""
    aside: tuple[str, str] | None = None

    def arguments(self) -> tuple[Any, ...]:
        """What the script that accepts it is given, the body sealed."""
        told: dict[str, Any] = {
            "s": self.source.name,
            "u": self.source.numbers,
            "t": sorted(self.source.trusted),
            "f": self.shape,
            "k": self.kind,
            "at": self.received_at.timestamp(),
            "n": self.count,
        }
        if self.origin:
            told["o"] = self.origin
        if self.aside:
            told["a"] = self.aside
        head = orjson.dumps(told)
        sealed = _sealer.seal(self.body, head)
        limits = settings.EVENT_STREAM_LIMIT, settings.EVENT_STREAM_BYTES
        return self.count, len(sealed), *limits, head, sealed


def entry_add(entry: NewEntry) -> str:
    """Put what a request brought into the stream. Returns the entry's id once Redis has it, by its own fsync rule.

    Raises StreamFull when too much waits, StreamDown when Redis doesn't take it; then it is not known to be in.
    """
    try:
        made = stream_client().eval(_ACCEPT, 2, STREAM, WAITING, *entry.arguments())
    except redis.RedisError as error:
        raise StreamDown("stream_down", "Events can't be taken just now: try again soon") from error
    if made is None:
        raise StreamFull("stream_full", "Too many events wait to be written down: try again soon")
    return bytes(made).decode()


def entries_add(entries: Sequence[NewEntry]) -> list[bool]:
    """Put several into the stream, in one round trip and one write to its disk. Says of each whether there was room.

    Raises StreamDown when Redis doesn't take them all; then of none it is known whether it is in.
    """
    try:
        with stream_client().pipeline(transaction=False) as pipe:
            for entry in entries:
                pipe.eval(_ACCEPT, 2, STREAM, WAITING, *entry.arguments())
            return [made is not None for made in pipe.execute()]
    except redis.RedisError as error:
        raise StreamDown("stream_down", "Events can't be taken just now: try again soon") from error


def group_ensure() -> None:
    """Make the stream and its group where they are missing. Raises redis.RedisError."""
    try:
        stream_client().xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    except redis.ResponseError as error:
        if not str(error).startswith("BUSYGROUP"):
            raise


def consumer_seen(name: str) -> None:
    """Say that a consumer is there, also while nothing comes. Raises redis.RedisError."""
    client: Any = stream_client()
    seconds, micros = client.time()
    client.hset(SEEN, name, seconds + micros / 1e6)


def entries_read(*, consumer: str, count: int, wait_ms: int) -> list[tuple[str, dict[bytes, bytes]]]:
    """New entries for a consumer, raw; waits up to `wait_ms` for the first one, 0 for not at all."""
    found: Any = stream_client().xreadgroup(
        GROUP, consumer, {STREAM: ">"}, count=count, block=wait_ms if wait_ms > 0 else None
    )
    return _plain(found[0][1]) if found else []


def entries_claim(*, consumer: str, idle_ms: int, count: int) -> list[tuple[str, dict[bytes, bytes]]]:
    """Entries that some consumer took so long ago without settling them that it must be gone; this one has them now."""
    found: Any = stream_client().xautoclaim(STREAM, GROUP, consumer, min_idle_time=idle_ms, count=count)
    return _plain(entry for entry in found[1] if entry[1])


def _plain(entries: Any) -> list[tuple[str, dict[bytes, bytes]]]:
    return [(bytes(number).decode(), fields) for number, fields in entries]


def tries_of(number: str) -> int:
    """How often an entry was handed to a consumer."""
    found: Any = stream_client().xpending_range(STREAM, GROUP, min=number, max=number, count=1)
    return int(found[0]["times_delivered"]) if found else 0


def entry_open(number: str, fields: dict[bytes, bytes]) -> Entry:
    """An entry, opened. Raises Tampered, MasterKeyMissing, and ValueError or KeyError for what is none of ours."""
    sealed = fields[b"d"]
    head = orjson.loads(fields[b"h"])
    body = _sealer.open(sealed, fields[b"h"])
    source = EventSource(head["s"], head["u"], frozenset(head["t"]))
    received_at = datetime.fromtimestamp(head["at"], UTC)
    aside = tuple(head["a"]) if "a" in head else None
    return Entry(number, source, head["f"], head["k"], received_at, body, head.get("o", ""), aside)


def entry_weight(fields: dict[bytes, bytes]) -> tuple[int, int]:
    """The events and bytes for which an entry was counted."""
    return int(fields.get(b"n", b"0")), len(fields.get(b"d", b""))


def entries_settle(entries: Sequence[tuple[str, int, int]]) -> int:
    """Let go of entries (id, events, bytes) that are written down. Returns how many still waited."""
    arguments = [part for entry in entries for part in entry]
    return int(stream_client().eval(_SETTLE, 2, STREAM, WAITING, GROUP, *arguments)) if entries else 0


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is on its way. seconds: how long the oldest has waited; consumers: who reads, with seconds since they last
    did; durable: whether Redis says that it writes each change to the disk before it answers, None where it won't say.
    """

    events: int
    entries: int
    bytes: int
    seconds: float
    consumers: tuple[tuple[str, float], ...]
    durable: bool | None


def stream_look() -> Waiting:
    """How the stream stands. Raises redis.RedisError."""
    client: Any = stream_client()
    with client.pipeline(transaction=False) as pipe:
        pipe.xlen(STREAM)
        pipe.hgetall(WAITING)
        pipe.xrange(STREAM, count=1)
        pipe.time()
        pipe.hgetall(SEEN)
        entries, held, oldest, (seconds, micros), seen = pipe.execute()
    try:
        said = client.config_get("append*")
        durable = said.get("appendonly") == "yes" and said.get("appendfsync") == "always"
    except (redis.ResponseError, AttributeError):
        durable = None
    at = seconds + micros / 1e6
    waited = at - int(oldest[0][0].split(b"-")[0]) / 1000 if oldest else 0.0
    return Waiting(
        events=int(held.get(b"events", 0)),
        entries=int(entries),
        bytes=int(held.get(b"bytes", 0)),
        seconds=max(0.0, waited),
        consumers=tuple(sorted((name.decode(), max(0.0, at - float(since))) for name, since in seen.items())),
        durable=durable,
    )


def consumers_forget(*, idle_seconds: float) -> int:
    """Take consumers off the group that were given nothing for so long and hold nothing. Returns how many.

    One that is there all the same is in the group again with what it is given next.
    """
    gone = [name for name, seconds in stream_look().consumers if seconds > idle_seconds]
    if gone:
        stream_client().hdel(SEEN, *gone)
    return int(stream_client().eval(_FORGET, 1, STREAM, GROUP, int(idle_seconds * 1000)))
