"""Mail that comes back: to a message's own return path, or as a complaint.

Nothing in such a mail is believed but what it says of the message whose signed return path it was sent to; a complaint
is believed if it holds that message's own signed link to unsubscribe.
"""

import hashlib
import logging
import re
from dataclasses import dataclass
from enum import Enum
from typing import Final
from uuid import UUID

from django.conf import settings

from apps.data.consent.links import LinkScope, link_read
from apps.delivery.channels.bounces import MOST, Heard, bounce_read
from apps.delivery.sending.contracts import Report
from apps.delivery.sending.reports import reports_take
from apps.delivery.sending.returns import COMPLAINTS, return_path_read
from apps.foundation.core.clock import now
from apps.foundation.core.masking import addresses_mask
from apps.foundation.core.signing import BadToken

logger = logging.getLogger(__name__)

_UNSUBSCRIBE: Final = re.compile(rb"/u/([A-Za-z0-9]{1,20}\.[A-Za-z0-9_-]{20,200})")
_FOLD: Final = re.compile(rb"=?\r?\n[ \t]?")


class Taken(Enum):
    """What came of a mail. NOTHING: it says nothing of a message; UNKNOWN: its address is none of ours."""

    NEW = "taken"
    AGAIN = "known already"
    NOTHING = "says nothing of a message"
    UNKNOWN = "not an address of ours"


@dataclass(frozen=True, slots=True)
class _Box:
    """Whom an address is for. message_id: None for the complaints of mailbox providers."""

    message_id: UUID | None


def recipient_known(address: str) -> bool:
    """Whether mail to an address can be taken: a signed return path, or the address for complaints."""
    return _box(address) is not None


def _box(address: str) -> _Box | None:
    local, _, domain = address.strip().strip("<>").rpartition("@")
    if not settings.BOUNCE_DOMAIN:
        return None
    if local.lower() == COMPLAINTS and domain.lower() == settings.BOUNCE_DOMAIN.lower():
        return _Box(None)
    try:
        return _Box(return_path_read(address))
    except BadToken:
        return None


def mail_take(*, recipient: str, content: bytes) -> Taken:
    """Take one mail that was sent to an address of ours. The same mail again changes nothing.

    Raises django.db.Error and MasterKeyMissing: the mail server must try again.
    """
    box = _box(recipient)
    if box is None:
        return Taken.UNKNOWN
    content = content[:MOST]
    heard = bounce_read(content)
    if box.message_id is None:
        heard = [one for one in heard if one.kind in ("complained", "unsubscribed")]
    message_id = box.message_id or _message_in(content)
    first = next((one for one in heard if one.kind), None)
    if message_id is None or first is None:
        logger.info("a mail that came back says nothing of a message")
        return Taken.NOTHING
    return Taken.NEW if reports_take([_report(message_id, first, content)]) else Taken.AGAIN


def _report(message_id: UUID, heard: Heard, content: bytes) -> Report:
    # whose address it was is known by the return path: one that the mail was passed on to may be named instead
    name = hashlib.sha256(message_id.bytes + content).hexdigest()[:48]
    return Report(
        message_id=message_id,
        kind=heard.kind,
        occurred_at=now(),
        source=f"mail:{name}",
        bounce=heard.bounce,
        reason=heard.reason,
        code=heard.status,
        response=addresses_mask(heard.text, *([heard.recipient] if heard.recipient else [])),
        raw=content,
    )


def _message_in(content: bytes) -> UUID | None:
    """The message that a complaint holds, by its own signed link to unsubscribe; folded headers joined."""
    for found in _UNSUBSCRIBE.finditer(_FOLD.sub(b"", content)):
        try:
            _, message_id = link_read(LinkScope.UNSUBSCRIBE, found[1].decode())
        except BadToken:
            continue
        return message_id
    return None
