"""What the feed of changes looks like in the API."""

from rest_framework import serializers


class Change(serializers.Serializer[object]):
    """That a person changed, what they agreed to, or what they prefer. What it is now is read of the person."""

    position = serializers.IntegerField(help_text="its place in the feed")
    kind = serializers.CharField(help_text="profile, consent or preference")
    profile = serializers.IntegerField(source="profile_id")
    version = serializers.IntegerField(
        help_text="of a profile and of preferences, as the ETag of reading them says it; of consent, its record. As in "
        "webhooks. A newer one is higher"
    )
    purpose = serializers.CharField(help_text="of consent")
    channel = serializers.CharField(help_text="of consent")
    granted = serializers.BooleanField(allow_null=True, help_text="of consent; null: nothing is on record any more")
    at = serializers.DateTimeField(help_text="when it came into the feed")


class Feed(serializers.Serializer[object]):
    """A part of the feed."""

    items = Change(many=True)
    after = serializers.IntegerField(help_text="the place to go on from")
    more = serializers.BooleanField(help_text="whether there is more now")
