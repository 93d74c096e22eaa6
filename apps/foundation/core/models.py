"""Core's only table. Django sends `post_migrate`, which `append_only.rights_grant` hears, only to apps with models."""

from django.db import models


class Stamp(models.Model):
    """That something of a kind changed: a new row, in the transaction of the change, in place of the older ones.

    Written by triggers alone (`core_stamp_put`), read by `stamps.py`: which rows are there tells whether what a process
    keeps in its memory is still what the tables say.
    """

    kind = models.CharField(max_length=20)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"
