"""Playbooks: who gets what, when, and for which end; their versions, and their runs."""

from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from apps.data.consent.models import Channel, Purpose, Topic
from apps.data.profiles.mail import MailKind
from apps.data.profiles.models import Profile
from apps.decisioning.audiences.models import Audience
from apps.decisioning.content.models import Brand, Template
from apps.foundation.core.clock import now


class Playbook(models.Model):
    """What marketers edit. It runs only as a version that others approved and that was published."""

    class Trigger(models.TextChoices):
        HAND = "hand", "by hand"
        SCHEDULE = "schedule", "on a schedule"
        EVENT = "event", "at an event"
        AUDIENCE = "audience", "when somebody enters the audience"
        API = "api", "over the API"
        SYSTEM = "system", "as system mail"

    class Mail(models.TextChoices):
        """Kinds of system mail (`profiles.mail.MailKind`), in words."""

        CONFIRM = MailKind.CONFIRM.value, "confirmation that somebody wants to hear from us"
        LINK = MailKind.LINK.value, "link to the preferences, for somebody who asked for it"
        WELCOME = MailKind.WELCOME.value, "welcome after a sign-up"
        EXPORT = MailKind.EXPORT.value, "link to what is known about a person, for that person"
        ADDRESS = MailKind.ADDRESS.value, "confirmation of a new address, to that address"
        MOVED = MailKind.MOVED.value, "news to the old address that messages go to a new one"
        DIGEST = MailKind.DIGEST.value, "digest of what was collected for somebody"

    class Budget(models.TextChoices):
        TRANSACTIONAL = "transactional", "transactional"
        TRIGGERED = "triggered", "triggered"
        BULK = "bulk", "bulk"

    code = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="playbooks")
    trigger = models.CharField(max_length=10, choices=Trigger.choices, default=Trigger.HAND)
    mail_kind = models.CharField(
        "system mail", max_length=10, choices=Mail.choices, blank=True, default="", db_default=""
    )
    schedule = models.CharField(max_length=100, blank=True, help_text="cron: minute hour day month weekday")
    time_zone = models.CharField(
        max_length=50, default="UTC", help_text="IANA; of the schedule, and of people whose own is not known"
    )
    own_zone = models.BooleanField(
        "at that time on each person's own wall",
        default=False,
        db_default=False,
        help_text="the schedule's time where each person is, not all at once",
    )
    event_name = models.CharField("event", max_length=120, blank=True, help_text="such as Cart Updated")
    event_where = models.JSONField(
        "only if", null=True, blank=True, help_text="a rule over the event's properties, as in audiences"
    )
    entry_existing = models.BooleanField(
        "also those who are in it already", default=False, help_text="when it is published, not only who enters later"
    )
    again_after_days = models.PositiveSmallIntegerField(
        "again after days", null=True, blank=True, help_text="empty: once per person; 0: each time"
    )
    audience = models.ForeignKey(Audience, on_delete=models.PROTECT, related_name="playbooks")
    brand = models.ForeignKey(Brand, on_delete=models.PROTECT, related_name="playbooks")
    template = models.ForeignKey(Template, on_delete=models.PROTECT, related_name="playbooks")
    slots = models.JSONField(default=dict, help_text="for each slot of the template, its tiers in order")
    steps = models.JSONField(
        default=list, blank=True, help_text="see `steps.py`; empty: one message, of the template and slots above"
    )
    purpose = models.ForeignKey(Purpose, on_delete=models.PROTECT, related_name="playbooks", default="marketing")
    topic = models.ForeignKey(
        Topic,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="playbooks",
        help_text="what it is about: people can switch a topic off",
    )
    channel = models.CharField(max_length=8, choices=Channel.choices, default=Channel.EMAIL)
    budget = models.CharField(max_length=14, choices=Budget.choices, default=Budget.BULK)
    kpi = models.CharField("main KPI", max_length=60, default="orders per message")
    guardrails = models.JSONField(
        default=list, blank=True, help_text="figures that must stay within a limit: see `rules.GUARDRAILS`"
    )
    approval_path = models.JSONField(default=list, help_text="roles that must agree, such as brand_approver")
    cap_count = models.PositiveSmallIntegerField(
        "at most", null=True, blank=True, help_text="messages of this purpose to one person…"
    )
    cap_days = models.PositiveSmallIntegerField("in days", null=True, blank=True, help_text="…within so many days")
    quiet_start = models.TimeField(
        "quiet from", null=True, blank=True, help_text="on the person's wall, if their time zone is known"
    )
    quiet_end = models.TimeField("quiet until", null=True, blank=True)
    placement = models.SlugField(
        max_length=60,
        blank=True,
        default="",
        db_default="",
        help_text="where a page or an app shows it, such as home-hero; only for one that is asked for over the API",
    )
    priority = models.PositiveSmallIntegerField(
        default=5,
        db_default=5,
        help_text="1 to 9: where a cap lets one message through, that of the higher goes first",
    )
    send_days = models.JSONField(
        "only on",
        default=list,
        blank=True,
        db_default=models.Value([], models.JSONField()),
        help_text="weekdays, on the person's wall; none: every day",
    )
    holdout_percent = models.PositiveSmallIntegerField(
        "held out, in percent",
        default=0,
        db_default=0,
        help_text="of people who get nothing of it, always the same ones: against them it is seen what it brings",
    )
    heeds_tickets = models.BooleanField(
        "not to who waits for help", default=False, db_default=False, help_text="to nobody with an open support ticket"
    )
    blocked_items = models.JSONField(
        "never show",
        default=list,
        blank=True,
        db_default=models.Value([], models.JSONField()),
        help_text="numbers of items",
    )
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
        permissions = [
            ("publish_playbook", "Can publish a playbook"),
            ("run_playbook", "Can start and stop runs"),
            ("stop_playbook", "Can pause and cancel runs"),
        ]
        constraints = [
            models.CheckConstraint(
                # NULL >= 1 is not false, and a check takes what is not false
                condition=Q(cap_count=None, cap_days=None)
                | Q(cap_count__isnull=False, cap_days__isnull=False, cap_count__gte=1, cap_days__gte=1),
                name="playbook_cap_is_whole",
                violation_error_message="Give both numbers of the cap, at least 1 each, or none",
            ),
            models.CheckConstraint(
                condition=Q(priority__gte=1, priority__lte=9),
                name="playbook_priority_is_one_to_nine",
                violation_error_message="Write a priority from 1 to 9",
            ),
            models.CheckConstraint(
                condition=Q(holdout_percent__lte=50),
                name="playbook_holdout_is_a_part",
                violation_error_message="Hold out at most 50 percent",
            ),
            models.CheckConstraint(
                condition=~Q(trigger="schedule") | ~Q(schedule=""), name="playbook_schedule_is_given"
            ),
            models.CheckConstraint(
                condition=~Q(trigger="event") | ~Q(event_name=""),
                name="playbook_event_is_given",
                violation_error_message="Name the event that starts it",
            ),
            models.CheckConstraint(
                condition=~Q(trigger="system") | ~Q(mail_kind=""),
                name="playbook_mail_kind_is_given",
                violation_error_message="Say which system mail it is",
            ),
            models.CheckConstraint(
                condition=Q(quiet_start=None, quiet_end=None)
                | Q(quiet_start__isnull=False, quiet_end__isnull=False) & ~Q(quiet_start=F("quiet_end")),
                name="playbook_quiet_hours_are_whole",
                violation_error_message="Give both ends of the quiet hours, not the same, or none",
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
    compiled = models.JSONField(help_text="ids of the compiled templates by language; of the first message")
    compiled_steps = models.JSONField(
        default=dict, help_text="by id of the step, ids of its compiled templates by language; empty for one message"
    )
    mail_kind = models.CharField(
        max_length=10, choices=Playbook.Mail.choices, blank=True, default="", db_default="", help_text="of the spec"
    )
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
            models.UniqueConstraint(
                fields=["mail_kind"],
                condition=Q(state="published") & ~Q(mail_kind=""),
                name="playbook_version_one_published_of_each_mail",
            ),
        ]
        ordering = ["playbook_id", "-number"]

    def __str__(self) -> str:
        return f"{self.playbook} v{self.number}"


class Run(models.Model):
    """One occasion on which a published version goes out. The same occasion is the same run.

    step: the step whose message it sends, "" for the occasion itself; as_of: the moment whose facts the audience and
    the decisions look at; send_until: nothing of it goes out later, None for what the version says from its start;
    wall: the day and time on each person's own wall at which it goes out (2026-11-30T09:00), "" where all are due at
    once; created: told by `run_start`, whether that very call made it.
    """

    created = False

    class State(models.TextChoices):
        PLANNING = "planning", "planning"
        DECIDING = "deciding", "deciding"
        DECIDED = "decided", "decided"
        CANCELLED = "cancelled", "cancelled"

    playbook = models.ForeignKey(Playbook, on_delete=models.PROTECT, related_name="runs")
    version = models.ForeignKey(PlaybookVersion, on_delete=models.PROTECT, related_name="runs")
    step = models.CharField(max_length=40, blank=True, default="", db_default="")
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
    send_until = models.DateTimeField(null=True, blank=True)
    wall = models.CharField(max_length=16, blank=True, default="", db_default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["playbook", "occasion_key", "step"], name="run_once_per_occasion_and_step")
        ]
        ordering = ["-id"]

    def __str__(self) -> str:
        return ", ".join(filter(None, (str(self.playbook), self.step, self.occasion_key)))

    @property
    def ended(self) -> bool:
        """Whether nobody is decided about any more; what was decided may still be on its way."""
        return self.state in (self.State.DECIDED, self.State.CANCELLED)

    @property
    def wall_at(self) -> datetime | None:
        """The day and time on each person's own wall, without a zone; None where all are due at once."""
        return datetime.fromisoformat(self.wall) if self.wall else None


