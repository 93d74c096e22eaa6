"""Named rules over what is known about people."""

from itertools import count
from typing import Any

from django.conf import settings
from django.db import models
from django.utils.text import slugify

from apps.foundation.core.clock import now


class AudienceQuerySet(models.QuerySet["Audience"]):
    """Audiences that are made without a code have one made of their names."""

    def create(self, **kwargs: Any) -> "Audience":
        return super().create(**{"code": code_free(kwargs["name"]), **kwargs})


class Audience(models.Model):
    """A rule with a name and one owner. Who is in it is computed when it is asked for; see `rules.py`."""

    name = models.CharField(max_length=120, unique=True)
    code = models.SlugField(
        max_length=60, unique=True, editable=False, help_text="made of its first name, and never changed: rules name it"
    )
    description = models.TextField(blank=True)
    rule = models.JSONField(help_text="see docs/how-it-works/audiences.md")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="audiences")
    created_at = models.DateTimeField(default=now)
    updated_at = models.DateTimeField(default=now)

    objects = AudienceQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


def code_free(name: str) -> str:
    """A code made of a name that no audience has."""
    base = slugify(name)[:52].strip("-") or "audience"
    taken = set(Audience.objects.filter(code__startswith=base).values_list("code", flat=True))
    return base if base not in taken else next(one for n in count(2) if (one := f"{base}-{n}") not in taken)
