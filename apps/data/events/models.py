"""What people did."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q

from apps.data.catalog.models import Item
from apps.data.consent.models import Purpose
from apps.data.profiles.models import Profile
from apps.foundation.core.append_only import append_only
from apps.foundation.core.clock import now
from apps.foundation.core.ids import uuid7


class Event(models.Model):
    """Something that happened, written down once. Its table is partitioned by the month of `recorded_at`.

    source: who sent it, "" for Tessera itself; message_id: the sender's own id, the same one of a source within seven
    days is the same event (`MessageSeen`); anonymous: keyed digest of the device's or cookie's id; context: what is
    kept of the circumstances; faults: what its schema, or its moment, was found wrong in; schema_version: by which
    version it was looked at.
    """

    # no constraint: whoever writes events holds their people (`people_hold`), and nothing removes a profile
    profile = models.ForeignKey(
        Profile,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="events",
        db_index=False,
        db_constraint=False,
    )  # `event_of_profile` begins with it
    name = models.CharField(max_length=120)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=now)
    message_id = models.CharField(max_length=120)
    properties = models.JSONField(default=dict, blank=True)
    source = models.CharField(max_length=60, blank=True, default="", db_default="")
    anonymous = models.BinaryField(max_length=33, null=True, blank=True)
    context = models.JSONField(null=True, blank=True)
    faults = models.JSONField(null=True, blank=True)
    schema_version = models.PositiveSmallIntegerField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["profile", "name", "occurred_at"], name="event_of_profile"),
            models.Index(fields=["name", "recorded_at", "id"], name="event_as_recorded"),
            models.Index(fields=["message_id"], name="event_by_message"),
            models.Index(
                fields=["anonymous"],
                name="event_of_nobody_yet",
                condition=Q(profile=None) & Q(anonymous__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class MessageSeen(models.Model):
    """That a message was taken: a digest of source and message id, kept for seven days. Partitioned by day."""

    pk = models.CompositePrimaryKey("day", "digest")
    day = models.DateField()
    digest = models.UUIDField(help_text="the first 16 bytes of SHA-256 over source and message id")

    def __str__(self) -> str:
        return f"Message of {self.day}"


class Visitor(models.Model):
    """A device or cookie by the digest of its id, and whose it is once somebody was identified on it.

    profile: None where it is nobody's: two people were identified on it, so what comes without a name stays without.
    """

    digest = models.BinaryField(max_length=33, unique=True)
    profile = models.ForeignKey(Profile, null=True, on_delete=models.CASCADE, related_name="visitors")
    since = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return f"Visitor {self.pk}"


class EventSchema(models.Model):
    """What is known of events of one name. Its JSON Schema is in its versions, the newest of which counts.

    aliases: other names under which the same thing is sent; on_fault: what becomes of an event that does not fit;
    purpose: events stay without their person where that person withdrew it, "" for whatever they chose.
    """

    class OnFault(models.TextChoices):
        KEEP = "keep", "keep it, with its faults marked"
        SET_ASIDE = "set_aside", "set it aside with the dead letters"

    name = models.CharField(max_length=120, unique=True)
    aliases = ArrayField(models.CharField(max_length=120), default=list, blank=True)
    description = models.CharField(max_length=300, blank=True)
    on_fault = models.CharField("what becomes of one that does not fit", max_length=10, choices=OnFault.choices)
    purpose = models.ForeignKey(Purpose, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    updated_at = models.DateTimeField(default=now)

    class Meta:
        ordering = ["name"]
        indexes = [GinIndex(fields=["aliases"], name="event_schema_by_alias")]

    def __str__(self) -> str:
        return self.name


@append_only
class EventSchemaVersion(models.Model):
    """A version of what the properties of an event look like: JSON Schema, draft 2020-12. Never changed."""

    schema = models.ForeignKey(EventSchema, on_delete=models.PROTECT, related_name="versions", db_index=False)
    number = models.PositiveSmallIntegerField()
    document = models.JSONField()
    made_at = models.DateTimeField(default=now)
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["schema", "number"], name="event_schema_version_once")]
        ordering = ["schema", "-number"]

    def __str__(self) -> str:
        return f"{self.schema_id}, version {self.number}"


class UnknownName(models.Model):
    """A name, or a property of a known name, that no schema has, as often as a source sent it. property: "" for the
    name itself."""

    source = models.CharField(max_length=60)
    name = models.CharField(max_length=120)
    property = models.CharField(max_length=120, blank=True)
    count = models.BigIntegerField()
    first_at = models.DateTimeField(default=now)
    last_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["source", "name", "property"], name="unknown_name_counted_once")]

    def __str__(self) -> str:
        return f"{self.name} {self.property}".strip()


class DeadLetter(models.Model):
    """Something sent that could not become an event, whole, and why. Sealed; it can be tried again.

    source, name, message_id: as far as they could be read; digests: of the people's and devices' ids in it, by which it
    is found when somebody is erased; problem: what went wrong, without values; tries: how often it was.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    source = models.CharField(max_length=60)
    name = models.CharField(max_length=120, blank=True)
    message_id = models.CharField(max_length=120, blank=True)
    reason = models.CharField(max_length=40)
    problem = models.CharField(max_length=300, blank=True)
    sealed = models.BinaryField()
    digests = ArrayField(models.BinaryField(max_length=33), default=list)
    received_at = models.DateTimeField()
    failed_at = models.DateTimeField(default=now)
    tries = models.PositiveSmallIntegerField(default=1)

    class Meta:
        indexes = [
            GinIndex(fields=["digests"], name="dead_letter_of_whom"),
            models.Index(fields=["failed_at"], name="dead_letter_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.name or 'something'} of {self.source}"


class Order(models.Model):
    """An order as its shop reports it, also a cancelled one, and one without a known customer.

    `revenue` is the sum of its purchase lines, in `currency`. told: what events said of it, by message (`orders.py`);
    None where an import alone told of it.
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
    told = models.JSONField(null=True, blank=True, editable=False)

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


class Ticket(models.Model):
    """That somebody asked for help at a help desk, and whether they still wait. What they wrote stays there.

    source: whose number it is; closed_at: None while it is open; changed_at: by the help desk's clock.
    """

    profile = models.ForeignKey(Profile, on_delete=models.CASCADE, related_name="tickets", db_index=False)
    source = models.CharField(max_length=60)
    number = models.CharField(max_length=80)
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["source", "number"], name="ticket_once_per_source")]
        indexes = [
            models.Index(fields=["profile", "closed_at"], name="ticket_of_profile"),
            models.Index(fields=["closed_at"], condition=Q(closed_at__isnull=False), name="ticket_closed_oldest"),
        ]

    def __str__(self) -> str:
        return f"{self.source} {self.number}"
