"""Review and audit, for any kind of object: other apps opt in, this one knows none of them."""

from typing import Any

from django.conf import settings
from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models import F, Q

from apps.foundation.core.append_only import append_only
from apps.foundation.core.ids import uuid7


class Review(models.Model):
    """A request that others agree to exactly this: the object at this digest, nothing else."""

    class State(models.TextChoices):
        OPEN = "open", "waiting"
        APPROVED = "approved", "approved"
        REFUSED = "refused", "changes requested"
        VOID = "void", "void: it was edited"

    content_type = models.ForeignKey(ContentType, on_delete=models.PROTECT)
    object_id = models.PositiveBigIntegerField()
    subject = GenericForeignKey("content_type", "object_id")
    subject_label = models.CharField(max_length=200)
    digest = models.CharField(max_length=64, help_text="SHA-256 of content, audience and policy, in hex")
    path = models.JSONField(default=list, help_text="roles that must agree, each by somebody of its own")
    state = models.CharField(max_length=16, choices=State.choices, default=State.OPEN)
    note = models.TextField(blank=True)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="reviews")
    authors = models.JSONField(default=list, help_text="ids of those whose work it is: none of them may agree to it")
    requested_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["content_type", "object_id"], condition=Q(state="open"), name="review_one_open_per_object"
            )
        ]
        indexes = [models.Index(fields=["state", "requested_at"], name="review_inbox")]

    def __str__(self) -> str:
        return f"{self.subject_label} ({self.get_state_display()})"


@append_only
class Approval(models.Model):
    """What one person said in a review, in one role."""

    class Verdict(models.TextChoices):
        APPROVE = "approve", "approves"
        REFUSE = "refuse", "asks for changes"

    review = models.ForeignKey(Review, on_delete=models.PROTECT, related_name="approvals")
    role = models.CharField(max_length=32)
    verdict = models.CharField(max_length=16, choices=Verdict.choices)
    comment = models.TextField(blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="approvals")
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(by=F("requested_by")), name="approval_nobody_approves_their_own"),
            models.UniqueConstraint(fields=["review", "role"], name="approval_one_per_role"),
            models.UniqueConstraint(fields=["review", "by"], name="approval_one_per_person"),
        ]

    def __str__(self) -> str:
        return f"{self.by} {self.get_verdict_display()} as {self.role}"


@append_only
class AuditEntry(models.Model):
    """Who did what to which object. `action` is namespaced: `playbooks.version.published`."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    at = models.DateTimeField()
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    action = models.CharField(max_length=80)
    content_type = models.ForeignKey(ContentType, null=True, on_delete=models.PROTECT, related_name="+")
    object_id = models.CharField(max_length=64, blank=True)
    object_label = models.CharField(max_length=200, blank=True)
    request_id = models.UUIDField(null=True)
    data: "models.JSONField[Any, Any]" = models.JSONField(default=dict)

    class Meta:
        verbose_name = "audit entry"
        verbose_name_plural = "audit log"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["-at"], name="audit_newest"),
            models.Index(fields=["content_type", "object_id", "-at"], name="audit_of_object"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.object_label}"
