"""Who may open a page of the console, and what every such page needs."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import never_cache

from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import may, who_may
from apps.foundation.accounts.roles import roles_with
from apps.foundation.core.live import stream_answer

View = Callable[..., HttpResponse]


class StaffRequest(HttpRequest):
    """A request of somebody who has signed in."""

    user: User


def staff_page(*rights: str) -> Callable[[View], View]:
    """Opens a view to staff who have all `rights`; others get the login page, or 403 when they are signed in."""

    def decorate(view: View) -> View:
        @never_cache
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            if not admin.site.has_permission(request) or not request.user.has_perms(rights):
                raise PermissionDenied(who_has(rights))
            return view(request, *args, **kwargs)

        return guarded

    return decorate


async def staff_stream(
    request: HttpRequest, channel: str, *rights: str, of: QuerySet[Any] | None = None, own: bool = False
) -> HttpResponseBase:
    """The live stream of a channel for staff who have all `rights`; 403 for others, and where there is nothing `of` it.

    of: None for what is there for everybody who has the rights; own: what it is of has to be the user's own.
    """

    def allowed() -> bool:
        user = request.user
        return (
            user.is_active
            and getattr(user, "is_staff", False)
            and user.has_perms(rights)
            and (of is None or (of.filter(user=user.pk) if own else of).exists())
        )

    return await stream_answer(request, channel, allowed=allowed)


def who_has(rights: Sequence[str]) -> str:
    """Which roles have all these rights, as a sentence; an empty text where none has."""
    roles = [title.lower() for title in roles_with(*rights)]
    return f"This page is for the roles {', '.join(roles)}." if roles else ""


def asked(user: User, action: str, subject: Model) -> None:
    """Answer 403, with who can, unless the user may do `action` to an object."""
    if not may(user, action, subject):
        raise PermissionDenied(who_may(action, subject))


def console_page(
    request: HttpRequest, template: str, title: str, context: dict[str, Any] | None = None, *, status: int = 200
) -> HttpResponse:
    """A page inside the admin's frame, with its sidebar."""
    frame = admin.site.each_context(request)
    return render(request, template, {**frame, "title": title, **(context or {})}, status=status)
