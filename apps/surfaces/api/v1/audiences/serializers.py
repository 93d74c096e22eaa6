"""What audiences look like in the API."""

from rest_framework import serializers

from apps.decisioning.playbooks.selectors import rule_words
from apps.surfaces.api.serializers import Strict


class AudienceFields(Strict):
    """What is told of an audience."""

    name = serializers.CharField(max_length=120, required=False)
    description = serializers.CharField(max_length=2000, required=False, allow_blank=True)
    rule = serializers.DictField(required=False, help_text="who is in it; docs/how-it-works/audiences.md says how")


class AudienceNew(AudienceFields):
    """A new audience."""

    name = serializers.CharField(max_length=120)
    rule = serializers.DictField(help_text="who is in it; docs/how-it-works/audiences.md says how")


class AudienceLine(serializers.Serializer[object]):
    """An audience in a list."""

    id = serializers.IntegerField(source="pk")
    name = serializers.CharField()
    description = serializers.CharField()
    rule_in_words = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()

    def get_rule_in_words(self, audience: object) -> str:
        return rule_words(getattr(audience, "rule", None))


class Audience(AudienceLine):
    """An audience."""

    rule = serializers.DictField()


class AudiencePage(serializers.Serializer[object]):
    """A page of audiences."""

    items = AudienceLine(many=True)
    next = serializers.CharField(allow_null=True, help_text="cursor of the next page; null at the end")


class Count(serializers.Serializer[object]):
    """How many people are in an audience."""

    count = serializers.IntegerField()
    everybody = serializers.IntegerField(help_text="how many people there are in all")
    as_of = serializers.DateTimeField()


class Reason(serializers.Serializer[object]):
    """A part of the rule that settled it."""

    field = serializers.CharField(help_text="what was looked at")
    wanted = serializers.CharField(help_text="what the rule wants of it, in words")
    holds = serializers.BooleanField()


class Membership(serializers.Serializer[object]):
    """Whether a person is in an audience."""

    member = serializers.BooleanField()
    because = Reason(many=True, help_text="what settled it, without the person's values")
    as_of = serializers.DateTimeField()