class RunBatch(models.Model):
    """A part of the audience's snapshot: the profiles to decide about in one go.

    as_of: the moment whose facts count for them, None for the run's; not_before: when quiet hours end for them, or
    their own moment is;
    withheld: why none of them gets anything, where that is known beforehand; chosen: for how many of them something was
    chosen when they were decided about, None until then; ready: for how many of these it was there already.
    """

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="batches")
    number = models.PositiveIntegerField()
    profile_ids = ArrayField(models.BigIntegerField())
    as_of = models.DateTimeField(null=True, blank=True)
    not_before = models.DateTimeField(null=True, blank=True)
    withheld = models.CharField(max_length=20, blank=True, default="", db_default="")
    decided_at = models.DateTimeField(null=True, blank=True)
    chosen = models.PositiveIntegerField(null=True, blank=True)
    ready = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "number"], name="run_batch_once")]
        indexes = [models.Index(fields=["run"], condition=Q(decided_at=None), name="run_batch_open")]


class Preparation(models.Model):
    """What of a message of a version was made ahead of its next send, the last time (`decisions/ahead.py`).

    step: as in `Run`; people, choices: so many were looked at, and so many choices put into Redis, up to ended_at;
    done: whether nobody was left then. What is in Redis is good for `PRECOMPUTED_SECONDS`; it is never needed.
    """

    playbook = models.ForeignKey(Playbook, on_delete=models.CASCADE, related_name="preparations")
    version = models.ForeignKey(PlaybookVersion, on_delete=models.CASCADE, related_name="+", db_index=False)
    step = models.CharField(max_length=40, blank=True, default="", db_default="")
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    people = models.PositiveIntegerField(default=0)
    choices = models.PositiveIntegerField(default=0)
    done = models.BooleanField(default=False)

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["version", "step"], name="preparation_of_message_once")]

    def __str__(self) -> str:
        return ", ".join(filter(None, (str(self.playbook), self.step, f"prepared for {self.people}")))

    @property
    def good_until(self) -> datetime:
        """When the last of it has ended by itself."""
        return self.ended_at + timedelta(seconds=settings.PRECOMPUTED_SECONDS)


