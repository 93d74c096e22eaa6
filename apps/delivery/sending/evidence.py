"""Settling what is uncertain by evidence from outside: what the relay or provider says it took."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final
from uuid import UUID

from django.db import connection, transaction

from apps.data.profiles.normalize import email_normalize, phone_normalize
from apps.foundation.core.errors import Invalid
from apps.foundation.core.signing import address_digests

from .models import Message
from .rules import leaving

State = Message.State
CHUNK: Final = 5000

_SETTLE = """
WITH taken AS (SELECT * FROM unnest(%s::uuid[], %s::text[]) AS taken(id, digest)),
moved AS (
  UPDATE sending_message AS message
  SET state = 'sent', sender_id = NULL, lease_until = NULL, finished_at = clock_timestamp()
  FROM taken
  WHERE message.id = taken.id AND message.address_digest = decode(taken.digest, 'hex') AND message.state = ANY(%s)
  RETURNING message.id, message.attempts)
UPDATE sending_deliveryattempt AS attempt
SET outcome = 'accepted', response = 'found in the relay''s log', finished_at = clock_timestamp()
FROM moved WHERE attempt.message_id = moved.id AND attempt.number = moved.attempts
"""


def relay_log_read(lines: Iterable[str]) -> Iterator[tuple[UUID, str]]:
    """Message ids and recipients of a log with `Message-ID<TAB>recipient` in each line; other lines are left out."""
    for line in lines:
        message_id, tab, recipient = line.rstrip("\r\n").partition("\t")
        try:
            found = UUID(message_id.strip().lstrip("<").partition("@")[0])
        except ValueError:
            continue  # not a message of ours
        if tab and recipient:
            yield found, recipient.strip()


def messages_settle(*, taken: Iterable[tuple[UUID, str]]) -> int:
    """Make `sent` of each uncertain message that the relay took for its recipient. Returns how many."""
    settled = 0
    source = iter(taken)
    while chunk := dict(islice(source, CHUNK)):
        with transaction.atomic(), connection.cursor() as cursor:
            known = [(key, digest) for key, recipient in chunk.items() for digest in _digests(recipient)]
            ids, digests = [key for key, _ in known], [digest for _, digest in known]
            cursor.execute(_SETTLE, [ids, digests, leaving(State.UNCERTAIN, to=State.SENT)])
            settled += int(cursor.rowcount)
    return settled


def _digests(recipient: str) -> list[str]:
    """By what the ledger may know an address, in hex; none for what is no address."""
    mail = "@" in recipient
    try:
        value = email_normalize(recipient) if mail else phone_normalize(recipient)
        return [digest.hex() for digest in address_digests("email" if mail else "phone", value)]
    except Invalid:
        return []
