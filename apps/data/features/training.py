"""Rows to train models on: features as they were known at a moment, of people who agreed to it."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime

from django.db import connection

from apps.data.consent.selectors import UNFIT

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


def training_rows(*, moments: Sequence[tuple[int, datetime]], names: Sequence[str]) -> Iterator[str]:
    """A line of JSON for each profile and moment, in their order; without people who did not agree to it.

    The same bytes again whatever is recorded later. A profile's number is all that says whose a row is. Raises Invalid
    as `features_as_of` does.
    """
    may = learnable([profile_id for profile_id, _ in moments])
    kept = [one for one in moments if one[0] in may]
    for (profile_id, moment), values in zip(kept, features_as_of(moments=kept, names=names), strict=True):
        row = {"profile": profile_id, "at": moment.isoformat(), **values}
        yield json.dumps(row, ensure_ascii=False, default=_json)


def _json(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
