"""Reads about consent."""

from collections.abc import Hashable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

from django.db import connection

from apps.data.profiles.attributes import PROFILE
from apps.foundation.core.caches import Cache
from apps.foundation.core.clock import now
from apps.foundation.core.postgres import Part, ids_text, looked_up, people_select, planned_rows
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
        WHERE held.profile_id = {state}.profile_id AND awaited.purpose_id = {state}.purpose_id
          AND awaited.channel = {state}.channel AND awaited.occurred_at >= {state}.changed_at)
"""
_STATE = "profile_id = person.id AND purpose_id = %(purpose)s AND channel = %(channel)s"
_PREFERENCE = looked_up("consent_preference", "preference", "profile_id = person.id")

GATE: Final = Part(
    withs=(f"new_meaning AS ({NEW_MEANING.format(purpose='%(purpose)s', channel='%(channel)s', now='%(at)s')})",),
    joins=(
        "CROSS JOIN new_meaning",
        PROFILE,
        _PREFERENCE,
        looked_up("consent_consentstate", "state", _STATE),
        looked_up(
            "consent_consentrecord", "record", "id = state.record_id AND state.granted AND new_meaning.at IS NOT NULL"
        ),
        looked_up("profiles_identifier", "address", "profile_id = person.id AND kind = %(kind)s AND main"),
        looked_up("consent_suppression", "suppression", "digest = address.digest"),
        looked_up(
            "consent_addressverdict",
            "verdict",
            "digest = address.digest AND verdict = 'refuse' AND good_until > %(at)s",
        ),
    ),
    columns=(
        "state.granted",
        f"{AGREED_AT.format(state='state', record='record')} < new_meaning.at",
        _LEFT_ELSEWHERE.format(state="state"),
        "CASE WHEN profile.restricted_at IS NOT NULL THEN 'restricted'"
        " WHEN %(channel)s = ANY(preference.channels_off) THEN 'channel_off'"
        " WHEN %(topic)s = ANY(preference.topics_off) THEN 'topic_off'"
        " WHEN preference.paused_until > %(at)s THEN 'paused'"
        " ELSE '' END",
        "address.id",
        "address.digest",
        "address.sealed",
        "suppression.id",
        "preference.quiet_start",
        "preference.quiet_end",
        "preference.time_zone",
        "profile.time_zone",
        "preference.frequency",
        "verdict.code",
    ),
)
"""What the gate is made of (`gate_told`). Its parameters: `gate_params`."""

LANGUAGE: Final = Part(joins=(_PREFERENCE,), columns=("coalesce(preference.language, '')",))
"""The language that they chose, "" for none."""

_TRACKING_HOLDS: Final = f"""
coalesce(followed.granted AND profile.restricted_at IS NULL
  AND ({AGREED_AT.format(state="followed", record="followed_record")} < followed_meaning.at) IS NOT TRUE
  AND NOT {_LEFT_ELSEWHERE.format(state="followed")}, FALSE)
"""

_GRANTED = f"""
WITH new_meaning AS ({NEW_MEANING.format(purpose="%(purpose)s", channel="%(channel)s", now="%(at)s")})
SELECT person.id
FROM unnest(%(people)s::bigint[]) AS person(id) CROSS JOIN new_meaning
{looked_up("consent_consentstate", "state", _STATE + " AND granted", must=True)}
{looked_up("profiles_profile", "profile", "id = person.id AND restricted_at IS NULL", must=True)}
{looked_up("consent_consentrecord", "record", "id = state.record_id AND new_meaning.at IS NOT NULL")}
WHERE ({AGREED_AT.format(state="state", record="record")} < new_meaning.at) IS NOT TRUE
  AND NOT {_LEFT_ELSEWHERE.format(state="state")}
"""  # noqa: S608  # texts of our own

TRACKING = "tracking"
"""The purpose without which nobody's opens and clicks are followed."""
_FOLLOWED: Final = f"'{TRACKING}'"

TRACKED: Final = Part(
    withs=(f"followed_meaning AS ({NEW_MEANING.format(purpose=_FOLLOWED, channel='%(channel)s', now='%(at)s')})",),
    joins=(
        "CROSS JOIN followed_meaning",
        PROFILE,
        looked_up(
            "consent_consentstate",
            "followed",
            f"profile_id = person.id AND purpose_id = {_FOLLOWED} AND channel = %(channel)s",
        ),
        looked_up(
            "consent_consentrecord", "followed_record", "id = followed.record_id AND followed_meaning.at IS NOT NULL"
        ),
    ),
    columns=(_TRACKING_HOLDS,),
)
"""Whether they agreed to be followed on the channel, as `granted_read` says of any purpose."""


