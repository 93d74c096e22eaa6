"""How good the data is, as it was measured. Counts only: nothing of anybody."""

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