class Journey(models.Model):
    """One person on the way through the steps of a version, for one occasion. The same occasion is the same journey.

    step: the one to take next, "" when there is none; reached_at: since when it could be taken; due_at: when it is
    looked at again, None once the journey has ended; reason: why it ended early; history: what happened, each as
    [moment, step, what]. entered_at: the moment of what started it, such as the event.
    """

    class State(models.TextChoices):
        ACTIVE = "active", "under way"
        DONE = "done", "at the end"
        EXITED = "exited", "left early"
        CANCELLED = "cancelled", "cancelled"
        FAILED = "failed", "stopped by a fault"

    playbook = models.ForeignKey(Playbook, on_delete=models.PROTECT, related_name="journeys", db_index=False)
    version = models.ForeignKey(PlaybookVersion, on_delete=models.PROTECT, related_name="+")
    profile = models.ForeignKey(Profile, on_delete=models.CASCADE, related_name="journeys", db_index=False)
    occasion_key = models.CharField(max_length=260)
    trigger = models.CharField(max_length=10, choices=Playbook.Trigger.choices)
    state = models.CharField(max_length=10, choices=State.choices, default=State.ACTIVE)
    step = models.CharField(max_length=40, blank=True)
    entered_at = models.DateTimeField()
    reached_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=80, blank=True)
    history = models.JSONField(default=list)
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["playbook", "profile", "occasion_key"], name="journey_once_per_person_and_occasion"
            ),
            models.CheckConstraint(
                condition=Q(state="active", due_at__isnull=False, ended_at=None)
                | Q(~Q(state="active"), due_at=None, ended_at__isnull=False),
                name="journey_is_due_until_it_ends",
            ),
        ]
        indexes = [
            models.Index(fields=["playbook", "due_at"], condition=Q(state="active"), name="journey_due"),
            models.Index(fields=["profile", "playbook", "entered_at"], name="journey_of_person"),
            models.Index(fields=["playbook", "state"], name="journey_counted"),
        ]
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"Journey {self.pk}"


