"""How the customers' pages are opened: their headers, what they refuse, and the signed link that names the person.

A signed link is all one needs: no login, no cookie, nothing stored in the browser. The token is the proof, and no
browser sends it by itself as it would a cookie: so no CSRF token is needed.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import render
from django.utils.text import get_text_list
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt

from apps.data.consent.contracts import Origin
from apps.data.consent.gpc import SIGNAL, gpc_heed
from apps.data.consent.links import LinkScope, link_read
from apps.data.consent.models import Purpose
from apps.data.consent.offering import words_in
from apps.data.profiles.merging import survivor_of
from apps.foundation.core.limits import visitor_ip
from apps.foundation.core.signing import BadToken

from .aged import aged_link, link_is_old
from .forms import BodyTooLarge
from .selectors import profile_exists
from .speaking import spoken

View = Callable[..., HttpResponse]
PersonView = Callable[..., HttpResponse]
"""request, token, profile id, id of the message that the link came with; then what else stands in the address."""

_OF_THE_PERSON = (LinkScope.PREFERENCES, LinkScope.UNSUBSCRIBE)
"""Scopes whose links lead to whom a profile is now; the others lead to something that stays with its number."""
METHODS = ["GET", "HEAD", "POST", "OPTIONS"]
HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
}


def public_page(view: View) -> View:
    """A page for anybody: it answers other methods and oversized bodies itself, speaks the reader's language, and sets
    the headers.
    """

    @csrf_exempt
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with spoken(request) as language:
            if request.method not in METHODS:
                response: HttpResponse = HttpResponseNotAllowed(METHODS)
            else:
                try:
                    response = view(request, *args, **kwargs)
                except BodyTooLarge:
                    response = render(request, "preferences/bad_request.html", status=413)
        response.headers.setdefault("Content-Language", language)
        for name, value in HEADERS.items():
            response[name] = value
        return response

    return guarded


def by_link(scope: LinkScope) -> Callable[[PersonView], View]:
    """A page for the holder of a signed link of this scope, whose person is still there."""

    def decorate(view: PersonView) -> View:
        @public_page
        @wraps(view)
        def opened(request: HttpRequest, token: str, **more: Any) -> HttpResponse:
            try:
                profile_id, message_id = link_read(scope, token)
            except BadToken:
                return bad_link(request)
            if not profile_exists(profile_id):
                return bad_link(request)
            if scope in _OF_THE_PERSON:
                profile_id = survivor_of(profile_id)
            if request.method == "OPTIONS":
                return HttpResponse(status=204, headers={"Allow": ", ".join(METHODS)})
            with spoken(request, profile_id) as language:
                request.gpc = _gpc(request, scope, profile_id, message_id)  # type: ignore[attr-defined]  # for the page
                if scope == LinkScope.PREFERENCES and link_is_old(message_id):
                    response = aged_link(request, profile_id, message_id)
                else:
                    response = view(request, token, profile_id, message_id, **more)
            response.headers.setdefault("Content-Language", language)
            return response

        return opened

    return decorate


# A GET of these changes nothing, or they are nobody's; the last two lie in mailboxes that may be a stranger's.
_UNHEEDED = (LinkScope.UNSUBSCRIBE, LinkScope.TEST, LinkScope.NEW_ADDRESS, LinkScope.TAKE_BACK)


def _gpc(request: HttpRequest, scope: LinkScope, profile_id: int, message_id: UUID) -> str:
    """Heed the signal of a browser that asks not to follow its person; what to say of it on the page."""
    if scope in _UNHEEDED or request.headers.get(SIGNAL) != "1" or request.method == "HEAD":
        return ""
    source = f"signal of the browser, by the link of message {message_id}"
    off = gpc_heed(profile_id=profile_id, source=source, origin=origin_of(request))
    if not off:
        return ""
    names = [words_in(purpose, get_language())[0] for purpose in Purpose.objects.filter(pk__in=off)]
    said = ngettext(
        "Your browser asks not to be followed (Global Privacy Control), so %(names)s is off. "
        "If you switch it on here all the same, that holds.",
        "Your browser asks not to be followed (Global Privacy Control), so %(names)s are off. "
        "If you switch one on here all the same, that holds.",
        len(names),
    )
    return said % {"names": get_text_list(names, _("and"))}


def origin_of(request: HttpRequest) -> Origin:
    """Whence a choice comes, for the ledger; behind proxies, whom the outermost of ours saw."""
    return Origin(visitor_ip(request), request.headers.get("User-Agent", "")[:400])


def bad_link(request: HttpRequest) -> HttpResponse:
    """The page for a link that opens nothing, whatever is wrong with it."""
    return render(request, "preferences/bad_link.html", status=404)


def bad_request(request: HttpRequest) -> HttpResponse:
    """The page for a form that is none of ours."""
    return render(request, "preferences/bad_request.html", status=400)


def see_other(where: str) -> HttpResponseRedirect:
    """After a POST: the page to look at, by GET (RFC 9110, 15.4.4)."""
    response = HttpResponseRedirect(where)
    response.status_code = 303
    return response
