"""What may be told of people and events: definitions of attributes, and schemas. They are written in the admin."""

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.data.events.models import EventSchema
from apps.data.profiles.models import AttributeDefinition
from apps.surfaces.api.paging import page_read
from apps.surfaces.api.schema import CURSOR, LIMIT
from apps.surfaces.api.views import ApiView

from . import serializers

_NAME = OpenApiParameter("name", str, description="the one of this name")


class AttributesView(ApiView):
    """All definitions of attributes."""

    scopes = {"get": "profiles:read"}

    @extend_schema(
        operation_id="attributes_list", parameters=[LIMIT, CURSOR, _NAME], responses=serializers.AttributePage
    )
    def get(self, request: Request) -> Response:
        """Attributes that are defined, by name: what a value must be to be taken. Others are taken as they come."""
        rows = AttributeDefinition.objects.all()
        if (name := request.query_params.get("name")) is not None:
            rows = rows.filter(name=name)
        page = page_read(request, rows, by=("name",))
        return Response(page.body(serializers.AttributeDefinition(page.rows, many=True).data))


class EventSchemasView(ApiView):
    """All schemas of events."""

    scopes = {"get": "events:read"}

    @extend_schema(
        operation_id="event_schemas_list", parameters=[LIMIT, CURSOR, _NAME], responses=serializers.EventSchemaPage
    )
    def get(self, request: Request) -> Response:
        """Events that have a schema, by name, with the newest version. Others are kept and reported as unknown."""
        rows = EventSchema.objects.prefetch_related("versions")
        if (name := request.query_params.get("name")) is not None:
            rows = rows.filter(name=name)
        page = page_read(request, rows, by=("name",))
        return Response(page.body(serializers.EventSchema(page.rows, many=True).data))
