"""Rows to train models on: features as they were known at a moment, of people who agreed to it."""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from django.db import connection

from apps.data.consent.selectors import UNFIT
from apps.foundation.core.errors import Invalid

from .definitions import CONTEXT_FEATURES, FEATURES, ITEM_FEATURES, FeatureValue
from .entities import context_read, items_read
from .selectors import features_as_of

LEARNING = "profiling"
"""The purpose "Learning from my data"."""
TRACKING = "tracking"

# Granted on some channel and withdrawn on none; nobody whose data may only be stored (GDPR, Article 18), and nobody
# whose address is no real mailbox: traps, throwaways and what does not exist teach nothing of customers.
_MAY = f"""
SELECT p.id FROM profiles_profile p
WHERE p.id = ANY(%s) AND p.restricted_at IS NULL AND NOT EXISTS (
    SELECT FROM unnest(%s::text[]) AS purpose
    WHERE NOT COALESCE((SELECT bool_and(state.granted) FROM consent_consentstate state
                        WHERE state.profile_id = p.id AND state.purpose_id = purpose), FALSE))
    AND p.id NOT IN ({UNFIT} AND held.profile_id = ANY(%s))
"""  # noqa: S608  # names of our own


def learnable(profile_ids: Sequence[int]) -> set[int]:
    """Who of these people agreed, now, that models learn from their data: to that, and to being measured; without those
    whose address was found to be none that works, a throwaway or a trap."""
    with connection.cursor() as cursor:
        cursor.execute(_MAY, [list(profile_ids), [LEARNING, TRACKING], list(profile_ids)])
        return {row[0] for row in cursor.fetchall()}


_EVERY: Final = {**FEATURES, **CONTEXT_FEATURES, **ITEM_FEATURES}
ROW_FEATURES: Final = tuple(name for name, feature in _EVERY.items() if not feature.of_now)
"""What rows can have, of people, of the moment and of items: what can be told of a moment past."""


class Asked(NamedTuple):
    """A row that is wanted. item: the number of one that it is about, "" for none."""

    profile_id: int
    at: datetime
    item: str = ""


def training_rows(*, moments: Sequence[Asked], names: Sequence[str]) -> Iterator[str]:
    """A line of JSON for each profile and moment, in their order; without people who did not agree to it.

    names: of `ROW_FEATURES`; those of items are in rows that are about one. The same bytes again whatever is recorded
    later. A profile's number is all that says whose a row is. Raises Invalid for a name that rows can't have.
    """
    _names_check(names)
    may = learnable([one.profile_id for one in moments])
    kept = [one for one in moments if one.profile_id in may]
    people = [(one.profile_id, one.at) for one in kept]
    items = iter(
        items_read(moments=[(one.item, one.at) for one in kept if one.item], names=_some(names, of=ITEM_FEATURES))
    )
    for one, known, context in zip(
        kept,
        features_as_of(moments=people, names=_some(names, of=FEATURES)),
        context_read(moments=people, names=_some(names, of=CONTEXT_FEATURES)),
        strict=True,
    ):
        row: dict[str, FeatureValue] = {"profile": one.profile_id, "at": one.at.isoformat()}
        values = known | context
        if one.item:
            row["item"] = one.item
            values |= next(items)
        row |= {name: values[name] for name in names if name in values}
        yield json.dumps(row, ensure_ascii=False, default=_json)


def _some(names: Iterable[str], *, of: Iterable[str]) -> list[str]:
    return [name for name in names if name in of]


def _names_check(names: Iterable[str]) -> None:
    for name in names:
        if name not in _EVERY:
            raise Invalid("feature_unknown", f"There is no feature {name!r}: there are {', '.join(ROW_FEATURES)}")
        if _EVERY[name].of_now:
            detail = (
                f"{name} is made of prices, of which only those of now are kept: it can't be in rows of moments past"
            )
            raise Invalid("feature_of_now", detail)


def _json(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
