"""Taking what other systems tell: each thing once, by how new it is; what can't be taken is set aside."""

import hmac
import logging
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import orjson
from django.conf import settings
from django.db import transaction
from django.db.models import F

from apps.data.catalog.services import item_put
from apps.data.events.sealing import EventSealer
from apps.data.events.services import event_record
from apps.data.events.tickets import ticket_put
from apps.data.profiles.addresses import holders_of
from apps.data.profiles.normalize import email_normalize, phone_normalize
from apps.data.profiles.telling import Told, profile_tell
from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import right_require
from apps.foundation.core.clock import now
from apps.foundation.core.crypto import Tampered
from apps.foundation.core.errors import Conflict, DomainError, Invalid, NotFound
from apps.foundation.core.signing import address_digest, address_digests
from apps.foundation.governance.services import audit_record

from .bodies import mapped_read, shopify_read, woocommerce_read
from .contracts import CartSaid, ItemSaid, OrderSaid, PersonSaid, Said, TicketSaid, Who
from .models import InboundLetter, InboundMark, InboundSystem

logger = logging.getLogger(__name__)

_AHEAD: Final = timedelta(minutes=5)
_LEAVES: Final = 5_000
_NUMBERED: Final = re.compile(r"customer(_id|\.id|)$|\.(number|id|user_id|person)$", re.IGNORECASE)
"""Names under which customer numbers stand; that other numbers are among them does no harm."""
_sealer = EventSealer("inbound letter")


def system_of(code: str) -> InboundSystem:
    """How a system stands. Raises NotFound for one that is not in INBOUND_SYSTEMS."""
    if code not in settings.INBOUND_SYSTEMS:
        raise NotFound("inbound_unknown", "There is no such system")
    return InboundSystem.objects.get_or_create(code=code)[0]


def body_take(*, code: str, topic: str, body: bytes) -> bool:
    """Take one webhook of a system, once it is known that it is theirs. False when it was set aside.

    A body that says nothing here, or nothing newer than what is known, is taken and changes nothing. Raises NotFound;
    Conflict while staff have it stopped: it must come again.
    """
    system = system_of(code)
    if system.stopped:
        raise Conflict("inbound_stopped", "Nothing is taken from this system now")
    try:
        told = orjson.loads(body)
    except ValueError:
        told = body.decode(errors="replace")[:100_000]
        return _aside(system, topic, told, "json_invalid", "The body is no JSON")
    return one_take(code=code, topic=topic, told=told)


def one_take(*, code: str, topic: str, told: Any) -> bool:
    """Take one thing that a system told: a webhook's body, or a row that was asked for. False when it was set aside."""
    system = system_of(code)
    try:
        _take(system, topic, told)
    except DomainError as error:
        return _aside(system, topic, told, error.code, error.message)
    return True


def _take(system: InboundSystem, topic: str, told: Any) -> None:
    """One thing, whole or not at all. Raises DomainError."""
    said = _read(settings.INBOUND_SYSTEMS[system.code], topic, told)
    if said is not None and said.changed_at > now() + _AHEAD:
        raise Invalid("inbound_in_future", "It lies in the future: check the clock and its time zone")
    with transaction.atomic():
        if said is not None and (isinstance(said, OrderSaid) or _is_news(system, said)):
            _TAKERS[type(said)](system.code, said)
        InboundSystem.objects.filter(pk=system.pk).update(taken=F("taken") + 1, last_at=now(), last_problem="")


def _read(terms: Mapping[str, Any], topic: str, told: Any) -> Said | None:
    if terms["kind"] == "shopify":
        return shopify_read(topic, told)
    if terms["kind"] == "woocommerce":
        return woocommerce_read(topic, told)
    return mapped_read(terms["mapping"], told)


def _is_news(system: InboundSystem, said: Said) -> bool:
    """Whether this is newer than what is known of the thing; then it is what is known from now on. Locks the thing."""
    what = _KINDS[type(said)]
    mark, new = InboundMark.objects.select_for_update().get_or_create(
        system=system,
        digest=address_digest(what, f"{system.code}:{said.number}"),
        defaults={"changed_at": said.changed_at},
    )
    if not new and said.changed_at <= mark.changed_at:
        return False
    InboundMark.objects.filter(pk=mark.pk).update(changed_at=said.changed_at)
    return True


