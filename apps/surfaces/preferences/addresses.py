"""The pages behind the two mails about a new address: the new one confirms it, the old one takes it back.

Either mailbox may be a stranger's. So these pages show nothing of the person but the address that the mail is about,
masked, and lead to no other page of theirs before it is shown whose the mailbox is.
"""

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language

from apps.data.consent.links import LinkScope, preferences_url
from apps.data.privacy.address_changes import (
    Done,
    address_change_confirm,
    address_change_take_back,
    address_of,
    change_read,
)
from apps.data.privacy.models import AddressChange
from apps.data.profiles.addresses import value_mask
from apps.data.profiles.mail import MailKind
from apps.decisioning.content.page_look import words_of
from apps.decisioning.decisions.selectors import occasion_of
from apps.foundation.core.clock import now

from .forms import body_read, fields_read
from .opening import bad_link, bad_request, by_link, see_other
from .selectors import brand_of

State = AddressChange.State


@by_link(LinkScope.NEW_ADDRESS)
def new_address(request: HttpRequest, token: str, profile_id: int, message_id: UUID) -> HttpResponse:
    """The new address, and a button. A GET changes nothing, since scanners follow links; the button's POST confirms."""
    change = _change(MailKind.ADDRESS, profile_id, message_id)
    if change is None:
        return bad_link(request)
    if request.method == "POST":
        if fields_read(body_read(request)).get("do") != ["confirm"]:
            return bad_request(request)
        if address_change_confirm(change_id=change.pk, profile_id=profile_id) is not Done.LATE:
            return see_other(request.path)
        change.refresh_from_db()
    context = _context(profile_id, message_id, change)
    context["confirmed"] = change.state == State.CONFIRMED
    context["late"] = not context["confirmed"] and (change.state != State.PENDING or change.expires_at <= now())
    if context["confirmed"]:
        preferences = preferences_url(profile_id=profile_id, message_id=message_id).rpartition("/")[2]
        context["preferences"] = reverse("preferences:preferences", args=[preferences])
    return render(request, "preferences/new_address.html", context)


@by_link(LinkScope.TAKE_BACK)
def take_back(request: HttpRequest, token: str, profile_id: int, message_id: UUID) -> HttpResponse:
    """What was changed, and a button. A GET changes nothing; the button's POST puts the old address back."""
    change = _change(MailKind.MOVED, profile_id, message_id)
    if change is None:
        return bad_link(request)
    if request.method == "POST":
        if fields_read(body_read(request)).get("do") != ["take_back"]:
            return bad_request(request)
        if address_change_take_back(change_id=change.pk, profile_id=profile_id) is not Done.LATE:
            return see_other(request.path)
        change.refresh_from_db()
    context = _context(profile_id, message_id, change)
    context["taken_back"] = change.state == State.TAKEN_BACK
    until = change.undo_until
    context["late"] = not context["taken_back"] and (until is None or until <= now())
    return render(request, "preferences/take_back.html", context)


def _change(kind: MailKind, profile_id: int, message_id: UUID) -> AddressChange | None:
    occasion = occasion_of(message_id=message_id, profile_id=profile_id)
    if occasion is None or occasion.kind != kind:
        return None
    return change_read(key=occasion.key, profile_id=profile_id)


def _context(profile_id: int, message_id: UUID, change: AddressChange) -> dict[str, Any]:
    brand = brand_of(profile_id=profile_id, message_id=message_id)
    words = words_of(brand.page_words, get_language()) if brand is not None else {}
    return {
        "page": {
            "brand": words.get("name") or (brand.name if brand is not None else ""),
            "accent": brand.page_accent.removeprefix("#").lower() if brand is not None else "",
            "postal_address": brand.postal_address if brand is not None else "",
        },
        "new": value_mask("email", address_of(change, "new")),
        "change": change,
    }
