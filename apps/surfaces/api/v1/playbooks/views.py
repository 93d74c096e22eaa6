"""Playbooks and their versions, to read. They are made and changed in the admin."""

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.decisioning.playbooks import models
from apps.surfaces.api.etags import moment_etag
from apps.surfaces.api.paging import choice_read, page_read
from apps.surfaces.api.reaching import playbook_reached, playbooks_within
from apps.surfaces.api.schema import CURSOR, LIMIT
from apps.surfaces.api.views import ApiView

from . import serializers


class PlaybooksView(ApiView):
    """All playbooks."""

    scopes = {"get": "playbooks:read"}
    sees = (models.Playbook,)

    @extend_schema(
        operation_id="playbooks_list",
        parameters=[
            LIMIT,
            CURSOR,
            OpenApiParameter("code", str, description="the one with this code"),
            OpenApiParameter("trigger", str, enum=models.Playbook.Trigger.values),
            OpenApiParameter("published", str, enum=["true", "false"], description="whether anything of it runs"),
        ],
        responses=serializers.PlaybookPage,
    )
    def get(self, request: Request) -> Response:
        """Playbooks of the client's brands, the oldest first."""
        rows = playbooks_within(self.caller).select_related("brand", "published")
        if (code := request.query_params.get("code")) is not None:
            rows = rows.filter(code=code)
        if (trigger := choice_read(request, "trigger", models.Playbook.Trigger.values)) is not None:
            rows = rows.filter(trigger=trigger)
        if (published := choice_read(request, "published", ["true", "false"])) is not None:
            rows = rows.filter(published__isnull=published == "false")
        page = page_read(request, rows)
        return Response(page.body(serializers.Playbook(page.rows, many=True).data))


class PlaybookView(ApiView):
    """One playbook."""

    scopes = {"get": "playbooks:read"}
    sees = (models.Playbook,)

    @extend_schema(operation_id="playbooks_get", responses=serializers.Playbook)
    def get(self, request: Request, playbook_id: int) -> Response:
        """A playbook: its draft, and which version runs."""
        playbook = playbook_reached(self.caller, playbook_id)
        return Response(serializers.Playbook(playbook).data, headers={"ETag": moment_etag(playbook.updated_at)})


class PlaybookVersionsView(ApiView):
    """The versions of one playbook."""

    scopes = {"get": "playbooks:read"}
    sees = (models.Playbook, models.PlaybookVersion)

    @extend_schema(operation_id="playbooks_versions", parameters=[LIMIT, CURSOR], responses=serializers.VersionPage)
    def get(self, request: Request, playbook_id: int) -> Response:
        """What was handed in of a playbook, the newest first."""
        versions = playbook_reached(self.caller, playbook_id).versions.all()
        page = page_read(request, versions, by=["-number"])
        return Response(page.body(serializers.Version(page.rows, many=True).data))


class PlaybookVersionView(ApiView):
    """One version of a playbook."""

    scopes = {"get": "playbooks:read"}
    sees = (models.Playbook, models.PlaybookVersion)

    @extend_schema(operation_id="playbooks_version", responses=serializers.VersionWhole)
    def get(self, request: Request, playbook_id: int, number: int) -> Response:
        """A version with all that it pins."""
        version = playbook_reached(self.caller, playbook_id).versions.filter(number=number).first()
        if version is None:
            raise Http404
        return Response(serializers.VersionWhole(version).data)
