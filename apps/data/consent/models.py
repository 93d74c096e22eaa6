"""What people agreed to: the ledger, its projection, the gate, and suppression."""

from hashlib import sha256

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from apps.data.profiles.models import Identifier, Profile
from apps.foundation.core.append_only import append_only
from apps.foundation.core.clock import now
from apps.foundation.core.ids import uuid7


class Channel(models.TextChoices):
    """By which way a message reaches a person."""

    EMAIL = "email", "e-mail"
    SMS = "sms", "SMS"
    PUSH = "push", "push"
    WEB = "web", "web"


class Purpose(models.Model):
    """What something is done for. Consent is given for a purpose on a channel.

    A purpose that does not need consent (transactional: the contract is its lawful basis) passes the gate
    without a grant; suppression of the address holds for it too. double_opt_in: who asks for it on a form must confirm
    it by a mail; gpc_opts_out: a browser that sends `Sec-GPC: 1` withdraws it.
    """

    code = models.SlugField(primary_key=True, max_length=32)
    name = models.CharField(max_length=80)
    description = models.TextField(help_text="in the customer's words; shown on the preference page")
    translations = models.JSONField(default=dict, blank=True, help_text="name and description by language")
    needs_consent = models.BooleanField(default=True)
    double_opt_in = models.BooleanField(
        "double opt-in", default=False, help_text="who asks for it on a form confirms it by a mail to the address"
    )
    gpc_opts_out = models.BooleanField(
        "GPC opts out", default=False, help_text="a browser that sends the signal Sec-GPC withdraws it"
    )
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
    """What a record of the ledger says. VOID: that what a merge had written of a choice does not count any more."""

    GRANT = "grant", "agreed"
    WITHDRAW = "withdraw", "withdrawn"
    VOID = "void", "taken back"


@append_only
class ConsentRecord(models.Model):
    """One line of the consent ledger. Append-only, sealed by `ledger.seal_of` and linked by `chain.py`.

    wording_digest: SHA-256, in hex, of the text that the person was shown; wording_version: where that text was
    approved, None for a purpose's own description and for what came from elsewhere; gpc: whether the browser sent
    `Sec-GPC: 1`, None without a browser; confirmation: of a double opt-in, when it was asked for and when confirmed;
    origin_digest: keyed digest of whence it came, which itself is kept for a shorter time.
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
        COMPLAINT = "complaint", "complaint to the mail provider"
        REPLY = "reply", "reply to a message"
        MERGE = "merge", "merge of two profiles"

    # no index: a person's records are found by the one below; no constraint: who writes one holds gate and purpose
    profile = models.ForeignKey(
        Profile, on_delete=models.PROTECT, related_name="consent_records", db_index=False, db_constraint=False
    )
    purpose = models.ForeignKey(Purpose, on_delete=models.PROTECT, db_index=False, db_constraint=False)
    channel = models.CharField(max_length=8, choices=Channel.choices)
    action = models.CharField(max_length=10, choices=Action.choices)
    method = models.CharField(max_length=16, choices=Method.choices)
    source = models.CharField(max_length=200, help_text="the file, page or message it came from")
    evidence = models.TextField(blank=True, help_text="who vouches for it, and how they know")
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    lawful_basis = models.CharField(max_length=12, choices=LawfulBasis.choices, default=LawfulBasis.CONSENT)
    wording_digest = models.CharField(max_length=64, blank=True)
    locale = models.CharField(max_length=20, blank=True)
    policy_version = models.CharField(max_length=40, blank=True)
    jurisdiction = models.CharField(max_length=10, blank=True, help_text="whose law applied: a country, or US-CA")
    gpc = models.BooleanField("GPC signal", null=True, blank=True)
    confirmation = models.JSONField(null=True, blank=True)
    origin_digest = models.BinaryField(max_length=32, default=b"", blank=True)
    wording_version = models.ForeignKey(
        "WordingVersion", null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=now)
    seal = models.BinaryField(max_length=32, default=b"", editable=False)

    class Meta:
        indexes = [
            models.Index(fields=["profile", "purpose", "channel", "-id"], name="consent_record_newest"),
            models.Index(F("actor"), condition=~Q(actor=None), name="consent_record_of_actor"),
            models.Index(F("wording_version"), condition=~Q(wording_version=None), name="consent_record_of_wording"),
        ]

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

    # no constraint: both are written by one statement, and a record is never removed
    record = models.OneToOneField(
        ConsentRecord, models.CASCADE, primary_key=True, related_name="+", db_constraint=False
    )

    def __str__(self) -> str:
        return f"Record {self.pk} waits for its link"


class ConsentState(models.Model):
    """What holds now: a projection of the ledger, changed only under the gate, in the ledger's transaction."""

    # no constraints of the database: the record, written with it, is never removed, and holds person and purpose;
    # no index of its own: the constraint's begins with it
    profile = models.ForeignKey(
        Profile, on_delete=models.CASCADE, related_name="consent_states", db_index=False, db_constraint=False
    )
    purpose = models.ForeignKey(Purpose, on_delete=models.PROTECT, db_index=False, db_constraint=False)
    channel = models.CharField(max_length=8, choices=Channel.choices)
    granted = models.BooleanField()
    record = models.ForeignKey(ConsentRecord, models.CASCADE, related_name="+", db_index=False, db_constraint=False)
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

    # no constraint: whoever makes a gate looks whether there is its person (`services.gate_lock`), who is never removed
    profile = models.OneToOneField(Profile, models.CASCADE, primary_key=True, related_name="gate", db_constraint=False)
    version = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"Gate of profile {self.pk}"


