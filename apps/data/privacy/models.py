"""What people ask of their rights, and what came of it."""

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from apps.data.profiles.models import Profile
from apps.foundation.core.clock import now
from apps.foundation.core.ids import uuid7


class RightsRequest(models.Model):
    """Something a person has a right to, asked for by them or for them, with its clock (GDPR, Articles 12 to 21).

    shown_by: how it was shown that the person is who they say, without what was shown; report: what was done, step by
    step, without personal data. Steps between states are those of `rules.STEPS`.
    """

    class Kind(models.TextChoices):
        EXPORT = "export", "export"
        CORRECTION = "correction", "correction"
        OBJECTION = "objection", "objection"
        RESTRICTION = "restriction", "restriction"
        ERASURE = "erasure", "erasure"

    class AskedBy(models.TextChoices):
        PERSON = "person", "the person"
        STAFF = "staff", "staff, for the person"

    class State(models.TextChoices):
        OPEN = "open", "to be looked at"
        WORKING = "working", "being carried out"
        DONE = "done", "done"
        REFUSED = "refused", "refused"
        WITHDRAWN = "withdrawn", "taken back"

    kind = models.CharField(max_length=12, choices=Kind.choices)
    profile = models.ForeignKey(Profile, on_delete=models.PROTECT, related_name="rights_requests")
    asked_by = models.CharField(max_length=8, choices=AskedBy.choices)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="who put it down, or decided about it",
    )
    shown_by = models.CharField("identity shown by", max_length=200)
    asked_at = models.DateTimeField(default=now)
    due_at = models.DateTimeField(help_text="a month after it was asked for (GDPR, Article 12(3))")
    extended_because = models.CharField(max_length=300, blank=True, help_text="why two more months are needed")
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    report: "models.JSONField[Any, Any]" = models.JSONField(default=dict, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view", "add", "change")
        permissions = [("fetch_export", "Can fetch what a person's export holds")]
        constraints = [
            models.UniqueConstraint(
                fields=["profile", "kind"],
                condition=Q(state__in=["open", "working"]),
                name="rights_request_one_open_of_a_kind",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["open", "working"], closed_at=None)
                | Q(state__in=["done", "refused", "withdrawn"], closed_at__isnull=False),
                name="rights_request_closed_has_its_moment",
            ),
            models.CheckConstraint(condition=Q(due_at__gt=F("asked_at")), name="rights_request_due_after_asked"),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(state__in=["open", "working"]), name="rights_request_due"),
            models.Index(fields=["profile", "-id"], name="rights_request_of_profile"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display().capitalize()} for profile {self.profile_id}"

    @property
    def running(self) -> bool:
        """Whether its clock runs."""
        return self.state in (self.State.OPEN, self.State.WORKING)


class AddressChange(models.Model):
    """A new e-mail address that somebody typed in on their page, and what came of it (`address_changes.py`).

    new, old: sealed; `old` is empty until it was confirmed, and for who had none. had_new: the new one was theirs
    before. undo_until: until when the holder of the old one can take it back.
    """

    class State(models.TextChoices):
        PENDING = "pending", "waits for confirmation"
        DROPPED = "dropped", "given up for a later one"
        CONFIRMED = "confirmed", "confirmed"
        TAKEN_BACK = "taken_back", "taken back by the old address"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    profile = models.ForeignKey(Profile, on_delete=models.CASCADE, related_name="address_changes", db_index=False)
    new = models.BinaryField()
    old = models.BinaryField(default=b"")
    forget_old = models.BooleanField(default=False)
    had_new = models.BooleanField(default=False)
    old_verified = models.BooleanField(default=False)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    shown_by = models.CharField("identity shown by", max_length=200)
    asked_at = models.DateTimeField(default=now)
    expires_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(null=True, blank=True)
    undo_until = models.DateTimeField(null=True, blank=True)
    taken_back_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["profile"], condition=Q(state="pending"), name="address_change_one_pending"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["pending", "dropped"], confirmed_at=None)
                | Q(state__in=["confirmed", "taken_back"], confirmed_at__isnull=False, undo_until__isnull=False),
                name="address_change_confirmed_has_its_moments",
            ),
        ]
        indexes = [models.Index(fields=["profile", "-asked_at"], name="address_change_of_person")]

    def __str__(self) -> str:
        return f"New address of profile {self.profile_id}: {self.get_state_display()}"


class ExportFile(models.Model):
    """An export that lies ready, sealed with a key that is sealed with the person's: without theirs nobody reads it.

    key: sealed by the vault; sizes: bytes of each format before sealing.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    request = models.ForeignKey(RightsRequest, on_delete=models.CASCADE, related_name="files")
    profile = models.ForeignKey(Profile, on_delete=models.PROTECT, related_name="+")
    key = models.BinaryField()
    sizes = models.JSONField(default=dict)
    made_at = models.DateTimeField(default=now)
    until = models.DateTimeField(help_text="it can be fetched up to then, and is removed after")
    fetched_at = models.DateTimeField(null=True, blank=True)
    removed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions = ()
        indexes = [models.Index(fields=["until"], condition=Q(removed_at=None), name="export_file_to_remove")]

    def __str__(self) -> str:
        return f"Export {self.pk}"


class RetentionMark(models.Model):
    """What a rule of retention forgot: in its last run, and in all of them."""

    rule = models.CharField(primary_key=True, max_length=40)
    ran_at = models.DateTimeField()
    forgot_last = models.PositiveBigIntegerField(default=0)
    forgot = models.PositiveBigIntegerField(default=0)
    problem = models.CharField(max_length=80, blank=True)

    class Meta:
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"Retention of {self.rule}"
