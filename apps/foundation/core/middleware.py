"""One id for all that a request does: on its answer, in its log lines, in the audit log. And a short way for what comes
a thousand times a second."""

from collections.abc import Callable
from contextvars import ContextVar
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.module_loading import import_string

from .ids import uuid7

_request_id: ContextVar[UUID | None] = ContextVar("request_id", default=None)


def request_id() -> UUID | None:
    """The id of the request being answered, if one is."""
    return _request_id.get()


class RequestIdMiddleware:
    """Gives each request its id and says it in `X-Request-Id`."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        token = _request_id.set(uuid7())
        try:
            response = self.get_response(request)
            response["X-Request-Id"] = str(_request_id.get())
            return response
        finally:
            _request_id.reset(token)


class StraightMiddleware:
    """Leads requests of some addresses (`STRAIGHT`) to their view at once, past what pages need and programs don't:
    sessions, sign-in, messages, CSRF, static files, the list of all addresses.

    What stands before it holds for them too: HTTPS and its headers, the request's id. The host is looked at here.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self._views = {address: import_string(view) for address, view in settings.STRAIGHT.items()}

    def __call__(self, request: HttpRequest) -> HttpResponse:
        view = self._views.get(f"{request.method} {request.path_info}")
        if view is None:
            return self.get_response(request)
        request.get_host()  # raises DisallowedHost
        response: HttpResponse = view(request)
        response.headers["X-Frame-Options"] = settings.X_FRAME_OPTIONS
        response.headers["Content-Length"] = str(len(response.content))  # or the connection can't be used again
        return response
