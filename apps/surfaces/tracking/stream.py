"""What was seen, between the request and the ledger: a stream in Redis, so that whoever follows a link never waits.

It holds ids and moments, nothing of the person. What is in it is judged when it is some seconds old (`services.py`).
Redis lost: what was seen within those seconds is lost with it; no message depends on it.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, cast
from uuid import UUID

import redis
from django.conf import settings

from .contracts import Seen

KEY: Final = "tracking:seen"
MOST: Final = 2_000_000
"""Entries that are kept while nobody takes them, roughly 200 MB; then the oldest go."""
_WAIT_SECONDS: Final = 0.25


@lru_cache(maxsize=4)
def _client(url: str) -> "redis.Redis":
    return redis.Redis.from_url(url, socket_timeout=_WAIT_SECONDS, socket_connect_timeout=_WAIT_SECONDS)


@lru_cache(maxsize=4)
def _patient(url: str) -> "redis.Redis":
    return redis.Redis.from_url(url, socket_timeout=10, socket_connect_timeout=2)


def seen_put(*, message_id: UUID, kind: str, link: int | None, machine: str) -> None:
    """Put down that something was seen now. Raises redis.RedisError within a quarter of a second."""
    fields: dict[str | bytes, bytes | float | int | str] = {"m": message_id.bytes, "k": kind, "a": machine}
    if link is not None:
        fields["l"] = link
    _client(settings.REDIS_URL).xadd(KEY, fields, maxlen=MOST, approximate=True)  # type: ignore[arg-type]  # its types


def seen_read(*, count: int) -> list[Seen]:
    """The oldest that nobody took yet, in the order in which they were seen. Raises redis.RedisError."""
    entries = cast(list[tuple[bytes, dict[bytes, bytes]]], _patient(settings.REDIS_URL).xrange(KEY, count=count))
    return [seen for name, fields in entries if (seen := _seen(name.decode(), fields)) is not None]


def seen_taken(seen: Iterable[str]) -> None:
    """Take these away: they are in the ledger, or are not to be. Raises redis.RedisError."""
    ids: Sequence[str] = list(seen)
    if ids:
        _patient(settings.REDIS_URL).xdel(KEY, *ids)


def _seen(name: str, fields: dict[bytes, bytes]) -> Seen | None:
    """An entry as it was meant, None for one that is none of ours."""
    try:
        return Seen(
            id=name,
            message_id=UUID(bytes=fields[b"m"]),
            kind=fields[b"k"].decode(),
            at=datetime.fromtimestamp(int(name.partition("-")[0]) / 1000, UTC),
            link=int(fields[b"l"]) if b"l" in fields else None,
            machine=fields[b"a"].decode(),
        )
    except (KeyError, ValueError):
        return None
