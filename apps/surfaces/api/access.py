"""Who may ask, for what, and how often: the same for views with DRF and without it.

A limit counts what one client asks for in one scope within a minute, in Redis: a request as one, and one that holds
several events, rows or decisions as so many. Without Redis nothing is counted and everything allowed: limits keep one
client from taking what all need, and without a cache the API must go on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.http import HttpRequest

from apps.foundation.accounts.api_keys import PREFIX, request_caller, request_key
from apps.foundation.accounts.contracts import Caller
from apps.foundation.core.limits import Tally, tally

from .problems import Problem

WINDOW_SECONDS: Final = 60
_CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="Tessera"'}


@dataclass(frozen=True, slots=True)
class Quota:
    """What a client has left in a scope. most: within a minute; counted: None where Redis is away."""

    scope: str
    most: int
    counted: Tally | None

    def headers(self) -> dict[str, str]:
        """What it says of itself: the fields of draft-ietf-httpapi-ratelimit-headers-10, and Retry-After when it is
        used up (RFC 9110, 10.2.3)."""
        if self.counted is None:
            return {}
        name = f'"{self.scope}"'
        said = {
            "RateLimit-Policy": f"{name};q={self.most};w={WINDOW_SECONDS}",
            "RateLimit": f"{name};r={self.counted.left};t={self.counted.resets_in}",
        }
        return said if self.counted.within else {**said, "Retry-After": str(self.counted.resets_in)}


def caller_require(request: HttpRequest, write_key: Callable[[HttpRequest], str] | None = None) -> Caller:
    """The client that a request comes from. Raises Problem (400 for a key in the address, 401), TooManyTries.

    write_key: reads a key elsewhere in the request, "" for none, where `Authorization` has none; it counts as Basic's.
    """
    if PREFIX in request.META.get("QUERY_STRING", ""):
        detail = "A key never goes into an address, where logs keep it: revoke this one, and send the next in a header"
        raise Problem(400, "key_in_address", detail)
    given = request_key(request)
    if given is None and write_key is not None and (text := write_key(request)):
        given = text, True
    caller = request_caller(request, given)
    if caller is not None:
        return caller
    if given is None:
        raise Problem(401, "key_missing", "Send a key: Authorization: Bearer …", headers=_CHALLENGE)
    detail = "This key opens nothing: it is wrong, was revoked or has ended, or came in a way its client may not use"
    raise Problem(401, "key_refused", detail, headers=_CHALLENGE)


def scope_require(caller: Caller, scope: str) -> None:
    """Raise Problem (403) unless the client has a scope."""
    if not caller.may(scope):
        detail = f"This client lacks the scope {scope}: an administrator can give it"
        raise Problem(403, "scope_missing", detail, more={"scope": scope})


def quota_take(caller: Caller, scope: str, *, weight: int = 1, whole: int | None = None) -> Quota:
    """Count a request, or `weight` of what it holds. Raises Problem: 429 when that is more than is left of the minute,
    and then nothing was counted; 413 when no minute has room for the request.

    whole: what the request comes to, where some of it was counted before.
    """
    most = caller.per_minute or settings.API_PER_MINUTE_OF.get(scope, settings.API_PER_MINUTE)
    whole = whole or weight
    if whole > most:  # to wait would not help
        detail = f"{whole} at once are more than this client may send or ask for in {scope} within a minute: {most}"
        raise Problem(413, "more_than_a_minute", f"{detail}. Send less at once, or have the limit raised")
    counted = tally(
        name="api", who=f"{caller.client_id.hex}:{scope}", count=most, seconds=WINDOW_SECONDS, weight=weight
    )
    quota = Quota(scope, most, counted)
    if counted is not None and not counted.within:
        left = f"{counted.left} of the {most} of a minute are left in the scope {scope}"
        detail = f"This one counts as {whole}, and {left}: wait {counted.resets_in} s"
        raise Problem(429, "too_many_requests", detail, headers=quota.headers())
    return quota


class Counting:
    """One request against its client's limit: counted as one when it comes, and as what it holds once that is known."""

    def __init__(self, caller: Caller, scope: str) -> None:
        self._caller, self._scope = caller, scope
        self._quota = quota_take(caller, scope)

    def holds(self, count: int) -> None:
        """It holds so many events or rows. Raises Problem as `quota_take`: call it before anything is kept."""
        if count > 1:
            self._quota = quota_take(self._caller, self._scope, weight=count - 1, whole=count)

    def headers(self) -> dict[str, str]:
        """Those of what is left now."""
        return self._quota.headers()
