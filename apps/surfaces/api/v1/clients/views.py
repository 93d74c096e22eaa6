"""What a client learns of itself."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.surfaces.api.views import ANY_CLIENT, ApiView

from . import serializers


class ClientView(ApiView):
    """The client whose key came."""

    scopes = {"get": ANY_CLIENT}

    @extend_schema(operation_id="client_get", responses=serializers.Client)
    def get(self, request: Request) -> Response:
        """Who am I: the client's scopes and limits. Also the way to try a new key."""
        caller = self.caller
        limits = {key: sorted(values) for key, values in sorted(caller.reach.items())}
        said = {"code": caller.code, "kind": caller.kind, "scopes": sorted(caller.scopes), "limits": limits}
        return Response(said)
