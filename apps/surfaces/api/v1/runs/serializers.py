"""What runs look like in the API."""

from rest_framework import serializers

from apps.surfaces.api.serializers import Strict


class RunNew(Strict):
    """A run to be started."""

    playbook = serializers.CharField(max_length=60, help_text="its code")
    occasion = serializers.CharField(
        max_length=120, help_text="the caller's name of the occasion: the same one is the same run, and sends once"
    )


class Run(serializers.Serializer[object]):
    """A run: one occasion on which a published version goes out to its audience."""

    id = serializers.IntegerField(source="pk")
    playbook = serializers.IntegerField(source="playbook_id")
    version = serializers.IntegerField(source="version_id")
    step = serializers.CharField(help_text="of a journey, whose message it sends; empty for the occasion itself")
    occasion = serializers.CharField(source="occasion_key")
    trigger = serializers.CharField()
    state = serializers.CharField(help_text="planning, deciding, decided, cancelled")
    people = serializers.IntegerField(help_text="in the audience")
    as_of = serializers.DateTimeField(help_text="whose facts count")
    created_at = serializers.DateTimeField()
    decided_at = serializers.DateTimeField(allow_null=True)


class Figures(serializers.Serializer[object]):
    """Where the people of a run are."""

    counted_at = serializers.DateTimeField(
        help_text="of when they are: of a run of hundreds of thousands they are counted once in a while"
    )
    decided = serializers.IntegerField(help_text="about whom it was decided")
    withheld = serializers.DictField(child=serializers.IntegerField(), help_text="who gets nothing, by the reason")
    waiting = serializers.IntegerField(help_text="to be handed over yet")
    sent = serializers.IntegerField()
    failed = serializers.DictField(child=serializers.IntegerField(), help_text="by the reason")
    uncertain = serializers.IntegerField(help_text="of whom it can't be known; they are not sent to again")
    cancelled = serializers.IntegerField()
    tiers = serializers.DictField(child=serializers.IntegerField(), help_text="sent, by the tier that answered")


class RunWhole(Run):
    """A run with its figures."""

    sending = serializers.CharField(help_text="active, paused, cancelled; empty while nothing is to be sent yet")
    per_minute = serializers.IntegerField(allow_null=True, help_text="its pace; null for as fast as it goes")
    figures = Figures(allow_null=True, help_text="null for a large run that is just being counted for the first time")


class Pace(Strict):
    """How fast a run goes out."""

    per_minute = serializers.IntegerField(
        allow_null=True, help_text="messages a minute at most, from 1 on; null for as fast as it goes"
    )


class RunPage(serializers.Serializer[object]):
    """A page of runs."""

    items = Run(many=True)
    next = serializers.CharField(allow_null=True, help_text="cursor of the next page; null at the end")


class JourneyNew(Strict):
    """A person for whom a playbook is to begin."""

    playbook = serializers.CharField(max_length=60, help_text="its code; its trigger is “over the API”")
    profile = serializers.IntegerField(min_value=1, max_value=2**63 - 1)
    occasion = serializers.CharField(
        max_length=200, help_text="the caller's name of the occasion: the same one begins once for this person"
    )


class Journey(serializers.Serializer[object]):
    """A person on the way through a playbook."""

    id = serializers.IntegerField(source="pk")
    playbook = serializers.IntegerField(source="playbook_id")
    version = serializers.IntegerField(source="version_id")
    profile = serializers.IntegerField(source="profile_id")
    occasion = serializers.CharField(source="occasion_key")
    state = serializers.CharField(help_text="active, done, exited, cancelled, failed")
    step = serializers.CharField(help_text="to be taken next; empty when there is none")
    reason = serializers.CharField(help_text="why it ended early")
    entered_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
