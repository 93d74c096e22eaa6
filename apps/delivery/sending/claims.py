"""Taking messages to send, and giving them back. Sets of rows and plain tuples: this is the hot path."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from apps.data.consent.models import Channel
from apps.data.consent.selectors import ADDRESS_KIND
from apps.data.profiles.addresses import addresses_held, addresses_opened
from apps.data.profiles.vault import Erased, Tampered, Vault, vault_open
from apps.decisioning.decisions.sealing import inputs_open
from apps.foundation.core.postgres import array_text, ids_text

from .contracts import Claimed
from .home import ELSEWHERE
from .limits import Wanted, domain_of, limits_take
from .models import Message
from .rules import AMONG, ERASED, TAMPERED, WAITING, leaving

State = Message.State

_OPEN_DISPATCHES = f"""
SELECT id, per_minute, needs_consent FROM sending_dispatch AS dispatch
WHERE state = 'active' AND channel = %(channel)s AND not_after > clock_timestamp()
  AND NOT EXISTS ({ELSEWHERE})
  AND NOT (needs_consent AND (%(urgent)s OR EXISTS (
    SELECT FROM sending_allowance AS allowance
    WHERE allowance.key IN ('provider:' || %(provider)s, 'run:' || dispatch.id)
      AND allowance.held_until > clock_timestamp())))
ORDER BY needs_consent, id
"""  # noqa: S608  # constants
# What nobody needs consent for (transactional) goes first, and whatever limits say; then the older run.

_WAITING = f"""
SELECT EXISTS (
  SELECT FROM ({_OPEN_DISPATCHES}) AS dispatch
  CROSS JOIN LATERAL (
    SELECT id FROM sending_message
    WHERE dispatch_id = dispatch.id AND state IN ('queued', 'retry') AND not_before <= clock_timestamp()
    LIMIT 1) AS waiting)
"""  # noqa: S608  # constants

_CLAIM = f"""
WITH picked AS (
  SELECT waiting.id, dispatch.per_minute, dispatch.needs_consent FROM ({_OPEN_DISPATCHES}) AS dispatch
  CROSS JOIN LATERAL (
    SELECT id FROM sending_message
    WHERE dispatch_id = dispatch.id AND state IN ('queued', 'retry') AND not_before <= clock_timestamp()
    ORDER BY not_before, id LIMIT %(count)s FOR UPDATE SKIP LOCKED) AS waiting
  LIMIT %(count)s),
claimed AS (
  UPDATE sending_message AS message
  SET state = 'claimed', fence = message.fence + 1, sender_id = %(sender)s,
      lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
  FROM picked WHERE message.id = picked.id AND {AMONG.format("%(from)s")}
  RETURNING message.id, message.fence, message.dispatch_id, message.profile_id, message.compiled_id,
            message.address_digest, message.key_id, message.dated_at, picked.per_minute, picked.needs_consent)
SELECT claimed.*, decision.sealed, claimed.id::text
FROM claimed
JOIN decisions_decision AS decision ON decision.id = claimed.id
ORDER BY claimed.needs_consent, claimed.dispatch_id, claimed.id
"""  # noqa: S608  # constants

_RELEASE = """
UPDATE sending_message AS message
SET state = 'queued', sender_id = NULL, lease_until = NULL, not_before = clock_timestamp() + make_interval(secs => %s)
FROM unnest(%s::uuid[], %s::bigint[]) AS held(id, fence)
WHERE message.id = held.id AND message.fence = held.fence AND message.state = ANY(%s)
"""


_PUT_BACK = """
UPDATE sending_message AS message
SET state = 'queued', sender_id = NULL, lease_until = NULL, not_before = coalesce(back.until, message.not_before)
FROM unnest(%s::uuid[], %s::timestamptz[]) AS back(id, until)
WHERE message.id = back.id AND message.state = ANY(%s)
"""


def messages_waiting(*, channel: Channel, provider: str = "", urgent: bool = False) -> bool:
    """Whether a message of the channel could be claimed now. As `messages_claim`."""
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, {"channel": channel, "provider": _limited(provider), "urgent": urgent})
        return bool(cursor.fetchone()[0])


def messages_claim(
    *, sender_id: UUID, channel: Channel, count: int, provider: str = "", urgent: bool = False
) -> list[Claimed]:
    """Take up to `count` messages that are due, for SEND_LEASE_SECONDS by the database's clock, as limits allow.

    provider: whom they would go to, for its limit; urgent: only what nobody needs to agree to (transactional).
    Rows that somebody else looks at are passed over, so that senders never wait for each other; only where a limit is
    set, they wait for its count. Raises MasterKeyMissing: then nothing was taken.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            _CLAIM,
            {
                "channel": channel,
                "provider": _limited(provider),
                "urgent": urgent,
                "count": count,
                "sender": sender_id,
                "lease": settings.SEND_LEASE_SECONDS,
                "from": leaving(*WAITING, to=State.CLAIMED),
            },
        )
        rows = cursor.fetchall()
        vault = vault_open(row[3] for row in rows)  # here, so that nothing stays claimed where no key can be read
        opened = [_inputs(vault, decision_id=row[11], profile_id=row[3], sealed=bytes(row[10])) for row in rows]
        kind = ADDRESS_KIND.get(channel, "")
        held = addresses_held(profile_ids=[row[3] for row in rows], kind=kind) if kind and rows else {}
        addresses = addresses_opened(kind, held, vault=vault)
        wanted = [
            Wanted(row[2], run=row[8], urgent=not row[9], domain=domain_of(addresses[row[3]].value))
            if row[3] in addresses
            else Wanted(row[2], run=row[8], urgent=not row[9], domain="")
            for row in (rows if settings.SEND_LIMITS or any(row[8] for row in rows) else ())
        ]
        back = limits_take(cursor, wanted, provider=provider)
        if back:
            step = leaving(State.CLAIMED, to=State.QUEUED)
            cursor.execute(_PUT_BACK, [[rows[place][0] for place in back], list(back.values()), step])
    return [
        Claimed(
            id=row[0],
            fence=row[1],
            dispatch_id=row[2],
            profile_id=row[3],
            compiled_id=row[4],
            address_digest=bytes(row[5] or b""),
            key_id=row[6],
            dated_at=row[7],
            inputs=inputs,
            address=addresses[row[3]].value if row[3] in addresses else "",
            key=row[11],
            fault=fault,
            opened=addresses.get(row[3]),
        )
        for place, (row, (inputs, fault)) in enumerate(zip(rows, opened, strict=True))
        if place not in back
    ]


def _limited(provider: str) -> str:
    """A provider that has a limit, else "": what was held for one that is gone holds nothing."""
    return provider if f"provider:{provider}" in settings.SEND_LIMITS else ""


def _inputs(vault: Vault, *, decision_id: str, profile_id: int, sealed: bytes) -> tuple[dict[str, Any], str]:
    """What a message is rendered with, or why it can't be: then it stays unsent. Raises MasterKeyMissing."""
    try:
        return inputs_open(vault, decision_id=decision_id, profile_id=profile_id, sealed=sealed), ""
    except Erased:
        return {}, ERASED
    except Tampered:
        return {}, TAMPERED


def messages_release(*, claimed: Sequence[Claimed], pause_seconds: float = 0.0) -> int:
    """Give claimed messages back, to be claimed after the pause. Who lost the claim changes nothing."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            _RELEASE,
            [
                pause_seconds,
                array_text([one.key for one in claimed]),
                ids_text([one.fence for one in claimed]),
                leaving(State.CLAIMED, to=State.QUEUED),
            ],
        )
        return int(cursor.rowcount)
