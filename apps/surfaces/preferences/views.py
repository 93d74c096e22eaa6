"""A person's choices, leaving in one step, and the links of tests."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.text import get_text_list
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.data.consent.links import LinkScope, preferences_url, trial_link_read
from apps.data.consent.models import Channel, ConsentRecord
from apps.data.consent.services import consent_grant, consent_withdraw, consent_withdraw_all
from apps.foundation.core.signing import BadToken

from .forms import body_read, fields_read, is_one_click
from .opening import bad_link, bad_request, by_link, public_page, see_other
from .selectors import Choice, choices_read, message_of, page_read, purpose_to_leave

_EMAIL = Channel.EMAIL


@by_link(LinkScope.PREFERENCES)
def preferences(request: HttpRequest, token: str, profile_id: int, message_id: UUID) -> HttpResponse:
    """What a person gets, and each choice changed by one POST; `do` is agree, withdraw or leave."""
    if request.method == "POST":
        return _choose(request, token, profile_id, message_id)
    if request.headers.get("HX-Request"):  # the part that moves: see following.py
        return render(request, "preferences/parts/choices.html", _context(token, profile_id, message_id, {}))
    said = _said(
        request.GET.get("done", ""), request.GET.getlist("purpose"), choices_read(profile_id=profile_id, channel=_EMAIL)
    )
    return render(request, "preferences/preferences.html", _context(token, profile_id, message_id, said))


def _choose(request: HttpRequest, token: str, profile_id: int, message_id: UUID) -> HttpResponse:
    fields = fields_read(body_read(request))
    do = fields.get("do", [""])[0]
    before = choices_read(profile_id=profile_id, channel=_EMAIL)
    known = [choice.purpose for choice in before]
    asked = [code for code in known if code in fields.get("purpose", [])]
    if do not in ("agree", "withdraw", "leave") or not (asked or do == "leave"):
        return bad_request(request)
    method, source = ConsentRecord.Method.PREFERENCES, f"preference page, by the link of message {message_id}"
    if do == "leave":
        consent_withdraw_all(profile_id=profile_id, channel=_EMAIL, method=method, source=source)
        asked = [choice.purpose for choice in before if choice.on]  # what undoing brings back, and nothing else
    else:
        record = consent_grant if do == "agree" else consent_withdraw
        with transaction.atomic():
            for purpose in asked:
                record(profile_id=profile_id, purpose=purpose, channel=_EMAIL, method=method, source=source)
    if request.headers.get("HX-Request"):
        said = _said(do, asked, choices_read(profile_id=profile_id, channel=_EMAIL))
        context = _context(token, profile_id, message_id, said)
        return render(request, "preferences/parts/changed.html", context)
    where = reverse("preferences:preferences", args=[token])
    query = urlencode([("done", do), *(("purpose", code) for code in asked)])
    return see_other(f"{where}?{query}")


def _context(token: str, profile_id: int, message_id: UUID, said: dict[str, Any]) -> dict[str, Any]:
    return {
        "token": token,
        "page": page_read(profile_id=profile_id, message_id=message_id),
        "here": reverse("preferences:preferences", args=[token]),
        **said,
    }


def _said(do: str, codes: list[str], choices: list[Choice]) -> dict[str, Any]:
    """What was just done, and what undoes it; nothing where it does not hold (any more)."""
    asked = [choice for choice in choices if choice.purpose in codes]
    names = get_text_list([choice.name for choice in asked], _("and"))
    said, undo = "", ""
    if do == "leave" and not any(choice.on for choice in choices):
        said = _("Done: you left everything. You get none of these messages any more.")
        undo = "agree" if asked else ""
    elif do == "withdraw" and asked and not any(choice.on for choice in asked):
        said = ngettext("Done: %(names)s is off from now on.", "Done: %(names)s are off from now on.", len(asked))
        undo = "agree"
    elif do == "agree" and asked and all(choice.on for choice in asked):
        said = ngettext("Done: %(names)s is on from now on.", "Done: %(names)s are on from now on.", len(asked))
        undo = "withdraw"
    return {
        "said": said % {"names": names} if asked else said,
        "undo": undo,
        "undo_purposes": [choice.purpose for choice in asked],
    }


def _preferences_token(profile_id: int, message_id: UUID) -> str:
    return preferences_url(profile_id=profile_id, message_id=message_id).rpartition("/")[2]


@by_link(LinkScope.UNSUBSCRIBE)
def unsubscribe(request: HttpRequest, token: str, profile_id: int, message_id: UUID) -> HttpResponse:
    """Leave by one step. A GET changes nothing, since scanners follow links; a POST withdraws.

    A provider's POST (RFC 8058) gets a plain 200 without cookie or redirect; the page's own button gets a page.
    """
    purpose = purpose_to_leave(message_of(profile_id=profile_id, message_id=message_id))
    context: dict[str, Any] = {
        "token": token,
        "purpose": purpose,
        "preferences": reverse("preferences:preferences", args=[_preferences_token(profile_id, message_id)]),
        "page": page_read(profile_id=profile_id, message_id=message_id),
    }
    if request.method != "POST":
        choice = next(choice for choice in context["page"].choices if choice.purpose == purpose.code)
        return render(request, "preferences/unsubscribe.html", {**context, "left_already": not choice.on})
    body = body_read(request)
    one_click = is_one_click(body)
    if not one_click and fields_read(body).get("leave") != [purpose.code]:
        return bad_request(request)
    was_on = any(choice.on for choice in context["page"].choices if choice.purpose == purpose.code)
    consent_withdraw(
        profile_id=profile_id,
        purpose=purpose.code,
        channel=_EMAIL,
        method=ConsentRecord.Method.ONE_CLICK if one_click else ConsentRecord.Method.PREFERENCES,
        source=f"{'one-click' if one_click else 'unsubscribe page'}, by the link of message {message_id}",
    )
    if one_click:
        return HttpResponse("Unsubscribed.\n", content_type="text/plain; charset=utf-8")
    return render(request, "preferences/unsubscribed.html", {**context, "was_on": was_on})


@public_page
def trial(request: HttpRequest, token: str) -> HttpResponse:
    """Where the links of a message lead that was only a test: it says so, and nothing changes for anybody.

    A provider's POST (RFC 8058) gets the plain 200 that it gets for a real message.
    """
    try:
        of, _test_id = trial_link_read(token)
    except BadToken:
        return bad_link(request)
    if request.method == "POST":
        return HttpResponse("This was a test: nothing was changed.\n", content_type="text/plain; charset=utf-8")
    return render(request, "preferences/trial.html", {"leaves": of == LinkScope.UNSUBSCRIBE})
