"""Finding one's preferences without a message at hand: an address typed in gets its link by mail.

The answer is the same for an address that is known and for any other: same status, body and headers, and the same work
in the request, because a worker looks who has the address (`profiles/asking.py`).
"""

from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from apps.data.profiles.asking import link_ask
from apps.data.profiles.mail import MailKind
from apps.data.profiles.normalize import email_normalize
from apps.data.profiles.tasks import links_answer
from apps.decisioning.playbooks.system_mail import mail_published
from apps.foundation.core.errors import Invalid
from apps.foundation.core.limits import allowed, visitor_network
from apps.foundation.core.queue import enqueue_on_commit

from .forms import body_read, fields_read
from .opening import METHODS, public_page, see_other
from .speaking import supported, tongues

HOUR: Final = 3600


@public_page
def find(request: HttpRequest) -> HttpResponse:
    """The form, and what was said after it. A POST asks for the link of an address."""
    if request.method == "OPTIONS":
        return HttpResponse(status=204, headers={"Allow": ", ".join(METHODS)})
    if mail_published(MailKind.LINK) is None:
        return _page(request, {"unavailable": True}, status=503 if request.method == "POST" else 200)
    if request.method == "POST":
        return _ask(request)
    return _page(request, {"asked": "asked" in request.GET})


def _ask(request: HttpRequest) -> HttpResponse:
    network = visitor_network(request)
    if not allowed(name="link.network", who=network, count=settings.LINK_ASKS_PER_NETWORK, seconds=HOUR):
        response = _page(request, {"too_many": True}, status=429)
        response["Retry-After"] = str(HOUR)
        return response
    typed = fields_read(body_read(request)).get("email", [""])[0]
    try:
        address = email_normalize(typed)
    except Invalid:
        return _page(request, {"typed": typed[:320], "invalid": True}, status=400)
    # Over this limit the answer is the same: nobody's inbox is filled, and nobody learns who was asked for before.
    if allowed(name="link.address", who=address, count=settings.LINK_ASKS_PER_ADDRESS, seconds=HOUR):
        with transaction.atomic():
            link_ask(address=address)
            enqueue_on_commit(links_answer)
    return see_other(f"{reverse('preferences:find')}?asked{_lang(request)}")


def _lang(request: HttpRequest) -> str:
    """The language that was chosen on the page, for its next address."""
    chosen = supported(request.GET.get("lang", "")[:20])
    return f"&lang={chosen}" if chosen else ""


def _page(request: HttpRequest, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
    """The page in the name of the brand that the mail comes from."""
    version = mail_published(MailKind.LINK)
    brand = version.spec["brand"] if version is not None else {}
    page = {
        "brand": brand.get("name", ""),
        "postal_address": brand.get("postal_address", ""),
        "tongues": tongues(),
        "query": "&asked" if context.get("asked") else "",
    }
    return render(request, "preferences/find.html", {**context, "page": page, "lang": _lang(request)}, status=status)