def withdrawn_part(purpose: str) -> Part:
    """Whether they withdrew a purpose on the channel. purpose: a name of ours, which stands in the statement."""
    if not purpose.isidentifier():
        raise ValueError("not a name of ours")
    return Part(
        columns=(
            "EXISTS (SELECT FROM consent_consentstate AS gone WHERE gone.profile_id = person.id"
            f" AND gone.purpose_id = '{purpose}' AND gone.channel = %(channel)s AND NOT gone.granted)",
        )
    )


def gate_params(*, purpose: str, channel: str, topic: str, at: datetime) -> dict[str, Any]:
    """What `GATE` asks for."""
    kind = ADDRESS_KIND.get(Channel(channel), "")
    return {"purpose": purpose, "channel": str(channel), "kind": kind, "topic": topic, "at": at}


def gate_told(found: Sequence[Any], *, channel: str, needs_consent: bool) -> GateAnswer:
    """The answer that the columns of `GATE` give."""
    granted, outdated, left_elsewhere, held, identifier_id, digest, sealed, suppression_id, *rest = found
    start, end, chosen, known, frequency, fault = rest
    # where nothing is addressed (the web), nothing is missing
    reached = identifier_id is not None or channel not in ADDRESS_KIND
    reason = _reason(granted and not left_elsewhere, outdated, needs_consent, held, reached, suppression_id)
    if not needs_consent or reason or fault is None:
        fault = ""
    else:
        reason = "invalid_address"
    quiet = Quiet(start, end) if needs_consent and start is not None else None
    return GateAnswer(
        allowed=not reason,
        reason=reason,
        identifier_id=identifier_id,
        digest=bytes(digest or b""),
        sealed=bytes(sealed or b""),
        quiet=quiet,
        zone=chosen or known if quiet is not None else "",
        frequency=frequency if needs_consent and frequency else "each",
        fault=fault,
    )


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

    What needs no consent is not held up by a person's preferences either, nor by what was found of their address when
    it was looked at. topic: of what is sent, "" for none;
    at: the moment that a pause and quiet hours are asked about, now unless given.
    """
    params = gate_params(purpose=purpose, channel=channel, topic=topic, at=at or now())
    return {
        person: gate_told(found, channel=channel, needs_consent=needs_consent)
        for person, [found] in people_select([GATE], profile_ids, params).items()
    }


def gate_read_followed(
    *, profile_ids: Sequence[int], purpose: str, channel: str, needs_consent: bool, topic: str
) -> dict[int, tuple[GateAnswer, bool]]:
    """As `gate_read`, and whether they agree to be followed on the channel (`granted_read`), in the same statement."""
    params = gate_params(purpose=purpose, channel=channel, topic=topic, at=now())
    return {
        person: (gate_told(found, channel=channel, needs_consent=needs_consent), followed)
        for person, [found, [followed]] in people_select([GATE, TRACKED], profile_ids, params).items()
    }


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
        found[key] = answer._replace(
            allowed=not reason, reason=reason, identifier_id=None, digest=digest, sealed=b"", fault=""
        )
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
    params = {"people": ids_text(profile_ids), "purpose": purpose, "channel": str(channel), "at": at or now()}
    return frozenset(row[0] for row in planned_rows(_GRANTED, params))


UNFIT = """
SELECT held.profile_id FROM profiles_identifier AS held
WHERE held.kind = 'email' AND held.main AND held.digest IN (
    SELECT digest FROM consent_suppression WHERE reason IN ('bounce', 'spam_trap')
    UNION ALL SELECT digest FROM consent_addressverdict WHERE verdict = 'refuse' AND code <> 'silent')
"""
"""SQL: whose main address is one that models must not learn from: it does not exist, bounced, is thrown away or a spam
trap. Silence is a lesson of its own."""


def withdrawn_read(*, profile_ids: Sequence[int], purpose: str, channel: str) -> set[int]:
    """Who of these people withdrew a purpose on a channel."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT profile_id FROM consent_consentstate"
            " WHERE profile_id = ANY(%s) AND purpose_id = %s AND channel = %s AND NOT granted",
            [list(profile_ids), purpose, str(channel)],
        )
        return {row[0] for row in cursor.fetchall()}


_purposes: Final = Cache[str, bool]("purposes", "purposes", "CACHE_SITE_SECONDS")


def consent_needed(purpose: str, stamps: Mapping[str, str]) -> bool:
    """Whether a purpose needs consent, kept in this process. stamps: as they were read before. Raises Purpose's
    DoesNotExist."""
    return _purposes.get(
        purpose, stamps, lambda: Purpose.objects.values_list("needs_consent", flat=True).get(pk=purpose)
    )


def purposes_offered() -> list[tuple[str, str]]:
    """The purposes that need consent: code and name."""
    return list(Purpose.objects.filter(needs_consent=True).order_by("name").values_list("code", "name"))