class MailWant(models.Model):
    """A system mail that is wanted for one person. The same kind, person and key is the same mail.

    run: in which it goes out, None while it waits and if it was given up; settled_at: when either came about.
    """

    kind = models.CharField(max_length=10, choices=Playbook.Mail.choices)
    profile = models.ForeignKey(Profile, on_delete=models.CASCADE, related_name="+", db_index=False)
    key = models.CharField(max_length=120)
    wanted_at = models.DateTimeField(default=now)
    run = models.ForeignKey(Run, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["profile", "kind", "key"], name="mail_want_once")]
        indexes = [
            models.Index(fields=["kind", "id"], condition=Q(settled_at=None), name="mail_want_open"),
            models.Index(fields=["run", "profile"], name="mail_want_of_message"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}, {self.key}"


class Sighting(models.Model):
    """An event that the trigger of a playbook has looked at, so that it looks at each one once. Kept for some days."""

    playbook = models.ForeignKey(Playbook, on_delete=models.CASCADE, related_name="+", db_index=False)
    event_key = models.CharField(max_length=260)
    seen_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["playbook", "event_key"], name="sighting_once")]
        indexes = [models.Index(fields=["seen_at"], name="sighting_old")]

    def __str__(self) -> str:
        return self.event_key


class Member(models.Model):
    """Somebody who was in a playbook's audience when it was last looked at."""

    playbook = models.ForeignKey(Playbook, on_delete=models.CASCADE, related_name="+", db_index=False)
    profile = models.ForeignKey(Profile, on_delete=models.CASCADE, related_name="+")
    since = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["playbook", "profile"], name="member_once")]

    def __str__(self) -> str:
        return f"Profile {self.profile_id} in the audience of playbook {self.playbook_id}"


class TriggerMark(models.Model):
    """How far the trigger of a playbook has looked: events recorded up to then, or the audience as of then.

    audience_rule: the rule that `Member` rows were found by, None before the first look.
    """

    playbook = models.OneToOneField(Playbook, on_delete=models.CASCADE, related_name="trigger_mark")
    looked_at = models.DateTimeField()
    audience_rule = models.JSONField(null=True)

    def __str__(self) -> str:
        return f"{self.playbook} up to {self.looked_at:%Y-%m-%d %H:%M:%S}"
