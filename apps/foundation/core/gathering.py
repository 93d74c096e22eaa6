"""Work that comes one by one and costs less together: what comes while some is being done is done next, as one.

Nobody waits for company: who comes while nobody works begins at once, alone. Whoever comes meanwhile waits; when the
work is done, all who wait by then are taken together, and one of their own threads does it. So the more there is to do,
the more is done at once, and with little to do nothing is later than it was.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic
from typing import Any, Generic, TypeVar, cast

W = TypeVar("W")
A = TypeVar("A")


class GatheredLate(Exception):
    """What was asked for did not come by the deadline."""


@dataclass(slots=True, eq=False)
class _Place:
    """Somebody who waits. wake: held until there is something for them, work to do (`leads`) or what came of theirs."""

    work: Any
    weight: int
    deadline: float
    wake: Any = field(default_factory=Lock)
    leads: "list[_Place] | None" = None
    answer: Any = None
    fault: BaseException | None = None

    def __post_init__(self) -> None:
        self.wake.acquire()


@dataclass(slots=True)
class Gathering(Generic[W, A]):
    """Does work together. do: takes what was gathered and a deadline of `time.monotonic`, and gives for each an answer,
    or an exception that is theirs alone; what it raises is for all. most: weight of what is done at once; at_once: how
    many such batches are under way at the same time.
    """

    do: Callable[[Sequence[W], float], Sequence[A | Exception]]
    most: int = 64
    at_once: int = 1
    _busy: int = 0
    _waiting: "deque[_Place]" = field(default_factory=deque)
    _lock: Any = field(default_factory=Lock)

    def done(self, work: W, *, deadline: float, weight: int = 1) -> A:
        """What came of some work. Raises GatheredLate at the deadline, and what `do` gave or raised.

        `do` may go on after that: it gets the deadline of the thread that does it, which is the latest of a batch.
        """
        mine = _Place(work, weight, deadline)
        with self._lock:
            if begins := self._busy < self.at_once:
                self._busy += 1
                mine.leads = [mine]
            else:
                self._waiting.append(mine)
        if not begins and not mine.wake.acquire(timeout=max(deadline - monotonic(), 0)):
            with self._lock:
                batch, mine.leads = mine.leads, None
                if mine in self._waiting:
                    self._waiting.remove(mine)
            if batch is not None:  # chosen in this very moment: somebody else has time for it
                self._hand_on([one for one in batch if one is not mine])
            raise GatheredLate
        if (batch := mine.leads) is not None:
            mine.leads = None  # it holds itself: what was asked would wait for garbage collection, and that for nobody
            self._lead(mine, batch)
        if mine.fault is not None:
            raise mine.fault
        return cast(A, mine.answer)

    def _lead(self, mine: _Place, batch: list[_Place]) -> None:
        """Do the work of a batch; what comes of it goes to each of it."""
        try:
            for one, said in zip(batch, self.do([each.work for each in batch], mine.deadline), strict=True):
                if isinstance(said, Exception):
                    one.fault = said
                else:
                    one.answer = said
        except BaseException as error:  # noqa: BLE001  # whatever it is, nobody waits for nothing
            for one in batch:
                one.fault = error
        finally:
            self._hand_on([])
            for one in batch:
                if one is not mine:
                    one.wake.release()

    def _hand_on(self, first: list[_Place]) -> None:
        """Let somebody else do what waits: that one of a batch who waits longest yet. first: goes before the others."""
        with self._lock:
            self._waiting.extendleft(reversed(first))
            at, weight = monotonic(), 0
            batch: list[_Place] = []
            while self._waiting and (not batch or weight + self._waiting[0].weight <= self.most):
                one = self._waiting.popleft()
                if one.deadline > at:  # the others are leaving by themselves
                    batch.append(one)
                    weight += one.weight
            if not batch:
                self._busy -= 1
                return
            leader = max(batch, key=lambda one: one.deadline)
            leader.leads = batch
        leader.wake.release()
