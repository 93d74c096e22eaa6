"""Reads about consent."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from django.db import connection

from apps.foundation.core.clock import now
from apps.foundation.core.signing import address_digests
from apps.foundation.core.wall_clock import Quiet

from .asking import AGREED_AT, NEW_MEANING
from .contracts import GateAnswer
from .models import Channel, Purpose, Suppression

K = TypeVar("K", bound=Hashable)

ADDRESS_KIND = {Channel.EMAIL: "email", Channel.SMS: "phone", Channel.PUSH: "push"}
"""The kind of identifier that a message of the channel goes to."""

_LEFT_ELSEWHERE = """
EXISTS (SELECT FROM consent_awaitedwithdrawal AS awaited
        JOIN profiles_identifier AS held ON held.kind = awaited.kind AND held.digest = awaited.digest
        WHERE held.profile_id = {person} AND awaited.purpose_id = %(purpose)s
          AND awaited.channel = %(channel)s AND awaited.occurred_at >= state.changed_at)
"""

_GATE = f"""
WITH new_meaning AS ({NEW_MEANING.format(purpose="%(purpose)s", channel="%(channel)s", now="%(at)s")})
SELECT person.id, state.granted, {AGREED_AT.format(state="state", record="record")} < new_meaning.at AS outdated,
       {_LEFT_ELSEWHERE.format(person="person.id")} AS left_elsewhere,
       CASE WHEN profile.restricted_at IS NOT NULL THEN 'restricted'
            WHEN %(channel)s = ANY(preference.channels_off) THEN 'channel_off'
            WHEN %(topic)s = ANY(preference.topics_off) THEN 'topic_off'
            WHEN preference.paused_until > %(at)s THEN 'paused'
            ELSE '' END,
       address.id, address.digest, address.sealed, suppression.id,
       preference.quiet_start, preference.quiet_end, preference.time_zone, profile.time_zone,
       preference.frequency
FROM new_meaning CROSS JOIN unnest(%(people)s::bigint[]) AS person(id)
JOIN profiles_profile AS profile ON profile.id = person.id
LEFT JOIN consent_preference AS preference ON preference.profile_id = person.id
LEFT JOIN consent_consentstate AS state
       ON state.profile_id = person.id AND state.purpose_id = %(purpose)s AND state.channel = %(channel)s
LEFT JOIN consent_consentrecord AS record
       ON record.id = state.record_id AND state.granted AND new_meaning.at IS NOT NULL
LEFT JOIN profiles_identifier AS address
       ON address.profile_id = person.id AND address.kind = %(kind)s AND address.main
LEFT JOIN consent_suppression AS suppression ON suppression.digest = address.digest
"""  # noqa: S608  # texts of our own

_GRANTED = f"""
WITH new_meaning AS ({NEW_MEANING.format(purpose="%(purpose)s", channel="%(channel)s", now="%(at)s")})
SELECT state.profile_id
FROM consent_consentstate AS state CROSS JOIN new_meaning
JOIN profiles_profile AS profile ON profile.id = state.profile_id AND profile.restricted_at IS NULL
LEFT JOIN consent_consentrecord AS record ON record.id = state.record_id AND new_meaning.at IS NOT NULL
WHERE state.profile_id = ANY(%(people)s) AND state.purpose_id = %(purpose)s AND state.channel = %(channel)s
  AND state.granted AND ({AGREED_AT.format(state="state", record="record")} < new_meaning.at) IS NOT TRUE
  AND NOT {_LEFT_ELSEWHERE.format(person="state.profile_id")}
"""  # noqa: S608  # texts of our own

TRACKING = "tracking"
"""The purpose without which nobody's opens and clicks are followed."""


