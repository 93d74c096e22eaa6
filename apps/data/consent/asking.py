"""Who must be asked again, because what they agreed to says something else by now.

A text with a new meaning was *published* at a moment, and *asks from* a moment on: until then older agreements hold.
Somebody's agreement is as old as the newest publication of the very text they agreed to; where that text is none of
ours (an import, a purpose's own description), as old as itself. It is outdated when it is older than such a
publication. A channel with a wording of its own goes by that one alone.

The fragments of SQL are here once: the gate, counts, a person's page and audiences all use them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import connection

from apps.data.profiles.estimates import Estimate, stand_ins
from apps.foundation.core.clock import now

from .contracts import AskedAgain
from .models import WordingVersion

_GOVERNS: Final = """
asking.purpose_id = {purpose} AND asking.asks_from IS NOT NULL AND asking.channel = coalesce(
  (SELECT live.channel FROM consent_wordingtext AS live
   WHERE live.purpose_id = {purpose} AND live.channel = {channel} AND live.shown_until IS NULL LIMIT 1), '')
"""
NEW_MEANING: Final = f"""
SELECT max(asking.published_at) AS at FROM consent_wordingtext AS asking
WHERE {_GOVERNS} AND asking.asks_from <= {{now}}
"""  # noqa: S608  # a text of our own
"""When the newest text with a new meaning was published of those that ask already; NULL without one."""
AGREED_AT: Final = """
coalesce((SELECT max(text.published_at) FROM consent_wordingtext AS text
          WHERE text.purpose_id = {state}.purpose_id AND text.channel IN ({state}.channel, '')
            AND text.digest = {record}.wording_digest AND {record}.wording_digest <> ''), {record}.occurred_at)
"""
"""How old the agreement of a state with its record is."""
ASKED: Final = f"""
SELECT state.profile_id, state.purpose_id, state.channel, asked.at
FROM consent_consentstate AS state
JOIN consent_consentrecord AS record ON record.id = state.record_id
CROSS JOIN LATERAL (
  SELECT min(asking.asks_from) AS at FROM consent_wordingtext AS asking
  WHERE {_GOVERNS.format(purpose="state.purpose_id", channel="state.channel")}
    AND asking.published_at > {AGREED_AT.format(state="state", record="record")}
) AS asked
WHERE state.granted AND asked.at IS NOT NULL
"""  # noqa: S608  # a text of our own
"""Who must be asked again, for what, and until when what they agreed to holds. To be narrowed by `AND …`."""


def asked_again(*, profile_id: int) -> dict[tuple[str, str], AskedAgain]:
    """What a person must be asked again, by purpose and channel."""
    with connection.cursor() as cursor:
        cursor.execute(f"{ASKED} AND state.profile_id = %s", [profile_id])
        rows = cursor.fetchall()
    return {(purpose, channel): AskedAgain(purpose, channel, _still(at)) for _, purpose, channel, at in rows}


def asked_people(*, profile_ids: Sequence[int], purposes: Sequence[str]) -> set[tuple[int, str, str]]:
    """Of many people: who must be asked again, as (profile id, purpose, channel)."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"{ASKED} AND state.profile_id = ANY(%s) AND state.purpose_id = ANY(%s)",
            [list(profile_ids), list(purposes)],
        )
        return {(profile_id, purpose, channel) for profile_id, purpose, channel, _ in cursor.fetchall()}


def _still(at: datetime) -> datetime | None:
    return at if at > now() else None


@dataclass(frozen=True, slots=True)
class Standing:
    """How many people a version of a wording concerns.

    agreed: to its purpose on its channels, now; older: of them, those who agreed to a text that says less or other.
    Among many people both are estimates, from some drawn by lot.
    """

    agreed: Estimate
    older: Estimate


_CHANNELS: Final = """
state.purpose_id = %(purpose)s AND (state.channel = %(channel)s OR %(channel)s = '' AND NOT EXISTS (
  SELECT FROM consent_wordingtext AS own
  WHERE own.purpose_id = state.purpose_id AND own.channel = state.channel AND own.shown_until IS NULL))
"""
_COUNT: Final = f"""
SELECT count(*), count(*) FILTER (WHERE {{older}})
FROM consent_consentstate AS state JOIN consent_consentrecord AS record ON record.id = state.record_id
WHERE state.granted AND {_CHANNELS}
"""  # noqa: S608  # a text of our own


_CHOICES: Final = """
SELECT purpose_id, count(*) FILTER (WHERE granted), count(*) FILTER (WHERE NOT granted)
FROM consent_consentstate WHERE channel = %(channel)s {among} GROUP BY purpose_id
"""


def standing_of(version: WordingVersion) -> Standing:
    """How many agreed to an older text than that of a version: since it was published, or as it would be now."""
    published = version.published.order_by("-published_at").first()
    values: dict[str, Any] = {"purpose": version.wording.purpose_id, "channel": version.wording.channel}
    if published is None:
        older = "record.wording_digest <> ALL(%(digests)s)"
        values["digests"] = list(version.digests.values())
    else:
        older = f"{AGREED_AT.format(state='state', record='record')} < %(since)s"
        values["since"] = published.published_at
    drawn, counted = stand_ins(), _COUNT.format(older=older)
    if drawn is not None:
        counted += "AND state.profile_id = ANY(%(drawn)s)"
        values["drawn"] = drawn.ids
    with connection.cursor() as cursor:
        cursor.execute(counted, values)
        found = cursor.fetchone()
    return Standing(*(drawn.estimate(count) if drawn is not None else Estimate(count) for count in found))


@dataclass(frozen=True, slots=True)
class Choices:
    """How many people agreed to a purpose by a channel, and how many withdrew or refused it."""

    agreed: Estimate
    left: Estimate


def choices_by_purpose(*, channel: str) -> dict[str, Choices]:
    """Of each purpose that somebody chose about by a channel. Among many people, estimates from some drawn by lot."""
    drawn = stand_ins()
    among = "AND profile_id = ANY(%(drawn)s)" if drawn is not None else ""
    with connection.cursor() as cursor:
        cursor.execute(
            _CHOICES.format(among=among), {"channel": channel, "drawn": drawn.ids if drawn is not None else []}
        )
        rows = cursor.fetchall()
    return {
        purpose: Choices(*(drawn.estimate(count) if drawn is not None else Estimate(count) for count in counts))
        for purpose, *counts in rows
    }
