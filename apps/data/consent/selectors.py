"""Reads about consent."""

from collections.abc import Sequence

from django.db import connection

from apps.foundation.core.clock import now

from .asking import AGREED_AT, NEW_MEANING
from .contracts import GateAnswer
from .models import Channel

ADDRESS_KIND = {Channel.EMAIL: "email", Channel.SMS: "phone"}
"""The kind of identifier that a message of the channel goes to."""

_GATE = f"""
WITH new_meaning AS ({NEW_MEANING.format(purpose="%(purpose)s", channel="%(channel)s", now="%(now)s")})
SELECT person.id, state.granted, {AGREED_AT.format(state="state", record="record")} < new_meaning.at AS outdated,
       address.id, address.value, address.digest, suppression.id
FROM new_meaning CROSS JOIN unnest(%(ids)s::bigint[]) AS person(id)
LEFT JOIN consent_consentstate AS state
       ON state.profile_id = person.id AND state.purpose_id = %(purpose)s AND state.channel = %(channel)s
LEFT JOIN consent_consentrecord AS record
       ON record.id = state.record_id AND state.granted AND new_meaning.at IS NOT NULL
LEFT JOIN profiles_identifier AS address
       ON address.profile_id = person.id AND address.kind = %(kind)s AND address.main
LEFT JOIN consent_suppression AS suppression ON suppression.digest = address.digest
"""  # noqa: S608  # texts of our own


def gate_read(
    *, profile_ids: Sequence[int], purpose: str, channel: str, needs_consent: bool = True
) -> dict[int, GateAnswer]:
    """What holds for each person now, in one statement. A promise only under `gate_lock`, in its transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            _GATE,
            {
                "ids": list(profile_ids),
                "purpose": purpose,
                "channel": str(channel),
                "kind": ADDRESS_KIND.get(Channel(channel), ""),
                "now": now(),
            },
        )
        rows = cursor.fetchall()
    return {
        person: GateAnswer(
            allowed=not (reason := _reason(granted, outdated, needs_consent, identifier_id, suppression_id)),
            reason=reason,
            identifier_id=identifier_id,
            address=address or "",
            digest=bytes(digest or b""),
        )
        for person, granted, outdated, identifier_id, address, digest, suppression_id in rows
    }


def _reason(
    granted: bool | None,
    outdated: bool | None,
    needs_consent: bool,
    identifier_id: int | None,
    suppression_id: int | None,
) -> str:
    if needs_consent and not granted:
        return "no_consent" if granted is None else "withdrawn"
    if needs_consent and outdated:
        return "wording_outdated"
    if identifier_id is None:
        return "invalid_address"
    return "suppressed" if suppression_id is not None else ""
