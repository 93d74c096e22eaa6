"""How good the data is, as it was measured. Counts only: nothing of anybody."""

from django.db import models


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
