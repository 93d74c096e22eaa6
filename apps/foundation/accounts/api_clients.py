"""Writes about clients of the API and their keys, by administrators.

A key's text is returned once, where it is made, and is nowhere else.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q

from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid, NotFound

from .api_keys import key_digest, key_make, keys_forget
from .api_reach import REACHES
from .api_scopes import KIND_OF_CLIENT
from .models import ApiClient, ApiKey, User
from .rights import right_require
from .signals import api_client_changed

OVERLAP: Final = timedelta(days=7)
"""How long keys go on being good after their successor was made, where nothing else is said."""
OVERLAP_MOST: Final = timedelta(days=90)
KEYS_MOST: Final = 5
"""Keys of one client that are good at a time."""
_CODE: Final = re.compile(r"[a-z0-9][a-z0-9-]{1,39}")
_DEED: Final = "look after clients of the API"


def _check(code: str, name: str, kind: str, scopes: Sequence[str], reach: Mapping[str, Sequence[str]]) -> None:
    def wrong(field: str, message: str) -> Invalid:
        return Invalid(f"client_{field}", message, {"field": field})

    if not _CODE.fullmatch(code):
        raise wrong("code", "A code is two to forty small letters, digits and hyphens, such as web-shop")
    if not name.strip():
        raise wrong("name", "Give the client a name")
    if kind not in KIND_OF_CLIENT:
        raise wrong("kind", f"Choose a kind: {', '.join(KIND_OF_CLIENT)}")
    if not scopes:
        raise wrong("scopes", "Choose at least one scope: without any, its keys open nothing")
    if beyond := sorted(set(scopes) - KIND_OF_CLIENT[kind].scopes):
        raise wrong("scopes", f"A client of this kind can't have {', '.join(beyond)}")
    for key, values in reach.items():
        if key not in REACHES:
            raise wrong(key, f"There is nothing called {key!r} to limit a client to")
        if unknown := sorted(set(values) - {value for value, _ in REACHES[key].options()}):
            raise wrong(key, f"There is no {unknown[0]!r} to choose here")


def _locked(client_id: UUID) -> ApiClient:
    client = ApiClient.objects.select_for_update().filter(pk=client_id).first()
    if client is None:
        raise NotFound("client_unknown", "There is no such client of the API")
    return client


def client_create(
    *,
    by: User,
    code: str,
    name: str,
    kind: str,
    scopes: Sequence[str],
    reach: Mapping[str, Sequence[str]] | None = None,
    per_minute: int | None = None,
    owner: User | None = None,
) -> ApiClient:
    """A client, active and without a key. owner: for whom it acts, `by` themselves by default.

    Raises Invalid (its field in `extra`), Conflict for a code that is taken, NotAllowed.
    """
    right_require(by, "add", ApiClient, what=_DEED)
    _check(code, name, kind, scopes, reach or {})
    try:
        with transaction.atomic():
            client = ApiClient.objects.create(
                code=code,
                name=name.strip(),
                kind=kind,
                scopes=sorted(set(scopes)),
                reach=_tidy(reach or {}),
                per_minute=per_minute,
                owner=owner or by,
            )
            _tell(client, by, "created", kind=kind, scopes=client.scopes, reach=client.reach, owner=client.owner_id)
    except IntegrityError:
        raise Conflict("client_code_taken", "Another client has this code", {"field": "code"}) from None
    return client


def client_update(
    *,
    client_id: UUID,
    by: User,
    name: str,
    scopes: Sequence[str],
    reach: Mapping[str, Sequence[str]],
    per_minute: int | None,
    owner: User,
    active: bool,
) -> ApiClient:
    """Change a client; code and kind stay. It holds in all processes within seconds (`api_keys.py`).

    Raises Invalid (its field in `extra`), NotAllowed, NotFound.
    """
    right_require(by, "change", ApiClient, what=_DEED)
    with transaction.atomic():
        client = _locked(client_id)
        _check(client.code, name, client.kind, scopes, reach)
        new: dict[str, Any] = {
            "name": name.strip(),
            "scopes": sorted(set(scopes)),
            "reach": _tidy(reach),
            "per_minute": per_minute,
            "owner_id": owner.pk,
            "active": active,
        }
        before = {field: getattr(client, field) for field in new}
        changed = [field for field, value in new.items() if before[field] != value]
        if changed:
            for field in changed:
                setattr(client, field, new[field])
            client.save(update_fields=changed)
            said = {field: {"before": before[field], "after": new[field]} for field in changed}
            _tell(client, by, "changed", **said)
    keys_forget()
    return client


def key_issue(*, client_id: UUID, by: User, overlap: timedelta | None = None) -> tuple[ApiKey, str]:
    """A new key of a client, and its text, which nobody can read again.

    overlap: the keys before end so long from now, or when they would have ended anyway; None leaves them as they are.
    Raises Conflict when the client is off or has many keys already, Invalid for an overlap that is none, NotAllowed,
    NotFound.
    """
    right_require(by, "change", ApiClient, what=_DEED)
    if overlap is not None and not timedelta(0) <= overlap <= OVERLAP_MOST:
        raise Invalid("overlap_wrong", f"Let old keys go on for at most {OVERLAP_MOST.days} days")
    with transaction.atomic():
        client, at = _locked(client_id), now()
        if not client.active:
            raise Conflict("client_off", f"{client} is off: switch it on first")
        good = client.keys.filter(Q(expires_at=None) | Q(expires_at__gt=at), revoked_at=None)
        if overlap is not None:
            good.filter(Q(expires_at=None) | Q(expires_at__gt=at + overlap)).update(expires_at=at + overlap)
        if good.count() >= KEYS_MOST:
            raise Conflict("keys_many", f"{client} has {KEYS_MOST} keys that are good: revoke one first")
        text = key_make()
        key = ApiKey.objects.create(client=client, digest=key_digest(text), hint=text[-4:], created_by=by)
        days = None if overlap is None else overlap / timedelta(days=1)
        _tell(client, by, "key_made", key=str(key.pk), hint=key.hint, others_end_after_days=days)
    keys_forget()
    return key, text


def key_revoke(*, key_id: UUID, by: User) -> bool:
    """End a key: nobody gets in with it any more, in other processes within seconds. False when it was revoked already.

    Raises NotAllowed, NotFound.
    """
    right_require(by, "change", ApiClient, what=_DEED)
    with transaction.atomic():
        key = ApiKey.objects.select_for_update(of=("self",)).select_related("client").filter(pk=key_id).first()
        if key is None:
            raise NotFound("key_unknown", "There is no such key")
        if key.revoked_at is not None:
            return False
        key.revoked_at = now()
        key.save(update_fields=["revoked_at"])
        _tell(key.client, by, "key_revoked", key=str(key.pk), hint=key.hint)
    keys_forget()
    return True


def _tidy(reach: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    return {key: sorted(set(values)) for key, values in reach.items() if values}


def _tell(client: ApiClient, by: User, action: str, **data: Any) -> None:
    api_client_changed.send(ApiClient, client=client, by=by, action=action, data=data)
