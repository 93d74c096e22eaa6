"""About how many people: from some of them, drawn by lot, where counting all would take too long."""

from dataclasses import dataclass
from math import ceil, sqrt
from random import Random
from typing import Final

from django.db import connection

from apps.foundation.core.postgres import rows_about

from .models import Profile

SAMPLE: Final = 4000
"""So many people are drawn: a share of theirs is right to 1.6 points, 19 times of 20."""
FEW: Final = 25 * SAMPLE
"""Up to so many people are counted: that takes no longer than the draw."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """About how many people; as a text for people to read.

    margin: the true number lies within it 19 times of 20 (or it is the most that there may be, where the sample has
    nobody or everybody), 0 where they were counted. everybody: about how many people there are, where it was asked.
    """

    count: int
    margin: int = 0
    everybody: int = 0

    def __str__(self) -> str:
        if not self.margin:
            return f"{self.count:,}"
        unit = 10 ** (len(str(self.margin)) - 1)  # finer than the margin's first digit nothing is known
        if not self.count:
            return f"under {ceil(self.margin / unit) * unit:,}"
        return f"about {max(round(self.count / unit), 1) * unit:,}"


@dataclass(frozen=True, slots=True)
class Drawn:
    """Ids of people that stand for all; everybody: about how many these are."""

    ids: list[int]
    everybody: int

    def estimate(self, found: int) -> Estimate:
        """About how many they are, if so many of those drawn are."""
        looked = max(len(self.ids), 1)
        share = found / looked
        spread = 1.96 * sqrt(share * (1 - share) / looked) if 0 < found < looked else 3 / looked
        return Estimate(round(share * self.everybody), ceil(spread * self.everybody), self.everybody)


def people_drawn(*, size: int = SAMPLE) -> Drawn:
    """People drawn by lot, the same ones each time: about `size`, fewer where ids were given up."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT COALESCE(min(id), 0), COALESCE(max(id), 0) FROM profiles_profile")
        least, most = cursor.fetchone()
        chance = Random(least)  # noqa: S311  # a lot, not a secret
        lot = sorted({chance.randint(least, most) for _ in range(size)})
        cursor.execute("SELECT array_agg(id) FROM profiles_profile WHERE id = ANY(%s)", [lot])
        ids = cursor.fetchone()[0] or []
    return Drawn(ids, people_about())


def stand_ins() -> Drawn | None:
    """People drawn by lot who stand for all; None where all are few enough to be counted for a page."""
    return people_drawn() if people_about() > FEW else None


def people_about() -> int:
    """How many people there are: about, where they are many."""
    return rows_about(Profile, few=FEW)
