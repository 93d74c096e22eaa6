"""Who may open a page of the console, and what every such page needs."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache

from apps.foundation.accounts.models import User

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
                raise PermissionDenied
            return view(request, *args, **kwargs)

        return guarded

    return decorate


def console_page(
    request: HttpRequest, template: str, title: str, context: dict[str, Any] | None = None, *, status: int = 200
) -> HttpResponse:
    """A page inside the admin's frame, with its sidebar."""
    frame = admin.site.each_context(request)
    return render(request, template, {**frame, "title": title, **(context or {})}, status=status)