def _person(code: str, who: Who, *, fields: Mapping[str, str] | None = None, attributes: Any = None) -> int | None:
    """The person's profile, made if need be; None for nobody. Raises DomainError.

    A customer number tells first, where somebody has it; else an address that is one person's; else it is somebody new.
    """
    ways: list[Told] = []
    if who.number:
        ways.append(Told("external_id", f"{code}:{who.number}"))
    if who.email:
        ways.append(Told("email", who.email))
    if who.phone:
        ways.append(Told("phone", who.phone))
    if not ways:
        return None
    if who.number and not holders_of(kind="external_id", value=f"{code}:{who.number}"):
        ways.sort(key=lambda way: not _is_ones(way))
    named = {"first_name": who.first_name, "last_name": who.last_name, **(fields or {})}
    told = {name: value for name, value in named.items() if value}
    return profile_tell(identifiers=ways, fields=told, attributes=attributes or {}, source=code)[0]


def _is_ones(way: Told) -> bool:
    """Whether exactly one person has an address or number."""
    if way.kind == "external_id":
        return False
    value = email_normalize(way.value) if way.kind == "email" else phone_normalize(way.value)
    return len(holders_of(kind=way.kind, value=value)) == 1


def _order_take(code: str, said: OrderSaid) -> None:
    """Tell it by Segment's events, which make the order (`events.orders`) in whatever order they come.

    It is completed and cancelled once, whatever else changes about it; each state of it is told by its moment.
    """
    profile_id = _person(code, said.who)
    if said.cancelled:
        _event(code, profile_id, "Order Cancelled", f"{code}:cancelled:{said.number}", said.changed_at, said)
        return
    if said.paid:
        _event(code, profile_id, "Order Completed", f"{code}:completed:{said.number}", said.placed_at, said)
    stamp = int(said.changed_at.timestamp() * 1000)
    _event(code, profile_id, "Order Updated", f"{code}:order:{said.number}:{stamp}", said.changed_at, said)


def _cart_take(code: str, said: CartSaid) -> None:
    profile_id = _person(code, said.who)
    stamp = int(said.changed_at.timestamp() * 1000)
    _event(code, profile_id, "Cart Updated", f"{code}:cart:{said.number[:60]}:{stamp}", said.changed_at, said)


def _event(code: str, profile_id: int | None, name: str, key: str, at: datetime, said: OrderSaid | CartSaid) -> None:
    total = sum(one.unit_price * one.quantity for one in said.lines)
    event_record(
        profile_id=profile_id,
        name=name,
        message_id=key[:120],
        occurred_at=min(at, now()),
        source=code,
        properties={
            "order_id" if isinstance(said, OrderSaid) else "cart_id": said.number,
            "source": code,
            "currency": said.currency,
            "value": float(total),
            "products": [
                {"sku": one.sku, "name": one.title, "quantity": one.quantity, "price": float(one.unit_price)}
                for one in said.lines[:100]
            ],
        },
    )


def _ticket_take(code: str, said: TicketSaid) -> None:
    profile_id = _person(code, said.who)
    if profile_id is None:
        raise Invalid("inbound_nobody", "The ticket names nobody where the mapping looks for a person")
    ticket_put(
        source=code,
        number=said.number,
        profile_id=profile_id,
        is_open=said.is_open,
        changed_at=min(said.changed_at, now()),
    )


def _person_take(code: str, said: PersonSaid) -> None:
    _person(code, said.who, fields=said.fields, attributes=said.attributes)


def _item_take(code: str, said: ItemSaid) -> None:
    item_put(sku=said.number, fields=said.fields)


_TAKERS: Final[Mapping[type[Said], Callable[[str, Any], None]]] = {
    OrderSaid: _order_take,
    CartSaid: _cart_take,
    TicketSaid: _ticket_take,
    PersonSaid: _person_take,
    ItemSaid: _item_take,
}


_KINDS: Final[Mapping[type[Said], str]] = {
    CartSaid: "cart",
    TicketSaid: "ticket",
    ItemSaid: "item",
    PersonSaid: "external_id",  # so that an erasure finds it by the person's own number
}


# --- what could not be taken ---


