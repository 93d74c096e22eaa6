"""Consent platforms: who may tell us by signed webhooks what people chose elsewhere, and taking it at once.

Whether a message is theirs is verified before it comes here (`surfaces/preferences/platforms.py`). A withdrawal is
never lost: of somebody who is not known it is kept by the digest of what they would be known by, and holds for whoever
turns up.
"""

import hmac
import random
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

import orjson
from django.conf import settings
from django.db import IntegrityError, transaction

from apps.data.profiles.addresses import digest_holders, holders_of
from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import right_require
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid, NotFound
from apps.foundation.core.signing import address_digest
from apps.foundation.governance.services import audit_record

from .models import AwaitedWithdrawal, Channel, ConsentPlatform, ConsentRecord, PlatformNotice, Purpose
from .platform_bodies import Said, body_read, mapping_problem
from .services import consent_grant, consent_withdraw

_OVERLAP: Final = timedelta(days=2)
"""How long an old secret is good beside the new one."""
_METHOD: Final = ConsentRecord.Method.PLATFORM


# --- who may tell us ---


def platform_check(*, name: str, mapping: Any) -> None:
    """Raise Invalid for what can't be saved; `where` in its problems names the field."""
    purposes = list(Purpose.objects.filter(needs_consent=True).values_list("code", flat=True))
    problem = mapping_problem(mapping, purposes=purposes, channels=list(Channel.values))
    for where, mend in (("name", "" if name.strip() else "Give the platform a name"), ("mapping", problem)):
        if mend:
            raise Invalid(
                "platform_refused", mend, {"problems": [{"where": where, "line": 0, "token": "", "mend": mend}]}
            )


def platform_create(*, by: User, name: str, mapping: Any) -> ConsentPlatform:
    """A platform that may tell us from now on. Its secret: `platform_secret`. Raises NotAllowed, Invalid, Conflict."""
    right_require(by, "add", ConsentPlatform, what="let a consent platform tell us")
    platform_check(name=name, mapping=mapping)
    try:
        with transaction.atomic():
            platform = ConsentPlatform.objects.create(name=name.strip(), mapping=mapping, nonce=_nonce())
            audit_record(action="consent.platform.created", actor=by, subject=platform)
    except IntegrityError:
        raise Conflict("name_taken", "There is a platform of this name already") from None
    return platform


def platform_update(*, platform_id: UUID, by: User, name: str, mapping: Any, active: bool) -> ConsentPlatform:
    """Change how a platform is heard. Raises NotAllowed, NotFound, Invalid, Conflict."""
    right_require(by, "change", ConsentPlatform, what="change this consent platform")
    platform_check(name=name, mapping=mapping)
    try:
        with transaction.atomic():
            platform = _locked(platform_id)
            platform.name, platform.mapping, platform.active = name.strip(), mapping, active
            platform.updated_at = now()
            platform.save(update_fields=["name", "mapping", "active", "updated_at"])
            audit_record(action="consent.platform.changed", actor=by, subject=platform, data={"active": active})
    except IntegrityError:
        raise Conflict("name_taken", "There is a platform of this name already") from None
    return platform


def platform_secret_change(*, platform_id: UUID, by: User) -> ConsentPlatform:
    """Give a platform a new secret; the one before is good beside it for two days.

    Raises NotAllowed, NotFound, Conflict while the change before is under way.
    """
    right_require(by, "change", ConsentPlatform, what="change the secret of this consent platform")
    with transaction.atomic():
        platform = _locked(platform_id)
        if platform.old_until is not None and platform.old_until > now():
            raise Conflict("secret_changing", "The secret was changed within two days: let that change end first")
        platform.old_nonce, platform.old_until, platform.nonce = platform.nonce, now() + _OVERLAP, _nonce()
        platform.save(update_fields=["old_nonce", "old_until", "nonce"])
        audit_record(action="consent.platform.secret_changed", actor=by, subject=platform)
    return platform


def platform_keys(platform: ConsentPlatform, *, at: datetime) -> list[bytes]:
    """The secrets that are good at a moment, the newest first: 32 bytes each."""
    nonces = [platform.nonce]
    if platform.old_nonce is not None and platform.old_until is not None and platform.old_until > at:
        nonces.append(platform.old_nonce)
    key = settings.ADDRESS_KEY.encode()
    return [hmac.digest(key, b"consent-platform\0" + platform.pk.bytes + bytes(nonce), "sha256") for nonce in nonces]


def platform_secret(platform: ConsentPlatform) -> str:
    """The secret by which the platform signs, as Standard Webhooks writes it."""
    return f"whsec_{b64encode(platform_keys(platform, at=now())[0]).decode()}"


def _locked(platform_id: UUID) -> ConsentPlatform:
    platform = ConsentPlatform.objects.select_for_update().filter(pk=platform_id).first()
    if platform is None:
        raise NotFound("platform_unknown", "There is no such consent platform")
    return platform


