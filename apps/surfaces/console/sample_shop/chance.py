"""Drawing by lot, the same each time."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random


def seeded(seed: int, part: str) -> Random:
    """The generator of one part: a change to one part leaves the others as they were."""
    return Random(f"{seed}/{part}")  # noqa: S311  # the same each time is the point


def pick(random: Random, pairs: Sequence[tuple[str, int]]) -> str:
    """One of the values, each as likely as its weight says."""
    return random.choices([value for value, _ in pairs], [weight for _, weight in pairs])[0]


def between(random: Random, start: datetime, end: datetime) -> datetime:
    """A moment from start to end, or start itself when they are the wrong way round."""
    return start + timedelta(seconds=random.randint(0, max(0, int((end - start).total_seconds()))))
