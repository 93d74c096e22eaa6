"""Limits of contact across playbooks and channels: which of them a message stands under.

Deciding filters ahead by them, delivery's gate holds them under each person's lock.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from django.conf import settings

from apps.data.consent.models import Purpose
from apps.foundation.core.signing import address_digest

from .engine import CONTACT_LIMIT


@dataclass(frozen=True, slots=True)
class Counted:
    """What is counted of a person's messages: those of some purposes within days. channel: "" for all of them."""

    purposes: tuple[str, ...]
    channel: str
    days: int

    def takes(self, purpose: str, channel: str) -> bool:
        """Whether a message is in the count."""
        return purpose in self.purposes and self.channel in ("", channel)


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `count` of what is counted. why: the reason that whoever is above it gets nothing."""

    count: int
    counted: Counted
    why: str = CONTACT_LIMIT

    @property
    def name(self) -> str:
        """The limit in a word or three, as reasons keep it."""
        purposes = self.counted.purposes
        return ", ".join(filter(None, (purposes[0] if len(purposes) == 1 else "", self.counted.channel))) or "all"


@lru_cache(maxsize=65_536)
def item_digest(sku: str) -> bytes:
    """What stands for an item's number where nobody is to read what somebody was shown. Of another key another one."""
    return address_digest("item", sku)[-32:][:16]


def limits_of(terms: Iterable[tuple[str, str, bool]]) -> dict[tuple[str, str], tuple[Limit, ...]]:
    """The limits under which messages stand, by purpose and channel. terms: purpose, channel, and whether that purpose
    needs consent: what does not is limited only by name.

    The hot path: one statement at most, none without limits.
    """
    if not settings.CONTACT_LIMITS:
        return {}
    everything: tuple[str, ...] | None = None
    found: dict[tuple[str, str], tuple[Limit, ...]] = {}
    for purpose, channel, needs_consent in set(terms):
        limits = []
        for limit in settings.CONTACT_LIMITS:
            if limit.channel not in ("", channel) or (limit.purpose != purpose if limit.purpose else not needs_consent):
                continue
            if not limit.purpose and everything is None:
                rows = Purpose.objects.filter(needs_consent=True).order_by("code")
                everything = tuple(rows.values_list("code", flat=True))
            purposes = (limit.purpose,) if limit.purpose else everything or ()
            limits.append(Limit(limit.count, Counted(purposes, limit.channel, limit.days)))
        found[purpose, channel] = tuple(limits)
    return found
