"""Customers, and the identifiers by which they are known."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.contrib.postgres.indexes import HashIndex
from django.db import models
from django.db.models import Q

from apps.foundation.core.clock import now


class Profile(models.Model):
    """A customer. What is not known is empty, and never "None".

    restricted_at: since when their data is kept and nothing else (GDPR, Article 18); erased_at: since when nothing is
    known of them any more. A profile is never deleted: an erased one stays as an empty row, to which the consent ledger
    refers. merged_into: who they are, since it was found that two profiles are one person (`merging.py`); that one is
    merged into nobody.
    """

    first_name = models.CharField(max_length=120, blank=True)
    last_name = models.CharField(max_length=120, blank=True)
    country = models.CharField(max_length=2, blank=True, help_text="ISO 3166-1, two letters")
    language = models.CharField(max_length=20, blank=True, help_text="BCP 47, such as de or pt-BR")
    time_zone = models.CharField(max_length=50, blank=True, help_text="IANA, such as Europe/Vienna")
    attributes = models.JSONField(
        default=dict, blank=True, help_text="whatever else is known, by name, and is not sensitive (`attributes.py`)"
    )
    source = models.CharField(max_length=60, blank=True, help_text="where the profile first came from")
    created_at = models.DateTimeField(default=now)
    updated_at = models.DateTimeField(default=now)
    restricted_at = models.DateTimeField(null=True, blank=True)
    erased_at = models.DateTimeField(null=True, blank=True)
    merged_into = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="absorbed", db_index=False
    )

    class Meta:
        indexes = [
            models.Index(fields=["country"], name="profile_country"),
            models.Index(fields=["merged_into"], condition=Q(merged_into__isnull=False), name="profile_absorbed"),
        ]

    def __str__(self) -> str:
        return f"Profile {self.pk}"


class Identifier(models.Model):
    """One way to tell a profile: an address, a number that it has somewhere, a device.

    Its value, normalized, is sealed with the person's key (`addresses.py` reads and writes it). `digest` is the keyed
    digest of that value (`core.signing.address_digest`): the only thing that lookups and suppression use. One e-mail
    address may belong to two profiles (a family's), and so may a device; one external id or loyalty number may not.
    verified: confirmed by the person, or sent by a client that is trusted for its kind.
    """

    class Kind(models.TextChoices):
        EMAIL = "email", "e-mail"
        PHONE = "phone", "phone"
        EXTERNAL = "external_id", "customer number"
        PUSH = "push", "browser that takes messages"
        LOYALTY = "loyalty_id", "loyalty number"
        DEVICE = "device", "device"
        COOKIE = "cookie", "cookie"

    profile = models.ForeignKey(
        Profile, on_delete=models.CASCADE, related_name="identifiers", db_index=False, db_constraint=False
    )  # `identifier_once_per_profile` begins with it
    kind = models.CharField(max_length=16, choices=Kind.choices)
    sealed = models.BinaryField(help_text="the normalized value, for `addresses.place_of`")
    digest = models.BinaryField(max_length=33)
    verified = models.BooleanField(default=False)
    main = models.BooleanField(default=False, help_text="the one of its kind that messages go to")
    source = models.CharField(max_length=60, blank=True)
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["profile", "kind", "digest"], name="identifier_once_per_profile"),
            models.UniqueConstraint(
                fields=["kind", "digest"],
                condition=Q(kind__in=["external_id", "loyalty_id"]),
                name="identifier_of_one_person_alone",
            ),
            models.UniqueConstraint(
                fields=["profile", "kind"], condition=Q(main=True), name="identifier_one_main_per_kind"
            ),
        ]
        # a digest says of which kind it is, and is only ever asked for as a whole
        indexes = [HashIndex(fields=["digest"], name="identifier_lookup")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of profile {self.profile_id}"


REACHED_BY = (Identifier.Kind.EMAIL, Identifier.Kind.PHONE, Identifier.Kind.PUSH)
"""Kinds that a message goes to: each has a main one. The others only tell who somebody is."""
ONE_PERSONS = (Identifier.Kind.EXTERNAL, Identifier.Kind.LOYALTY)
"""Kinds of which a value is one person's alone."""


class Merge(models.Model):
    """That two profiles are one person: `absorbed` became part of `kept`, and what is needed to undo it.

    reasons: in words, why they were held to be one; moved: by part of the registry, what was moved and how it was
    before. It names people where profiles do, so it is emptied when the merge is undone or the person erased.
    """

    class Why(models.TextChoices):
        STAFF = "staff", "by staff"
        VERIFIED = "verified", "the same verified identifier"
        ALIAS = "alias", "a trusted client said so"
        REVIEWED = "reviewed", "a reviewed candidate"
        SCORE = "score", "as good as certain by its score"

    kept = models.ForeignKey(Profile, on_delete=models.PROTECT, related_name="merges")
    absorbed = models.ForeignKey(Profile, on_delete=models.PROTECT, related_name="merged_by")
    why = models.CharField(max_length=10, choices=Why.choices)
    reasons = models.JSONField(default=list, blank=True)
    moved = models.JSONField(default=dict, blank=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    merged_at = models.DateTimeField(default=now)
    undone_at = models.DateTimeField(null=True, blank=True)
    undone_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        ordering = ["-id"]
        permissions = [("undo_merge", "Can undo a merge of profiles")]
        constraints = [
            models.CheckConstraint(condition=~Q(kept=models.F("absorbed")), name="merge_of_two"),
            models.UniqueConstraint(
                fields=["absorbed"], condition=Q(undone_at=None), name="merge_one_alive_for_each_absorbed"
            ),
        ]

    def __str__(self) -> str:
        return f"Profile {self.absorbed_id} merged into {self.kept_id}"


class MergeCandidate(models.Model):
    """Two profiles that may be one person. `first` has the lower number. A pair comes up once, whatever became of it.

    score: how likely they are one by the model (0 to 1), None where no model says it; reasons: what speaks for it and
    against, in words, each with its weight (log2).
    """

    class Why(models.TextChoices):
        SCORE = "score", "alike"
        VERIFIED = "verified", "the same verified identifier"
        ALIAS = "alias", "a client said so"

    class State(models.TextChoices):
        OPEN = "open", "waits"
        MERGED = "merged", "merged"
        REJECTED = "rejected", "not the same person"

    first = models.ForeignKey(Profile, on_delete=models.CASCADE, related_name="+", db_index=False)
    second = models.ForeignKey(Profile, on_delete=models.CASCADE, related_name="+")
    why = models.CharField(max_length=10, choices=Why.choices)
    sure = models.BooleanField(default=False, help_text="a client trusted for it said so: merged without a look")
    score = models.FloatField(null=True, blank=True)
    reasons = models.JSONField(default=list, blank=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    found_at = models.DateTimeField(default=now)
    settled_at = models.DateTimeField(null=True, blank=True)
    settled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        ordering = ["-score", "-id"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["first", "second"], name="merge_candidate_once"),
            models.CheckConstraint(condition=Q(first__lt=models.F("second")), name="merge_candidate_in_order"),
        ]
        indexes = [models.Index(fields=["-score", "id"], condition=Q(state="open"), name="merge_candidate_waits")]

    def __str__(self) -> str:
        return f"Profiles {self.first_id} and {self.second_id}"


class LinkAsked(models.Model):
    """Somebody typed an address in and wants its link by mail. Gone once it was looked up, whoever has the address.

    Only the address's digest is kept: nobody's address is learned by typing it in.
    """

    digest = models.BinaryField(max_length=33)
    asked_at = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return f"Link asked for at {self.asked_at:%Y-%m-%d %H:%M:%S}"


class ProfileKey(models.Model):
    """A person's data key, wrapped by a master key (`vault.wrap`). Destroyed, it stays as an empty row.

    Values sealed with an older version open with it until `manage.py keys_rotate` has sealed them anew.
    """

    pk = models.CompositePrimaryKey("profile_id", "version")
    profile = models.ForeignKey(
        Profile, on_delete=models.CASCADE, related_name="keys", db_index=False, db_constraint=False
    )
    version = models.PositiveSmallIntegerField(help_text="1 to 255")
    master = models.CharField(max_length=20, help_text="id of the master key that wrapped it")
    wrapped = models.BinaryField(help_text="empty once destroyed")
    made_at = models.DateTimeField(default=now)
    destroyed_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["master"], name="profile_key_by_master")]

    def __str__(self) -> str:
        return f"Key {self.version} of profile {self.profile_id}"


