"""What support tickets look like in the API."""

from rest_framework import serializers

from apps.surfaces.api.serializers import Strict


class TicketPut(Strict):
    """A ticket as the help desk has it."""

    number = serializers.CharField(max_length=80, help_text="the ticket's number at the help desk")
    profile = serializers.IntegerField(min_value=1, max_value=2**63 - 1, help_text="id of the person")
    state = serializers.ChoiceField(["open", "closed"])
    at = serializers.DateTimeField(required=False, help_text="since when; now where nothing is said")


class Ticket(serializers.Serializer[object]):
    """A ticket. Nothing of what was written is kept."""

    id = serializers.IntegerField(source="pk")
    source = serializers.CharField()  # type: ignore[assignment]  # a field called as one of the serializer's
    number = serializers.CharField()
    profile = serializers.IntegerField(source="profile_id")
    state = serializers.SerializerMethodField()
    opened_at = serializers.DateTimeField()
    closed_at = serializers.DateTimeField(allow_null=True)

    def get_state(self, ticket: object) -> str:
        return "open" if getattr(ticket, "closed_at", None) is None else "closed"


class TicketRows(serializers.Serializer[object]):
    """Tickets to be put, by their numbers."""

    rows = TicketPut(many=True)


class TicketPage(serializers.Serializer[object]):
    """A page of tickets."""

    items = Ticket(many=True)
    next = serializers.CharField(allow_null=True, help_text="cursor of the next page; null at the end")
