"""Named rules over what is known about people."""

from itertools import count
from typing import Any

from django.conf import settings
from django.db import models
from django.utils.text import slugify

from apps.data.profiles.models import Profile
from apps.foundation.core.clock import now


class AudienceQuerySet(models.QuerySet["Audience"]):
    """Audiences that are made without a code have one made of their names."""

    def create(self, **kwargs: Any) -> "Audience":
        return super().create(**{"code": code_free(kwargs["name"]), **kwargs})


class Audience(models.Model):
    """A rule with a name and one owner. Who is in it is computed when it is asked for; see `rules.py`.

    watched: entries and exits become events (`watching.py`); looked_at, looked_rule: when, and by which rule with all
    that it names, was looked last.
    """

    name = models.CharField(max_length=120, unique=True)
    code = models.SlugField(
        max_length=60, unique=True, editable=False, help_text="made of its first name, and never changed: rules name it"
    )
    description = models.TextField(blank=True)
    rule = models.JSONField(help_text="see docs/how-it-works/audiences.md")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="audiences")
    created_at = models.DateTimeField(default=now)
    updated_at = models.DateTimeField(default=now)

    watched = models.BooleanField(
        "tell who enters and leaves",
        default=False,
        help_text="as events: “Audience Entered” and “Audience Exited”, every few minutes",
    )
    looked_at = models.DateTimeField(null=True, blank=True, editable=False)
    looked_rule = models.JSONField(null=True, blank=True, editable=False)

    objects = AudienceQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class AudienceMember(models.Model):
    """Somebody who was in a watched audience when it was last looked at."""

    audience = models.ForeignKey(Audience, on_delete=models.CASCADE, related_name="members", db_index=False)
    profile = models.ForeignKey(Profile, on_delete=models.CASCADE, related_name="+")
    since = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["audience", "profile"], name="audience_member_once")]

    def __str__(self) -> str:
        return f"Profile {self.profile_id} in audience {self.audience_id}"


def code_free(name: str) -> str:
    """A code made of a name that no audience has."""
    base = slugify(name)[:52].strip("-") or "audience"
    taken = set(Audience.objects.filter(code__startswith=base).values_list("code", flat=True))
    return base if base not in taken else next(one for n in count(2) if (one := f"{base}-{n}") not in taken)
