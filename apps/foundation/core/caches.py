"""What a process keeps in its memory of what the database says, each thing under the stamp it was read by.

Never older than its lifetime, and never beyond a change: another stamp, and it is read anew (`stamps.py`). Whoever asks
while somebody reads the same waits for that one; a read that fails is not kept, and the next who asks tries again.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from threading import Event, Lock
from time import monotonic
from typing import Any, Final, Generic, TypeVar, cast

import redis
from django.conf import settings

from .quick import redis_quick

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
_MISSING = object()


@dataclass(slots=True)
class _Reading:
    """Somebody reads it."""

    done: Event = field(default_factory=Event)
    value: Any = _MISSING


@dataclass(slots=True)
class Cache(Generic[K, V]):
    """A memory of one kind of thing. kind: of its stamps; lifetime: the setting with its seconds; most: entries, of
    which the one read longest ago goes first."""

    name: str
    kind: str
    lifetime: str
    most: int = 1_000
    hits: int = 0
    misses: int = 0
    _kept: OrderedDict[K, tuple[str, float, V]] = field(default_factory=OrderedDict)
    _readings: dict[tuple[K, str], _Reading] = field(default_factory=dict)
    _lock: Any = field(default_factory=Lock)
    _filling: Any = field(default_factory=Lock)

    def __post_init__(self) -> None:
        _caches[self.name] = cast("Cache[Any, Any]", self)

    def get(self, key: K, stamps: Mapping[str, str], read: Callable[[], V]) -> V:
        """What is kept under the stamps, else what `read` gives. stamps: as they were read before this is asked."""
        stamp = stamps.get(self.kind, "")
        kept = self._kept.get(key)
        if kept is not None and kept[0] == stamp and kept[1] > monotonic():
            self.hits += 1
            return kept[2]
        with self._lock:
            reading = self._readings.get((key, stamp))
            mine = reading is None
            if reading is None:
                reading = self._readings[key, stamp] = _Reading()
        if not mine:
            self.hits += 1
            reading.done.wait()
            return read() if reading.value is _MISSING else cast(V, reading.value)
        try:
            self.misses += 1
            value = read()
            reading.value = value
            self.put(key, stamps, value)
            return value
        finally:
            with self._lock:
                del self._readings[key, stamp]
            reading.done.set()

    def many(
        self, keys: Iterable[K], stamps: Mapping[str, str], read: Callable[[list[K]], Mapping[K, V]]
    ) -> dict[K, V]:
        """The same for many at once; `read` is asked once, for those that are not kept. What it does not give is
        missing."""
        wanted = list(keys)
        found, missing = self._held(wanted, stamps)
        self.hits += len(found)
        if not missing:
            return found
        with self._filling:  # whoever wants the same meanwhile finds it after
            more, missing = self._held(missing, stamps)
            found |= more
            if missing:
                self.misses += len(missing)
                for key, value in read(missing).items():
                    found[key] = value
                    self.put(key, stamps, value)
        return found

    def _held(self, keys: Iterable[K], stamps: Mapping[str, str]) -> tuple[dict[K, V], list[K]]:
        stamp, at, kept = stamps.get(self.kind, ""), monotonic(), self._kept
        found: dict[K, V] = {}
        missing: list[K] = []
        for key in keys:
            one = kept.get(key)
            if one is not None and one[0] == stamp and one[1] > at:
                found[key] = one[2]
            else:
                missing.append(key)
        return found, missing

    def put(self, key: K, stamps: Mapping[str, str], value: V) -> None:
        """Keep what was read after its stamps were."""
        ends = monotonic() + getattr(settings, self.lifetime)
        with self._lock:
            self._kept[key] = (stamps.get(self.kind, ""), ends, value)
            self._kept.move_to_end(key)
            while len(self._kept) > self.most:
                self._kept.popitem(last=False)

    def last(self, key: K) -> V | None:
        """What was kept last, whatever became of it since: for when nobody can be asked."""
        kept = self._kept.get(key)
        return None if kept is None else kept[2]

    def clear(self) -> None:
        """Keep nothing."""
        with self._lock:
            self._kept.clear()


_caches: dict[str, Cache[Any, Any]] = {}


def caches_told() -> dict[str, tuple[int, int]]:
    """How often each memory of this process had what was asked for, and how often not."""
    return {name: (one.hits, one.misses) for name, one in sorted(_caches.items())}


_TELL_SECONDS: Final = 10.0
_TOLD: Final = "caches:told"
_telling = Lock()
_told: dict[str, int] = {}
_tell_at = 0.0


def caches_tell() -> None:
    """Add what this process counted to what all have, in Redis, every ten seconds. Redis away: the next time."""
    global _tell_at
    if monotonic() < _tell_at or not _telling.acquire(blocking=False):
        return
    try:
        _tell_at = monotonic() + _TELL_SECONDS
        client = redis_quick(settings.REDIS_URL, 0.05)
        for name, (hits, misses) in caches_told().items():
            for result, count in (("hit", hits), ("miss", misses)):
                field_name = f"{name}:{result}"
                if more := count - _told.get(field_name, 0):
                    client.execute_command("HINCRBY", _TOLD, field_name, more)
                    _told[field_name] = count
    except redis.RedisError:
        return
    finally:
        _telling.release()


def caches_counted() -> dict[tuple[str, str], int]:
    """How often the memories of all processes had what was asked for (`hit`), and how often not (`miss`), since Redis
    began to count; by name and result. Raises redis.RedisError."""
    found = redis_quick(settings.REDIS_URL, 0.25).hgetall(_TOLD)
    counted = {}
    for name, count in cast(Mapping[bytes, bytes], found).items():
        cache, _, result = name.decode().rpartition(":")
        counted[cache, result] = int(count)
    return counted
