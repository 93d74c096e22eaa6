"""Review, publishing, notices and audit, for any kind of object: other apps opt in, this one knows none of them.

A *head* is what people edit and name (a document, say); its *versions* are what it said at a time. Others agree to a
version, and a version is published. The state of a version is read from its reviews and publications.
"""

from typing import Any

from django.conf import settings
from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models import F, Q

from apps.foundation.core.append_only import append_only
from apps.foundation.core.ids import uuid7


class State(models.TextChoices):
    """The state of a version."""

    DRAFT = "draft", "draft"
    IN_REVIEW = "in_review", "in review"
    APPROVED = "approved", "approved"
    REFUSED = "refused", "changes requested"
    VOID = "void", "void"
    PUBLISHED = "published", "published"
    RETIRED = "retired", "retired"


class Review(models.Model):
    """A request that others agree to exactly this: the object at this digest, nothing else.

    path: what was asked when it was requested, as steps in order, each with roles in any order. Approval paths that
    change later leave it as it is. tags: those the subject had, from which the path followed.
    """

    class State(models.TextChoices):
        OPEN = "open", "waiting"
        APPROVED = "approved", "approved"
        REFUSED = "refused", "changes requested"
        VOID = "void", "void"

    content_type = models.ForeignKey(ContentType, on_delete=models.PROTECT)
    object_id = models.PositiveBigIntegerField()
    subject = GenericForeignKey("content_type", "object_id")
    subject_label = models.CharField(max_length=200)
    digest = models.CharField(max_length=64, help_text="SHA-256 of content, audience and policy, in hex")
    path = models.JSONField(
        default=list, help_text="steps in order; each a list of roles that must agree, each by somebody of its own"
    )
    tags = models.JSONField(default=list, blank=True)
    state = models.CharField(max_length=16, choices=State.choices, default=State.OPEN)
    note = models.TextField(blank=True)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="reviews")
    authors = models.JSONField(default=list, help_text="ids of those whose work it is: none of them may agree to it")
    requested_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_why = models.CharField("why it is void", max_length=200, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["content_type", "object_id"], condition=Q(state="open"), name="review_one_open_per_object"
            )
        ]
        indexes = [
            models.Index(fields=["state", "requested_at"], name="review_inbox"),
            models.Index(fields=["content_type", "object_id", "-id"], name="review_of_object"),
        ]

    def __str__(self) -> str:
        return f"{self.subject_label} ({self.get_state_display()})"

    @property
    def roles(self) -> list[str]:
        """All roles of the path, in its order."""
        return [role for step in self.path for role in step]


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
class ReviewComment(models.Model):
    """What somebody said about a review without answering it."""

    review = models.ForeignKey(Review, on_delete=models.PROTECT, related_name="comments")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()
    text = models.TextField()

    class Meta:
        ordering = ["at", "id"]

    def __str__(self) -> str:
        return f"{self.by} on {self.review_id}"


class ApprovalPath(models.Model):
    """Who must agree to which kind of object, with which tag. All paths that fit an object count together."""

    name = models.CharField(max_length=120, unique=True)
    kind = models.ForeignKey(
        ContentType, null=True, blank=True, on_delete=models.PROTECT, related_name="+", help_text="empty: any kind"
    )
    tag = models.CharField(max_length=40, blank=True, help_text="only what has this tag, or uses something that has it")
    steps = models.JSONField(default=list, help_text="in order; each a list of roles that answer in any order")
    active = models.BooleanField(default=True)
    updated_at = models.DateTimeField()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Publication(models.Model):
    """A version was live from `live_from` to `live_until`; empty: it is live. At most one of a head at a time."""

    content_type = models.ForeignKey(ContentType, on_delete=models.PROTECT, related_name="+", help_text="of the head")
    head_id = models.PositiveBigIntegerField()
    head = GenericForeignKey("content_type", "head_id")
    version_id = models.PositiveBigIntegerField()
    digest = models.CharField(max_length=64)
    live_from = models.DateTimeField()
    live_until = models.DateTimeField(null=True, blank=True)
    published_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    why_ended = models.CharField(max_length=400, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["content_type", "head_id"],
                condition=Q(live_until=None),
                name="publication_one_live_version_per_head",
            ),
            models.CheckConstraint(
                condition=Q(live_until=None) | Q(live_until__gte=F("live_from")),
                name="publication_ends_after_it_begins",
            ),
        ]
        indexes = [
            models.Index(fields=["content_type", "head_id", "-live_from"], name="publication_of_head"),
            models.Index(fields=["content_type", "version_id"], name="publication_of_version"),
        ]
        ordering = ["-live_from", "-id"]

    def __str__(self) -> str:
        return f"{self.content_type_id}/{self.head_id}, version {self.version_id}"


class Notice(models.Model):
    """News for one member of staff: shown in the admin, and by e-mail unless they don't want that kind.

    key: what it is news of; the same news comes to a person once. place: the page it leads to, where it is not about
    a review.
    """

    class Kind(models.TextChoices):
        WAITING = "waiting", "something waits for my answer"
        READY = "ready", "something is approved that I may publish"
        APPROVED = "approved", "my work was approved"
        REFUSED = "refused", "changes to my work are asked for"
        VOID = "void", "an approval became void"
        COMMENT = "comment", "a comment on a review of mine"
        PUBLISHED = "published", "something of mine was published or withdrawn"
        DUE = "due", "a customer's request has to be answered soon, or is overdue"
        QUALITY = "quality", "the data of customers became worse than it may be"

    class Mail(models.TextChoices):
        MUTED = "muted", "not wanted"
        WAITING = "waiting", "waiting"
        SENT = "sent", "sent"
        DROPPED = "dropped", "not sent: the account is closed"
        FAILED = "failed", "given up"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="notices")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    key = models.CharField(max_length=80)
    review = models.ForeignKey(Review, null=True, blank=True, on_delete=models.PROTECT, related_name="notices")
    place = models.CharField(max_length=200, blank=True)
    title = models.CharField(max_length=300)
    body = models.TextField(blank=True)
    at = models.DateTimeField()
    read_at = models.DateTimeField(null=True, blank=True)
    mail = models.CharField(max_length=8, choices=Mail.choices, default=Mail.WAITING)
    mail_attempts = models.PositiveSmallIntegerField(default=0)
    mail_after = models.DateTimeField(help_text="not tried before")
    mailed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="notice_comes_once")]
        indexes = [
            models.Index(fields=["user", "-id"], name="notice_newest"),
            models.Index(fields=["user"], condition=Q(read_at=None), name="notice_unread"),
            models.Index(fields=["mail_after"], condition=Q(mail="waiting"), name="notice_to_mail"),
        ]
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.title


class NoticeMute(models.Model):
    """A kind of news that somebody doesn't want by e-mail."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notice_mutes")
    kind = models.CharField(max_length=12, choices=Notice.Kind.choices)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "kind"], name="notice_mute_once")]

    def __str__(self) -> str:
        return f"{self.user}: {self.get_kind_display()}"


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
            models.Index(fields=["request_id"], name="audit_of_request"),
            models.Index(fields=["actor", "-at"], name="audit_of_actor"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.object_label}"
