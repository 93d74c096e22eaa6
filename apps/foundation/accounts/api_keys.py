"""Whose key this is: the one place that authenticates clients of the API, without DRF, for hot endpoints too.

A key is 256 random bits, and stored as its SHA-256. A password needs a slow, salted digest because it can be guessed;
256 random bits can't (2^255 tries on average), so a fast one is right, and a key is found by its digest. The digest
needs no key of ours either: who has the database and nothing else can't get from it to the key.

Each process remembers what a key opened for `REMEMBER_SECONDS`. So a key that is revoked, a client that is switched off
and a scope that is taken away hold everywhere within that time; the end of a key that was said before holds at once.
Where stamps are read anyway (`key_confirm`), all of it holds at once.
"""

import base64
import binascii
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from threading import Lock
from time import monotonic
from typing import Final
from uuid import UUID

from django.db import connection
from django.http import HttpRequest

from apps.foundation.core.clock import now
from apps.foundation.core.limits import allowed, visitor_network

from .api_scopes import KIND_OF_CLIENT
from .contracts import Caller
from .models import ApiKey

PREFIX: Final = "tessera_"
_BYTES: Final = 32
_LENGTH: Final = len(PREFIX) + 43  # 32 bytes as base64url without padding (RFC 4648, 5)
REMEMBER_SECONDS: Final = 3.0
_REMEMBERED_MOST: Final = 2_000
USED_EVERY: Final = timedelta(minutes=1)
"""How often it is written down that a key was used."""
_TRIES_PER_MINUTE: Final = 120

_USED: Final = """
UPDATE accounts_apikey SET last_used_at = %(at)s
WHERE id = %(id)s AND (last_used_at IS NULL OR last_used_at <= %(before)s)
"""


class TooManyTries(Exception):
    """Keys that open nothing came from one network too often within a minute."""


@dataclass(slots=True)
class _Known:
    caller: Caller
    expires_at: datetime | None
    until: float
    used_at: datetime | None
    stamp: str | None = None


_known: "OrderedDict[bytes, _Known]" = OrderedDict()
_lock = Lock()


def key_make() -> str:
    """The text of a new key."""
    return PREFIX + secrets.token_urlsafe(_BYTES)


def key_digest(text: str) -> bytes:
    """What is stored of a key."""
    return sha256(text.encode()).digest()


def key_looks_right(text: str) -> bool:
    """Whether a text has a key's form: nothing else is looked up."""
    return len(text) == _LENGTH and text.startswith(PREFIX) and text.isascii()


def keys_forget() -> None:
    """Forget what this process remembers of keys."""
    with _lock:
        _known.clear()


def key_caller(text: str, *, basic: bool = False) -> Caller | None:
    """The client that a key opens; None for no key, or one that is not good (any more).

    basic: it came as the user name of Basic authentication, which only some kinds of clients may use.
    """
    if not key_looks_right(text):
        return None
    digest, at = key_digest(text), now()
    known = _recall(digest) or _look_up(digest)
    if known is None or (known.expires_at is not None and known.expires_at <= at):
        return None
    if basic and not KIND_OF_CLIENT[known.caller.kind].basic:
        return None
    _used(known, at)
    return known.caller


def _used(known: _Known, at: datetime) -> None:
    if known.used_at is None or at - known.used_at >= USED_EVERY:
        known.used_at = at
        _write_used(known.caller.key_id, at)


def key_remembered(text: str) -> Caller | None:
    """The client that a key opened when the database could last be asked; None for one that this process never saw.

    Only for what may be answered while it can't be: a key that was revoked meanwhile is not known to be.
    """
    if not key_looks_right(text):
        return None
    with _lock:
        known = _known.get(key_digest(text))
    if known is None or (known.expires_at is not None and known.expires_at <= now()):
        return None
    return known.caller


def key_confirm(text: str, stamps: Mapping[str, str]) -> Caller | None:
    """The client that a key opens by what the database said with these stamps; None for one that is not good (any
    more).

    So that who is known by `key_remembered` need not be looked up again for each request, and a key that is revoked
    opens nothing from the next one on. stamps: as they were read before.
    """
    if not key_looks_right(text):
        return None
    digest, at, stamp = key_digest(text), now(), stamps.get("clients", "")
    with _lock:
        known = _known.get(digest)
    if known is None or known.stamp != stamp:
        known = _look_up(digest)
        if known is None:
            return None
        known.stamp = stamp
    known.until = monotonic() + REMEMBER_SECONDS
    if known.expires_at is not None and known.expires_at <= at:
        return None
    _used(known, at)
    return known.caller


def request_key(request: HttpRequest) -> tuple[str, bool] | None:
    """The key in a request's `Authorization`, and whether it came as Basic's user name; None where there is none.

    Bearer (RFC 6750, 2.1) or Basic (RFC 7617); never from the address.
    """
    kind, _, rest = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if kind.lower() == "bearer":
        return rest.strip(), False
    if kind.lower() == "basic":
        try:
            user, _, _ = base64.b64decode(rest.strip(), validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            return None
        return user, True
    return None


def request_caller(request: HttpRequest, given: tuple[str, bool] | None = None) -> Caller | None:
    """The client that a request comes from; None where its key opens nothing, or there is none.

    given: its key as `request_key` tells it, where it is known already. Raises TooManyTries where one network tries
    many keys that open nothing.
    """
    given = given or request_key(request)
    if given is None:
        return None
    caller = key_caller(given[0], basic=given[1])
    if caller is None:
        who = visitor_network(request)
        if not allowed(name="api.key", who=who, count=_TRIES_PER_MINUTE, seconds=60):
            raise TooManyTries
    return caller


def _recall(digest: bytes) -> _Known | None:
    with _lock:
        known = _known.get(digest)
        if known is None or known.until <= monotonic():
            return None
        _known.move_to_end(digest)
        return known


def _look_up(digest: bytes) -> _Known | None:
    """Only keys that are there are remembered, so keys that somebody makes up fill no memory."""
    key = ApiKey.objects.select_related("client").filter(digest=digest, revoked_at=None, client__active=True).first()
    with _lock:
        if key is None:
            _known.pop(digest, None)
            return None
        client, kind = key.client, KIND_OF_CLIENT[key.client.kind]
        caller = Caller(
            client_id=client.pk,
            key_id=key.pk,
            code=client.code,
            kind=client.kind,
            scopes=frozenset(client.scopes) & kind.scopes,
            owner_id=client.owner_id,
            reach={name: frozenset(values) for name, values in client.reach.items() if values},
            per_minute=client.per_minute,
        )
        known = _Known(caller, key.expires_at, monotonic() + REMEMBER_SECONDS, key.last_used_at)
        _known[digest] = known
        while len(_known) > _REMEMBERED_MOST:
            _known.popitem(last=False)
        return known


def _write_used(key_id: UUID, at: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_USED, {"id": key_id, "at": at, "before": at - USED_EVERY})