def gate_read(
    *,
    profile_ids: Sequence[int],
    purpose: str,
    channel: str,
    needs_consent: bool = True,
    topic: str = "",
    at: datetime | None = None,
) -> dict[int, GateAnswer]:
    """What holds for each person now, in one statement. A promise only under `gate_lock`, in its transaction.

    What needs no consent is not held up by a person's preferences either. topic: of what is sent, "" for none;
    at: the moment that a pause and quiet hours are asked about, now unless given.
    """
    kind = ADDRESS_KIND.get(Channel(channel), "")
    with connection.cursor() as cursor:
        cursor.execute(
            _GATE,
            {
                "people": list(profile_ids),
                "purpose": purpose,
                "channel": str(channel),
                "kind": kind,
                "topic": topic,
                "at": at or now(),
            },
        )
        rows = cursor.fetchall()
    answers = {}
    for person, granted, outdated, left_elsewhere, held, *found, start, end, chosen, known, frequency in rows:
        identifier_id, digest, sealed, suppression_id = found
        # where nothing is addressed (the web), nothing is missing
        reached = identifier_id is not None or not kind
        reason = _reason(granted and not left_elsewhere, outdated, needs_consent, held, reached, suppression_id)
        quiet = Quiet(start, end) if needs_consent and start is not None else None
        answers[person] = GateAnswer(
            allowed=not reason,
            reason=reason,
            identifier_id=identifier_id,
            digest=bytes(digest or b""),
            sealed=bytes(sealed or b""),
            quiet=quiet,
            zone=chosen or known if quiet is not None else "",
            frequency=frequency if needs_consent and frequency else "each",
        )
    return answers


def gate_elsewhere(answers: Mapping[K, tuple[GateAnswer, str]]) -> dict[K, GateAnswer]:
    """The gate's answers for messages that go to another address than the person's main one.

    answers: of `gate_read`, each with that address (an e-mail, normalized), "" where there is none. Suppression is
    asked of that address.
    """
    digests = {key: address_digests("email", address) for key, (_, address) in answers.items() if address}
    every = [digest for held in digests.values() for digest in held]
    suppressed = {
        bytes(digest) for digest in Suppression.objects.filter(digest__in=every).values_list("digest", flat=True)
    }
    found = {}
    for key, (answer, _) in answers.items():
        reason = "" if answer.reason in ("suppressed", "invalid_address") else answer.reason
        held = digests.get(key, [])
        if not reason:
            reason = "invalid_address" if not held else "suppressed" if suppressed & set(held) else ""
        digest = held[0] if held else b""
        found[key] = replace(answer, allowed=not reason, reason=reason, identifier_id=None, digest=digest, sealed=b"")
    return found


def _reason(
    granted: bool | None,
    outdated: bool | None,
    needs_consent: bool,
    held: str,
    reached: bool,
    suppression_id: int | None,
) -> str:
    if needs_consent and not granted:
        return "no_consent" if granted is None else "withdrawn"
    if needs_consent and outdated:
        return "wording_outdated"
    if needs_consent and held:
        return held
    if not reached:
        return "invalid_address"
    return "suppressed" if suppression_id is not None else ""


def granted_read(
    *, profile_ids: Sequence[int], purpose: str, channel: str, at: datetime | None = None
) -> frozenset[int]:
    """Who of these people agreed to a purpose on a channel so that it holds now: not outdated, not left elsewhere, and
    of nobody whose processing is restricted.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _GRANTED,
            {"people": list(profile_ids), "purpose": purpose, "channel": str(channel), "at": at or now()},
        )
        return frozenset(row[0] for row in cursor.fetchall())


def withdrawn_read(*, profile_ids: Sequence[int], purpose: str, channel: str) -> set[int]:
    """Who of these people withdrew a purpose on a channel."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT profile_id FROM consent_consentstate"
            " WHERE profile_id = ANY(%s) AND purpose_id = %s AND channel = %s AND NOT granted",
            [list(profile_ids), purpose, str(channel)],
        )
        return {row[0] for row in cursor.fetchall()}


def purposes_offered() -> list[tuple[str, str]]:
    """The purposes that need consent: code and name."""
    return list(Purpose.objects.filter(needs_consent=True).order_by("name").values_list("code", "name"))
