"""Named rules over what is known about people."""

from django.conf import settings
from django.db import models

from apps.foundation.core.clock import now


class Audience(models.Model):
    """A rule with a name and one owner. Who is in it is computed when it is asked for; see `rules.py`."""

    name = models.CharField(max_length=120, unique=True)
    description = models.TextField(blank=True)
    rule = models.JSONField(help_text="see docs/how-it-works/audiences.md")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="audiences")
    created_at = models.DateTimeField(default=now)
    updated_at = models.DateTimeField(default=now)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
