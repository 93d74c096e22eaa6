"""The send ledger: what is to be handed over, what was tried, and what came of it."""

from django.db import models
from django.db.models import Q

from apps.data.profiles.models import Profile
from apps.decisioning.content.models import CompiledTemplate
from apps.foundation.core.clock import now


class Dispatch(models.Model):
    """The messages of one run, for delivery: its terms and its controls. One for each occasion."""

    PRIORITY_MOST = 9

    class State(models.TextChoices):
        ACTIVE = "active", "sending"
        PAUSED = "paused", "paused"
        CANCELLED = "cancelled", "cancelled"

    run_id = models.BigIntegerField(unique=True)
    label = models.CharField(max_length=260)
    occasion = models.CharField(max_length=300, unique=True)
    purpose = models.CharField(max_length=32)
    topic = models.CharField(max_length=32, blank=True, default="", db_default="")
    mail_kind = models.CharField(
        max_length=10, blank=True, default="", db_default="", help_text="which system mail it is, if it is one"
    )
    needs_consent = models.BooleanField()
    channel = models.CharField(max_length=8)
    from_name = models.CharField(max_length=120)
    from_email = models.EmailField()
    reply_to = models.EmailField(blank=True)
    link_hosts = models.JSONField(default=list)
    cap_count = models.PositiveSmallIntegerField(null=True)
    cap_days = models.PositiveSmallIntegerField(null=True)
    priority = models.PositiveSmallIntegerField(
        default=5, db_default=5, help_text="1 to 9: the higher goes first where a cap lets one through"
    )
    hours = models.JSONField(
        null=True,
        help_text="when it may go out: quiet hours, weekdays, the zone where a person's isn't known",
    )
    not_after = models.DateTimeField(help_text="nothing goes out later than this")
    per_minute = models.PositiveIntegerField(null=True, help_text="messages at most; none: as fast as it goes")
    state = models.CharField(max_length=10, choices=State.choices, default=State.ACTIVE)
    created_at = models.DateTimeField(default=now)

    class Meta:
        verbose_name_plural = "dispatches"
        indexes = [models.Index(fields=["not_after"], name="dispatch_in_time")]

    def __str__(self) -> str:
        return self.label


class RunTally(models.Model):
    """The figures of a large run as counted last (`tallies.py`). settled: but for what comes back, they stay."""

    run_id = models.BigIntegerField(primary_key=True)
    counted_at = models.DateTimeField()
    seconds = models.FloatField(help_text="how long it took to count")
    settled = models.BooleanField()
    figures = models.JSONField()

    def __str__(self) -> str:
        return f"Run {self.run_id}, {self.counted_at:%Y-%m-%d %H:%M:%S}"


class Sender(models.Model):
    """A process that sends, known by its heartbeat; `journal` is its file on `host`, locked while it lives."""

    id = models.UUIDField(primary_key=True)
    host = models.CharField(max_length=120)
    boot_id = models.CharField(max_length=64, help_text="of the kernel: another one, and the journal may lack lines")
    pid = models.IntegerField()
    pid_started = models.BigIntegerField(help_text="start time of the process, in clock ticks since boot")
    journal = models.CharField(max_length=1000)
    started_at = models.DateTimeField()
    heartbeat_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, help_text="when nothing was left that it held")

    class Meta:
        indexes = [models.Index(fields=["heartbeat_at"], condition=Q(settled_at=None), name="sender_unsettled")]

    def __str__(self) -> str:
        return f"Sender {self.pk}"


