"""Redis for what somebody waits for: asked once and not for long, and left alone for a moment after some failures.

While it is left alone a call fails at once, with the same kind of error, so that whoever can do without it does so
without waiting. After each pause one call is let through to see whether it is back.
"""

import os
from collections import deque
from contextlib import suppress
from functools import lru_cache
from threading import Lock
from time import monotonic
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

FAULTS: Final = 3
"""So many in a row, and it is left alone."""
PAUSE_SECONDS: Final = 1.0
_FRESH_SECONDS: Final = 1.0
"""A connection that was used within this time is used again without a look whether it is still open."""


class LeftAlone(redis.ConnectionError):
    """Redis failed some times in a row, and is not asked for a moment."""


class QuickRedis(redis.Redis):
    """A client behind a breaker. Pipelines go past it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._faults = 0
        self._open_until = 0.0
        self._breaker_lock = Lock()
        self._idle: deque[tuple[int, float, Any]] = deque()

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """What Redis answers. Raises redis.RedisError, LeftAlone among them."""
        with self.ahead(*args) as asked:
            answer = asked.answer()
        callbacks: Any = self.response_callbacks
        told = callbacks.get(args[0])
        return answer if told is None else told(answer, **options)

    def ahead(self, *args: Any) -> "Ahead":
        """Send a command, and leave its answer for later: so that Redis works while something else is waited for.

        Raises redis.RedisError, LeftAlone among them.
        """
        if self._faults >= FAULTS:
            with self._breaker_lock:
                at = monotonic()
                if at < self._open_until:
                    raise LeftAlone("Redis is left alone for a moment")
                self._open_until = at + PAUSE_SECONDS  # this one tries, the others wait for what comes of it
        wire = None
        try:
            wire = self._wire()
            wire.send_command(*args)
        except BaseException as error:
            self._failed(wire, error)
            raise
        return Ahead(self, wire)

    def _failed(self, wire: Any, error: BaseException) -> None:
        if wire is not None:
            wire.disconnect()  # an answer that comes later is no answer to the next question
            self.connection_pool.release(wire)
            self._forget()  # those that lie here were lost as well
        if isinstance(error, redis.ConnectionError | redis.TimeoutError):
            with self._breaker_lock:
                self._faults += 1
                self._open_until = monotonic() + PAUSE_SECONDS

    def _answered(self, wire: Any) -> None:
        self._faults = 0
        self._idle.append((os.getpid(), monotonic(), wire))

    def _wire(self) -> Any:
        """A connection that nobody uses. The pool makes sure of one that lay for a while: it may have been closed."""
        try:
            pid, since, wire = self._idle.pop()
        except IndexError:
            return self.connection_pool.get_connection()
        if pid != os.getpid():  # of the process that this one was forked from: the pool sees to it
            self._idle.clear()
            return self.connection_pool.get_connection()
        if monotonic() - since > _FRESH_SECONDS:
            self.connection_pool.release(wire)
            return self.connection_pool.get_connection()
        return wire

    def _forget(self) -> None:
        """Give what lies here back to the pool, which looks at each before it is used again."""
        while True:
            try:
                pid, _, wire = self._idle.pop()
            except IndexError:
                return
            if pid == os.getpid():
                self.connection_pool.release(wire)


class Ahead:
    """An answer that is on its way. Used as `with`, so that one that nobody took is not the answer to what is asked
    next. What redis-py does, without its tries, its measuring and its pool, which take most of the time of a call."""

    __slots__ = ("_client", "_wire")

    def __init__(self, client: QuickRedis, wire: Any) -> None:
        self._client, self._wire = client, wire

    def answer(self) -> Any:
        """Wait for it. Raises redis.RedisError."""
        wire, self._wire = self._wire, None
        try:
            answer = wire.read_response()
        except redis.ResponseError:
            self._client._answered(wire)
            raise
        except BaseException as error:
            self._client._failed(wire, error)
            raise
        self._client._answered(wire)
        return answer

    def __enter__(self) -> "Ahead":
        return self

    def __exit__(self, kind: type[BaseException] | None = None, *_: object) -> None:
        if self._wire is None:
            return
        if kind is None:
            with suppress(redis.RedisError):
                self.answer()
        else:  # something went wrong, and nobody waits for this too
            wire, self._wire = self._wire, None
            wire.disconnect()
            self._client.connection_pool.release(wire)


@lru_cache(maxsize=16)
def redis_quick(url: str, seconds: float) -> QuickRedis:
    """The client of this process for a Redis that is waited for at most so long at each step."""
    terms: dict[str, Any] = {"socket_timeout": seconds, "socket_connect_timeout": seconds}
    pool = redis.ConnectionPool.from_url(url, retry=Retry(NoBackoff(), 0), **terms)
    return QuickRedis(connection_pool=pool)
