"""What consent and preferences look like in the API."""

from rest_framework import serializers

from apps.data.consent.models import Channel, Preference
from apps.surfaces.api.serializers import Strict


class Choice(Strict):
    """What a person chose."""

    purpose = serializers.CharField(max_length=40, help_text="code of a purpose")
    channel = serializers.ChoiceField(Channel.choices)
    granted = serializers.BooleanField()
    evidence = serializers.CharField(
        max_length=2000, required=False, allow_blank=True,
        help_text="for a grant: who vouches for it, and how they know, such as the form and the order",
    )  # fmt: skip
    occurred_at = serializers.DateTimeField(required=False, help_text="when they chose; now where nothing is said")


class PersonsChoice(Choice):
    """What one person of many chose."""

    profile = serializers.IntegerField(min_value=1, max_value=2**63 - 1, help_text="whose choice it is")


class ChoiceRows(serializers.Serializer[object]):
    """Choices of many people."""

    rows = PersonsChoice(many=True)


class State(serializers.Serializer[object]):
    """What holds of a purpose on a channel."""

    purpose = serializers.CharField(source="purpose_id")
    channel = serializers.CharField()
    granted = serializers.BooleanField()
    since = serializers.DateTimeField(source="changed_at")
    record = serializers.IntegerField(source="record_id", help_text="in the ledger; grows with each change")


class States(serializers.Serializer[object]):
    """All that is on record of a person."""

    items = State(many=True)


class Recorded(serializers.Serializer[object]):
    """Whether it was recorded; false where it held already."""

    recorded = serializers.BooleanField()


class Line(serializers.Serializer[object]):
    """A line of the ledger."""

    id = serializers.IntegerField(source="pk")
    purpose = serializers.CharField(source="purpose_id")
    channel = serializers.CharField()
    action = serializers.CharField()
    method = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]  # a field called as one of the serializer's
    occurred_at = serializers.DateTimeField()
    recorded_at = serializers.DateTimeField()


class Lines(serializers.Serializer[object]):
    """A page of the ledger."""

    items = Line(many=True)
    next = serializers.CharField(allow_null=True, help_text="cursor of the next page; null at the end")


class QuietHours(Strict):
    """Hours in which nothing comes that needs consent."""

    start = serializers.RegexField(r"^\d\d:\d\d$")
    end = serializers.RegexField(r"^\d\d:\d\d$")


class PreferenceChanges(Strict):
    """What a person wants otherwise; what is not named stays."""

    topics = serializers.DictField(child=serializers.BooleanField(), required=False, help_text="code to on or off")
    channels = serializers.DictField(child=serializers.BooleanField(), required=False)
    interests = serializers.DictField(child=serializers.BooleanField(), required=False)
    frequency = serializers.ChoiceField(Preference.Frequency.values, required=False)
    quiet_hours = QuietHours(required=False, allow_null=True)
    time_zone = serializers.CharField(max_length=50, required=False, allow_blank=True)
    language = serializers.CharField(max_length=20, required=False, allow_blank=True)
    paused_until = serializers.DateTimeField(required=False, allow_null=True)


class Preferences(serializers.Serializer[object]):
    """What a person chose beside consent."""

    topics_off = serializers.ListField(child=serializers.CharField())
    channels_off = serializers.ListField(child=serializers.CharField())
    interests = serializers.ListField(child=serializers.CharField())
    frequency = serializers.CharField()
    quiet_hours = QuietHours(allow_null=True)
    time_zone = serializers.CharField(help_text="empty: what the profile says")
    language = serializers.CharField(help_text="empty: what the profile says")
    paused_until = serializers.DateTimeField(allow_null=True)