class Message(models.Model):
    """One message to one person for one occasion. Its id is its decision's.

    States: queued → claimed → sending → sent → delivered | bounced | complained; or withheld (with its reason),
    retry, failed, uncertain, cancelled; `rules.STEPS` has every step. A claim is good until `lease_until` (the
    database's clock) and only for the holder of `fence`, which grows with each claim.

    Indexes are few on purpose: each costs every one of the three updates that a message sees. People, dispatches and
    compiled templates are never removed, so the database is spared locking a row of each for every message.
    """

    class State(models.TextChoices):
        QUEUED = "queued", "queued"
        CLAIMED = "claimed", "claimed"
        SENDING = "sending", "sending"
        SENT = "sent", "sent"
        DELIVERED = "delivered", "delivered"
        BOUNCED = "bounced", "bounced"
        COMPLAINED = "complained", "complained"
        WITHHELD = "withheld", "withheld"
        RETRY = "retry", "to be tried again"
        FAILED = "failed", "failed"
        UNCERTAIN = "uncertain", "uncertain"
        CANCELLED = "cancelled", "cancelled"

    id = models.UUIDField(primary_key=True, editable=False)
    dispatch = models.ForeignKey(
        Dispatch, on_delete=models.PROTECT, related_name="messages", db_index=False, db_constraint=False
    )
    profile = models.ForeignKey(
        Profile, on_delete=models.PROTECT, related_name="messages", db_index=False, db_constraint=False
    )
    purpose = models.CharField(max_length=32)
    channel = models.CharField(max_length=8)
    compiled = models.ForeignKey(
        CompiledTemplate,
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    reason = models.CharField(max_length=40, blank=True, help_text="why it was withheld or failed")
    address_digest = models.BinaryField(
        max_length=32,
        null=True,
        help_text="keyed, of the address it goes to; the address itself stands with the person",
    )
    attempts = models.PositiveSmallIntegerField(default=0)
    fence = models.BigIntegerField(default=0)
    sender = models.ForeignKey(
        Sender,
        null=True,
        on_delete=models.DO_NOTHING,
        related_name="+",
        db_constraint=False,
        db_index=False,
        help_text="who holds it now; nobody once it left sending",
    )
    lease_until = models.DateTimeField(null=True)
    not_before = models.DateTimeField(default=now, help_text="when it may be claimed (again)")
    key_id = models.CharField(max_length=20, blank=True, help_text="the key that signed its links")
    dated_at = models.DateTimeField(null=True, help_text="its Date header")
    tracked = models.BooleanField(
        default=False, db_default=False, help_text="the person agreed that opens and clicks of it are followed"
    )
    content_digest = models.CharField(max_length=64, blank=True, help_text="SHA-256 of the bytes handed over")
    size = models.PositiveIntegerField(null=True, help_text="bytes handed over")
    created_at = models.DateTimeField(default=now)
    sending_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dispatch", "profile"], name="message_one_per_person_and_occasion"),
            models.UniqueConstraint(
                fields=["dispatch", "address_digest"],
                condition=~Q(state="withheld"),
                name="message_one_per_address_and_occasion",
            ),
            models.CheckConstraint(condition=~Q(state="withheld") | ~Q(reason=""), name="message_withheld_says_why"),
            models.CheckConstraint(
                condition=~Q(state__in=["claimed", "sending"]) | Q(sender__isnull=False, lease_until__isnull=False),
                name="message_held_by_somebody_until_some_time",
            ),
        ]
        indexes = [
            models.Index(
                fields=["dispatch", "not_before", "id"],
                condition=Q(state__in=["queued", "retry"]),
                name="message_claimable",
            ),
            models.Index(
                fields=["sender", "lease_until"], condition=Q(state__in=["claimed", "sending"]), name="message_held"
            ),
            models.Index(fields=["profile", "purpose", "sending_at"], name="message_counted_for_caps"),
            models.Index(
                fields=["state", "id"], condition=Q(state__in=["failed", "uncertain"]), name="message_to_look_at"
            ),
        ]

    def __str__(self) -> str:
        return f"Message {self.pk}"


class DeliveryAttempt(models.Model):
    """What came of one try to hand a message over. Until then the message itself, in `sending`, is the evidence of it.

    The database is spared looking each message up: who writes an attempt changes its message in the same statement, or
    has just done so, and messages are never removed.
    """

    class Outcome(models.TextChoices):
        ACCEPTED = "accepted", "accepted"
        DEFERRED = "deferred", "deferred"
        REFUSED = "refused", "refused"
        UNKNOWN = "unknown", "unknown"
        NOT_TRIED = "not_tried", "not tried"

    message = models.ForeignKey(
        Message, on_delete=models.CASCADE, related_name="delivery_attempts", db_index=False, db_constraint=False
    )
    number = models.PositiveSmallIntegerField()
    sender = models.ForeignKey(
        Sender, null=True, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    code = models.CharField(max_length=20, blank=True)
    response = models.CharField(max_length=500, blank=True, help_text="in the provider's words, addresses masked")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["message", "number"], name="attempt_once")]

    def __str__(self) -> str:
        return f"Attempt {self.number} of message {self.message_id}"


