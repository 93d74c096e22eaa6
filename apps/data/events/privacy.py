"""What it tells of the personal data it holds: events and orders, in exports, erasures, retention and the register."""

from collections.abc import Iterator
from datetime import datetime

from django.utils.translation import gettext_lazy as _

from apps.data.privacy.registry import (
    Forgotten,
    Person,
    Row,
    erase_step,
    export_part,
    processing_declare,
    retention_rule,
)

from .models import Event, Order, OrderLine

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


def _forget_events(person: Person) -> Forgotten:
    gone, _kinds = Event.objects.filter(profile_id=person.profile_id).delete()
    return Forgotten(gone)


def _detach_orders(person: Person) -> Forgotten:
    """An order stays as a figure of the shop; nothing in it says whose it was."""
    count = Order.objects.filter(profile_id=person.profile_id).update(profile=None)
    return Forgotten(count, "What was sold, without the person: the shop's books need it (Art. 17(3)(b)).")


def events_forget(before: datetime, limit: int) -> int:
    """Delete events that were written down before a moment: of the oldest by number, at most `limit`."""
    oldest = list(Event.objects.order_by("pk").values_list("pk", "recorded_at")[:limit])
    gone, _kinds = Event.objects.filter(pk__in=[pk for pk, at in oldest if at < before]).delete()
    return gone


def orders_detach(before: datetime, limit: int) -> int:
    """Take the person off orders that were placed before a moment."""
    old = Order.objects.filter(placed_at__lt=before).exclude(profile=None).order_by("placed_at")
    return Order.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:limit])).update(profile=None)


def privacy_register() -> None:
    """Say what this app holds."""
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
    erase_step("events", _forget_events, title="What they did")
    erase_step("orders", _detach_orders, title="Orders lose the person")
    retention_rule("events", "Events: what people looked at and did", "EVENT_KEEP_DAYS", events_forget)
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
