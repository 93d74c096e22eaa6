"""Work that is done together: nobody waits for company, each gets what is theirs, and nobody waits for ever."""

import gc
import time
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from time import monotonic
from typing import Any

import pytest

from apps.foundation.core.gathering import GatheredLate, Gathering

LONG = 60.0


class Doubling:
    """Doubles numbers; holds up the batch of a number until it is let go. Odd hundreds are somebody's own fault."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun, self.go = Event(), Event()

    def __call__(self, numbers: Sequence[int], deadline: float) -> list[int | Exception]:
        self.batches.append(sorted(numbers))
        if 0 in numbers:
            self.begun.set()
            assert self.go.wait(LONG)
        if 13 in numbers:
            raise ZeroDivisionError
        return [ValueError(str(number)) if number % 2 else number * 2 for number in numbers]


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as pool:
        yield pool


def _ask(gathering: Gathering[int, int], number: int, seconds: float = LONG, weight: int = 1) -> int:
    return gathering.done(number, deadline=monotonic() + seconds, weight=weight)


def _until_waiting(gathering: Gathering[Any, Any], count: int) -> None:
    for _ in range(6_000):
        if len(gathering._waiting) == count:
            return
        time.sleep(0.01)
    raise AssertionError(f"{len(gathering._waiting)} wait, not {count}")


def _held_up(gathering: Gathering[int, int], do: Doubling, threads: ThreadPoolExecutor) -> "Future[int]":
    """A first batch that is under way until `do.go`."""
    first = threads.submit(_ask, gathering, 0)
    assert do.begun.wait(LONG)
    return first


def test_who_comes_alone_is_done_alone_and_at_once() -> None:
    do = Doubling()
    gathering = Gathering[int, int](do)
    assert [_ask(gathering, number) for number in (2, 4)] == [4, 8]
    assert do.batches == [[2], [4]]


def test_who_comes_meanwhile_is_done_together_and_each_gets_their_own(threads: ThreadPoolExecutor) -> None:
    do = Doubling()
    gathering = Gathering[int, int](do)
    first = _held_up(gathering, do, threads)
    others = {number: threads.submit(_ask, gathering, number) for number in range(1, 12)}
    _until_waiting(gathering, 11)
    do.go.set()
    assert first.result(LONG) == 0
    for number, one in others.items():
        if number % 2:
            with pytest.raises(ValueError, match=str(number)):
                one.result(LONG)
        else:
            assert one.result(LONG) == number * 2
    assert do.batches == [[0], list(range(1, 12))]
    assert gathering._busy == 0


def test_no_batch_weighs_more_than_it_may_unless_it_is_one_alone(threads: ThreadPoolExecutor) -> None:
    do = Doubling()
    gathering = Gathering[int, int](do, most=5)
    first = _held_up(gathering, do, threads)
    weights = {2: 9, 4: 3, 6: 2, 8: 1}
    some = []
    for place, (number, weight) in enumerate(weights.items(), 1):
        some.append(threads.submit(_ask, gathering, number, LONG, weight))
        _until_waiting(gathering, place)
    do.go.set()
    assert [one.result(LONG) for one in (first, *some)] == [0, 4, 8, 12, 16]
    assert do.batches == [[0], [2], [4, 6], [8]]


def test_who_waits_in_vain_goes_and_the_others_are_done(threads: ThreadPoolExecutor) -> None:
    do = Doubling()
    gathering = Gathering[int, int](do)
    first = _held_up(gathering, do, threads)
    with pytest.raises(GatheredLate):
        _ask(gathering, 2, seconds=0.05)
    late = threads.submit(_ask, gathering, 4)
    _until_waiting(gathering, 1)
    do.go.set()
    assert (first.result(LONG), late.result(LONG)) == (0, 8)
    assert do.batches == [[0], [4]]  # what nobody waits for is not done


def test_what_breaks_is_told_to_all_it_was_done_for_and_the_next_go_on(threads: ThreadPoolExecutor) -> None:
    do = Doubling()
    gathering = Gathering[int, int](do)
    first = _held_up(gathering, do, threads)
    broken = [threads.submit(_ask, gathering, number) for number in (13, 14)]
    _until_waiting(gathering, 2)
    do.go.set()
    for one in broken:
        with pytest.raises(ZeroDivisionError):
            one.result(LONG)
    assert (first.result(LONG), _ask(gathering, 2)) == (0, 4)


def test_whoever_is_chosen_while_leaving_hands_the_work_on(threads: ThreadPoolExecutor) -> None:
    # deadlines so short that many end while their batch is made up: nobody else may be left behind for that
    gathering = Gathering[int, int](lambda numbers, _: [number * 2 for number in numbers], most=4)

    def ask(number: int) -> int | None:
        try:
            return _ask(gathering, number, seconds=LONG if number % 3 else 0.0005)
        except GatheredLate:
            return None

    found = list(threads.map(ask, range(3_000), timeout=LONG))
    assert [one for number, one in enumerate(found) if number % 3] == [2 * n for n in range(3_000) if n % 3]
    assert {one for number, one in enumerate(found) if not number % 3} <= {None, *range(0, 6_000, 2)}
    assert (gathering._busy, len(gathering._waiting)) == (0, 0)


class Work:
    """Something that can be looked after."""


def test_nothing_of_what_was_done_waits_for_garbage_collection(threads: ThreadPoolExecutor) -> None:
    begun, go = Event(), Event()
    kept: list[weakref.ref[Work]] = []

    def do(works: Sequence[Work], deadline: float) -> list[bool]:
        kept.extend(map(weakref.ref, works))
        begun.set()
        assert go.wait(LONG)
        return [True] * len(works)

    gathering = Gathering[Work, bool](do)

    def ask() -> bool:
        return gathering.done(Work(), deadline=monotonic() + LONG)

    gc.disable()
    try:
        first = threads.submit(ask)
        assert begun.wait(LONG)
        others = [threads.submit(ask) for _ in range(3)]
        _until_waiting(gathering, 3)
        go.set()
        assert all(one.result(LONG) for one in (first, *others))
        threads.shutdown()
        assert [one() for one in kept] == [None] * 4
    finally:
        gc.enable()
