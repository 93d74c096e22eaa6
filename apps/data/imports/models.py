"""Files that come in."""

from django.conf import settings
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
