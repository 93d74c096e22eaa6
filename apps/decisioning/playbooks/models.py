"""Playbooks: who gets what, when, and for which end; their versions, and their runs."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from apps.data.consent.models import Channel, Purpose
from apps.decisioning.audiences.models import Audience
from apps.decisioning.content.models import Brand, Template
from apps.foundation.core.clock import now


class Playbook(models.Model):
    """What marketers edit. It runs only as a version that others approved and that was published."""

    class Trigger(models.TextChoices):
        HAND = "hand", "by hand"
        SCHEDULE = "schedule", "on a schedule"

    class Budget(models.TextChoices):
        TRANSACTIONAL = "transactional", "transactional"
        TRIGGERED = "triggered", "triggered"
        BULK = "bulk", "bulk"

    code = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="playbooks")
    trigger = models.CharField(max_length=10, choices=Trigger.choices, default=Trigger.HAND)
    schedule = models.CharField(max_length=100, blank=True, help_text="cron: minute hour day month weekday")
    time_zone = models.CharField(max_length=50, default="UTC", help_text="of the schedule; IANA")
    audience = models.ForeignKey(Audience, on_delete=models.PROTECT, related_name="playbooks")
    brand = models.ForeignKey(Brand, on_delete=models.PROTECT, related_name="playbooks")
    template = models.ForeignKey(Template, on_delete=models.PROTECT, related_name="playbooks")
    slots = models.JSONField(default=dict, help_text="for each slot of the template, its tiers in order")
    purpose = models.ForeignKey(Purpose, on_delete=models.PROTECT, related_name="playbooks", default="marketing")
    channel = models.CharField(max_length=8, choices=Channel.choices, default=Channel.EMAIL)
    budget = models.CharField(max_length=14, choices=Budget.choices, default=Budget.BULK)
    kpi = models.CharField("main KPI", max_length=60, default="orders per message")
    approval_path = models.JSONField(default=list, help_text="roles that must agree, such as brand_approver")
    cap_count = models.PositiveSmallIntegerField(
        "at most", null=True, blank=True, help_text="messages of this purpose to one person…"
    )
    cap_days = models.PositiveSmallIntegerField("in days", null=True, blank=True, help_text="…within so many days")
    send_within_hours = models.PositiveSmallIntegerField(default=24, help_text="do not send after so many hours")
    published = models.ForeignKey(
        "PlaybookVersion", null=True, blank=True, on_delete=models.PROTECT, related_name="+", editable=False
    )
    editors = models.JSONField(
        default=list, editable=False, help_text="ids of those who edited it since it was published"
    )
    schedule_seen_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="instants of the schedule up to here were dealt with"
    )
    created_at = models.DateTimeField(default=now)
    updated_at = models.DateTimeField(default=now)

    class Meta:
        ordering = ["name"]
        permissions = [("publish_playbook", "Can publish a playbook"), ("run_playbook", "Can start and stop runs")]
        constraints = [
            models.CheckConstraint(
                # NULL >= 1 is not false, and a check takes what is not false
                condition=Q(cap_count=None, cap_days=None)
                | Q(cap_count__isnull=False, cap_days__isnull=False, cap_count__gte=1, cap_days__gte=1),
                name="playbook_cap_is_whole",
                violation_error_message="Give both numbers of the cap, at least 1 each, or none",
            ),
            models.CheckConstraint(
                condition=~Q(trigger="schedule") | ~Q(schedule=""), name="playbook_schedule_is_given"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class PlaybookVersion(models.Model):
    """A playbook as it was handed in: `spec` pins the versions of all it uses (`contracts.py`), `digest` binds them.

    Only `state` changes after that.
    """

    class State(models.TextChoices):
        IN_REVIEW = "in_review", "in review"
        APPROVED = "approved", "approved"
        PUBLISHED = "published", "published"
        REFUSED = "refused", "changes requested"
        VOID = "void", "void: the playbook was edited"
        RETIRED = "retired", "retired"

    playbook = models.ForeignKey(Playbook, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    spec = models.JSONField()
    compiled = models.JSONField(help_text="ids of the compiled templates by language")
    digest = models.CharField(max_length=64)
    state = models.CharField(max_length=10, choices=State.choices, default=State.IN_REVIEW)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=now)
    published_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    published_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["playbook", "number"], name="playbook_version_once"),
            models.UniqueConstraint(
                fields=["playbook"], condition=Q(state="published"), name="playbook_one_published_version"
            ),
        ]
        ordering = ["playbook_id", "-number"]

    def __str__(self) -> str:
        return f"{self.playbook} v{self.number}"


class Run(models.Model):
    """One occasion on which a published version goes out. The same occasion is the same run.

    as_of: the moment whose facts the audience and the decisions look at; created: told by `run_start`, whether that
    very call made it.
    """

    created = False

    class State(models.TextChoices):
        PLANNING = "planning", "planning"
        DECIDING = "deciding", "deciding"
        DECIDED = "decided", "decided"
        CANCELLED = "cancelled", "cancelled"

    playbook = models.ForeignKey(Playbook, on_delete=models.PROTECT, related_name="runs")
    version = models.ForeignKey(PlaybookVersion, on_delete=models.PROTECT, related_name="runs")
    occasion_key = models.CharField(max_length=120, help_text="the schedule's instant, or the caller's key")
    trigger = models.CharField(max_length=10, choices=Playbook.Trigger.choices)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PLANNING)
    as_of = models.DateTimeField()
    people = models.PositiveIntegerField("people in the audience", default=0)
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(default=now)
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["playbook", "occasion_key"], name="run_once_per_occasion")]
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.playbook}, {self.occasion_key}"


class RunBatch(models.Model):
    """A part of the audience's snapshot: the profiles to decide about in one go."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="batches")
    number = models.PositiveIntegerField()
    profile_ids = ArrayField(models.BigIntegerField())
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "number"], name="run_batch_once")]
        indexes = [models.Index(fields=["run"], condition=Q(decided_at=None), name="run_batch_open")]
