"""Limits on what strangers may ask for: counted once each, also at once, and never in the way when Redis is away."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from django.test import RequestFactory
from pytest_django import Settings

from apps.foundation.core.limits import Tally, allowed, tally, visitor_ip, visitor_network


def test_so_many_are_allowed_and_no_more(clean_redis: "redis.Redis") -> None:
    tries = [allowed(name="tests.post", who="anna@example.com", count=3, seconds=60) for _ in range(5)]

    assert tries == [True, True, True, False, False]


def test_each_name_and_each_visitor_count_for_themselves(clean_redis: "redis.Redis") -> None:
    assert allowed(name="tests.post", who="anna", count=1, seconds=60)
    assert not allowed(name="tests.post", who="anna", count=1, seconds=60)

    assert allowed(name="tests.post", who="ben", count=1, seconds=60)
    assert allowed(name="tests.other", who="anna", count=1, seconds=60)


def test_many_at_once_do_not_slip_through(clean_redis: "redis.Redis") -> None:
    with ThreadPoolExecutor(8) as threads:
        tries = list(threads.map(lambda _: allowed(name="tests.post", who="anna", count=10, seconds=60), range(100)))

    assert tries.count(True) == 10


def test_a_window_ends_by_itself_and_refused_tries_do_not_prolong_it(clean_redis: "redis.Redis") -> None:
    for _ in range(3):
        allowed(name="tests.post", who="anna", count=1, seconds=60)
    (key,) = clean_redis.keys("limit:*")
    clean_redis.pexpire(key, 30_000)

    assert not allowed(name="tests.post", who="anna", count=1, seconds=60)
    assert clean_redis.pttl(key) <= 30_000
    clean_redis.delete(key)
    assert allowed(name="tests.post", who="anna", count=1, seconds=60)


def test_nobody_can_be_read_out_of_the_keys(clean_redis: "redis.Redis") -> None:
    allowed(name="tests.post", who="anna@example.com", count=1, seconds=60)
    allowed(name="tests.post", who="192.0.2.7", count=1, seconds=60)

    for key in clean_redis.keys("*"):
        assert b"anna" not in key
        assert b"192.0.2.7" not in key


def test_without_redis_everything_is_allowed(settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:9/0"

    assert [allowed(name="tests.post", who="anna", count=1, seconds=60) for _ in range(3)] == [True] * 3


@pytest.mark.parametrize(
    ("proxies", "told", "ip"),
    [
        (0, "198.51.100.1", "127.0.0.1"),
        (1, "198.51.100.1", "198.51.100.1"),
        (1, "203.0.113.9, 198.51.100.1", "198.51.100.1"),
        (2, "203.0.113.9, 198.51.100.1, 10.0.0.1", "198.51.100.1"),
        (1, "<script>", "127.0.0.1"),
        (3, "198.51.100.1", "127.0.0.1"),
    ],
)
def test_a_visitors_ip_is_what_the_outermost_proxy_of_ours_saw(
    proxies: int, told: str, ip: str, settings: Settings
) -> None:
    settings.PROXIES = proxies

    assert visitor_ip(RequestFactory().get("/", headers={"X-Forwarded-For": told})) == ip


def test_a_household_with_ipv6_counts_as_one() -> None:
    def network(ip: str) -> str:
        return visitor_network(RequestFactory().get("/", REMOTE_ADDR=ip))

    assert network("2001:db8:1:2:3:4:5:6") == network("2001:db8:1:2:ffff::1") == "2001:db8:1:2::"
    assert network("2001:db8:1:3::1") != network("2001:db8:1:2::1")
    assert network("::ffff:192.0.2.7") == network("192.0.2.7") == "192.0.2.7"


def take(weight: int, count: int = 10) -> Tally:
    told = tally(name="tests", who=f"shop-{count}", count=count, seconds=60, weight=weight)
    assert told is not None
    return told


def test_what_does_not_fit_takes_nothing(clean_redis: "redis.Redis") -> None:
    tallies = [take(weight) for weight in (7, 4, 3, 1)]

    assert [(one.within, one.left) for one in tallies] == [(True, 3), (False, 3), (True, 0), (False, 0)]
    assert all(1 <= one.resets_in <= 60 for one in tallies)


def test_what_a_process_took_ahead_is_used_up_to_the_last(clean_redis: "redis.Redis") -> None:
    """Of 2,000 it takes 10 at once: 3 leave 7 in hand, of which a 9 uses all."""
    tallies = [take(weight, 2_000) for weight in (3, 9, 1_980, 9, 8)]

    assert [(one.within, one.left) for one in tallies] == [
        (True, 1_997), (True, 1_988), (True, 8), (False, 8), (True, 0),
    ]  # fmt: skip
    (key,) = clean_redis.keys("limit:*")
    assert int(clean_redis.get(key) or 0) == 2_000


def test_batches_at_once_come_to_the_limit_and_not_beyond(clean_redis: "redis.Redis") -> None:
    """Threads of one process, which share what it took ahead."""
    weights = [1 + number % 97 for number in range(400)]
    with ThreadPoolExecutor(8) as threads:
        told = list(threads.map(lambda weight: (weight, take(weight, 5_000).within), weights))

    passed = sum(weight for weight, within in told if within)
    while take(1, 5_000).within:
        passed += 1
    assert passed == 5_000
