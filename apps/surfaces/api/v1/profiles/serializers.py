"""What people look like in the API."""

from rest_framework import serializers

from apps.data.profiles.models import Identifier as IdentifierModel
from apps.surfaces.api.serializers import Strict


class IdentifierTold(Strict):
    """One way to tell a person."""

    kind = serializers.ChoiceField(IdentifierModel.Kind.choices)
    value = serializers.CharField(
        max_length=320, help_text="as it is written; a customer number with whose it is: shop:17850"
    )


class ProfileFields(Strict):
    """What is known of a person. An empty text empties."""

    first_name = serializers.CharField(max_length=120, required=False, allow_blank=True)
    last_name = serializers.CharField(max_length=120, required=False, allow_blank=True)
    country = serializers.CharField(max_length=100, required=False, allow_blank=True, help_text="ISO 3166-1, or a name")
    language = serializers.CharField(max_length=100, required=False, allow_blank=True, help_text="BCP 47")
    time_zone = serializers.CharField(max_length=50, required=False, allow_blank=True, help_text="IANA")
    attributes = serializers.DictField(
        required=False, help_text="whatever else is known, by name; null empties, what is not named stays"
    )


class ProfileTold(ProfileFields):
    """A person by identifiers: the first says who is meant."""

    identifiers = IdentifierTold(many=True)


class Made(serializers.Serializer[object]):
    """Which profile it is. Nothing else is told, so that an answer can be kept to be given again."""

    id = serializers.IntegerField()


class Identifier(serializers.Serializer[object]):
    """By what a person is known."""

    id = serializers.IntegerField()
    kind = serializers.CharField()
    value = serializers.CharField()
    main = serializers.BooleanField(help_text="the one of its kind that messages go to")
    verified = serializers.BooleanField()
    source = serializers.CharField()  # type: ignore[assignment]  # a field called as one of the serializer's
    since = serializers.DateTimeField()


class ProfileLine(serializers.Serializer[object]):
    """A person in a list."""

    id = serializers.IntegerField(source="pk")
    first_name = serializers.CharField()
    last_name = serializers.CharField()
    country = serializers.CharField()
    language = serializers.CharField()
    time_zone = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]  # a field called as one of the serializer's
    restricted = serializers.SerializerMethodField(help_text="their data may be kept and nothing else")
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()

    def get_restricted(self, profile: object) -> bool:
        return getattr(profile, "restricted_at", None) is not None


class Profile(ProfileLine):
    """A person."""

    identifiers = Identifier(many=True)
    attributes = serializers.DictField()


class ProfilePage(serializers.Serializer[object]):
    """A page of people."""

    items = ProfileLine(many=True)
    next = serializers.CharField(allow_null=True, help_text="cursor of the next page; null at the end")


class ProfileRows(serializers.Serializer[object]):
    """People to be made or changed, by their first identifiers."""

    rows = ProfileTold(many=True)


class PersonsIdentifier(IdentifierTold):
    """One more identifier of one person of many."""

    profile = serializers.IntegerField(min_value=1, max_value=2**63 - 1, help_text="who is known by it")


class IdentifierRows(serializers.Serializer[object]):
    """Identifiers of many people."""

    rows = PersonsIdentifier(many=True)


class Found(serializers.Serializer[object]):
    """Who is known by an identifier."""

    ids = serializers.ListField(child=serializers.IntegerField())


class EventLine(serializers.Serializer[object]):
    """Something that a person did, as it is kept."""

    id = serializers.IntegerField(source="pk")
    name = serializers.CharField(help_text="after aliases were unified")
    occurred_at = serializers.DateTimeField()
    recorded_at = serializers.DateTimeField()
    message_id = serializers.CharField(help_text="the sender's own id")
    source = serializers.CharField(  # type: ignore[assignment]  # a field called as one of the serializer's
        help_text="who sent it; empty: Tessera itself"
    )
    properties = serializers.DictField()
    faults = serializers.JSONField(allow_null=True, help_text="what its schema, or its moment, was found wrong in")
    schema_version = serializers.IntegerField(allow_null=True, help_text="by which version it was looked at")


class EventPage(serializers.Serializer[object]):
    """A page of events."""

    items = EventLine(many=True)
    next = serializers.CharField(allow_null=True, help_text="cursor of the next page; null at the end")
