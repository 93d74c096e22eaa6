"""What goes wrong, as problem details (RFC 9457): one shape for every error of the API, also in views without DRF.

`type` is a URN with the code, which is stable and for programs; `detail` is for people and says what to do; `instance`
is the id of the request, as in `X-Request-Id` and in our logs. No problem tells a value of a person's.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from django.core.exceptions import (
    BadRequest,
    ObjectDoesNotExist,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.core.signals import got_request_exception
from django.db import DataError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError

from apps.data.events.errors import StreamDown, StreamFull, TooLarge
from apps.foundation.accounts.api_keys import TooManyTries
from apps.foundation.core.errors import Conflict, DomainError, Invalid, NotAllowed, NotFound, RetryableError
from apps.foundation.core.middleware import request_id

logger = logging.getLogger(__name__)

CONTENT_TYPE: Final = "application/problem+json"
TITLES: Final[Mapping[int, str]] = {
    400: "The request can't be read",
    401: "Say who you are",
    403: "You may not",
    404: "There is no such thing",
    405: "That can't be done here",
    406: "Only JSON is spoken here",
    409: "Something stands against it",
    410: "It is gone",
    412: "It was changed meanwhile",
    413: "The body is too large",
    415: "Only JSON is taken here",
    422: "The content is wrong",
    429: "Too many requests",
    500: "Something went wrong with us",
    503: "Not now",
}
_STATUS: Final[Sequence[tuple[type[DomainError], int]]] = (
    (TooLarge, 413),
    (StreamFull, 503),
    (StreamDown, 503),
    (Invalid, 422),
    (NotFound, 404),
    (NotAllowed, 403),
    (Conflict, 409),
    (DomainError, 400),
)
_RETRY_SECONDS: Final = 2
"""When events that could not be taken may come again: what waits is written down meanwhile."""


class Problem(Exception):
    """An error of the API itself. status: of HTTP; code: stable; detail: for people; more: further members;
    headers: of the answer."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        more: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.more = dict(more or {})
        self.headers = dict(headers or {})


def problem_of(error: Exception) -> Problem:
    """Any error as a problem. What nobody foresaw is a 500 without its words, which may hold values."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, DomainError):
        status = next(status for kind, status in _STATUS if isinstance(error, kind))
        headers = {"Retry-After": str(_RETRY_SECONDS)} if status == 503 else {}
        return Problem(status, error.code, error.message, more=_more(error), headers=headers)
    if isinstance(error, TooManyTries):
        detail = "Too many keys that open nothing came from where you are: wait a minute"
        return Problem(429, "too_many_tries", detail, headers={"Retry-After": "60"})
    if isinstance(error, Http404 | ObjectDoesNotExist):
        return Problem(404, "not_found", "There is nothing at this address, or nothing that this client may see")
    if isinstance(error, PermissionDenied):
        return Problem(403, "not_allowed", "This client may not do that")
    if isinstance(error, RequestDataTooBig):
        return Problem(413, "body_too_large", "Send less at once: the documentation says how much")
    if isinstance(error, BadRequest | SuspiciousOperation | UnreadablePostError):
        return Problem(400, "bad_request", "The request can't be read")
    if isinstance(error, DataError):  # a number or moment outside what the database can hold
        return Problem(422, "value_out_of_range", "A value is outside what can be kept")
    if isinstance(error, OperationalError | InterfaceError | RetryableError):
        return Problem(503, "away", "Something we need is away: try again", headers={"Retry-After": "5"})
    return Problem(500, "internal", "That is our fault. Tell us the id of the request if it comes again")


def _more(error: DomainError) -> dict[str, Any]:
    extra = dict(error.extra)
    found: list[dict[str, Any]] = []
    if isinstance(field := extra.pop("field", None), str):
        found.append({"pointer": pointer(field), "code": error.code, "detail": error.message})
    for one in extra.pop("problems", None) or ():
        if isinstance(one, Mapping):
            found.append({key: value for key, value in one.items() if value not in ("", None)})
        else:
            found.append({"detail": str(one)})
    more: dict[str, Any] = {"errors": found} if found else {}
    if extra:
        more["details"] = extra
    return more


def pointer(*path: str | int) -> str:
    """A place in the body as a JSON pointer in a fragment (RFC 6901, 6)."""
    return "#/" + "/".join(str(part).replace("~", "~0").replace("/", "~1") for part in path)


def problem_body(problem: Problem) -> dict[str, Any]:
    """The members of a problem."""
    body: dict[str, Any] = {
        "type": f"urn:tessera:problem:{problem.code}",
        "title": TITLES.get(problem.status, "Something is wrong"),
        "status": problem.status,
        "code": problem.code,
        "detail": problem.detail,
        **problem.more,
    }
    if (told := request_id()) is not None:
        body["instance"] = told.urn
    return body


def problem_answer(problem: Problem) -> HttpResponse:
    """A problem as an answer of a view without DRF."""
    body = orjson.dumps(problem_body(problem), default=str)
    return HttpResponse(body, status=problem.status, content_type=CONTENT_TYPE, headers=problem.headers)


def fault_log(request: HttpRequest, error: Exception, problem: Problem) -> None:
    """Write down what is our own fault, as Django would have: its place and kind, never its words."""
    if problem.status == 500:
        got_request_exception.send(sender=None, request=request)
        logger.error("%s %s failed", request.method, request.resolver_match and request.resolver_match.route,
                     exc_info=error)  # fmt: skip
    elif problem.status == 503:
        logger.warning("%s could not be answered: %s", request.method, type(error).__name__)
