"""What decisions look like in the API."""

from rest_framework import serializers


class Decision(serializers.Serializer[object]):
    """A decision for one person in one run."""

    id = serializers.UUIDField(source="pk")
    run = serializers.IntegerField(source="run_id")
    profile = serializers.IntegerField(source="profile_id")
    outcome = serializers.CharField(help_text="send, or why not: no_consent, frequency_cap and the like")
    tier = serializers.CharField(help_text="the tier that answered")
    decided_at = serializers.DateTimeField()


class DecisionPage(serializers.Serializer[object]):
    """A page of decisions."""

    items = Decision(many=True)
    next = serializers.CharField(allow_null=True, help_text="cursor of the next page; null at the end")


class PassedOver(serializers.Serializer[object]):
    """A tier that was asked and did not hold."""

    name = serializers.CharField()
    tier = serializers.CharField()
    block = serializers.CharField()
    why = serializers.CharField(help_text="with the value that lost, in words")


class Slot(serializers.Serializer[object]):
    """What a slot shows, and what was passed over for it."""

    slot = serializers.CharField()
    name = serializers.CharField()
    tier = serializers.CharField()
    block = serializers.CharField()
    rule = serializers.CharField()
    why = serializers.CharField()
    items = serializers.ListField(child=serializers.CharField())
    passed_over = PassedOver(many=True)


class Explanation(serializers.Serializer[object]):
    """Why one person got what they got, or nothing."""

    id = serializers.UUIDField(source="decision_id")
    run = serializers.IntegerField(source="run_id")
    playbook = serializers.IntegerField(source="playbook_id")
    version = serializers.IntegerField(source="version_id")
    version_digest = serializers.CharField(help_text="what was approved")
    profile = serializers.IntegerField(source="profile_id")
    outcome = serializers.CharField()
    propensity = serializers.FloatField(
        allow_null=True, help_text="the chance of this outcome before the lot of holdouts was drawn; 1 where none was"
    )
    summary = serializers.CharField(help_text="what was decided and why, in a sentence")
    language = serializers.CharField()
    tier = serializers.CharField()
    as_of = serializers.DateTimeField(help_text="whose facts counted")
    decided_at = serializers.DateTimeField()
    values = serializers.DictField(help_text="what was known of the person; sensitive attributes are masked")
    slots = Slot(many=True)
    gone = serializers.CharField(help_text="why there is no more to say, such as an erasure; empty otherwise")
