"""What audiences look like in the API."""

from rest_framework import serializers

from apps.decisioning.playbooks.selectors import rule_words
from apps.surfaces.api.serializers import Strict


class AudienceFields(Strict):
    """What is told of an audience."""

    name = serializers.CharField(max_length=120, required=False)
    description = serializers.CharField(max_length=2000, required=False, allow_blank=True)
    rule = serializers.DictField(required=False, help_text="who is in it; docs/how-it-works/audiences.md says how")
    watched = serializers.BooleanField(
        required=False, help_text="whether entries and exits become events, “Audience Entered” and “Audience Exited”"
    )


class AudienceNew(AudienceFields):
    """A new audience."""

    code = serializers.RegexField(
        r"^[-a-z0-9_]{1,60}\Z",
        required=False,
        help_text="what rules name it by, for good; made of its name without one",
    )
    name = serializers.CharField(max_length=120)
    rule = serializers.DictField(help_text="who is in it; docs/how-it-works/audiences.md says how")


class AudiencePut(AudienceFields):
    """An audience by its code."""

    code = serializers.RegexField(r"^[-a-z0-9_]{1,60}\Z", help_text="what rules name it by; it never changes")


class AudienceRows(serializers.Serializer[object]):
    """Audiences to be made or changed, by their codes."""

    rows = AudiencePut(many=True)


class AudienceLine(serializers.Serializer[object]):
    """An audience in a list."""

    id = serializers.IntegerField(source="pk")
    code = serializers.CharField(help_text="what rules name it by; it never changes")
    name = serializers.CharField()
    description = serializers.CharField()
    rule_in_words = serializers.SerializerMethodField()
    watched = serializers.BooleanField()
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


class RuleNew(Strict):
    """A rule to be tried."""

    rule = serializers.DictField(help_text="who is in it; `GET /audiences/rule` says what it may be")


class RuleCount(Count):
    """How many people a rule finds."""

    rule_in_words = serializers.CharField()


class RuleFeature(serializers.Serializer[object]):
    """A feature that rules can ask for."""

    name = serializers.CharField()
    description = serializers.CharField()
    kind = serializers.CharField()
    asks = serializers.ListField(child=serializers.CharField(), help_text="what can be asked of it")


class RuleNames(serializers.Serializer[object]):
    """What rules can name."""

    features = RuleFeature(many=True)
    audiences = serializers.ListField(child=serializers.CharField(), help_text="by code")
    events = serializers.ListField(child=serializers.CharField(), help_text="with a schema; others will do too")
    attributes = serializers.ListField(child=serializers.CharField(), help_text="defined ones; others will do too")
    purposes = serializers.ListField(child=serializers.CharField(), help_text="by code")
    interests = serializers.ListField(child=serializers.CharField(), help_text="by code")


class RuleForm(serializers.Serializer[object]):
    """What rules may be."""

    schema = serializers.DictField(help_text="JSON Schema, draft 2020-12")
    names = RuleNames()


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
