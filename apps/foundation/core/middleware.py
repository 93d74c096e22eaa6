"""One id for all that a request does: on its answer, in its log lines, in the audit log."""

from collections.abc import Callable
from contextvars import ContextVar
from uuid import UUID

from django.http import HttpRequest, HttpResponse

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
