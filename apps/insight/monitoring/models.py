"""How good the data is, as it was measured. Counts only: nothing of anybody."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models

from apps.decisioning.playbooks.models import Playbook
from apps.foundation.core.clock import now


class QualityFigure(models.Model):
    """What was measured on one day of one attribute, among the people of one source.

    people: who has that source; present: of whom something is known; of these, fitting: whose value is as its
    definition says; alike: whose value is written as most are; distinct: different values; fresh: whose profile changed
    within the definition's days, None without any. source: "" where none is known.
    """

    day = models.DateField()
    source = models.CharField(max_length=60, blank=True)
    attribute = models.CharField(max_length=120)
    people = models.BigIntegerField()
    present = models.BigIntegerField()
    fitting = models.BigIntegerField()
    alike = models.BigIntegerField()
    distinct = models.BigIntegerField()
    fresh = models.BigIntegerField(null=True)
    measured_at = models.DateTimeField()

    class Meta:
        permissions = [("measure_qualityfigure", "Can have the quality of data measured now")]
        default_permissions = ("view",)
        constraints = [models.UniqueConstraint(fields=["attribute", "source", "day"], name="quality_figure_once_a_day")]

    def __str__(self) -> str:
        return f"{self.attribute} of {self.source or 'no source'}, {self.day}"


class Measure(models.TextChoices):
    """What is measured of an attribute."""

    KNOWN = "known", "known"
    FITTING = "fitting", "as defined"
    ALIKE = "alike", "written alike"
    DISTINCT = "distinct", "different"
    FRESH = "fresh", "fresh"


class QualitySample(models.Model):
    """Some people who lack something by a measure, of the newest measurement: so that somebody can look."""

    attribute = models.CharField(max_length=120)
    source = models.CharField(max_length=60, blank=True)
    measure = models.CharField(max_length=8, choices=Measure.choices)
    profile_ids = ArrayField(models.BigIntegerField())

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["attribute", "source", "measure"], name="quality_sample_once"),
        ]

    def __str__(self) -> str:
        return f"{self.attribute} of {self.source or 'no source'}, {self.get_measure_display()}"


class QualityThreshold(models.Model):
    """Below which share a measure alerts. attribute, source: "" for all that have none of their own."""

    attribute = models.CharField(max_length=120, blank=True)
    source = models.CharField(max_length=60, blank=True)
    measure = models.CharField(max_length=8, choices=Measure.choices)
    least = models.FloatField(help_text="a share, above 0 and at most 1")
    set_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")

    class Meta:
        default_permissions = ("change",)
        ordering = ["attribute", "source", "measure"]
        constraints = [
            models.UniqueConstraint(fields=["attribute", "source", "measure"], name="quality_threshold_once"),
            models.CheckConstraint(
                condition=models.Q(least__gt=0) & models.Q(least__lte=1), name="quality_threshold_is_a_share"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_measure_display()}, {self.attribute or 'all attributes'}, {self.source or 'all sources'}"


class QualityAlert(models.Model):
    """That a measure fell below its threshold: from then until it recovered. value: as last measured."""

    attribute = models.CharField(max_length=120)
    source = models.CharField(max_length=60, blank=True)
    measure = models.CharField(max_length=8, choices=Measure.choices)
    value = models.FloatField()
    least = models.FloatField()
    began_at = models.DateTimeField(default=now)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        ordering = ["-began_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["attribute", "source", "measure"],
                condition=models.Q(ended_at=None),
                name="quality_alert_open_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.attribute} of {self.source or 'no source'}, {self.get_measure_display()}"


class ListCheck(models.Model):
    """How far the addresses of a playbook's audience were looked at ahead of a run, and what was found.

    due_at: when the run begins, or when somebody asked for it; again: whether this is the look shortly before, at what
    is new or stale; after: the last person that was looked at; counts: people by code of `profiles.rules` so far, ""
    for good ones, `no_address` for those without; found: the counts of the last look that was finished, None before.
    """

    playbook = models.ForeignKey(Playbook, on_delete=models.CASCADE, related_name="+", db_index=False)
    due_at = models.DateTimeField()
    again = models.BooleanField(default=False)
    after = models.BigIntegerField(default=0)
    counts = models.JSONField(default=dict)
    found = models.JSONField(null=True)
    started_at = models.DateTimeField(default=now)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["playbook", "due_at"], name="list_check_once_for_a_run")]
        indexes = [
            models.Index(fields=["due_at"], condition=models.Q(finished_at=None), name="list_check_waits"),
        ]

    def __str__(self) -> str:
        return f"Addresses of {self.playbook_id} for {self.due_at:%Y-%m-%d %H:%M}"
