"""Settling what is uncertain: by what the relay or provider says it took, or, without any evidence, by the purpose."""

import re
from collections.abc import Iterable, Iterator
from datetime import timedelta
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
AGAIN_AFTER: Final = timedelta(minutes=15)
"""How long evidence is waited for before a message that nobody needs to agree to is sent again."""
UNKNOWN_MOST: Final = 3
"""Tries of unknown outcome after which such a message is left uncertain: somebody may have got it as often."""

_POSTFIX = re.compile(r" postfix[^ ]*/(?P<part>[a-z-]+)\[\d+\]: (?P<queue>[0-9A-Za-z]{5,20}): (?P<text>.*)")
_POSTFIX_ID = re.compile(r"message-id=<(?P<id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})@")
_POSTFIX_TO = re.compile(r"to=<(?P<to>[^>]*)>, (?:orig_to=<(?P<orig>[^>]*)>, )?.*\bstatus=")

_SETTLE = """
WITH taken AS (SELECT * FROM unnest(%s::uuid[], %s::text[]) AS taken(id, digest)),
moved AS (
  UPDATE sending_message AS message
  SET state = 'sent', reason = '', sender_id = NULL, lease_until = NULL, finished_at = clock_timestamp()
  FROM taken
  WHERE message.id = taken.id AND message.address_digest = decode(taken.digest, 'hex') AND message.state = ANY(%s)
  RETURNING message.id, message.attempts)
UPDATE sending_deliveryattempt AS attempt
SET outcome = 'accepted', response = 'found in the relay''s log', finished_at = clock_timestamp()
FROM moved WHERE attempt.message_id = moved.id AND attempt.number = moved.attempts
"""


# Sent again under the same Message-ID, so that mail programs and relays which look at it show one.
_AGAIN = """
WITH again AS (
  SELECT message.id FROM sending_message AS message
  JOIN sending_dispatch AS dispatch ON dispatch.id = message.dispatch_id
  WHERE message.state = 'uncertain' AND message.reason <> 'restored' AND NOT dispatch.needs_consent
    AND dispatch.state = 'active' AND dispatch.not_after > clock_timestamp()
    AND message.finished_at < clock_timestamp() - make_interval(secs => %s)
    AND (SELECT count(*) FROM sending_deliveryattempt AS attempt
         WHERE attempt.message_id = message.id AND attempt.outcome = 'unknown') < %s
  ORDER BY message.id LIMIT %s FOR UPDATE OF message SKIP LOCKED)
UPDATE sending_message AS message
SET state = 'retry', sender_id = NULL, lease_until = NULL, finished_at = NULL, not_before = clock_timestamp()
FROM again WHERE message.id = again.id AND message.state = ANY(%s)
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


def postfix_log_read(lines: Iterable[str]) -> Iterator[tuple[UUID, str]]:
    """Message ids and recipients of what Postfix took, from its own log (`mail.log`, or what journalctl prints).

    `cleanup` names the Message-ID of a queue file while its content still comes; only a line about a delivery
    (`to=<…>, … status=…`, whatever the status) shows that all of it came and was taken. Lines of both, in this order.
    """
    coming: dict[str, UUID] = {}
    for line in lines:
        found = _POSTFIX.search(line)
        if found is None:
            continue
        queue, text = found["queue"], found["text"]
        if found["part"] == "cleanup" and text.startswith("message-id="):
            coming.pop(queue, None)  # names of queue files come again
            if named := _POSTFIX_ID.match(text):
                coming[queue] = UUID(named["id"])
        elif queue in coming and found["part"] != "cleanup" and (to := _POSTFIX_TO.match(text)):
            yield coming[queue], to["orig"] or to["to"]
        elif text == "removed":
            coming.pop(queue, None)


def uncertain_send_again() -> int:
    """Let what nobody needs to agree to be tried again where no evidence came within AGAIN_AFTER. Returns how many.

    Somebody may get such a message twice, which is less bad than a password that never comes. Marketing mail stays
    uncertain: it is not sent again.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        step = leaving(State.UNCERTAIN, to=State.RETRY)
        cursor.execute(_AGAIN, [AGAIN_AFTER.total_seconds(), UNKNOWN_MOST, CHUNK, step])
        return int(cursor.rowcount)


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