class Suppression(models.Model):
    """An address that gets nothing, whoever holds it. It outlives the profile; no import lifts it.

    One row for each live version of the lookup key. carried: it stands under the newest version too. DOMAIN: a kind, of
    a whole domain of spam traps, with those below it; the gate asks of the address that is written to.
    """

    class Reason(models.TextChoices):
        BOUNCE = "bounce", "bounced for good"
        COMPLAINT = "complaint", "complained"
        OPT_OUT = "opt_out", "left"
        ERASURE = "erasure", "erased"
        MANUAL = "manual", "by staff"
        SPAM_TRAP = "spam_trap", "known spam trap"

    DOMAIN = "domain"

    digest = models.BinaryField(max_length=33, unique=True)
    carried = models.BooleanField(default=False, db_default=False, editable=False)
    kind = models.CharField(max_length=16, default="email")
    reason = models.CharField(max_length=12, choices=Reason.choices)
    note = models.CharField(max_length=200, blank=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return f"Suppressed: {self.get_reason_display()}"


class AddressVerdict(models.Model):
    """What was held of an e-mail address when it was last looked at, and for how long that is good.

    By its digest alone. Refused ones get nothing that needs consent (the gate asks here), and nothing is learned from
    who has them. code: of `profiles.rules`, "" where nothing is to be said.
    """

    class Verdict(models.TextChoices):
        OK = "ok", "good"
        WARN = "warn", "with caution"
        REFUSE = "refuse", "left out"

    class Code(models.TextChoices):
        SYNTAX = "syntax", "no address by its form"
        SPAM_TRAP = "spam_trap", "known spam trap"
        BOUNCED = "bounced", "bounced for good"
        DISPOSABLE = "disposable", "mailbox to throw away"
        NULL_MX = "null_mx", "its domain takes no mail"
        NO_MAIL = "no_mail", "no such domain, or no mail server there"
        SILENT = "silent", "no sign of life for long"
        ROLE = "role", "mailbox of several people"
        NO_ANSWER = "no_answer", "DNS gave no answer"

    digest = models.BinaryField(max_length=33, primary_key=True)
    verdict = models.CharField(max_length=6, choices=Verdict.choices)
    code = models.CharField(max_length=12, choices=Code.choices, blank=True)
    looked_at = models.DateTimeField()
    good_until = models.DateTimeField()

    class Meta:
        default_permissions = ()
        indexes = [
            models.Index(fields=["digest"], condition=Q(verdict="refuse"), name="address_refused"),
            models.Index(fields=["good_until"], name="address_verdict_oldest"),
        ]

    def __str__(self) -> str:
        return f"{self.get_verdict_display()} as of {self.looked_at:%Y-%m-%d}"


def text_digest(text: str) -> str:
    """SHA-256 of a text in UTF-8, in hex: what a record keeps of what somebody was shown."""
    return sha256(text.encode()).hexdigest()


class Wording(models.Model):
    """What people read before they agree to a purpose on a channel; what it says is in its versions.

    channel: "" for every channel that has no wording of its own.
    """

    purpose = models.ForeignKey(Purpose, on_delete=models.PROTECT, related_name="wordings")
    channel = models.CharField(
        max_length=8, choices=Channel.choices, blank=True, help_text="empty: every channel without a wording of its own"
    )
    created_at = models.DateTimeField(default=now)
    updated_at = models.DateTimeField(default=now)

    class Meta:
        ordering = ["purpose__position", "channel"]
        permissions = [("publish_wording", "Can publish a wording")]
        constraints = [models.UniqueConstraint(fields=["purpose", "channel"], name="wording_once_for_each_choice")]

    def __str__(self) -> str:
        return f"{self.purpose}, {self.get_channel_display() if self.channel else 'all channels'}"


@append_only
class WordingVersion(models.Model):
    """What a wording says since its version `number`, in each language: `{"en": "…", "de": "…"}`.

    material: its meaning is another than before, so that who agreed to an older one must be asked again. Their
    agreement holds until `holds_until`, None: until this version is published.
    """

    wording = models.ForeignKey(Wording, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    texts = models.JSONField()
    material = models.BooleanField(default=False)
    holds_until = models.DateTimeField(null=True, blank=True)
    digest = models.CharField(max_length=64)
    why = models.CharField("why it was made", max_length=400, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=now)

    class Meta:
        ordering = ["wording_id", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["wording", "number"], name="wording_version_once"),
            models.CheckConstraint(
                condition=models.Q(material=True) | models.Q(holds_until=None), name="wording_only_new_meaning_ends_old"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.wording} v{self.number}"

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of each text, in hex, by language."""
        return {locale: text_digest(text) for locale, text in self.texts.items()}


class WordingText(models.Model):
    """A text that was put before people: one language of a version, from when it was published.

    shown_until: None while it is live. asks_from: of a version with a new meaning, from when who agreed to a text
    older than `published_at` counts as not having agreed; None for a new spelling, and after the version was withdrawn.
    """

    version = models.ForeignKey(WordingVersion, on_delete=models.PROTECT, related_name="published")
    purpose = models.ForeignKey(Purpose, on_delete=models.PROTECT, related_name="+")
    channel = models.CharField(max_length=8, choices=Channel.choices, blank=True)
    locale = models.CharField(max_length=20)
    text = models.TextField()
    digest = models.CharField(max_length=64, help_text="SHA-256 of the text, in hex")
    published_at = models.DateTimeField()
    shown_until = models.DateTimeField(null=True, blank=True)
    asks_from = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["purpose", "digest"], name="wording_text_by_digest")]
        constraints = [
            models.UniqueConstraint(
                fields=["purpose", "channel", "locale"],
                condition=models.Q(shown_until=None),
                name="wording_text_one_live_per_language",
            )
        ]

    def __str__(self) -> str:
        return f"{self.version} ({self.locale})"


@append_only
class PrivacyPolicy(models.Model):
    """A version of the privacy policy, in force from a moment until the next one is. Records name it."""

    version = models.CharField(max_length=40, unique=True, help_text="as the policy itself says, such as 2026-11")
    url = models.URLField(max_length=500, help_text="where people read it")
    in_force_from = models.DateTimeField()
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=now)

    class Meta:
        ordering = ["-in_force_from"]
        verbose_name_plural = "privacy policies"

    def __str__(self) -> str:
        return f"Privacy policy {self.version}"


class Offered(models.Model):
    """What people are offered to choose, in their words.

    translations: by language, `{"de": {"name": …, "description": …}}`; what is missing there reads as it does here.
    """

    code = models.SlugField(primary_key=True, max_length=32)
    name = models.CharField(max_length=80)
    description = models.TextField(blank=True, help_text="in the customer's words; shown on the preference page")
    translations = models.JSONField(default=dict, blank=True, help_text="name and description by language")
    position = models.PositiveSmallIntegerField(default=0)
    offered = models.BooleanField(default=True, help_text="whether the preference page shows it")

    class Meta:
        abstract = True
        ordering = ["position", "code"]

    def __str__(self) -> str:
        return self.name


class Topic(Offered):
    """What messages are about, such as offers or news of a kind. A person may switch a topic off."""


class Interest(Offered):
    """What a person may say that they like, such as hiking."""


class Preference(models.Model):
    """What a person chose beside consent; without a row, nothing. Changed only by `preferences.py`, under the gate.

    time_zone, language: "" for what the profile says; quiet_start, quiet_end: hours on the person's wall in which
    nothing comes but what needs no consent; paused_until: nothing comes before, but what needs no consent.
    """

    class Frequency(models.TextChoices):
        EACH = "each", "each message by itself"
        DAILY = "daily", "collected, once a day"
        WEEKLY = "weekly", "collected, once a week"

    profile = models.OneToOneField(Profile, on_delete=models.CASCADE, primary_key=True, related_name="preference")
    topics_off = ArrayField(models.CharField(max_length=32), default=list, blank=True)
    channels_off = ArrayField(models.CharField(max_length=8), default=list, blank=True)
    interests = ArrayField(models.CharField(max_length=32), default=list, blank=True)
    frequency = models.CharField(max_length=8, choices=Frequency.choices, default=Frequency.EACH)
    quiet_start = models.TimeField(null=True, blank=True)
    quiet_end = models.TimeField(null=True, blank=True)
    time_zone = models.CharField(max_length=50, blank=True)
    language = models.CharField(max_length=20, blank=True)
    paused_until = models.DateTimeField(null=True, blank=True)
    changed_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(quiet_start=None, quiet_end=None)
                | Q(quiet_start__isnull=False, quiet_end__isnull=False) & ~Q(quiet_start=F("quiet_end")),
                name="preference_quiet_hours_are_whole",
            )
        ]

    def __str__(self) -> str:
        return f"Preferences of profile {self.pk}"


@append_only
class PreferenceChange(models.Model):
    """One step by which a preference was changed, and what it was before, so that it can be undone and explained.

    subject: the topic, channel or interest, "" for the others; before, after: as `preferences.Wanted` has its value.
    Codes, hours and names of zones and languages only: nothing that tells who the person is.
    """

    class Kind(models.TextChoices):
        TOPIC = "topic", "topic"
        CHANNEL = "channel", "channel"
        INTEREST = "interest", "interest"
        FREQUENCY = "frequency", "frequency"
        QUIET = "quiet", "quiet hours"
        TIME_ZONE = "time_zone", "time zone"
        LANGUAGE = "language", "language"
        PAUSE = "pause", "pause"

    profile = models.ForeignKey(Profile, on_delete=models.PROTECT, related_name="preference_changes", db_index=False)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    subject = models.CharField(max_length=32, blank=True)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    method = models.CharField(max_length=16, choices=ConsentRecord.Method.choices)
    source = models.CharField(max_length=200, help_text="the page or message it came from")
    undoes = models.OneToOneField("self", null=True, on_delete=models.PROTECT, related_name="undone_by")
    changed_at = models.DateTimeField(default=now)

    class Meta:
        indexes = [models.Index(fields=["profile", "kind", "subject", "-id"], name="preference_change_newest")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of profile {self.profile_id}"


class ConsentOrigin(models.Model):
    """Whence a choice came: IP address and user agent, sealed under the person's key, kept for a shorter time.

    Records refer to it by its digest, which is under their seal: so it proves itself while it is there, and what is
    left when it is gone tells nothing (a random part is in it).
    """

    profile = models.ForeignKey(Profile, on_delete=models.CASCADE, related_name="+")
    digest = models.BinaryField(max_length=32, unique=True)
    sealed = models.BinaryField()
    kept_at = models.DateTimeField(default=now, db_index=True)

    def __str__(self) -> str:
        return f"Origin of a choice of profile {self.profile_id}"


class OptIn(models.Model):
    """Somebody asked on a form to agree, and has to confirm it by a mail to the address: a double opt-in.

    asked: what they asked for and how, by purpose, as `contracts.Circumstances` has it; identifier, address_digest: the
    address that must confirm. Once confirmed it is grants in the ledger, with this as their evidence.
    """

    class State(models.TextChoices):
        PENDING = "pending", "waits for confirmation"
        CONFIRMED = "confirmed", "confirmed"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    profile = models.ForeignKey(Profile, on_delete=models.CASCADE, related_name="opt_ins")
    channel = models.CharField(max_length=8, choices=Channel.choices)
    asked = models.JSONField()
    method = models.CharField(max_length=16, choices=ConsentRecord.Method.choices)
    source = models.CharField(max_length=200)
    identifier = models.ForeignKey(Identifier, null=True, on_delete=models.SET_NULL, related_name="+")
    address_digest = models.BinaryField(max_length=32)
    origin_digest = models.BinaryField(max_length=32, default=b"", blank=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    asked_at = models.DateTimeField(default=now)
    expires_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(null=True, blank=True)
    message_id = models.UUIDField("message that was confirmed by", null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["address_digest", "-asked_at"], name="opt_in_of_address"),
            models.Index(fields=["expires_at"], name="opt_in_over"),
        ]

    def __str__(self) -> str:
        return f"Opt-in of profile {self.profile_id}: {', '.join(self.asked)} ({self.get_state_display()})"


class ConsentPlatform(models.Model):
    """A consent platform that tells us by signed webhooks what people chose there.

    nonce, old_nonce: what its secrets are made of, with a key that is not in the database; the old one is good until
    `old_until`. mapping: how its bodies are read (`platform_bodies.py`). last_problem: of the newest body that could
    not be taken, "" once one was.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=80, unique=True)
    active = models.BooleanField(default=True, help_text="switched off, nothing is taken")
    mapping = models.JSONField(help_text="where in a body stands who chose what")
    nonce = models.BinaryField(max_length=32)
    old_nonce = models.BinaryField(max_length=32, null=True, blank=True)
    old_until = models.DateTimeField(null=True, blank=True)
    last_at = models.DateTimeField("last message", null=True, blank=True)
    last_problem = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(default=now)
    updated_at = models.DateTimeField(default=now)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class PlatformNotice(models.Model):
    """A message of a consent platform that was taken: once, whatever comes again under its id. Counts only."""

    platform = models.ForeignKey(ConsentPlatform, on_delete=models.CASCADE, related_name="notices")
    message_id = models.CharField(max_length=120)
    body_digest = models.CharField(max_length=64, help_text="SHA-256 of its body, in hex")
    granted = models.PositiveIntegerField(default=0)
    withdrawn = models.PositiveIntegerField(default=0)
    awaited = models.PositiveIntegerField(default=0, help_text="withdrawals of people who are not known yet")
    ignored = models.PositiveIntegerField(default=0, help_text="what the mapping does not name, and grants of nobody")
    taken_at = models.DateTimeField(default=now, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["platform", "message_id"], name="platform_message_taken_once")]

    def __str__(self) -> str:
        return f"{self.platform}: {self.message_id}"


class AwaitedWithdrawal(models.Model):
    """Somebody whom we don't know withdrew elsewhere. It holds for whoever turns out to be known by it.

    digest: keyed, of what they are known by. The gate looks here too; once there is such a person it becomes a record.
    """

    kind = models.CharField(max_length=16, choices=Identifier.Kind.choices)
    digest = models.BinaryField(max_length=32)
    purpose = models.ForeignKey(Purpose, on_delete=models.PROTECT, related_name="+")
    channel = models.CharField(max_length=8, choices=Channel.choices)
    source = models.CharField(max_length=200)
    evidence = models.TextField(blank=True)
    occurred_at = models.DateTimeField()
    kept_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["digest", "kind", "purpose", "channel"], name="awaited_withdrawal_once_for_each_choice"
            )
        ]

    def __str__(self) -> str:
        return f"{self.purpose_id} by {self.channel}, of somebody not known yet"