class KeyRotation(models.Model):
    """One go of `manage.py keys_rotate --data-keys`: keys made before it get a successor. Unfinished, it goes on."""

    started_at = models.DateTimeField(default=now)
    finished_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"Rotation of {self.started_at:%Y-%m-%d %H:%M}"


class AttributeDefinition(models.Model):
    """What an attribute is: its kind, whether it is sensitive, what it may be. One that has none still comes in.

    sensitive: its values are sealed with their person's key (`SealedAttribute`). moving: its values are being sealed,
    or opened, until none is left where it was; sensitive all the while.
    """

    class Kind(models.TextChoices):
        TEXT = "text", "text"
        NUMBER = "number", "number"
        BOOL = "bool", "yes or no"
        DATE = "date", "date"
        DATETIME = "datetime", "date and time"
        CHOICE = "choice", "one of a list"
        TEXTS = "texts", "list of texts"

    class Moving(models.TextChoices):
        NOT = "", "no"
        SEALING = "sealing", "being sealed"
        OPENING = "opening", "being made clear again"

    name = models.CharField(max_length=120, unique=True, help_text="as files, programs and rules call it")
    labels = models.JSONField(default=dict, blank=True, help_text="what customers read, by language")
    description = models.TextField(blank=True, help_text="what it says and where it comes from, for staff")
    kind = models.CharField("type", max_length=10, choices=Kind.choices, default=Kind.TEXT)
    required = models.BooleanField(default=False, help_text="everybody should have it; nobody can empty it")
    sensitive = models.BooleanField(default=False, help_text="sealed with the person's key, masked for most staff")
    correctable = models.BooleanField(default=False, help_text="customers may correct it themselves")
    allowed = models.JSONField("allowed values", default=list, blank=True, help_text="one a line")
    fallback = models.JSONField(
        null=True,
        blank=True,
        help_text="what reads well where nothing is known, for whoever writes a template to take over",
    )
    fresh_days = models.PositiveIntegerField(
        "fresh for days", null=True, blank=True, help_text="after so many days without news it counts as stale"
    )
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    moving = models.CharField(max_length=8, choices=Moving.choices, blank=True, default=Moving.NOT)
    moving_since = models.DateTimeField(null=True, blank=True)
    moved = models.BigIntegerField(default=0, help_text="values sealed or opened so far")
    created_at = models.DateTimeField(default=now)
    updated_at = models.DateTimeField(default=now)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(moving="") | Q(sensitive=True), name="attribute_sensitive_while_values_move"
            )
        ]
        permissions = [("open_attributedefinition", "Can make a sensitive attribute clear again")]

    def __str__(self) -> str:
        return self.name

    def label_in(self, language: str) -> str:
        """What customers read in a language."""
        return label_of(self.name, self.labels, language)


