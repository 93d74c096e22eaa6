"""Redis for what somebody waits for: asked once and not for long, and left alone for a moment after some failures.

While it is left alone a call fails at once, with the same kind of error, so that whoever can do without it does so
without waiting. After each pause one call is let through to see whether it is back.
"""

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


class LeftAlone(redis.ConnectionError):
    """Redis failed some times in a row, and is not asked for a moment."""


class QuickRedis(redis.Redis):
    """A client behind a breaker. Pipelines go past it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._faults = 0
        self._open_until = 0.0
        self._breaker_lock = Lock()

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """What Redis answers. Raises redis.RedisError, LeftAlone among them."""
        if self._faults >= FAULTS:
            with self._breaker_lock:
                at = monotonic()
                if at < self._open_until:
                    raise LeftAlone("Redis is left alone for a moment")
                self._open_until = at + PAUSE_SECONDS  # this one tries, the others wait for what comes of it
        try:
            answer = self._asked(*args, **options)
        except (redis.ConnectionError, redis.TimeoutError):
            with self._breaker_lock:
                self._faults += 1
                self._open_until = monotonic() + PAUSE_SECONDS
            raise
        self._faults = 0
        return answer

    def _asked(self, *args: Any, **options: Any) -> Any:
        """What redis-py does, without its tries and its measuring, which take most of the time of a call."""
        wire: Any = self.connection_pool.get_connection()
        try:
            wire.send_command(*args)
            answer = wire.read_response()
        except redis.ResponseError:
            raise
        except BaseException:
            wire.disconnect()  # an answer that comes later is no answer to the next question
            raise
        finally:
            self.connection_pool.release(wire)
        callbacks: Any = self.response_callbacks
        told = callbacks.get(args[0])
        return answer if told is None else told(answer, **options)


@lru_cache(maxsize=16)
def redis_quick(url: str, seconds: float) -> QuickRedis:
    """The client of this process for a Redis that is waited for at most so long at each step."""
    terms: dict[str, Any] = {"socket_timeout": seconds, "socket_connect_timeout": seconds}
    pool = redis.ConnectionPool.from_url(url, retry=Retry(NoBackoff(), 0), **terms)
    return QuickRedis(connection_pool=pool)
