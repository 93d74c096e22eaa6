"""What was decided for each person, and why."""

from django.db import models

from apps.data.profiles.models import Profile
from apps.decisioning.content.models import CompiledTemplate
from apps.decisioning.playbooks.models import Run
from apps.foundation.core.append_only import append_only
from apps.foundation.core.ids import uuid7


@append_only
class Decision(models.Model):
    """One decision for one person in one run.

    outcome: `send`, or the reason why not; sealed: the values that the message is rendered with, and with which the
    same answer comes again, and for each slot what was passed over, and the value that lost (`sealing.Kept`). Empty for
    somebody who was erased before. What stands in clear says nothing of the person but their number.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="decisions")
    profile = models.ForeignKey(Profile, on_delete=models.PROTECT, related_name="decisions")
    outcome = models.CharField(max_length=20)
    compiled = models.ForeignKey(CompiledTemplate, null=True, on_delete=models.PROTECT, related_name="+")
    tier = models.CharField(max_length=10, blank=True, help_text="the tier of the slot that is decided by person")
    sealed = models.BinaryField(help_text="inputs and reasons, sealed with the person's key")
    decided_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "profile"], name="decision_one_per_person_and_run")]

    def __str__(self) -> str:
        return f"Decision {self.pk}"
