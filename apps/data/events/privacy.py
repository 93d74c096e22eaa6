"""What it tells of the personal data it holds: events and orders, in exports, erasures, retention and the register."""

from collections.abc import Iterator
from datetime import datetime

from django.utils.translation import gettext_lazy as _

from apps.data.privacy.registry import (
    Because,
    Forgotten,
    Person,
    Row,
    erase_step,
    export_part,
    processing_declare,
    retention_rule,
)
from apps.foundation.core.clock import now

from .identity import digests_of_person
from .models import DeadLetter, Event, MessageSeen, Order, OrderLine, Ticket, Visitor
from .partitions import partitions_drop
from .tickets import tickets_forget

_BATCH = 500


def _events(profile_id: int) -> Iterator[Row]:
    for one in Event.objects.filter(profile_id=profile_id).order_by("pk").iterator(chunk_size=_BATCH):
        yield {"what": one.name, "when": one.occurred_at, "written_down": one.recorded_at, "details": one.properties}


def _orders(profile_id: int) -> Iterator[Row]:
    orders = Order.objects.filter(profile_id=profile_id).order_by("placed_at", "pk").prefetch_related("lines__item")
    for one in orders.iterator(chunk_size=_BATCH):
        yield {
            "number": one.external_id,
            "shop": one.source,
            "when": one.placed_at,
            "state": one.get_status_display(),
            "country": one.country,
            "sum": f"{one.revenue.normalize():f} {one.currency}".strip(),
            "items": [f"{line.quantity} × {line.item.title}" for line in one.lines.all()],
        }


def _visitors(profile_id: int) -> Iterator[Row]:
    for one in Visitor.objects.filter(profile_id=profile_id).order_by("pk"):
        yield {"since": one.since}


def _forget_events(person: Person) -> Forgotten:
    gone, _kinds = Event.objects.filter(profile_id=person.profile_id).delete()
    return Forgotten(gone)


def _forget_letters(person: Person) -> Forgotten:
    """What could not become an event of theirs: found by their identifiers and devices, before these go."""
    visitors = Visitor.objects.filter(profile_id=person.profile_id)
    devices = [bytes(digest) for digest in visitors.values_list("digest", flat=True)]
    digests = digests_of_person(person.profile_id, person.identifiers, devices)
    gone, _kinds = DeadLetter.objects.filter(digests__overlap=digests).delete()
    visitors.delete()
    return Forgotten(gone)


def letters_forget(before: datetime, limit: int) -> int:
    """Delete dead letters that were set aside before a moment."""
    old = DeadLetter.objects.filter(failed_at__lt=before).order_by("failed_at").values_list("pk", flat=True)[:limit]
    return DeadLetter.objects.filter(pk__in=list(old)).delete()[0]


def _detach_orders(person: Person) -> Forgotten:
    """An order stays as a figure of the shop; nothing in it says whose it was."""
    count = Order.objects.filter(profile_id=person.profile_id).update(profile=None)
    return Forgotten(count, "What was sold, without the person: the shop's books need it (Art. 17(3)(b)).")


def events_forget(before: datetime, limit: int) -> int:
    """Delete events written down before a moment: whole months at once, then of the oldest at most `limit`."""
    partitions_drop(events_before=before, at=now())
    oldest = list(Event.objects.order_by("pk").values_list("pk", "recorded_at")[:limit])
    gone, _kinds = Event.objects.filter(pk__in=[pk for pk, at in oldest if at < before]).delete()
    return gone


def orders_detach(before: datetime, limit: int) -> int:
    """Take the person off orders that were placed before a moment."""
    old = Order.objects.filter(placed_at__lt=before).exclude(profile=None).order_by("placed_at")
    return Order.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:limit])).update(profile=None)


def _tickets(profile_id: int) -> Iterator[Row]:
    for one in Ticket.objects.filter(profile_id=profile_id).order_by("pk").iterator(chunk_size=_BATCH):
        yield {"number": one.number, "desk": one.source, "opened": one.opened_at, "closed": one.closed_at}


