"""Asking for a link by an address: the request only notes it, and a worker looks who has it.

So a request does the same work for an address that is known as for any other, and can't tell by its answer or its time.
"""

from typing import Final

from django.db import transaction

from apps.foundation.core.signing import address_digest

from .mail import MailKind, mail_want
from .models import Identifier, LinkAsked

BATCH: Final = 200


def link_ask(*, address: str) -> None:
    """Note that somebody wants the link of an address (normalized). The task `links_answer` looks who has it."""
    LinkAsked.objects.create(digest=address_digest(Identifier.Kind.EMAIL, address))


def links_asked_answer() -> int:
    """Want a mail for everybody whose address was typed in; each who has it gets one of their own. Returns how many.

    Safe to call from several places at once, and to be killed at any point.
    """
    wanted = 0
    while True:
        with transaction.atomic():
            asked = list(LinkAsked.objects.select_for_update(skip_locked=True).order_by("pk")[:BATCH])
            for one in asked:
                holders = Identifier.objects.filter(kind=Identifier.Kind.EMAIL, digest=one.digest)
                for profile_id in sorted(set(holders.values_list("profile_id", flat=True))):
                    mail_want(kind=MailKind.LINK, profile_id=profile_id, key=f"asked:{one.pk}")
                    wanted += 1
            LinkAsked.objects.filter(pk__in=[one.pk for one in asked]).delete()
        if len(asked) < BATCH:
            return wanted
