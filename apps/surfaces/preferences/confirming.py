"""The page behind the link of the mail `confirm`: who asked on a form to agree says here that it was them."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language

from apps.data.consent.contracts import Confirmed
from apps.data.consent.links import LinkScope, preferences_url
from apps.data.consent.models import OptIn, Purpose
from apps.data.consent.offering import words_in
from apps.data.consent.opt_ins import opt_in_confirm, opt_in_read
from apps.data.consent.wordings import wording_text
from apps.data.profiles.mail import MailKind
from apps.decisioning.decisions.selectors import occasion_of
from apps.foundation.core.clock import now

from .forms import body_read, fields_read
from .opening import bad_link, bad_request, by_link, origin_of, see_other
from .selectors import frame_read


@by_link(LinkScope.CONFIRM)
def confirm(request: HttpRequest, token: str, profile_id: int, message_id: UUID) -> HttpResponse:
    """What was asked for, and a button. A GET changes nothing, since scanners follow links; the button's POST confirms.

    Pressed twice, or reloaded, it says that it is done.
    """
    opt_in = _opt_in(profile_id, message_id)
    if opt_in is None:
        return bad_link(request)
    if request.method == "POST":
        if fields_read(body_read(request)).get("do") != ["confirm"]:
            return bad_request(request)
        done = opt_in_confirm(
            opt_in_id=opt_in.pk, profile_id=profile_id, message_id=message_id, origin=origin_of(request)
        )
        if done is not Confirmed.EXPIRED:
            return see_other(request.path)
    preferences = preferences_url(profile_id=profile_id, message_id=message_id).rpartition("/")[2]
    context: dict[str, Any] = {
        "token": token,
        "page": frame_read(profile_id=profile_id, message_id=message_id),
        "asked": _asked(opt_in),
        "asked_at": opt_in.asked_at,
        "confirmed": opt_in.state == OptIn.State.CONFIRMED,
        "late": opt_in.state == OptIn.State.PENDING and opt_in.expires_at <= now(),
        "preferences": reverse("preferences:preferences", args=[preferences]),
    }
    return render(request, "preferences/confirm.html", context)


def _opt_in(profile_id: int, message_id: UUID) -> OptIn | None:
    occasion = occasion_of(message_id=message_id, profile_id=profile_id)
    if occasion is None or occasion.kind != MailKind.CONFIRM:
        return None
    try:
        return opt_in_read(opt_in_id=UUID(occasion.key), profile_id=profile_id)
    except ValueError:
        return None


def _asked(opt_in: OptIn) -> list[tuple[str, str]]:
    """Name and text of each purpose, the text as it was read when it was asked for."""
    return [
        (words_in(purpose, get_language())[0], wording_text(purpose=purpose, digest=how["wording_digest"]))
        for purpose in Purpose.objects.filter(pk__in=opt_in.asked)
        for how in [opt_in.asked[purpose.pk]]
    ]
