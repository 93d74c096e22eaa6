"""Webhooks out: endpoints of integrators, the news for them, and each delivery."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from apps.foundation.core.clock import now
from apps.foundation.core.ids import uuid7


class WebhookEndpoint(models.Model):
    """Where news goes, and which.

    nonce, old_nonce: what its secrets are made of, with a key that is not in the database (`rules.secret_of`); the old
    one is good until `old_until`, so that a secret is changed without a gap. failures: in a row; open_until: its
    breaker's.
    """

    name = models.CharField(max_length=120)
    url = models.CharField(max_length=500)
    kinds = models.JSONField(help_text="kinds of news, such as consent.changed")
    active = models.BooleanField(default=True)
    disabled_because = models.CharField(max_length=200, blank=True, editable=False)
    nonce = models.BinaryField(max_length=32, editable=False)
    old_nonce = models.BinaryField(max_length=32, null=True, editable=False)
    old_until = models.DateTimeField(null=True, editable=False)
    failures = models.PositiveIntegerField(default=0, editable=False)
    open_until = models.DateTimeField(null=True, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        verbose_name = "webhook endpoint"
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class WebhookEvent(models.Model):
    """One piece of news, written in the transaction of what it tells. Its payload holds ids, no personal data."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=60)
    payload = models.JSONField()
    created_at = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"

    @property
    def message_id(self) -> str:
        """Its id as receivers see it: the same at each try, so that they can tell a repetition."""
        return f"msg_{self.pk.hex}"


class WebhookDelivery(models.Model):
    """A piece of news on its way to an endpoint. next_at: when it is tried (again), or when a try's claim is over."""

    class State(models.TextChoices):
        WAITING = "waiting", "on its way"
        DELIVERED = "delivered", "delivered"
        FAILED = "failed", "given up"
        DROPPED = "dropped", "dropped: the endpoint is off"

    event = models.ForeignKey(WebhookEvent, on_delete=models.CASCADE, related_name="deliveries", db_index=False)
    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.CASCADE, related_name="deliveries")
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(default=now)
    fence = models.PositiveIntegerField(default=0, help_text="grows with each claim: only the last one records")
    status = models.PositiveSmallIntegerField("answer", null=True, help_text="status of HTTP")
    error = models.CharField(max_length=40, blank=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "webhook delivery"
        verbose_name_plural = "webhook deliveries"
        constraints = [models.UniqueConstraint(fields=["event", "endpoint"], name="webhook_once_per_endpoint")]
        indexes = [
            models.Index(fields=["next_at"], condition=Q(state="waiting"), name="webhook_due"),
            models.Index(fields=["endpoint", "-id"], name="webhook_of_endpoint"),
        ]

    def __str__(self) -> str:
        return f"{self.event_id} to {self.endpoint_id}"
