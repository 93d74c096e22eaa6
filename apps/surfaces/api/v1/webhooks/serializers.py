"""What webhooks look like in the API."""

from rest_framework import serializers

from apps.delivery.webhooks.rules import KINDS
from apps.surfaces.api.serializers import Strict


class EndpointFields(Strict):
    """Where news goes, and which."""

    name = serializers.CharField(max_length=120, required=False)
    url = serializers.CharField(max_length=500, required=False, help_text="https; of no private network")
    kinds = serializers.ListField(
        child=serializers.ChoiceField(sorted(KINDS)), required=False, min_length=1, max_length=len(KINDS)
    )
    active = serializers.BooleanField(required=False, help_text="switched off, nothing waits for it any more")


class EndpointNew(Strict):
    """A new endpoint. It is active at once."""

    name = serializers.CharField(max_length=120)
    url = serializers.CharField(max_length=500, help_text="https; of no private network")
    kinds = serializers.ListField(child=serializers.ChoiceField(sorted(KINDS)), min_length=1, max_length=len(KINDS))


class Endpoint(serializers.Serializer[object]):
    """Where news goes, and which."""

    id = serializers.IntegerField(source="pk")
    name = serializers.CharField()
    url = serializers.CharField()
    kinds = serializers.ListField(child=serializers.CharField())
    active = serializers.BooleanField()
    disabled_because = serializers.CharField()
    failures = serializers.IntegerField(help_text="in a row")
    left_alone_until = serializers.DateTimeField(source="open_until", allow_null=True)
    created_at = serializers.DateTimeField()


class EndpointPage(serializers.Serializer[object]):
    """A page of endpoints."""

    items = Endpoint(many=True)
    next = serializers.CharField(allow_null=True, help_text="cursor of the next page; null at the end")


class Secret(serializers.Serializer[object]):
    """The secret by which a receiver verifies what comes (Standard Webhooks 1.0.0)."""

    secret = serializers.CharField()
    before_signs_until = serializers.DateTimeField(
        allow_null=True, help_text="until then the secret before signs beside it"
    )


class Delivery(serializers.Serializer[object]):
    """A piece of news on its way to an endpoint."""

    id = serializers.IntegerField(source="pk")
    message_id = serializers.CharField(source="event.message_id", help_text="webhook-id, as the receiver sees it")
    kind = serializers.CharField(source="event.kind")
    state = serializers.CharField(help_text="waiting, delivered, failed, dropped")
    attempts = serializers.IntegerField()
    status = serializers.IntegerField(allow_null=True, help_text="of the answer")
    error = serializers.CharField()
    next_at = serializers.DateTimeField(help_text="while it waits: when it is tried")
    created_at = serializers.DateTimeField(source="event.created_at")
    finished_at = serializers.DateTimeField(allow_null=True)


class DeliveryPage(serializers.Serializer[object]):
    """A page of deliveries."""

    items = Delivery(many=True)
    next = serializers.CharField(allow_null=True, help_text="cursor of the next page; null at the end")
