"""Redis asked ahead: each answer goes to whoever asked for it, whatever became of the one before."""

import pytest
import redis
from pytest_django import Settings

from apps.foundation.core.quick import FAULTS, LeftAlone, QuickRedis, redis_quick


@pytest.fixture
def quick(settings: Settings, clean_redis: "redis.Redis") -> QuickRedis:
    clean_redis.mset({"one": "1", "two": "2"})
    client = redis_quick(settings.REDIS_URL, 0.25)
    client.ping()
    return client


def test_an_answer_is_taken_later_and_others_ask_meanwhile(quick: QuickRedis) -> None:
    with quick.ahead("GET", "one") as first:
        assert quick.get("two") == b"2"
        assert first.answer() == b"1"


def test_an_answer_that_nobody_took_is_not_the_next_ones(quick: QuickRedis) -> None:
    with quick.ahead("GET", "one"):
        pass
    assert [quick.get("two") for _ in range(3)] == [b"2"] * 3


def test_an_answer_that_somebody_failed_to_take_is_not_the_next_ones(quick: QuickRedis) -> None:
    with pytest.raises(ZeroDivisionError), quick.ahead("GET", "one"):
        raise ZeroDivisionError
    assert [quick.get("two") for _ in range(3)] == [b"2"] * 3


def test_what_redis_refuses_leaves_the_connection_good(quick: QuickRedis) -> None:
    with pytest.raises(redis.ResponseError):
        quick.execute_command("INCR", "one", "more")
    assert quick.get("two") == b"2"


def test_connections_that_redis_closed_fail_once_together(quick: QuickRedis, settings: Settings) -> None:
    with quick.ahead("CLIENT", "ID") as first, quick.ahead("CLIENT", "ID") as second:
        numbers = {first.answer(), second.answer()}
    assert len(numbers) == 2
    for number in numbers:
        assert redis.Redis.from_url(settings.REDIS_URL).execute_command("CLIENT", "KILL", "ID", number) == 1  # type: ignore[no-untyped-call]

    with pytest.raises(redis.ConnectionError):
        quick.get("one")
    assert [quick.get("two") for _ in range(3)] == [b"2"] * 3


def test_who_is_away_is_left_alone_ahead_too() -> None:
    away = redis_quick("redis://127.0.0.1:9/0", 0.07)
    for _ in range(FAULTS):
        with pytest.raises(redis.ConnectionError):
            away.ahead("PING")
    with pytest.raises(LeftAlone):
        away.ahead("PING")
