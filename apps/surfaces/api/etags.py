"""Versions of what can be changed, as entity tags (RFC 9110, 8.8.3), and changes on the condition of one."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from rest_framework.request import Request

from .problems import Problem

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ONE: Final = re.compile(r'"v(\d{1,18})"')


def etag(version: int) -> str:
    """A version as a strong entity tag."""
    return f'"v{version}"'


def if_match(request: Request) -> int | None:
    """The version that a change is for, by `If-Match`; None for whichever there is. Raises Problem (400, 412)."""
    said = request.headers.get("If-Match", "").strip()
    if said in ("", "*"):
        return None
    if (found := _ONE.fullmatch(said)) is None:
        if said.startswith(('"', "W/")):
            raise changed_meanwhile()
        raise Problem(400, "if_match_wrong", 'If-Match is one entity tag as it was in ETag, such as "v7"')
    return int(found[1])


def moment_etag(moment: datetime) -> str:
    """The entity tag of what differs by the moment of its last change."""
    return etag((moment - _EPOCH) // timedelta(microseconds=1))


def moment_if_match(request: Request) -> datetime | None:
    """The moment of the last change that the client saw; None for whichever there is. Raises Problem (400, 412)."""
    version = if_match(request)
    if version is None:
        return None
    try:
        return _EPOCH + timedelta(microseconds=version)
    except OverflowError:
        raise changed_meanwhile() from None


def changed_meanwhile() -> Problem:
    """It is not what the client saw."""
    return Problem(412, "changed_meanwhile", "It was changed since you read it: read it again, then change that")