def _nonce() -> bytes:
    return random.SystemRandom().randbytes(32)


# --- what they tell ---


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of a message. again: it was taken before, and changed nothing now."""

    granted: int = 0
    withdrawn: int = 0
    awaited: int = 0
    ignored: int = 0
    again: bool = False


def notice_take(*, platform: ConsentPlatform, message_id: str, body: bytes) -> Taken:
    """Take a message that the platform signed, all of it or nothing. The same id is taken once.

    Raises Invalid for a body that the mapping can't read: nothing changed, and it may come again.
    """
    try:
        said = body_read(platform.mapping, _json(body))
        if not message_id or len(message_id) > 120 or not message_id.isprintable():
            raise Invalid("platform_message", "The id of a message has 1 to 120 printable characters")
        taken = _taken_once(platform, message_id, sha256(body).hexdigest(), said)
    except Invalid as error:
        _heard(platform, error.message)
        raise
    _heard(platform, "")
    return taken


def _heard(platform: ConsentPlatform, problem: str) -> None:
    ConsentPlatform.objects.filter(pk=platform.pk).update(last_at=now(), last_problem=problem[:300])


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except ValueError:
        raise Invalid("platform_body", "The body is not JSON") from None


def _taken_once(platform: ConsentPlatform, message_id: str, digest: str, said: Said) -> Taken:
    with transaction.atomic():
        notice, fresh = PlatformNotice.objects.get_or_create(
            platform=platform, message_id=message_id, defaults={"body_digest": digest}
        )
        if not fresh:
            return Taken(again=True)
        taken = _carried_out(said, f"consent platform {platform}", f"message {message_id}, SHA-256 {digest}")
        PlatformNotice.objects.filter(pk=notice.pk).update(
            granted=taken.granted, withdrawn=taken.withdrawn, awaited=taken.awaited, ignored=taken.ignored
        )
    return taken


def _carried_out(said: Said, source: str, evidence: str) -> Taken:
    holders = holders_of(kind=said.kind, value=said.value)
    granted = withdrawn = awaited = 0
    ignored = said.ignored
    how: Mapping[str, Any] = {
        "method": _METHOD,
        "source": source,
        "evidence": evidence,
        "occurred_at": said.occurred_at,
    }
    for purpose, channel, agreed in said.choices:
        if not agreed:
            withdrawn += sum(
                consent_withdraw(profile_id=holder, purpose=purpose, channel=channel, **how)
                for holder in sorted(holders)
            )
            if not holders:
                _await(said, purpose, channel, source, evidence)
                awaited += 1
        elif len(holders) == 1:
            granted += consent_grant(profile_id=holders[0], purpose=purpose, channel=channel, **how)
        else:  # of nobody, or of which of several people can't be told: consent is not guessed
            ignored += 1
    return Taken(granted, withdrawn, awaited, ignored)


def _await(said: Said, purpose: str, channel: str, source: str, evidence: str) -> None:
    if said.occurred_at > now() + timedelta(minutes=5):
        raise Invalid("consent_in_future", "A choice can't lie in the future: check the date and its time zone")
    one, fresh = AwaitedWithdrawal.objects.get_or_create(
        kind=said.kind,
        digest=address_digest(said.kind, said.value),
        purpose_id=purpose,
        channel=channel,
        defaults={"source": source, "evidence": evidence, "occurred_at": said.occurred_at},
    )
    if not fresh and one.occurred_at < said.occurred_at:
        one.source, one.evidence, one.occurred_at = source, evidence, said.occurred_at
        one.save(update_fields=["source", "evidence", "occurred_at"])


def awaited_apply(*, limit: int = 1_000) -> int:
    """Record awaited withdrawals of people who turned up meanwhile. Returns how many. The gate heeds them before."""
    found = list(
        AwaitedWithdrawal.objects.raw(
            "SELECT awaited.* FROM consent_awaitedwithdrawal AS awaited WHERE EXISTS"
            " (SELECT FROM profiles_identifier AS held WHERE held.kind = awaited.kind AND held.digest = awaited.digest)"
            " ORDER BY awaited.id LIMIT %s",
            [limit],
        )
    )
    for one in found:
        with transaction.atomic():
            for holder in sorted(digest_holders(kind=one.kind, digests=[bytes(one.digest)])):
                consent_withdraw(
                    profile_id=holder,
                    purpose=one.purpose_id,
                    channel=one.channel,
                    method=_METHOD,
                    source=one.source,
                    evidence=one.evidence,
                    occurred_at=one.occurred_at,
                )
            one.delete()
    return len(found)


def notices_forget(before: datetime, limit: int) -> int:
    """Remove notices taken before a moment, at most `limit`: their ids can't come again so late."""
    old = PlatformNotice.objects.filter(taken_at__lt=before).order_by("taken_at").values_list("pk", flat=True)[:limit]
    return PlatformNotice.objects.filter(pk__in=list(old)).delete()[0]
