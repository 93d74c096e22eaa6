"""Systems that tell us things: how each stands, how new what we know of them is, and what could not be taken."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models

from apps.foundation.core.clock import now
from apps.foundation.core.ids import uuid7


class InboundSystem(models.Model):
    """How a system of INBOUND_SYSTEMS stands; what it is and its secret are in the settings.

    stopped: by staff: nothing is taken from it. cursor, due_at, faults: of systems that are asked. wanted, spared,
    good_at, open_since: of a live source: how many things were wanted of it, of how many what is kept spared the
    question, when it last answered, and since when it is left alone. last_problem: of the newest thing that could not
    be taken, or of the newest try to ask, "" once something was taken.
    """

    code = models.SlugField(primary_key=True, max_length=40)
    stopped = models.BooleanField(default=False, help_text="nothing is taken until it goes on")
    cursor = models.JSONField(default=dict, blank=True, help_text="how far what is asked for was taken")
    due_at = models.DateTimeField("asked next", default=now)
    faults = models.PositiveSmallIntegerField(default=0, help_text="tries to ask that failed, one after the other")
    taken = models.BigIntegerField(default=0)
    wanted = models.BigIntegerField(default=0)
    spared = models.BigIntegerField(default=0)
    good_at = models.DateTimeField("last answered", null=True, blank=True)
    open_since = models.DateTimeField("left alone since", null=True, blank=True)
    set_aside = models.BigIntegerField(default=0)
    last_at = models.DateTimeField("last heard of", null=True, blank=True)
    last_problem = models.CharField(max_length=300, blank=True)

    def __str__(self) -> str:
        return self.code


class FeedItem(models.Model):
    """An item as a product feed last told it. content: a digest of what it said, None since it is not in it."""

    system = models.ForeignKey(InboundSystem, on_delete=models.CASCADE, related_name="feed_items", db_index=False)
    number = models.CharField(max_length=80)
    content = models.BinaryField(max_length=16, null=True)

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["system", "number"], name="feed_item_once")]

    def __str__(self) -> str:
        return f"{self.number} of {self.system_id}"


class InboundMark(models.Model):
    """How new what we know of one of a system's things is: what is older changes nothing, and the same is once."""

    system = models.ForeignKey(InboundSystem, on_delete=models.CASCADE, related_name="marks", db_index=False)
    digest = models.BinaryField(max_length=33, help_text="keyed, of what it is and its number there")
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["system", "digest"], name="inbound_mark_once")]
        indexes = [models.Index(fields=["changed_at"], name="inbound_mark_oldest")]

    def __str__(self) -> str:
        return f"Something of {self.system_id}, as of {self.changed_at:%Y-%m-%d %H:%M}"


class InboundLetter(models.Model):
    """Something that was told and could not be taken: whole and sealed, with its reason, to be tried again.

    topic: what the system calls it; key: a digest of what was told, so that the same is one letter; reason: a code;
    problem: in words, without values; digests: keyed, of the addresses and numbers in it, by which a person's are
    found.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    system = models.ForeignKey(InboundSystem, on_delete=models.CASCADE, related_name="letters")
    topic = models.CharField(max_length=80, blank=True)
    key = models.BinaryField(max_length=32)
    reason = models.CharField(max_length=40)
    problem = models.CharField(max_length=300)
    sealed = models.BinaryField()
    digests = ArrayField(models.BinaryField(max_length=33), default=list)
    received_at = models.DateTimeField(default=now)
    tries = models.PositiveSmallIntegerField(default=1)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["system", "key"], name="inbound_letter_once")]
        indexes = [
            models.Index(fields=["received_at"], name="inbound_letter_oldest"),
            GinIndex(fields=["digests"], name="inbound_letter_of_person"),
        ]

    def __str__(self) -> str:
        return f"{self.system_id}: {self.reason}"
