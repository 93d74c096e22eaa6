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


class LawfulBasis(models.TextChoices):
    """On what a processing rests (GDPR, Article 6(1))."""

    CONSENT = "consent", "consent"
    CONTRACT = "contract", "contract"
    LEGITIMATE = "legitimate", "legitimate interest"


class Action(models.TextChoices):
    """What a record of the ledger says."""

    GRANT = "grant", "agreed"
    WITHDRAW = "withdraw", "withdrawn"


@append_only
class ConsentRecord(models.Model):
    """One line of the consent ledger. Append-only, sealed by `ledger.seal_of` and linked by `chain.py`.

    wording_digest: SHA-256, in hex, of what the person was shown; gpc: whether the browser sent `Sec-GPC: 1`, None
    without a browser; confirmation: of a double opt-in, when it was asked for and when confirmed; origin_digest: keyed
    digest of whence it came, which itself is kept for a shorter time.
    """

    class Method(models.TextChoices):
        IMPORT = "import", "import"
        PREFERENCES = "preferences", "preference page"
        ONE_CLICK = "one_click", "one-click unsubscribe"
        STAFF = "staff", "by staff"
        API = "api", "API"
        SIGN_UP = "sign_up", "sign-up form"
        GPC = "gpc", "signal of the browser (GPC)"
        PLATFORM = "platform", "consent platform"

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
    lawful_basis = models.CharField(max_length=12, choices=LawfulBasis.choices, default=LawfulBasis.CONSENT)
    wording_digest = models.CharField(max_length=64, blank=True)
    locale = models.CharField(max_length=20, blank=True)
    policy_version = models.CharField(max_length=40, blank=True)
    jurisdiction = models.CharField(max_length=10, blank=True, help_text="whose law applied: a country, or US-CA")
    gpc = models.BooleanField("GPC signal", null=True, blank=True)
    confirmation = models.JSONField(null=True, blank=True)
    origin_digest = models.BinaryField(max_length=32, default=b"", blank=True)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=now)
    seal = models.BinaryField(max_length=32, default=b"", editable=False)

    class Meta:
        indexes = [models.Index(fields=["profile", "purpose", "channel", "-id"], name="consent_record_newest")]

    def __str__(self) -> str:
        return f"{self.purpose_id} by {self.channel}: {self.get_action_display()}"


@append_only
class ConsentLink(models.Model):
    """A record's place in the chain, counted from 1, and the link that holds it there (`ledger.link_of`).

    No foreign key: that a record was removed must be seen here, not hindered by what a superuser can drop.
    """

    place = models.BigIntegerField(primary_key=True)
    record_id = models.BigIntegerField(unique=True)
    link = models.BinaryField(max_length=32)
    linked_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"Place {self.place}: record {self.record_id}"


class ConsentPending(models.Model):
    """A record that has no link yet; written with it, gone with its link, a moment later."""

    record = models.OneToOneField(ConsentRecord, on_delete=models.CASCADE, primary_key=True, related_name="+")

    def __str__(self) -> str:
        return f"Record {self.pk} waits for its link"


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
