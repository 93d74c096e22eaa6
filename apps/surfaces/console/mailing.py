"""E-mail to staff: notices that wait go out over the relay, one after the other.

Staff are no profiles, so these mails have no place in the ledger of messages to people: `Notice.mail` is their record.
A crash between the relay's answer and its commit sends one notice again, and none is lost.
"""

import logging
from datetime import datetime
from html import escape

from django.conf import settings
from django.db import transaction
from django.urls import reverse

from apps.delivery.channels.contracts import Envelope
from apps.delivery.channels.errors import OutcomeUnknown, Unavailable
from apps.delivery.channels.mime import Letter, letter_bytes
from apps.delivery.channels.smtp import SmtpChannel, relay_parse
from apps.foundation.core.errors import PermanentError, RetryableError
from apps.foundation.core.ids import uuid7
from apps.foundation.governance.models import Notice
from apps.foundation.governance.notices import notice_mail_failed, notice_mailed, notices_not_mailed, notices_to_mail

logger = logging.getLogger(__name__)
_AT_ONCE = 50


def notices_mail(*, at: datetime) -> int:
    """Mail the notices that are due, at most fifty. Returns how many were taken. Safe to run in several places."""
    if not settings.STAFF_MAIL_FROM:
        notices_not_mailed(at=at)
        return 0
    taken = 0
    channel = SmtpChannel(relay_parse(settings.SMTP_URL))
    try:
        for _ in range(_AT_ONCE):
            with transaction.atomic():
                due = notices_to_mail(at=at, limit=1)
                if not due:
                    break
                try:
                    channel.hand_over(_envelope(due[0], at), lambda: True)
                except PermanentError as error:
                    logger.warning("notice %s was refused: %s", due[0].pk, error.code)
                    notice_mail_failed(due[0], for_good=True)
                except Unavailable as error:
                    logger.warning("notices wait: the relay is not there (%s)", error.code)
                    notice_mail_failed(due[0], for_good=False)
                    break
                except (RetryableError, OutcomeUnknown) as error:
                    logger.warning("notice %s is tried again: %s", due[0].pk, error.code)
                    notice_mail_failed(due[0], for_good=False)
                else:
                    notice_mailed(due[0])
                    taken += 1
    finally:
        channel.close()
    return taken


def _envelope(notice: Notice, at: datetime) -> Envelope:
    sender, to = settings.STAFF_MAIL_FROM, notice.user.email
    page = settings.BASE_URL + (notice.place or reverse("console:review", args=[notice.review_id]))
    mail = settings.BASE_URL + reverse("console:notices")
    text = f"{notice.title}\n\n{notice.body}\n\n{page}\n\nWhich notices come by e-mail: {mail}\n"
    letter = Letter(
        message_id=uuid7(),
        from_name="Tessera",
        from_email=sender,
        reply_to="",
        to=to,
        subject=notice.title,
        text=text,
        html=(_html(notice, page, mail),),
        dated_at=at,
        unsubscribe_url="",
        list_label="",
    )
    return Envelope(sender=sender, recipient=to, content=letter_bytes(letter))


def _html(notice: Notice, page: str, mail: str) -> str:
    body = f"<p>{escape(notice.body)}</p>" if notice.body else ""
    return (
        '<!doctype html><html lang="en"><body style="font-family:sans-serif">'
        f"<p><strong>{escape(notice.title)}</strong></p>{body}"
        f'<p><a href="{escape(page)}">Open it</a></p><p style="color:#5b6664">'
        f'<a href="{escape(mail)}">Which notices come by e-mail</a></p></body></html>'
    )