def label_of(name: str, labels: Mapping[str, Any], language: str) -> str:
    """The label in a language, else in its main language, else in English, else the name made readable."""
    for code in (language, language.partition("-")[0], "en"):
        if text := labels.get(code):
            return str(text)
    return name.replace("_", " ").strip().capitalize() or name


class SealedAttribute(models.Model):
    """The value of a sensitive attribute of one person, JSON sealed with their key (`attributes.py` alone opens it).

    digest: keyed, of what the value is; all that audiences ask. Empty for lists, which are only ever known.
    """

    profile = models.ForeignKey(
        Profile, on_delete=models.CASCADE, related_name="sealed_attributes", db_index=False
    )  # `sealed_attribute_once_per_person` begins with it
    definition = models.ForeignKey(AttributeDefinition, on_delete=models.PROTECT, related_name="+", db_index=False)
    sealed = models.BinaryField()
    digest = models.BinaryField(max_length=33)
    changed_at = models.DateTimeField(default=now)

    class Meta:
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["profile", "definition"], name="sealed_attribute_once_per_person")
        ]
        indexes = [models.Index(fields=["definition", "digest"], name="sealed_attribute_lookup")]

    def __str__(self) -> str:
        return f"Sealed attribute {self.pk} of profile {self.profile_id}"


class AttributeSeen(models.Model):
    """That an attribute of this name came in, defined or not: none is dropped, and each is reported."""

    name = models.TextField(primary_key=True)
    first_at = models.DateTimeField(default=now)
    last_at = models.DateTimeField(default=now, help_text="to the hour")
    source = models.CharField(max_length=60, blank=True, help_text="where it came from last")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.name


class ChangePending(models.Model):
    """That somebody changed, written by triggers with the change; gone once it has its place (`changes.py`).

    version: None where it is read when it gets its place.
    """

    kind = models.CharField(max_length=12)
    profile_id = models.BigIntegerField()
    purpose = models.CharField(max_length=32, blank=True, default="", db_default="")
    channel = models.CharField(max_length=8, blank=True, default="", db_default="")
    granted = models.BooleanField(null=True)
    version = models.BigIntegerField(null=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.kind} of profile {self.profile_id}"


class Change(models.Model):
    """A place in the feed of changes: whom it is about, and no value. at: when it came into the feed.

    version: of a person, as in their ETag; of consent, the record that settled it; of preferences, the moment in
    microseconds. granted: of consent, None where nothing is on record any more.
    """

    class Kind(models.TextChoices):
        PROFILE = "profile", "what is known of a person"
        CONSENT = "consent", "what a person agreed to"
        PREFERENCE = "preference", "what a person chose beside it"

    position = models.BigIntegerField(primary_key=True)
    kind = models.CharField(max_length=12, choices=Kind.choices)
    profile_id = models.BigIntegerField()
    purpose = models.CharField(max_length=32, blank=True)
    channel = models.CharField(max_length=8, blank=True)
    granted = models.BooleanField(null=True)
    version = models.BigIntegerField()
    at = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.position}: {self.kind} of profile {self.profile_id}"


class ChangeMark(models.Model):
    """How far the feed goes, and up to where it was forgotten. One row, locked by whoever orders it."""

    reached = models.BigIntegerField(default=0)
    forgotten = models.BigIntegerField(default=0)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"up to {self.reached}"
