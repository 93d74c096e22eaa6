"""What is kept so that features are read without reading events again: tallies by name, ever and by day.

They say nothing that the events don't: written in the transaction that records events, and folded again from them by
`manage.py features_rebuild`.
"""

from django.contrib.postgres.indexes import BrinIndex
from django.db import models

from apps.data.profiles.models import Profile


class EventTally(models.Model):
    """How often somebody did something, ever, and when first and last. `name_id` stands for the name: `sql.name_id`."""

    pk = models.CompositePrimaryKey("profile_id", "name_id")
    # no constraint: events come by the thousand, and each row would look its profile up; erasing takes the rows along
    profile = models.ForeignKey(
        Profile, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    name_id = models.BigIntegerField()
    number = models.IntegerField()
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["name_id"], name="event_tally_of_name")]

    def __str__(self) -> str:
        return f"{self.number} of profile {self.profile_id}"


class EventDay(models.Model):
    """How often somebody did something on one day (UTC), and when first and last."""

    pk = models.CompositePrimaryKey("profile_id", "name_id", "day")
    # no constraint: events come by the thousand, and each row would look its profile up; erasing takes the rows along
    profile = models.ForeignKey(
        Profile, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    name_id = models.BigIntegerField()
    day = models.DateField()
    number = models.IntegerField()
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()

    class Meta:
        indexes = [
            BrinIndex(fields=["day"], name="event_day_old"),
            models.Index(fields=["name_id", "day"], name="event_day_of_name"),
        ]

    def __str__(self) -> str:
        return f"{self.number} of profile {self.profile_id} on {self.day}"


class StaleCopy(models.Model):
    """Whose online copy must still be made void, because Redis could not be told: `profile` None for everybody's."""

    profile = models.ForeignKey(Profile, null=True, on_delete=models.CASCADE, related_name="+")

    def __str__(self) -> str:
        return f"Copy of profile {self.profile_id}" if self.profile_id else "All copies"


class Rebuilding(models.Model):
    """How far a rebuild of tallies and online copies came, so that one that was stopped goes on. One row at most."""

    after_profile = models.BigIntegerField(default=0)
    last_profile = models.BigIntegerField()
    began_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"Rebuilt up to profile {self.after_profile} of {self.last_profile}"
