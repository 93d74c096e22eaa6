"""Rehearsals: what would go out if a playbook ran now, counted, and the same sent to oneself."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from apps.data.profiles.models import Profile
from apps.decisioning.content.models import CompiledTemplate
from apps.decisioning.playbooks.models import Playbook, PlaybookVersion
from apps.foundation.core.clock import now
from apps.foundation.core.ids import uuid7


class DryRun(models.Model):
    """A playbook decided for its audience without anything being written or sent.

    version: None for a draft; spec, compiled, digest: exactly what is looked at, as a PlaybookVersion has them;
    as_of: the moment whose facts count; people: in the audience; counted: of them, how many are decided about: all, or
    a sample drawn by lot; result: the figures once it is done (`counting.Tally`), pace: how fast this installation
    sends, as measured. No personal data but the ids of batches and samples, which go after a while.
    """

    class State(models.TextChoices):
        PREPARING = "preparing", "putting the audience together"
        DECIDING = "deciding", "deciding"
        DONE = "done", "done"
        STOPPED = "stopped", "stopped"
        FAILED = "failed", "failed"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    playbook = models.ForeignKey(Playbook, on_delete=models.PROTECT, related_name="+")
    version = models.ForeignKey(PlaybookVersion, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    spec = models.JSONField()
    compiled = models.JSONField(help_text="ids of the compiled templates by language; of the first message")
    compiled_steps = models.JSONField(
        default=dict, help_text="by id of the step, ids of its compiled templates by language; empty for one message"
    )
    digest = models.CharField(max_length=64)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PREPARING)
    problem = models.CharField(max_length=300, blank=True)
    as_of = models.DateTimeField()
    people = models.PositiveIntegerField("people in the audience", default=0)
    counted = models.PositiveIntegerField("people decided about", default=0)
    result = models.JSONField(default=dict)
    pace = models.JSONField(null=True, blank=True)
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=now)
    moved_at = models.DateTimeField(default=now, help_text="when something last happened")
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        permissions = [("make_dryrun", "Can make dry runs")]
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["playbook"],
                condition=Q(state__in=["preparing", "deciding"]),
                name="dry_run_one_at_a_time_for_a_playbook",
            )
        ]
        indexes = [
            models.Index(fields=["playbook", "-created_at"], name="dry_run_newest"),
            models.Index(fields=["digest"], name="dry_run_of_digest"),
        ]

    def __str__(self) -> str:
        return f"Dry run of {self.version or self.playbook}"

    @property
    def exact(self) -> bool:
        """Whether everybody of the audience was looked at, not a sample."""
        return self.counted >= self.people

    @property
    def moving(self) -> bool:
        """Whether workers are at it."""
        return self.state in (self.State.PREPARING, self.State.DECIDING)


class DryRunBatch(models.Model):
    """People of a dry run to be decided about in one go, and what came of it. Gone once the dry run is done."""

    dry_run = models.ForeignKey(DryRun, on_delete=models.CASCADE, related_name="batches")
    number = models.PositiveIntegerField()
    profile_ids = ArrayField(models.BigIntegerField())
    result = models.JSONField(null=True)
    kinds = models.JSONField(default=dict, help_text="ids of some people of each kind, to choose samples from")
    getting = ArrayField(models.BigIntegerField(), default=list, help_text="who would get a message")

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["dry_run", "number"], name="dry_run_batch_once")]
        indexes = [models.Index(fields=["dry_run"], condition=Q(result=None), name="dry_run_batch_open")]

    def __str__(self) -> str:
        return f"Batch {self.number} of a dry run"


class DryRunSample(models.Model):
    """A person to look at a dry run as. Only who, never what is known of them: that is read when it is shown."""

    dry_run = models.ForeignKey(DryRun, on_delete=models.CASCADE, related_name="samples")
    position = models.PositiveSmallIntegerField()
    profile = models.ForeignKey(Profile, on_delete=models.CASCADE, related_name="+")
    kind = models.JSONField(help_text="what they stood for when it was counted: `counting.Kind`")

    class Meta:
        default_permissions = ()
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["dry_run", "position"], name="dry_run_sample_once")]

    def __str__(self) -> str:
        return f"Sample {self.position} of a dry run"


class TestSend(models.Model):
    """A message sent to the member of staff who asked for it, to see it arrive. Never to a customer.

    seen_as: whose eyes it is seen with, in words; inputs: what it is rendered with, of an invented person; of a real
    one (`profile`) `sealed` with their key. All three are emptied once it is out. sender: its From, as `from_name`,
    `from_email`, `reply_to`.
    """

    __test__ = False  # pytest takes names with Test for tests

    class State(models.TextChoices):
        WAITING = "waiting", "on its way"
        SENDING = "sending", "being handed over"
        SENT = "sent", "taken by the mail server"
        FAILED = "failed", "not taken by the mail server"
        UNKNOWN = "unknown", "handed over, and no answer came"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    playbook = models.ForeignKey(Playbook, on_delete=models.PROTECT, related_name="+")
    version = models.ForeignKey(PlaybookVersion, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    step = models.CharField(max_length=40, blank=True)
    seen_as = models.CharField(max_length=120)
    language = models.CharField(max_length=20)
    compiled = models.ForeignKey(CompiledTemplate, on_delete=models.PROTECT, related_name="+")
    inputs = models.JSONField(default=dict)
    profile = models.ForeignKey(Profile, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    sealed = models.BinaryField(default=b"", editable=False)
    sender = models.JSONField()
    list_label = models.CharField(max_length=32, blank=True)
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    response = models.CharField(max_length=300, blank=True, help_text="what the mail server said")
    created_at = models.DateTimeField(default=now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions = ()
        permissions = [("make_testsend", "Can send tests to oneself")]
        indexes = [
            models.Index(fields=["user", "-created_at"], name="test_send_of_user"),
            models.Index(fields=["created_at"], condition=Q(finished_at=None), name="test_send_open"),
        ]

    def __str__(self) -> str:
        return f"Test of {self.version or self.playbook}"
