"""A link to the preferences that has become old: it opens nothing any more, and offers a new one by mail.

Old messages lie about in shared inboxes and forwarded threads, and the page shows what is known about a person. Leaving
is no risk to anybody, so links to unsubscribe never end.
"""

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from apps.data.consent.links import unsubscribe_url
from apps.data.profiles.mail import MailKind, mail_ready, mail_want
from apps.foundation.core.clock import now
from apps.foundation.core.ids import uuid7
from apps.foundation.core.limits import allowed

from .forms import body_read, fields_read

_HOUR: Final = 3600


def link_is_old(message_id: UUID) -> bool:
    """Whether the message of a link to the preferences is older than PREFERENCES_LINK_DAYS.

    Its id says when it was made (RFC 9562, 5.7). One of another version has no time in it: nothing is held against it,
    since its link is signed all the same.
    """
    if message_id.version != 7:
        return False
    made_at = datetime.fromtimestamp((message_id.int >> 80) / 1000, UTC)
    return now() - made_at > timedelta(days=settings.PREFERENCES_LINK_DAYS)


def aged_link(request: HttpRequest, profile_id: int, message_id: UUID) -> HttpResponse:
    """The page instead of the preferences. A POST of its button sends a new link to the person's own address."""
    sent = False
    if request.method == "POST":
        sent = fields_read(body_read(request)).get("do") == ["new_link"] and mail_ready(MailKind.LINK)
        who = str(profile_id)
        # Over the limit the answer is the same: there is a link on its way already.
        if sent and allowed(name="link.aged", who=who, count=settings.LINK_ASKS_PER_ADDRESS, seconds=_HOUR):
            with transaction.atomic():
                mail_want(kind=MailKind.LINK, profile_id=profile_id, key=f"aged:{uuid7()}")
    context = {
        "sent": sent,
        "ready": mail_ready(MailKind.LINK),
        "here": request.path,
        "unsubscribe": unsubscribe_url(profile_id=profile_id, message_id=message_id).removeprefix(settings.BASE_URL),
    }
    return render(request, "preferences/aged_link.html", context, status=200 if sent else 410)
