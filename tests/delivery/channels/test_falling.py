"""Who fails is left alone and the next takes over; what may have been taken is tried nowhere else."""

from collections.abc import Callable

import pytest

from apps.delivery.channels.contracts import Envelope, Receipt
from apps.delivery.channels.errors import OutcomeUnknown, Unavailable, Withdrawn
from apps.delivery.channels.falling import FAULTS_IN_A_ROW, FallingChannel, Provider
from apps.foundation.core.errors import PermanentError, RetryableError

MAIL = Envelope("a@shop.example", "b@shop.example", b"x")


class Scripted:
    """A channel that does as it is told: None takes, an error is raised. away: it can't be opened."""

    def __init__(self) -> None:
        self.plan: list[Exception | None] = []
        self.away = False
        self.took = 0

    def open(self) -> None:
        if self.away:
            raise Unavailable("connect", "away")

    def hand_over(self, envelope: Envelope, before_end: Callable[[], bool]) -> Receipt:
        if not before_end():
            raise Withdrawn
        said = self.plan.pop(0) if self.plan else None
        if said is not None:
            raise said
        self.took += 1
        return Receipt("250", "")

    def close(self) -> None:
        """Nothing to let go of."""


class World:
    """Two providers and a clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.first, self.second = Scripted(), Scripted()
        self.channel = FallingChannel(
            [Provider("first", self.first), Provider("second", self.second)], clock=lambda: self.now
        )

    def send(self) -> Receipt:
        return self.channel.hand_over(MAIL, lambda: True)

    @property
    def took(self) -> tuple[int, int]:
        return self.first.took, self.second.took


def test_the_first_takes_as_long_as_it_can() -> None:
    world = World()
    for _ in range(3):
        world.send()

    assert world.took == (3, 0)


def test_who_is_away_is_left_alone_and_asked_again_later() -> None:
    world = World()
    world.first.away = True
    world.send()
    world.first.away = False
    world.now += 1
    world.send()
    assert world.took == (0, 2)  # its pause is not over
    world.now += 2
    world.send()
    assert world.took == (1, 2)


def test_a_message_that_was_not_taken_goes_to_the_next_at_once() -> None:
    world = World()
    world.first.plan = [Unavailable("401", "the key is wrong")]

    world.send()
    assert world.took == (0, 1)


@pytest.mark.parametrize("error", [OutcomeUnknown("no answer", ""), RetryableError("450", "later")])
def test_what_may_have_been_taken_or_waits_is_tried_nowhere_else(error: Exception) -> None:
    world = World()
    world.first.plan = [error] * FAULTS_IN_A_ROW
    for _ in range(FAULTS_IN_A_ROW):
        with pytest.raises(type(error)):
            world.send()
    assert world.took == (0, 0)
    # but so many in a row are the provider's fault: the next message goes elsewhere
    world.send()
    assert world.took == (0, 1)


def test_a_refused_message_is_its_own_fault() -> None:
    world = World()
    world.first.plan = [PermanentError("550", "no")] * 9
    for _ in range(9):
        with pytest.raises(PermanentError):
            world.send()
    world.send()
    assert world.took == (1, 0)


def test_with_all_away_nothing_is_tried() -> None:
    world = World()
    world.first.away = world.second.away = True
    with pytest.raises(Unavailable):
        world.channel.open()
    with pytest.raises(Unavailable, match="no provider may be tried"):
        world.send()
    world.now += 60
    world.second.away = False
    world.channel.open()
    world.send()
    assert world.took == (0, 1)


def test_the_last_word_is_the_callers_at_each() -> None:
    world = World()
    world.first.plan = [Unavailable("connect", "")]
    words = iter([True, False])
    with pytest.raises(Withdrawn):
        world.channel.hand_over(MAIL, lambda: next(words))
    assert world.took == (0, 0)
