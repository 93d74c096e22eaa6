"""What a process keeps: by stamps, once for all who ask at the same time, and never what could not be read."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from apps.data.catalog.models import Item
from apps.foundation.core.caches import Cache, caches_told
from apps.foundation.core.models import Stamp
from apps.foundation.core.stamps import stamps_of, stamps_read


@pytest.fixture
def cache() -> Iterator[Cache[str, int]]:
    cache: Cache[str, int] = Cache("tried", "tried", "CACHE_CATALOG_SECONDS", most=2)
    yield cache
    cache.clear()


def test_what_is_kept_holds_for_its_stamp_and_its_lifetime(cache: Cache[str, int], settings: object) -> None:
    reads = iter(range(10))
    first, second = {"tried": "1"}, {"tried": "2", "other": "7"}
    assert [cache.get("a", first, lambda: next(reads)) for _ in range(2)] == [0, 0]
    assert [cache.get("a", second, lambda: next(reads)) for _ in range(2)] == [1, 1]
    settings.CACHE_CATALOG_SECONDS = 0  # type: ignore[attr-defined]
    assert [cache.get("a", {"tried": "3"}, lambda: next(reads)) for _ in range(2)] == [2, 3]
    assert cache.last("a") == 3
    assert caches_told()["tried"] == (2, 4)


def test_who_asks_at_the_same_time_waits_for_one_read(cache: Cache[str, int]) -> None:
    reads: list[int] = []
    goes_on, begun = threading.Event(), threading.Event()

    def slow() -> int:
        reads.append(1)
        begun.set()
        assert goes_on.wait(30)
        return 7

    with ThreadPoolExecutor(16) as pool:
        first = pool.submit(cache.get, "a", {}, slow)
        assert begun.wait(30)
        rest = [pool.submit(cache.get, "a", {}, slow) for _ in range(15)]
        goes_on.set()
        assert {one.result(30) for one in [first, *rest]} == {7}
    assert len(reads) == 1


def test_many_are_read_once_by_whoever_comes_first(cache: Cache[str, int]) -> None:
    asked: list[list[str]] = []

    def read(missing: list[str]) -> dict[str, int]:
        asked.append(missing)
        return {one: len(one) for one in missing if one != "none"}

    with ThreadPoolExecutor(8) as pool:
        found = [pool.submit(cache.many, ["a", "bb"], {}, read) for _ in range(8)]
        assert [one.result(30) for one in found] == [{"a": 1, "bb": 2}] * 8
    assert asked == [["a", "bb"]]
    assert cache.many(["none", "bb"], {}, read) == {"bb": 2}
    assert cache.many(["none"], {}, read) == {}
    assert asked[1:] == [["none"], ["none"]]


def test_what_failed_is_not_kept(cache: Cache[str, int]) -> None:
    with pytest.raises(ZeroDivisionError):
        cache.get("a", {}, lambda: 1 // 0)
    assert cache.get("a", {}, lambda: 4) == 4
    assert len(cache._readings) == 0


def test_only_so_many_are_kept(cache: Cache[str, int]) -> None:
    for key in "abc":
        cache.get(key, {}, lambda: 1)
    assert [cache.last(key) for key in "abc"] == [None, 1, 1]


def test_stamps_are_told_apart() -> None:
    assert stamps_of("catalog=3 catalog=9 published=4") == {"catalog": "3 9", "published": "4"}
    assert stamps_of(None) == {}


@pytest.mark.django_db(transaction=True)
def test_a_change_is_seen_from_its_commit_on_and_not_before() -> None:
    def elsewhere() -> str:
        try:
            return stamps_read().get("catalog", "")
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as other:
        before = other.submit(elsewhere).result(30)
        with transaction.atomic():
            item = Item.objects.create(sku="A", title="Tea")
            inside = stamps_read()["catalog"]
            assert other.submit(elsewhere).result(30) == before != inside
            item.title = "More tea"
            item.save()
            assert stamps_read()["catalog"] not in (before, inside)
        after = other.submit(elsewhere).result(30)
        assert after == stamps_read()["catalog"] != before
        with transaction.atomic():
            Item.objects.all().delete()
            transaction.set_rollback(True)
        assert stamps_read()["catalog"] == after


@pytest.mark.django_db(transaction=True)
def test_two_who_change_at_the_same_time_do_not_wait_and_both_are_seen() -> None:
    Item.objects.create(sku="A", title="Tea")
    seen = {stamps_read()["catalog"]}
    held, goes_on = threading.Event(), threading.Event()

    def slow() -> None:
        try:
            with transaction.atomic():
                Item.objects.create(sku="B", title="Slow tea")
                held.set()
                assert goes_on.wait(30)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as other:
        done = other.submit(slow)
        assert held.wait(30)
        Item.objects.create(sku="C", title="Quick tea")  # would hang here
        quick = stamps_read()["catalog"]
        assert quick not in seen
        goes_on.set()
        done.result(30)
    assert stamps_read()["catalog"] not in {*seen, quick}
    assert Stamp.objects.filter(kind="catalog").count() == 2
    Item.objects.all().delete()
    assert Stamp.objects.filter(kind="catalog").count() == 1
