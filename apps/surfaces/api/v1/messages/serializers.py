"""What messages look like in the API: without addresses and content."""

from rest_framework import serializers


class Message(serializers.Serializer[object]):
    """A message to one person for one occasion. Its id is its decision's."""

    id = serializers.UUIDField(source="pk")
    run = serializers.IntegerField(source="dispatch.run_id")
    profile = serializers.IntegerField(source="profile_id")
    purpose = serializers.CharField()
    channel = serializers.CharField()
    state = serializers.CharField()
    reason = serializers.CharField(help_text="why it was withheld or failed")
    attempts = serializers.IntegerField()
    tracked = serializers.BooleanField(help_text="the person agreed that opens and clicks of it are followed")
    created_at = serializers.DateTimeField()
    sending_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)


class Attempt(serializers.Serializer[object]):
    """A try to hand a message over."""

    number = serializers.IntegerField()
    started_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    outcome = serializers.CharField(help_text="begun, accepted, deferred, refused, unknown, not_tried")
    code = serializers.CharField(help_text="the provider's")


class MessageWhole(Message):
    """A message with what was tried."""

    tries = Attempt(many=True)


class Waiting(serializers.Serializer[object]):
    """A message that waits to be shown."""

    id = serializers.UUIDField()
    purpose = serializers.CharField()
    title = serializers.CharField()
    text = serializers.CharField()
    html = serializers.CharField()
    sent_at = serializers.DateTimeField()
    until = serializers.DateTimeField(help_text="it is shown no later")


class WaitingList(serializers.Serializer[object]):
    """What waits for one person."""

    items = Waiting(many=True)


class MessagePage(serializers.Serializer[object]):
    """A page of messages."""

    items = Message(many=True)
    next = serializers.CharField(allow_null=True, help_text="cursor of the next page; null at the end")


class Heard(serializers.Serializer[object]):
    """What was heard of a message after it was handed over."""

    id = serializers.IntegerField(source="pk")
    kind = serializers.CharField(help_text="delivered, deferred, bounced, opened, clicked and the like")
    occurred_at = serializers.DateTimeField()
    recorded_at = serializers.DateTimeField()
    bounce = serializers.CharField(help_text="of a bounce: hard, soft or other")
    reason = serializers.CharField()
    code = serializers.CharField(help_text="enhanced status (RFC 3463), or the provider's")
    link = serializers.IntegerField(allow_null=True, help_text="number of the link that was followed")
    machine = serializers.CharField(help_text="why it counts for no person; empty for a person's own deed")


class HeardPage(serializers.Serializer[object]):
    """A page of what was heard."""

    items = Heard(many=True)
    next = serializers.CharField(allow_null=True, help_text="cursor of the next page; null at the end")
