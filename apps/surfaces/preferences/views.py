"""A person's choices, leaving in one step, and the links of tests."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language

from apps.data.consent.gpc import SIGNAL
from apps.data.consent.links import LinkScope, preferences_url, trial_link_read
from apps.data.consent.models import Channel, ConsentRecord
from apps.data.consent.services import consent_withdraw
from apps.foundation.core.errors import DomainError
from apps.foundation.core.signing import BadToken

from .changing import Done, done_read, step_take
from .forms import body_read, fields_read, is_one_click
from .opening import bad_link, bad_request, by_link, origin_of, public_page, see_other
from .reasons import known_read, whys_read
from .saying import said_of
from .selectors import frame_read, message_of, page_read, purpose_to_leave, purpose_words, zones_offered
from .speaking import spoken

_EMAIL = Channel.EMAIL


@by_link(LinkScope.PREFERENCES)
def preferences(request: HttpRequest, token: str, profile_id: int, message_id: UUID) -> HttpResponse:
    """What a person gets, what is known and why they got it; each choice is changed by one POST (see `changing.py`)."""
    if request.method == "POST":
        try:
            done = step_take(
                profile_id=profile_id,
                message_id=message_id,
                fields=fields_read(body_read(request)),
                origin=origin_of(request),
                gpc=request.headers.get(SIGNAL) == "1",
            )
        except DomainError:
            return bad_request(request)
        if done is None:
            return bad_request(request)
        if request.headers.get("HX-Request"):
            with spoken(request, profile_id):  # the step may have been one to another language or time zone
                context = _context(request, token, profile_id, message_id, done)
                return render(request, "preferences/parts/changed.html", context)
        here = _here(request, token)
        return see_other(f"{here}{'&' if '?' in here else '?'}{done.query()}")
    if request.headers.get("HX-Request"):  # the part that moves: see following.py
        return render(request, "preferences/parts/choices.html", _context(request, token, profile_id, message_id, None))
    context = _context(request, token, profile_id, message_id, done_read(dict(request.GET.lists())))
    page = context["page"]
    context["whys"] = whys_read(profile_id=profile_id, message_id=message_id, choices=page.choices)
    context["known"] = known_read(profile_id=profile_id, page=page)
    return render(request, "preferences/preferences.html", context)


def _here(request: HttpRequest, token: str) -> str:
    """The page's address, in the language that was asked for."""
    where = reverse("preferences:preferences", args=[token])
    return f"{where}?lang={get_language()}" if request.GET.get("lang") else where


def _context(request: HttpRequest, token: str, profile_id: int, message_id: UUID, done: Done | None) -> dict[str, Any]:
    page = page_read(profile_id=profile_id, message_id=message_id)
    said = said_of(profile_id=profile_id, done=done)
    goodbye = page.words.get("goodbye", "") if done is not None and done.do == "leave" and said.text else ""
    return {
        "token": token,
        "page": page,
        "here": _here(request, token),
        "zones": zones_offered(),
        "takes_push": bool(settings.PUSH_KEY),
        "said": replace(said, text=f"{said.text} {goodbye}") if goodbye else said,
    }


def _preferences_token(profile_id: int, message_id: UUID) -> str:
    return preferences_url(profile_id=profile_id, message_id=message_id).rpartition("/")[2]


@by_link(LinkScope.UNSUBSCRIBE)
def unsubscribe(request: HttpRequest, token: str, profile_id: int, message_id: UUID) -> HttpResponse:
    """Leave by one step. A GET changes nothing, since scanners follow links; a POST withdraws.

    A provider's POST (RFC 8058) gets a plain 200 without cookie or redirect; the page's own button gets a page.
    """
    purpose = purpose_to_leave(message_of(profile_id=profile_id, message_id=message_id))
    name, about = purpose_words(purpose)
    context: dict[str, Any] = {
        "token": token,
        "purpose": purpose,
        "name": name,
        "about": about,
        "preferences": reverse("preferences:preferences", args=[_preferences_token(profile_id, message_id)]),
        "page": frame_read(profile_id=profile_id, message_id=message_id),
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
        origin=origin_of(request),
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