def _forget_tickets(person: Person) -> Forgotten:
    return Forgotten(Ticket.objects.filter(profile_id=person.profile_id).delete()[0])


def privacy_register() -> None:
    """Say what this app holds."""
    export_part(
        "tickets",
        _("When you asked for help"),
        _tickets,
        words={"number": _("Number"), "desk": _("Help desk"), "opened": _("Opened"), "closed": _("Closed")},
    )
    erase_step("tickets", _forget_tickets, title="When they asked for help")
    retention_rule("tickets", "Support tickets that were closed", "TICKET_KEEP_DAYS", tickets_forget)
    processing_declare(
        Ticket,
        purpose="Leaving people alone while they wait for help",
        lawful_basis="legitimate interest",
        categories=("numbers of support tickets, and when they were opened and closed",),
        kept="tickets",
        exported="tickets",
        erased="tickets",
    )
    export_part(
        "events",
        _("What you did"),
        _events,
        words={"what": _("What"), "when": _("When"), "written_down": _("Written down"), "details": _("Details")},
    )
    export_part(
        "orders",
        _("What you bought"),
        _orders,
        words={
            "number": _("Order number"),
            "shop": _("Shop"),
            "when": _("When"),
            "state": _("State"),
            "country": _("Country"),
            "sum": _("Sum"),
            "items": _("What was in it"),
        },
    )
    export_part("visitors", _("Your devices"), _visitors, words={"since": _("Since")})
    erase_step("letters", _forget_letters, title="What could not be written down of what they did")
    erase_step("events", _forget_events, title="What they did")
    erase_step("orders", _detach_orders, title="Orders lose the person")
    retention_rule("events", "Events: what people looked at and did", "EVENT_KEEP_DAYS", events_forget)
    retention_rule(
        "letters", "Dead letters: what was sent and could not be written down", "EVENT_DEAD_LETTER_KEEP_DAYS",
        letters_forget,
    )  # fmt: skip
    retention_rule("orders", "Whose an order was", "ORDER_KEEP_DAYS", orders_detach)
    processing_declare(
        Event,
        purpose="Choosing what fits a person, and beginning playbooks by what they did",
        lawful_basis="consent, for what is personalised; legitimate interest",
        categories=("what was looked at, put into a cart and done, with its details and moment",),
        kept="events",
        exported="events",
        erased="events",
    )
    processing_declare(
        DeadLetter,
        purpose="Mending what was sent and could not be written down, so that nothing is lost",
        lawful_basis="legitimate interest: that what people do is known as they did it",
        categories=("what was sent of a person, as it was sent, sealed",),
        kept="letters",
        exported=Because("It is not known to be about the person until it could be read; then it is among the events."),
        erased="letters",
    )
    processing_declare(
        Visitor,
        purpose="Knowing whose what was done on a device is, once somebody was identified on it",
        lawful_basis="consent, for what is personalised; legitimate interest",
        categories=("keyed digests of device and cookie ids",),
        kept=Because("It is kept for as long as the person is known; the id itself is never kept."),
        exported="visitors",
        erased="letters",
    )
    processing_declare(
        MessageSeen,
        purpose="Writing down once what is sent twice",
        lawful_basis="legitimate interest",
        categories=("digests of the ids of messages, without any link to a person",),
        kept=Because("Days that are more than seven days old are dropped whole, within the hour."),
        exported=Because("A digest of a message's id says nothing of anybody, and can't be found by a person."),
        erased=Because("A digest of a message's id says nothing of anybody, and is gone after eight days."),
    )
    for model in (Order, OrderLine):
        processing_declare(
            model,
            purpose="Choosing what fits a person by what they bought; figures of the shop",
            lawful_basis="contract; consent, for what is personalised",
            categories=("orders with their items, sums and moments",),
            kept="orders",
            exported="orders",
            erased="orders",
        )
