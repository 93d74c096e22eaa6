"""What people agreed to: the ledger, its projection, the gate, and suppression."""

from django.conf import settings
from django.db import models

from apps.data.profiles.models import Profile
from apps.foundation.core.append_only import append_only
from apps.foundation.core.clock import now


class Channel(models.TextChoices):
    """By which way a message reaches a person."""

    EMAIL = "email", "e-mail"
    SMS = "sms", "SMS"
    PUSH = "push", "push"
    WEB = "web", "web"


class Purpose(models.Model):
    """What something is done for. Consent is given for a purpose on a channel.

    A purpose that does not need consent (transactional: the contract is its lawful basis) passes the gate
    without a grant; suppression of the address holds for it too.
    """

    code = models.SlugField(primary_key=True, max_length=32)
    name = models.CharField(max_length=80)
    description = models.TextField(help_text="in the customer's words; shown on the preference page")
    needs_consent = models.BooleanField(default=True)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position", "code"]

    def __str__(self) -> str:
        return self.name


class Action(models.TextChoices):
    """What a record of the ledger says."""

    GRANT = "grant", "agreed"
    WITHDRAW = "withdraw", "withdrawn"


@append_only
class ConsentRecord(models.Model):
    """One line of the consent ledger. Append-only."""

    class Method(models.TextChoices):
        IMPORT = "import", "import"
        PREFERENCES = "preferences", "preference page"
        ONE_CLICK = "one_click", "one-click unsubscribe"
        STAFF = "staff", "by staff"
        API = "api", "API"

    profile = models.ForeignKey(Profile, on_delete=models.PROTECT, related_name="consent_records")
    purpose = models.ForeignKey(Purpose, on_delete=models.PROTECT)
    channel = models.CharField(max_length=8, choices=Channel.choices)
    action = models.CharField(max_length=10, choices=Action.choices)
    method = models.CharField(max_length=16, choices=Method.choices)
    source = models.CharField(max_length=200, help_text="the file, page or message it came from")
    evidence = models.TextField(blank=True, help_text="who vouches for it, and how they know")
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=now)

    class Meta:
        indexes = [models.Index(fields=["profile", "purpose", "channel", "-id"], name="consent_record_newest")]

    def __str__(self) -> str:
        return f"{self.purpose_id} by {self.channel}: {self.get_action_display()}"


class ConsentState(models.Model):
    """What holds now: a projection of the ledger, changed only under the gate, in the ledger's transaction."""

    profile = models.ForeignKey(Profile, on_delete=models.CASCADE, related_name="consent_states")
    purpose = models.ForeignKey(Purpose, on_delete=models.PROTECT)
    channel = models.CharField(max_length=8, choices=Channel.choices)
    granted = models.BooleanField()
    record = models.ForeignKey(ConsentRecord, on_delete=models.CASCADE, related_name="+")
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["profile", "purpose", "channel"], name="consent_state_one_per_choice")
        ]

    def __str__(self) -> str:
        return f"{self.purpose_id} by {self.channel}: {'yes' if self.granted else 'no'}"


class Gate(models.Model):
    """The row that every opt-out of a person and every move of their messages to `sending` lock first.

    Locks are taken in the order of profile ids. `version` counts the changes of consent.
    """

    profile = models.OneToOneField(Profile, on_delete=models.CASCADE, primary_key=True, related_name="gate")
    version = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"Gate of profile {self.pk}"


class Suppression(models.Model):
    """An address that gets nothing, whoever holds it. It outlives the profile; no import lifts it."""

    class Reason(models.TextChoices):
        BOUNCE = "bounce", "bounced for good"
        COMPLAINT = "complaint", "complained"
        OPT_OUT = "opt_out", "left"
        ERASURE = "erasure", "erased"
        MANUAL = "manual", "by staff"
        SPAM_TRAP = "spam_trap", "known spam trap"

    digest = models.BinaryField(max_length=32, unique=True)
    kind = models.CharField(max_length=16, default="email")
    reason = models.CharField(max_length=12, choices=Reason.choices)
    note = models.CharField(max_length=200, blank=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return f"Suppressed: {self.get_reason_display()}"
