"""Messages on the web that wait for their person: read from the ledger, made again as they were, by consent of now."""

import json
import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Now

from apps.data.consent.models import Channel
from apps.data.consent.selectors import gate_read
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict

from .contracts import Report
from .models import Dispatch, Message
from .rendering import message_again
from .reports import reports_take

logger = logging.getLogger(__name__)

MOST: Final = 20
"""Messages that are given at once."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message that waits. until: it is shown no later."""

    id: UUID
    purpose: str
    title: str
    text: str
    html: str
    sent_at: datetime
    until: datetime


def waiting_read(messages: "QuerySet[Message]", *, profile_id: int) -> list[Waiting]:
    """What waits for a person, the newest first. Nothing is changed, so asking twice gives the same.

    Consent and preferences are asked as they are now: what was let wait before somebody left is not shown after.
    messages: those that may be looked at.
    """
    rows = list(
        messages.filter(
            profile_id=profile_id, channel=Channel.WEB, state=Message.State.SENT, dispatch__not_after__gt=Now()
        )
        .exclude(dispatch__state=Dispatch.State.CANCELLED)
        .select_related("dispatch")
        .order_by("-sending_at", "-pk")[:MOST]
    )
    allowed = _allowed(rows, profile_id)
    found = []
    for message in rows:
        if message.pk not in allowed:
            continue
        try:
            said = json.loads(message_again(message.pk))
        except Conflict as error:
            logger.warning("message %s is not shown: %s", message.pk, error.code)
            continue
        found.append(
            Waiting(
                id=message.pk,
                purpose=message.purpose,
                sent_at=message.sending_at or now(),
                until=message.dispatch.not_after,
                **said,
            )
        )
    return found


def _allowed(rows: Iterable[Message], profile_id: int) -> set[UUID]:
    """Those that their person wants now."""
    groups: defaultdict[tuple[str, bool, str], set[UUID]] = defaultdict(set)
    for row in rows:
        groups[row.purpose, row.dispatch.needs_consent, row.dispatch.topic].add(row.pk)
    found: set[UUID] = set()
    for (purpose, needs_consent, topic), ids in groups.items():
        answers = gate_read(
            profile_ids=[profile_id], purpose=purpose, channel=Channel.WEB, needs_consent=needs_consent, topic=topic
        )
        if profile_id in answers and answers[profile_id].allowed:
            found |= ids
    return found


def waiting_shown(message: Message) -> None:
    """A message was shown to its person: it is delivered, and waits no more. Twice changes nothing.

    Raises Conflict for one that does not wait on the web.
    """
    if message.channel != Channel.WEB:
        raise Conflict("not_waiting", "This message is none that waits to be fetched")
    if message.state == Message.State.DELIVERED:
        return
    if message.state != Message.State.SENT:
        raise Conflict("not_waiting", "This message does not wait: it has not passed the gate")
    reports_take([Report(message.pk, "delivered", now(), source=f"web:{message.pk}")])
