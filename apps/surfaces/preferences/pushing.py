"""The page on which somebody lets a browser take messages, and the worker that shows them there.

The link of a message says who they are. A browser's subscription is an address like any other: known by its digest,
sealed, erased with its person. What they agree to is by push alone, with the wording that the page showed.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import get_language
from django.views.decorators.http import require_safe

from apps.data.consent.links import LinkScope
from apps.data.consent.models import Channel, ConsentRecord, ConsentState, Purpose
from apps.data.consent.offering import words_in
from apps.data.consent.services import consent_grant
from apps.data.consent.wordings import circumstances_of, wording_read, wordings_shown
from apps.data.profiles.addresses import identifier_gone, identifier_lead, identifier_put
from apps.data.profiles.normalize import push_normalize
from apps.delivery.channels.push import subscription_text
from apps.delivery.channels.push_crypto import b64, key_read, public_bytes
from apps.foundation.core.errors import Invalid

from .forms import body_read
from .opening import by_link, origin_of
from .selectors import frame_read

KIND: Final = "push"
WORKER: Final = Path(settings.BASE_DIR) / "static" / "tessera" / "push_worker.js"


@by_link(LinkScope.PREFERENCES)
def push(request: HttpRequest, token: str, profile_id: int, message_id: UUID) -> HttpResponse:
    """A GET shows the page; a POST of JSON, by its script, takes this browser in or lets it go."""
    if request.method == "POST":
        return _taken(request, profile_id, message_id)
    key = b64(public_bytes(key_read(settings.PUSH_KEY))) if settings.PUSH_KEY else ""
    context = {
        "page": frame_read(profile_id=profile_id, message_id=message_id),
        "token": token,
        "key": key,
        "purposes": _purposes(profile_id) if key else [],
    }
    return render(request, "preferences/push.html", context)


def _purposes(profile_id: int) -> list[dict[str, Any]]:
    """What can be agreed to: code, name, the wording to show, its digest, and whether they agreed already."""
    on = set(
        ConsentState.objects.filter(profile_id=profile_id, channel=Channel.PUSH, granted=True).values_list(
            "purpose_id", flat=True
        )
    )
    shown = wordings_shown(channel=Channel.PUSH, locale=get_language())
    return [
        {
            "code": one.pk,
            "name": words_in(one, get_language())[0],
            "text": shown[one.pk].text,
            "digest": shown[one.pk].digest,
            "on": one.pk in on,
        }
        for one in Purpose.objects.filter(needs_consent=True)
    ]


def _taken(request: HttpRequest, profile_id: int, message_id: UUID) -> HttpResponse:
    """`{"subscription": {…}, "agree": [{"purpose", "shown"}]}` takes a browser in; `"leave": true` lets it go."""
    try:
        said = json.loads(body_read(request))
        value = subscription_text(json.dumps(said["subscription"]), inside=settings.WEBHOOK_INSIDE_HOSTS)
        value = push_normalize(value)
        agree = [(str(one["purpose"]), str(one["shown"])) for one in said.get("agree", [])][:20]
        leave = said.get("leave") is True
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, Invalid):
        return JsonResponse({"error": "not a subscription"}, status=400)
    if leave:
        identifier_gone(profile_id=profile_id, kind=KIND, value=value)
        return HttpResponse(status=204)
    if not settings.PUSH_KEY:
        return JsonResponse({"error": "nothing is sent by push here"}, status=409)
    _let_in(request, profile_id, message_id, value, agree)
    return HttpResponse(status=204)


@transaction.atomic
def _let_in(
    request: HttpRequest, profile_id: int, message_id: UUID, value: str, agree: Sequence[tuple[str, str]]
) -> None:
    """Take a browser in, and what its person agreed to with it: purposes, each with the digest of what was shown."""
    source = f"push page, by the link of message {message_id}"
    found = identifier_put(profile_id=profile_id, kind=KIND, value=value, verified=True, source="push page")
    identifier_lead(profile_id=profile_id, identifier_id=found)  # the browser that somebody used last
    known = set(Purpose.objects.filter(needs_consent=True).values_list("code", flat=True))
    for purpose, digest in agree:
        if purpose not in known:
            continue
        shown = wording_read(purpose=purpose, channel=Channel.PUSH, locale=get_language(), digest=digest)
        consent_grant(
            profile_id=profile_id,
            purpose=purpose,
            channel=Channel.PUSH,
            method=ConsentRecord.Method.PREFERENCES,
            source=source,
            circumstances=circumstances_of(shown, gpc=request.headers.get("Sec-GPC") == "1"),
            origin=origin_of(request),
        )


@require_safe
def worker(request: HttpRequest) -> HttpResponse:
    """The script that a browser runs to show messages; served here, so that its scope is these pages alone."""
    return HttpResponse(
        WORKER.read_bytes(),
        content_type="text/javascript; charset=utf-8",
        headers={"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"},
    )
