"""Who may ask, for what, and how often: the same for views with DRF and without it.

A limit counts requests of one client in one scope within a minute, in Redis. Without Redis nothing is counted and
everything allowed: limits keep one client from taking what all need, and without a cache the API must go on.
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
    """What a client has left in a scope. counted: None where Redis is away."""

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


def quota_take(caller: Caller, scope: str, *, weight: int = 1) -> Quota:
    """Count a request. Raises Problem (429) when there were too many within a minute."""
    most = caller.per_minute or settings.API_PER_MINUTE_OF.get(scope, settings.API_PER_MINUTE)
    counted = tally(
        name="api", who=f"{caller.client_id.hex}:{scope}", count=most, seconds=WINDOW_SECONDS, weight=weight
    )
    quota = Quota(scope, most, counted)
    if counted is not None and not counted.within:
        detail = f"More than {most} requests in the scope {scope} within a minute: wait {counted.resets_in} s"
        raise Problem(429, "too_many_requests", detail, headers=quota.headers())
    return quota
