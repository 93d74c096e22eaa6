"""Customers, and the identifiers by which they are known."""

from django.db import models
from django.db.models import Q

from apps.foundation.core.clock import now


class Profile(models.Model):
    """A customer. What is not known is empty, and never "None".

    restricted_at: since when their data is kept and nothing else (GDPR, Article 18); erased_at: since when nothing is
    known of them any more. A profile is never deleted: an erased one stays as an empty row, to which the consent ledger
    refers.
    """

    first_name = models.CharField(max_length=120, blank=True)
    last_name = models.CharField(max_length=120, blank=True)
    country = models.CharField(max_length=2, blank=True, help_text="ISO 3166-1, two letters")
    language = models.CharField(max_length=20, blank=True, help_text="BCP 47, such as de or pt-BR")
    time_zone = models.CharField(max_length=50, blank=True, help_text="IANA, such as Europe/Vienna")
    attributes = models.JSONField(default=dict, blank=True, help_text="whatever else is known, by name")
    source = models.CharField(max_length=60, blank=True, help_text="where the profile first came from")
    created_at = models.DateTimeField(default=now)
    updated_at = models.DateTimeField(default=now)
    restricted_at = models.DateTimeField(null=True, blank=True)
    erased_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["country"], name="profile_country")]

    def __str__(self) -> str:
        return f"Profile {self.pk}"


class Identifier(models.Model):
    """One way to tell a profile: an address, a customer number.

    Its value, normalized, is sealed with the person's key (`addresses.py` reads and writes it). `digest` is the keyed
    digest of that value (`core.signing.address_digest`): the only thing that lookups and suppression use. One e-mail
    address may belong to two profiles (a family's), one external id may not.
    """

    class Kind(models.TextChoices):
        EMAIL = "email", "e-mail"
        PHONE = "phone", "phone"
        EXTERNAL = "external_id", "customer number"

    profile = models.ForeignKey(
        Profile, on_delete=models.CASCADE, related_name="identifiers", db_index=False
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
                fields=["kind", "digest"], condition=Q(kind="external_id"), name="identifier_external_id_unique"
            ),
            models.UniqueConstraint(
                fields=["profile", "kind"], condition=Q(main=True), name="identifier_one_main_per_kind"
            ),
        ]
        indexes = [models.Index(fields=["kind", "digest"], name="identifier_lookup")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of profile {self.profile_id}"


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
    profile = models.ForeignKey(Profile, on_delete=models.CASCADE, related_name="keys", db_index=False)
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
