"""Files that come in."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from apps.foundation.core.clock import now


class Import(models.Model):
    """One file, read with one mapping. The same file with the same mapping is the same import."""

    class Kind(models.TextChoices):
        PROFILES = "profiles", "profiles"
        ORDERS = "orders", "orders"

    class State(models.TextChoices):
        WAITING = "waiting", "waiting"
        READING = "reading", "reading the file"
        MERGING = "merging", "merging"
        STOPPED = "stopped", "stopped"
        DONE = "done", "done"
        FAILED = "failed", "failed"

    kind = models.CharField(max_length=10, choices=Kind.choices)
    file_name = models.CharField(max_length=255)
    path = models.CharField(max_length=1000, help_text="where the file is on this machine")
    digest = models.CharField(max_length=64, help_text="SHA-256 of the file, its kind and its mapping")
    mapping = models.JSONField(default=dict)
    consent = models.JSONField(default=dict, blank=True, help_text="which grants are recorded, and the evidence")
    source = models.CharField(max_length=60, help_text="the shop or tool that customer and order numbers belong to")
    in_background = models.BooleanField(default=False, help_text="a worker reads it, and takes it up again by itself")
    stop_wanted = models.BooleanField(default=False)
    progress = models.JSONField(default=dict, blank=True, help_text="where reading goes on after a stop")
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    bytes_total = models.BigIntegerField(default=0)
    bytes_done = models.BigIntegerField(default=0)
    lines_done = models.BigIntegerField(default=0)
    counts = models.JSONField(default=dict, blank=True)
    errors_path = models.CharField(max_length=1000, blank=True)
    problem = models.TextField(blank=True, help_text="why it failed, and what to do")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(default=now)
    updated_at = models.DateTimeField(default=now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["digest"], condition=~Q(state="failed"), name="import_once_per_file")
        ]
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.file_name} ({self.get_kind_display()})"

    @property
    def running(self) -> bool:
        """Whether something is still to be done by itself."""
        return self.state in (self.State.WAITING, self.State.READING, self.State.MERGING)


class StagedPerson(models.Model):
    """A person as a line of a file tells of them, until the import merges it. Unlogged: lost in a crash, read again.

    `key` is the digest of the first of customer number, address and phone that the line has; they themselves are
    sealed for the profile of the number that was drawn (`sealing.py`), sensitive attributes, all of a line together,
    with the import's key. Of people who were written down as new already (`newcomers.py`) only their profile and what
    they agreed to is here, with an empty key; the database has defaults for the rest.
    """

    import_id = models.BigIntegerField()
    line = models.BigIntegerField()
    key = models.BinaryField(max_length=32)
    external_id = models.BinaryField(null=True)
    external_digest = models.BinaryField(max_length=33, null=True)
    email = models.BinaryField(null=True)
    email_digest = models.BinaryField(max_length=33, null=True)
    email_made = models.BooleanField(default=False)
    phone = models.BinaryField(null=True)
    phone_digest = models.BinaryField(max_length=33, null=True)
    first_name = models.CharField(max_length=120)
    last_name = models.CharField(max_length=120)
    country = models.CharField(max_length=2)
    language = models.CharField(max_length=20)
    time_zone = models.CharField(max_length=50)
    attributes = models.JSONField(default=dict)
    sensitive = models.BinaryField(null=True)
    seen_at = models.DateTimeField(null=True)
    agreed = ArrayField(models.CharField(max_length=32), default=list)
    declined = ArrayField(models.CharField(max_length=32), default=list)
    agreed_at = models.DateTimeField(null=True)
    profile_id = models.BigIntegerField(
        null=True, help_text="until it is merged the number that is drawn for them, then that of their profile"
    )

    class Meta:
        indexes = [models.Index(fields=["import_id", "profile_id"], name="staged_person_of_import")]

    def __str__(self) -> str:
        return f"Line {self.line} of import {self.import_id}"


class StagedLine(models.Model):
    """An order line of a file, until the import merges it. Unlogged too."""

    import_id = models.BigIntegerField()
    line = models.BigIntegerField()
    order_number = models.CharField(max_length=80)
    key = models.BinaryField(max_length=32, null=True)
    placed_at = models.DateTimeField()
    cancelled = models.BooleanField()
    country = models.CharField(max_length=2)
    currency = models.CharField(max_length=3)
    sku = models.CharField(max_length=80)
    title = models.CharField(max_length=300)
    category = models.CharField(max_length=120)
    quantity = models.IntegerField()
    unit_price = models.DecimalField(max_digits=14, decimal_places=4)

    class Meta:
        indexes = [models.Index(fields=["import_id"], name="staged_line_of_import")]

    def __str__(self) -> str:
        return f"Line {self.line} of import {self.import_id}"
