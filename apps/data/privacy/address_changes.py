"""A new address of a person, confirmed by a mail to it: correction (GDPR, Article 16) of what messages go to.

Until it is confirmed the new address is nobody's: it is sealed in a row of its own, not among those by which the person
is known, so that no import can match by what was only typed in. Confirmed, it becomes the main one under the person's
gate; the old one is told by mail, and its holder can take it back for some days. What people agreed to stays with them,
and a suppressed address stays suppressed.

Nothing here says whether anybody else has the address: two people may share one.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from apps.data.consent.services import gate_turn
from apps.data.profiles.addresses import (
    addresses_read,
    holders_of,
    identifier_drop,
    identifier_lead,
    identifier_put,
)
from apps.data.profiles.mail import About, MailKind, mail_ready, mail_want
from apps.data.profiles.models import Identifier, Profile
from apps.data.profiles.normalize import email_normalize
from apps.data.profiles.vault import Erased, Place, Tampered, vault_make, vault_open
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid
from apps.foundation.core.limits import allowed
from apps.foundation.core.live import live_publish
from apps.foundation.core.outbox import outbox_put
from apps.foundation.governance.services import audit_record

from .models import AddressChange, ExportFile, RightsRequest
from .services import person_lock, request_move, request_open, running_request

State = AddressChange.State
EMAIL: Final = Identifier.Kind.EMAIL.value
TABLE: Final = "privacy_addresschange"
COLUMNS: Final = ("new", "old")
SOURCE: Final = "change of address"

_AT_ONCE: Final = timedelta(minutes=10)  # the same asked again within this is a double click
_DAY: Final = 86_400
_PER_NETWORK: Final = 20  # asks a day from one network


class Asked(StrEnum):
    """What came of asking, which says nothing of others who have the address. SAME: it is theirs already."""

    MAILED = "mailed"
    SAME = "same"
    OFTEN = "often"


class Done(StrEnum):
    """What came of confirming, or of taking back. AGAIN: it was done already; LATE: there is nothing to do any more."""

    NOW = "now"
    AGAIN = "again"
    LATE = "late"


def address_changes_offered() -> bool:
    """Whether addresses can be changed: both mails must go out."""
    return mail_ready(MailKind.ADDRESS) and mail_ready(MailKind.MOVED)


def address_change_ask(
    *, profile_id: int, address: str, forget_old: bool = False, shown_by: str, network: str = ""
) -> Asked:
    """Want the confirmation of a new address, as typed in. The newest ask counts: earlier ones come to nothing.

    forget_old: the person is not to be known by the old one any more. network: that asks, "" where it can't be told.
    The answer is the same whoever has the address. Raises Invalid for what is no address, NotFound, Conflict for
    somebody who was erased.
    """
    try:
        value = email_normalize(address)
    except Invalid as error:
        raise Invalid(error.code, error.message, {"field": "email"}) from None
    counts = [("network", network, _PER_NETWORK)] if network else []
    counts.append(("person", str(profile_id), settings.ADDRESS_CHANGES_PER_DAY))
    with transaction.atomic():
        profile = person_lock(profile_id)
        if profile.erased_at is not None:
            raise Conflict("profile_erased", "This person was erased: nothing is known of them any more")
        if addresses_read(profile_ids=[profile_id], kind=EMAIL).get(profile_id) == value:
            return Asked.SAME
        at, waiting = now(), list(AddressChange.objects.filter(profile_id=profile_id, state=State.PENDING))
        for one in waiting:
            if one.asked_at > at - _AT_ONCE and one.forget_old == forget_old and _opened(one, "new") == value:
                return Asked.MAILED
        if not all(allowed(name=f"address.{name}", who=who, count=most, seconds=_DAY) for name, who, most in counts):
            return Asked.OFTEN
        # Over this limit the answer is the same, and no mail goes out: nobody's inbox is filled.
        may_mail = allowed(name="address.address", who=value, count=settings.ADDRESS_CHANGES_PER_DAY, seconds=_DAY)
        AddressChange.objects.filter(pk__in=[one.pk for one in waiting]).update(state=State.DROPPED)
        change = AddressChange(
            profile_id=profile_id,
            forget_old=forget_old,
            shown_by=shown_by[:200],
            asked_at=at,
            expires_at=at + timedelta(days=settings.ADDRESS_CHANGE_DAYS),
        )
        change.new = vault_make([profile_id]).seal(profile_id, _place("new", change.pk), value.encode())
        change.save()
        if may_mail:
            mail_want(kind=MailKind.ADDRESS, profile_id=profile_id, key=str(change.pk))
        transaction.on_commit(lambda: live_publish(f"profile-{profile_id}"))
    return Asked.MAILED


def address_change_confirm(*, change_id: UUID, profile_id: int) -> Done:
    """Make the new address the verified main one, and want the mail that tells the old one. Safe to do twice.

    All in one transaction under the person's gate: what is handed over from then on goes to the new address.
    """
    with transaction.atomic():
        profile = person_lock(profile_id)
        change = AddressChange.objects.select_for_update().filter(pk=change_id, profile_id=profile_id).first()
        if change is None or profile.erased_at is not None:
            return Done.LATE
        if change.state == State.CONFIRMED:
            return Done.AGAIN
        at, value = now(), _opened(change, "new")
        if change.state != State.PENDING or change.expires_at <= at or value is None:
            return Done.LATE
        before = addresses_read(profile_ids=[profile_id], kind=EMAIL).get(profile_id)
        old = before if before != value else None
        change.had_new = profile_id in holders_of(kind=EMAIL, value=value)
        if old is not None:
            change.old_verified = Identifier.objects.filter(
                profile_id=profile_id, kind=EMAIL, main=True, verified=True
            ).exists()
            change.old = vault_make([profile_id]).seal(profile_id, _place("old", change.pk), old.encode())
        new_id = identifier_put(profile_id=profile_id, kind=EMAIL, value=value, verified=True, source=SOURCE)
        identifier_lead(profile_id=profile_id, identifier_id=new_id)
        if old is not None and change.forget_old:
            identifier_drop(profile_id=profile_id, kind=EMAIL, value=old)
        change.state, change.confirmed_at = State.CONFIRMED, at
        change.undo_until = at + timedelta(days=settings.ADDRESS_TAKE_BACK_DAYS)
        change.save()
        _corrected(profile, change)
        if old is not None:
            mail_want(kind=MailKind.MOVED, profile_id=profile_id, key=str(change.pk))
    return Done.NOW


def address_change_take_back(*, change_id: UUID, profile_id: int) -> Done:
    """Put the old address back, because its holder says that it was not them. Safe to do twice.

    Later changes go with it, however many: whoever made this one may have made those. So do exports that were made
    meanwhile, and what waits to be confirmed.
    """
    with transaction.atomic():
        profile = person_lock(profile_id)
        change = AddressChange.objects.select_for_update().filter(pk=change_id, profile_id=profile_id).first()
        if change is None or profile.erased_at is not None:
            return Done.LATE
        if change.state == State.TAKEN_BACK:
            return Done.AGAIN
        at, old = now(), _opened(change, "old")
        if change.state != State.CONFIRMED or old is None or change.undo_until is None or change.undo_until <= at:
            return Done.LATE
        old_id = identifier_put(profile_id=profile_id, kind=EMAIL, value=old, source=SOURCE)
        identifier_lead(profile_id=profile_id, identifier_id=old_id)
        if not change.old_verified:
            Identifier.objects.filter(pk=old_id).update(verified=False)
        since = AddressChange.objects.filter(
            profile_id=profile_id, state=State.CONFIRMED, confirmed_at__gte=change.confirmed_at
        )
        for one in since.order_by("confirmed_at"):
            value = _opened(one, "new")
            if value is not None and value != old and not one.had_new:
                identifier_drop(profile_id=profile_id, kind=EMAIL, value=value)
        since.update(state=State.TAKEN_BACK, taken_back_at=at)
        AddressChange.objects.filter(profile_id=profile_id, state=State.PENDING).update(state=State.DROPPED)
        ExportFile.objects.filter(profile_id=profile_id, made_at__gte=change.confirmed_at, until__gt=at).update(
            until=at
        )
        audit_record(action="privacy.address.taken_back", actor=None, subject=profile)
        _tell(profile_id)
    return Done.NOW


def _corrected(profile: Profile, change: AddressChange) -> None:
    """Record it as a correction that was asked for and made, without the values."""
    kind = RightsRequest.Kind.CORRECTION
    if running_request(profile_id=profile.pk, kind=kind) is None:  # that one is about something else
        request = request_open(profile_id=profile.pk, kind=kind, shown_by=change.shown_by)
        request_move(request, to=RightsRequest.State.DONE, report={"corrected": ["email"]})
    audit_record(action="privacy.address.changed", actor=None, subject=profile)
    _tell(profile.pk)


def _tell(profile_id: int) -> None:
    gate_turn([profile_id])
    outbox_put("profile.corrected", [{"profile": profile_id, "fields": ["email"]}])
    transaction.on_commit(lambda: live_publish(f"profile-{profile_id}"))


def change_read(*, key: str, profile_id: int) -> AddressChange | None:
    """The change that a mail was about, of its own person."""
    try:
        return AddressChange.objects.filter(pk=UUID(key), profile_id=profile_id).first()
    except ValueError:
        return None


def address_of(change: AddressChange, which: str) -> str:
    """The new or the old address (`new`, `old`) of a change; "" where it does not open."""
    return _opened(change, which) or ""


def confirmations_go_to(about: Sequence[About]) -> Mapping[About, str]:
    """The new addresses that wait for their confirmation, for the mails that ask for it."""
    return _addresses(about, "new", Q(state=State.PENDING, expires_at__gt=now()))


def notices_go_to(about: Sequence[About]) -> Mapping[About, str]:
    """The old addresses that are told of a change which can be taken back."""
    return _addresses(about, "old", Q(state=State.CONFIRMED, undo_until__gt=now()))


def _addresses(about: Sequence[About], which: str, still: Q) -> dict[About, str]:
    changes = {str(one.pk): one for one in AddressChange.objects.filter(still, pk__in=[key for _, key in about])}
    found = {}
    for profile_id, key in about:
        change = changes.get(key)
        if change is not None and change.profile_id == profile_id and (value := _opened(change, which)):
            found[profile_id, key] = value
    return found


def _place(which: str, change_id: UUID) -> Place:
    return Place(TABLE, which, str(change_id))


def _opened(change: AddressChange, which: str) -> str | None:
    """Raises MasterKeyMissing."""
    sealed = bytes(getattr(change, which))
    if not sealed:
        return None
    try:
        vault = vault_open([change.profile_id])
        return vault.open(change.profile_id, _place(which, change.pk), sealed).decode()
    except (Erased, Tampered):
        return None


def address_changes_forget(before: datetime, limit: int) -> int:
    """Forget changes that were over before a moment, at most `limit`."""
    over = Q(undo_until__lt=before) | Q(undo_until=None, expires_at__lt=before)
    old = AddressChange.objects.filter(over).order_by("pk").values_list("pk", flat=True)[:limit]
    return AddressChange.objects.filter(pk__in=list(old)).delete()[0]