class MessageEvent(models.Model):
    """What was heard of a message after it was handed over, in Anymail's words. Each once: `source` names it so.

    bounce: of a bounce, whether the address is gone for good; link: the number of the link that was followed
    (`content.traces`); machine: why it counts for no person (a scanner, a proxy …), "" for a person's own deed;
    applied_at: when what follows was done (its message's state, suppression); passed_on_at: when apps above were told.
    """

    class Kind(models.TextChoices):
        DELIVERED = "delivered", "delivered"
        DEFERRED = "deferred", "delayed"
        BOUNCED = "bounced", "bounced"
        REJECTED = "rejected", "rejected by the provider"
        FAILED = "failed", "failed at the provider"
        COMPLAINED = "complained", "complained"
        UNSUBSCRIBED = "unsubscribed", "unsubscribed at the provider"
        AUTORESPONDED = "autoresponded", "answered by a machine"
        OPENED = "opened", "opened"
        CLICKED = "clicked", "clicked"

    class Bounce(models.TextChoices):
        NONE = "", "no bounce"
        HARD = "hard", "for good"
        SOFT = "soft", "for now"
        OTHER = "other", "says nothing of the address"

    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="events", db_index=False)
    kind = models.CharField(max_length=14, choices=Kind.choices)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=now)
    source = models.CharField(max_length=120, unique=True, help_text="who told it, and by which name of theirs")
    bounce = models.CharField(max_length=5, choices=Bounce.choices, blank=True, default=Bounce.NONE)
    reason = models.CharField(max_length=24, blank=True)
    code = models.CharField(max_length=20, blank=True, help_text="enhanced status (RFC 3463), or the provider's code")
    response = models.CharField(max_length=500, blank=True, help_text="in their words, addresses masked")
    link = models.PositiveIntegerField(null=True)
    machine = models.CharField(max_length=12, blank=True)
    applied_at = models.DateTimeField(null=True)
    passed_on_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["message", "kind"], name="message_event_of_message"),
            models.Index(fields=["recorded_at"], name="message_event_to_forget"),
            models.Index(fields=["id"], condition=Q(applied_at=None), name="message_event_to_apply"),
            models.Index(fields=["id"], condition=Q(passed_on_at=None), name="message_event_to_pass_on"),
        ]

    def __str__(self) -> str:
        return f"Message {self.message_id}: {self.get_kind_display()}"


class EventRaw(models.Model):
    """What a provider or mail server said, to the letter, sealed with the key of the message's person; for a time."""

    event = models.OneToOneField(MessageEvent, on_delete=models.CASCADE, primary_key=True, related_name="raw")
    profile = models.ForeignKey(Profile, on_delete=models.CASCADE, related_name="+")
    sealed = models.BinaryField()
    recorded_at = models.DateTimeField(default=now)

    class Meta:
        indexes = [models.Index(fields=["recorded_at"], name="event_raw_to_forget")]

    def __str__(self) -> str:
        return f"What was said of event {self.pk}"


class Allowance(models.Model):
    """How much of a limit is used up (`limits.py`): a bucket of messages that fills by time, and the day's count."""

    key = models.CharField(primary_key=True, max_length=300, help_text="run:ID, provider:NAME or domain:NAME")
    tokens = models.FloatField(help_text="messages that may go at once; below 0: more went than may")
    filled_at = models.DateTimeField()
    day = models.DateField(help_text="of UTC")
    day_count = models.PositiveIntegerField(help_text="messages of that day")
    held_until = models.DateTimeField(null=True, help_text="claims pass its messages over until then")
    turn_at = models.DateTimeField(null=True, help_text="the last turn that was given to a message which waits")

    class Meta:
        indexes = [models.Index(fields=["filled_at"], name="allowance_to_forget")]

    def __str__(self) -> str:
        return self.key


class Home(models.Model):
    """The database in which the ledger lives (`home.py`): one row. held_since: nothing goes out since then."""

    id = models.PositiveSmallIntegerField(primary_key=True)
    system_identifier = models.BigIntegerField(help_text="of the cluster")
    database_oid = models.BigIntegerField(help_text="of the database in it")
    timeline = models.IntegerField(help_text="begun anew by a recovery to a point in time and by a promoted standby")
    since = models.DateTimeField()
    held_since = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="home_is_one")]

    def __str__(self) -> str:
        return f"database {self.database_oid} of cluster {self.system_identifier}"


class SweepMark(models.Model):
    """How far a sweep has come, so that the next one also covers the time in which nothing ran."""

    name = models.CharField(primary_key=True, max_length=40)
    reached_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name} up to {self.reached_at:%Y-%m-%d %H:%M:%S}"
