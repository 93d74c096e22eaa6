"""What people did."""

from django.db import models

from apps.data.catalog.models import Item
from apps.data.profiles.models import Profile
from apps.foundation.core.clock import now


class Event(models.Model):
    """Something that happened. `message_id` is the sender's own id: the same one twice is one event."""

    profile = models.ForeignKey(
        Profile, null=True, blank=True, on_delete=models.CASCADE, related_name="events", db_index=False
    )  # `event_of_profile` begins with it
    name = models.CharField(max_length=120)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=now)
    message_id = models.CharField(max_length=120, unique=True)
    properties = models.JSONField(default=dict, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["profile", "name", "occurred_at"], name="event_of_profile"),
            models.Index(fields=["name", "recorded_at", "id"], name="event_as_recorded"),
        ]

    def __str__(self) -> str:
        return self.name


class Order(models.Model):
    """An order as its shop reports it, also a cancelled one, and one without a known customer.

    `revenue` is the sum of its purchase lines, in `currency`.
    """

    class Status(models.TextChoices):
        PURCHASE = "purchase", "bought"
        CANCELLED = "cancelled", "cancelled"
        OTHER = "other", "no purchase"

    source = models.CharField(max_length=60)
    external_id = models.CharField("order number", max_length=80)
    profile = models.ForeignKey(
        Profile, null=True, blank=True, on_delete=models.CASCADE, related_name="orders", db_index=False
    )  # `order_of_profile` begins with it
    status = models.CharField(max_length=12, choices=Status.choices)
    placed_at = models.DateTimeField()
    country = models.CharField(max_length=2, blank=True)
    currency = models.CharField(max_length=3, blank=True)
    revenue = models.DecimalField(max_digits=24, decimal_places=4, default=0)
    recorded_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["source", "external_id"], name="order_number_once_per_source")]
        indexes = [
            models.Index(fields=["profile", "status", "placed_at"], name="order_of_profile"),
            models.Index(fields=["placed_at"], name="order_placed_at"),
            models.Index(fields=["recorded_at", "id"], name="order_as_recorded"),
        ]

    def __str__(self) -> str:
        return f"Order {self.external_id}"


class OrderLine(models.Model):
    """One line of an order; `number` counts from 1 in the order's own sequence. A return has a negative quantity.

    Only a line with `is_purchase` counts as bought: customer known, order not cancelled, quantity and price above 0.
    """

    # each is the beginning of an index below; a second one would be paid for with every line
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines", db_index=False)
    number = models.PositiveIntegerField()
    item = models.ForeignKey(Item, on_delete=models.PROTECT, related_name="order_lines", db_index=False)
    quantity = models.IntegerField()
    unit_price = models.DecimalField(max_digits=14, decimal_places=4)
    is_purchase = models.BooleanField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["order", "number"], name="order_line_once")]
        indexes = [models.Index(fields=["item", "order"], name="order_line_of_item")]

    def __str__(self) -> str:
        return f"Line {self.number} of order {self.order_id}"
