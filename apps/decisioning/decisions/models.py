"""What was decided for each person, and why."""

from django.db import models
from django.db.models import Q

from apps.data.profiles.models import Profile
from apps.decisioning.content.models import CompiledTemplate
from apps.decisioning.playbooks.models import PlaybookVersion, Run
from apps.foundation.core.append_only import append_only
from apps.foundation.core.ids import uuid7


@append_only
class Decision(models.Model):
    """One decision for one person in one run.

    outcome: `send`, or the reason why not; sealed: the values that the message is rendered with, and with which the
    same answer comes again, and for each slot what was passed over, and the value that lost (`sealing.Kept`). Empty for
    somebody who was erased before. What stands in clear says nothing of the person but their number.

    People, runs and compiled templates are never removed, and deciding holds the run: the database is spared looking
    them up.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    run = models.ForeignKey(
        Run, on_delete=models.PROTECT, related_name="decisions", db_index=False, db_constraint=False
    )
    profile = models.ForeignKey(Profile, on_delete=models.PROTECT, related_name="decisions", db_constraint=False)
    outcome = models.CharField(max_length=20)
    compiled = models.ForeignKey(
        CompiledTemplate, null=True, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    tier = models.CharField(max_length=10, blank=True, help_text="the tier of the slot that is decided by person")
    sealed = models.BinaryField(help_text="inputs and reasons, sealed with the person's key")
    decided_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "profile"], name="decision_one_per_person_and_run")]

    def __str__(self) -> str:
        return f"Decision {self.pk}"


class Answer(models.Model):
    """A decision that was asked for over the API, and what was answered.

    placement: the place it was asked for, "" where a playbook was named; client: of the API, by its code; the rest as
    in `Decision`. What is sealed is bound to this row. They are forgotten after a while.

    In PostgreSQL a table of its own for each day, by the time in their ids (`partitions.py`).

    Versions and compiled templates are never removed, and answers about somebody who was can't be opened, so the
    database is spared locking one row of theirs for each answer, a thousand times a second.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    version = models.ForeignKey(
        PlaybookVersion, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    profile = models.ForeignKey(
        Profile, on_delete=models.PROTECT, related_name="answers", db_index=False, db_constraint=False
    )
    placement = models.CharField(max_length=60, blank=True)
    client = models.CharField(max_length=60, blank=True)
    outcome = models.CharField(max_length=20)
    compiled = models.ForeignKey(
        CompiledTemplate, null=True, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    tier = models.CharField(max_length=10, blank=True)
    sealed = models.BinaryField(help_text="inputs and reasons, sealed with the person's key")
    decided_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        indexes = [models.Index(fields=["profile", "id"], name="answer_of_person")]

    def __str__(self) -> str:
        return f"Answer {self.pk}"


class ItemShown(models.Model):
    """That a decision to send shows an item: for the limit of how often one person is shown one item.

    item: a keyed digest of its number (`limits.item_digest`); whether the message went out stands in delivery's ledger.
    Only where there is such a limit, and only for as long as it looks back.
    """

    decision = models.ForeignKey(Decision, on_delete=models.CASCADE, related_name="items_shown")
    profile = models.ForeignKey(Profile, on_delete=models.CASCADE, related_name="+", db_index=False)
    item = models.BinaryField(max_length=16)
    shown_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        indexes = [
            models.Index(fields=["profile", "item"], name="item_shown_to_person"),
            models.Index(fields=["shown_at"], name="item_shown_to_forget"),
        ]

    def __str__(self) -> str:
        return f"Item of decision {self.decision_id}"


class DigestPiece(models.Model):
    """A decision to write to somebody that is kept for their digest, and what became of it (`digests.py`).

    Its content is the decision's, read when the digest is decided. due_at: when its person's digest is looked at;
    good_until: it is left out after; digest: the decision of the digest that showed it, or weighed it and left it out;
    reason: why it was left out.
    """

    class State(models.TextChoices):
        KEPT = "kept", "kept for the digest"
        SHOWN = "shown", "in a digest"
        LEFT_OUT = "left_out", "left out"

    decision = models.OneToOneField(Decision, primary_key=True, on_delete=models.CASCADE, related_name="piece")
    profile = models.ForeignKey(Profile, on_delete=models.CASCADE, related_name="digest_pieces", db_index=False)
    state = models.CharField(max_length=8, choices=State.choices, default=State.KEPT)
    reason = models.CharField(max_length=20, blank=True)
    due_at = models.DateTimeField()
    good_until = models.DateTimeField()
    digest = models.ForeignKey(Decision, null=True, on_delete=models.CASCADE, related_name="digest_pieces")
    kept_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = [
            models.CheckConstraint(
                condition=Q(state="kept", reason="", settled_at=None)
                | Q(state="shown", reason="", settled_at__isnull=False, digest__isnull=False)
                | Q(state="left_out", settled_at__isnull=False) & ~Q(reason=""),
                name="digest_piece_says_what_became_of_it",
            )
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(state="kept"), name="digest_piece_due"),
            models.Index(fields=["profile", "-kept_at"], name="digest_piece_of_person"),
            models.Index(fields=["settled_at"], condition=~Q(state="kept"), name="digest_piece_over"),
        ]

    def __str__(self) -> str:
        return f"{self.get_state_display()}: {self.decision_id}"