def _aside(system: InboundSystem, topic: str, told: Any, reason: str, problem: str) -> bool:
    """Set something aside, to be tried again. Always False."""
    raw = orjson.dumps(told, default=str)
    key = hmac.digest(settings.ADDRESS_KEY.encode(), b"inbound\0" + topic.encode() + b"\0" + raw, "sha256")
    if InboundLetter.objects.filter(system=system, key=key).exists():
        return False
    with transaction.atomic():
        letter = InboundLetter(system=system, topic=topic[:80], key=key, reason=reason[:40], problem=problem[:300])
        letter.digests = digests_in(system.code, told)
        letter.sealed = _sealer.seal(raw, letter.pk.bytes)
        InboundLetter.objects.bulk_create([letter], ignore_conflicts=True)  # told again, it is the same letter
        InboundSystem.objects.filter(pk=system.pk).update(
            set_aside=F("set_aside") + 1, last_at=now(), last_problem=f"{reason}: {problem}"[:300]
        )
    logger.warning("something that %s told was set aside: %s", system.code, reason)
    return False


def digests_in(code: str, told: Any) -> list[bytes]:
    """Of the addresses, phone numbers and customer numbers that stand in what was told, wherever they stand."""
    found: set[tuple[str, str]] = set()
    left, seen = [("", told)], 0
    while left and seen < _LEAVES:
        name, value = left.pop()
        seen += 1
        if isinstance(value, dict):
            left += [(f"{name}.{key}", one) for key, one in value.items()]
        elif isinstance(value, list):
            left += [(name, one) for one in value]
        elif isinstance(value, str | int) and (text := str(value).strip())[:200]:
            if _NUMBERED.search(name):
                found.add(("external_id", f"{code}:{text[:120]}"))
            for kind, normalize in (("email", email_normalize), ("phone", phone_normalize)):
                if (kind == "email" and "@" in text) or (kind == "phone" and text.startswith("+")):
                    with suppress(Invalid):
                        found.add((kind, normalize(text)))
    return sorted(digest for kind, value in found for digest in address_digests(kind, value))[:200]


def letter_retry(*, letter_id: UUID, by: User) -> bool:
    """Take a letter now, if it can be taken by now: then it is gone. False, with its newest reason, where it can't.

    Raises NotAllowed, NotFound, MasterKeyMissing.
    """
    right_require(by, "change", InboundSystem, what="take this again")
    with transaction.atomic():
        letter = InboundLetter.objects.select_for_update().select_related("system").filter(pk=letter_id).first()
        if letter is None:
            raise NotFound("letter_unknown", "This was taken meanwhile, or forgotten")
        try:
            told = orjson.loads(_sealer.open(bytes(letter.sealed), letter.pk.bytes))
            with transaction.atomic():
                _take(system_of(letter.system_id), letter.topic, told)
        except Tampered:
            letter.reason, letter.problem = "tampered", "It does not open: it was changed in the database"
        except DomainError as error:
            letter.reason, letter.problem = error.code[:40], error.message[:300]
        else:
            letter.delete()
            return True
        letter.tries += 1
        letter.save(update_fields=["reason", "problem", "tries"])
    return False


def system_stop(*, code: str, by: User) -> None:
    """Take nothing from a system until it goes on. Raises NotAllowed, NotFound."""
    _order(code, by, stopped=True)


def system_go_on(*, code: str, by: User) -> None:
    """Take from a system again, from where it was. Raises NotAllowed, NotFound."""
    _order(code, by, stopped=False)


def _order(code: str, by: User, *, stopped: bool) -> None:
    right_require(by, "change", InboundSystem, what="stop what this system tells, or let it go on")
    with transaction.atomic():
        system = system_of(code)
        InboundSystem.objects.filter(pk=code).update(stopped=stopped, due_at=now(), faults=0)
        audit_record(action=f"inbound.system.{'stopped' if stopped else 'went_on'}", actor=by, subject=system)


def letters_forget(before: datetime, limit: int) -> int:
    """Delete letters from before a moment, at most `limit`. Returns how many."""
    old = InboundLetter.objects.filter(received_at__lt=before).order_by("received_at").values_list("pk", flat=True)
    return InboundLetter.objects.filter(pk__in=list(old[:limit])).delete()[0]


def marks_forget(before: datetime, limit: int) -> int:
    """Delete marks of things that did not change since a moment, at most `limit`. Returns how many."""
    old = InboundMark.objects.filter(changed_at__lt=before).order_by("changed_at").values_list("pk", flat=True)
    return InboundMark.objects.filter(pk__in=list(old[:limit])).delete()[0]
