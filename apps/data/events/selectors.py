"""Reads about the way of events."""

from collections.abc import Mapping
from dataclasses import dataclass

import redis
from django.db.models import Count

from .models import DeadLetter, UnknownName
from .stream import Waiting, stream_look

BEHIND_SECONDS = 10.0
"""From when on the way counts as behind: an action should reach decisions within a second or two."""


@dataclass(frozen=True, slots=True)
class Way:
    """How the way of events stands. waiting: None when Redis does not answer; letters: dead ones by reason."""

    waiting: Waiting | None
    letters: Mapping[str, int]
    unknown: int

    @property
    def standing(self) -> str:
        """`down`, `unattended`, `behind` or `well`."""
        if self.waiting is None:
            return "down"
        if not any(seconds < BEHIND_SECONDS for _, seconds in self.waiting.consumers):
            return "unattended"
        return "behind" if self.waiting.seconds > BEHIND_SECONDS else "well"


def way_look() -> Way:
    """How the way of events stands now."""
    try:
        waiting = stream_look()
    except redis.RedisError:
        waiting = None
    letters = DeadLetter.objects.values_list("reason").annotate(number=Count("pk")).order_by("-number", "reason")
    return Way(waiting, dict(letters), UnknownName.objects.count())
