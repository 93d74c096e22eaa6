"""Double opt-in: who asks on a form to agree confirms it by a mail, before anything is recorded as agreed to.

Whoever types an address on a form may have typed somebody else's. So where one of the purposes asks for it, all that
was asked for together waits until the holder of the address confirms it, by a POST: scanners follow links, and press no
buttons. Who comes by a link from a mail of ours has shown that already, and needs none of this.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import transaction

from apps.data.profiles.addresses import identifier_verify
from apps.data.profiles.mail import MailKind, mail_want
from apps.data.profiles.models import Identifier
from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import right_require
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Invalid, NotFound
from apps.foundation.core.limits import allowed, network_of
from apps.foundation.governance.services import audit_record

from .contracts import Asked, Circumstances, Confirmed, Origin, WordingShown
from .models import Channel, ConsentRecord, OptIn, Purpose
from .origins import origin_keep
from .selectors import ADDRESS_KIND
from .services import consent_grant, gate_lock
from .wordings import circumstances_of

_AT_ONCE: Final = timedelta(minutes=10)  # the same asked again within this is a double click
_PER_NETWORK: Final = 20  # asks an hour from one network, of which many may be an office


def opt_in_ask(
    *,
    profile_id: int,
    purposes: Mapping[str, WordingShown],
    channel: str,
    method: ConsentRecord.Method,
    source: str,
    circumstances: Circumstances | None = None,
    origin: Origin | None = None,
    sure: bool = True,
) -> Asked:
    """Agree to purposes for somebody who may be another: at once, or once the holder of the address confirmed it.

    purposes: with the text that was shown for each; circumstances: what else the ledger keeps (jurisdiction, GPC).
    If one of the purposes asks for a double opt-in, all wait for it, and the mail `confirm` is wanted; if none does,
    all are recorded. sure: False of an address that somebody has already: whoever typed it may be a stranger, so all
    waits whatever the purposes say, and no withdrawal is lifted. Too many asks for one address or from one network are
    answered alike, and nothing is sent.
    """
    base = circumstances or Circumstances()
    asked = {code: _circumstances(shown, base) for code, shown in purposes.items()}
    if not asked:
        return Asked()
    if sure and not Purpose.objects.filter(pk__in=asked, double_opt_in=True).exists():
        with transaction.atomic():
            for code, how in asked.items():
                consent_grant(
                    profile_id=profile_id,
                    purpose=code,
                    channel=channel,
                    method=method,
                    source=source,
                    circumstances=how,
                    origin=origin,
                )
        return Asked(granted=tuple(asked))
    return Asked(pending=tuple(asked), opt_in=_wait(profile_id, asked, channel, method, source, origin))


def _circumstances(shown: WordingShown, base: Circumstances) -> Circumstances:
    known = circumstances_of(shown)
    return replace(
        base,
        wording_digest=known.wording_digest,
        wording_version_id=known.wording_version_id,
        locale=known.locale,
        policy_version=base.policy_version or known.policy_version,
    )


def _wait(
    profile_id: int,
    asked: Mapping[str, Circumstances],
    channel: str,
    method: ConsentRecord.Method,
    source: str,
    origin: Origin | None,
) -> UUID | None:
    """The id of what waits now, of a double click that of the first; None where nothing does."""
    network = network_of(origin.ip) if origin is not None else ""
    if network and not allowed(name="opt-in", who=network, count=_PER_NETWORK, seconds=3600):
        return None
    with transaction.atomic():
        gate_lock(profile_ids=[profile_id])
        address = Identifier.objects.filter(
            profile_id=profile_id, kind=ADDRESS_KIND.get(Channel(channel), ""), main=True
        ).first()
        if address is None:
            return None
        at, said = now(), {code: asdict(how) for code, how in asked.items()}
        today = list(OptIn.objects.filter(address_digest=address.digest, asked_at__gt=at - timedelta(days=1)))
        for one in today:
            if one.profile_id == profile_id and one.asked == said and one.asked_at > at - _AT_ONCE:
                return one.pk
        if len(today) >= settings.OPT_IN_MAILS:
            return None
        opt_in = OptIn.objects.create(
            profile_id=profile_id,
            channel=channel,
            asked=said,
            method=method,
            source=source,
            identifier=address,
            address_digest=bytes(address.digest),
            origin_digest=origin_keep(profile_id=profile_id, origin=origin),
            asked_at=at,
            expires_at=at + timedelta(days=settings.OPT_IN_DAYS),
        )
        mail_want(kind=MailKind.CONFIRM, profile_id=profile_id, key=str(opt_in.pk))
    return opt_in.pk


Listener = Callable[[UUID], None]
_listeners: list[Listener] = []


def opt_in_listen(listener: Listener) -> None:
    """Have `listener` called with the id of each opt-in that is confirmed, in the transaction of the confirmation.

    For apps above this one, in their `ready()`: what somebody said beside their choice enters with it, or not at all.
    """
    if listener not in _listeners:
        _listeners.append(listener)


def opt_in_confirm(*, opt_in_id: UUID, profile_id: int, message_id: UUID, origin: Origin | None = None) -> Confirmed:
    """Record what was asked for as agreed to now, and the address as verified. Safe to do twice.

    message_id: of the mail whose link was used. Nothing changes but by the first confirmation in time.
    """
    with transaction.atomic():
        gate_lock(profile_ids=[profile_id])
        opt_in = OptIn.objects.select_for_update().filter(pk=opt_in_id, profile_id=profile_id).first()
        if opt_in is None:
            return Confirmed.UNKNOWN
        if opt_in.state == OptIn.State.CONFIRMED:
            return Confirmed.AGAIN
        at = now()
        if opt_in.expires_at <= at:
            return Confirmed.EXPIRED
        evidence = {
            "opt_in": str(opt_in.pk),
            "asked_at": opt_in.asked_at.isoformat(),
            "confirmed_at": at.isoformat(),
            "message": str(message_id),
            "origin": origin_keep(profile_id=profile_id, origin=origin).hex(),
        }
        for code, how in opt_in.asked.items():
            consent_grant(
                profile_id=profile_id,
                purpose=code,
                channel=opt_in.channel,
                method=ConsentRecord.Method(opt_in.method),
                source=opt_in.source,
                occurred_at=at,
                circumstances=Circumstances(**{**how, "confirmation": evidence}),
                origin_digest=bytes(opt_in.origin_digest),
            )
        if opt_in.identifier_id is not None:
            identifier_verify(profile_id=profile_id, identifier_id=opt_in.identifier_id)
        opt_in.state, opt_in.confirmed_at, opt_in.message_id = OptIn.State.CONFIRMED, at, message_id
        opt_in.save(update_fields=["state", "confirmed_at", "message_id"])
        for listener in _listeners:
            listener(opt_in.pk)
    return Confirmed.NOW


def opt_in_read(*, opt_in_id: UUID, profile_id: int) -> OptIn | None:
    """What somebody asked for, of their own."""
    return OptIn.objects.filter(pk=opt_in_id, profile_id=profile_id).first()


def opt_ins_forget(before: datetime, limit: int) -> int:
    """Remove opt-ins that were over before a moment, at most `limit`; what came of them is in the ledger."""
    old = OptIn.objects.filter(expires_at__lt=before).order_by("expires_at").values_list("pk", flat=True)[:limit]
    return OptIn.objects.filter(pk__in=list(old)).delete()[0]


def purpose_ask(*, code: str, by: User, double_opt_in: bool, gpc_opts_out: bool) -> Purpose:
    """Say how a purpose is asked for: whether what a form asks waits for a confirmation, and whether the browser's
    signal withdraws it. For what is asked and heard from now on; what waits already goes on waiting.

    Raises NotAllowed, NotFound, Invalid for a purpose that needs no consent.
    """
    right_require(by, "change", Purpose, what="change how a purpose is asked for")
    with transaction.atomic():
        purpose = Purpose.objects.select_for_update().filter(pk=code).first()
        if purpose is None:
            raise NotFound("purpose_unknown", "There is no such purpose")
        if not purpose.needs_consent and (double_opt_in or gpc_opts_out):
            raise Invalid("purpose_not_asked", "This purpose needs no consent, so nobody is asked")
        before = (purpose.double_opt_in, purpose.gpc_opts_out)
        purpose.double_opt_in, purpose.gpc_opts_out = double_opt_in, gpc_opts_out
        if before != (double_opt_in, gpc_opts_out):
            purpose.save(update_fields=["double_opt_in", "gpc_opts_out"])
            data = {"double_opt_in": double_opt_in, "gpc_opts_out": gpc_opts_out}
            audit_record(action="consent.purpose.changed", actor=by, subject=purpose, data=data)
    return purpose
