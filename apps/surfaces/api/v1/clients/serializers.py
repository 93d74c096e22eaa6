"""What a client learns of itself."""

from rest_framework import serializers


class Client(serializers.Serializer[object]):
    """The client whose key came."""

    code = serializers.CharField(help_text="what it writes has the source `api:` and this")
    kind = serializers.CharField()
    scopes = serializers.ListField(child=serializers.CharField())
    limits = serializers.DictField(
        child=serializers.ListField(child=serializers.CharField()),
        help_text="objects that it is limited to, and kinds of identifiers that it is trusted for",
    )
