"""What playbooks look like in the API."""

from rest_framework import serializers


class Version(serializers.Serializer[object]):
    """A version of a playbook: as it was handed in, and what became of it."""

    id = serializers.IntegerField(source="pk")
    number = serializers.IntegerField()
    state = serializers.CharField(
        help_text="in_review, approved, published, refused (changes requested), void (edited since), retired"
    )
    digest = serializers.CharField(help_text="SHA-256 of all that it binds: who agreed, agreed to this")
    created_at = serializers.DateTimeField()
    published_at = serializers.DateTimeField(allow_null=True)


class VersionWhole(Version):
    """A version with all that it pins."""

    spec = serializers.DictField(help_text="audience, content, channel, purpose and policy, as they were approved")


class Playbook(serializers.Serializer[object]):
    """A playbook: who gets what, when, and for which end."""

    id = serializers.IntegerField(source="pk")
    code = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField()
    trigger = serializers.CharField(help_text="hand, schedule, event, audience, api or system")
    brand = serializers.CharField(source="brand.code")
    audience = serializers.IntegerField(source="audience_id")
    purpose = serializers.CharField(source="purpose_id")
    topic = serializers.CharField(source="topic_id", allow_null=True)
    channel = serializers.CharField()
    budget = serializers.CharField()
    kpi = serializers.CharField()
    published = Version(allow_null=True, help_text="what runs; null: nothing does. The rest above is the draft's")
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class PlaybookPage(serializers.Serializer[object]):
    """A page of playbooks."""

    items = Playbook(many=True)
    next = serializers.CharField(allow_null=True, help_text="cursor of the next page; null at the end")


class VersionPage(serializers.Serializer[object]):
    """A page of versions."""

    items = Version(many=True)
    next = serializers.CharField(allow_null=True, help_text="cursor of the next page; null at the end")
