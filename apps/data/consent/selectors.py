"""Reads about consent."""

from collections.abc import Sequence

from django.db import connection

from .contracts import GateAnswer
from .models import Channel

ADDRESS_KIND = {Channel.EMAIL: "email", Channel.SMS: "phone"}
"""The kind of identifier that a message of the channel goes to."""

_GATE = """
SELECT person.id, state.granted, address.id, address.value, address.digest, suppression.id
FROM unnest(%s::bigint[]) AS person(id)
LEFT JOIN consent_consentstate AS state
       ON state.profile_id = person.id AND state.purpose_id = %s AND state.channel = %s
LEFT JOIN profiles_identifier AS address
       ON address.profile_id = person.id AND address.kind = %s AND address.main
LEFT JOIN consent_suppression AS suppression ON suppression.digest = address.digest
"""


def gate_read(
    *, profile_ids: Sequence[int], purpose: str, channel: str, needs_consent: bool = True
) -> dict[int, GateAnswer]:
    """What holds for each person now, in one statement. A promise only under `gate_lock`, in its transaction."""
    with connection.cursor() as cursor:
        cursor.execute(_GATE, [list(profile_ids), purpose, channel, ADDRESS_KIND.get(Channel(channel), "")])
        rows = cursor.fetchall()
    return {
        person: GateAnswer(
            allowed=not (reason := _reason(granted, needs_consent, identifier_id, suppression_id)),
            reason=reason,
            identifier_id=identifier_id,
            address=address or "",
            digest=bytes(digest or b""),
        )
        for person, granted, identifier_id, address, digest, suppression_id in rows
    }


def _reason(granted: bool | None, needs_consent: bool, identifier_id: int | None, suppression_id: int | None) -> str:
    if needs_consent and not granted:
        return "no_consent" if granted is None else "withdrawn"
    if identifier_id is None:
        return "invalid_address"
    return "suppressed" if suppression_id is not None else ""
