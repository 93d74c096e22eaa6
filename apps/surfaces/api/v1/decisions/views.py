"""Decisions that were made, and why."""

from uuid import UUID

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.data.profiles.attributes import sensitive_names
from apps.decisioning.decisions import models
from apps.decisioning.decisions.selectors import decision_explain
from apps.surfaces.api.paging import number_read, page_read
from apps.surfaces.api.problems import Problem
from apps.surfaces.api.reaching import decisions_within
from apps.surfaces.api.schema import CURSOR, LIMIT
from apps.surfaces.api.views import ApiView

from . import serializers


class DecisionsView(ApiView):
    """Decisions of a person, or of a run."""

    scopes = {"get": "decisions:read"}
    sees = (models.Decision,)

    @extend_schema(
        operation_id="decisions_list",
        parameters=[
            LIMIT,
            CURSOR,
            OpenApiParameter("profile", int, description="of one person; this or run is needed"),
            OpenApiParameter("run", int, description="of one run"),
        ],
        responses=serializers.DecisionPage,
    )
    def get(self, request: Request) -> Response:
        """Decisions of a person, the oldest first, or of a run, in the order of people."""
        run, profile = number_read(request, "run"), number_read(request, "profile")
        if run is None and profile is None:
            detail = "Name a profile or a run, or both"
            raise Problem(400, "parameter_missing", detail, more={"errors": [{"parameter": "profile"}]})
        rows = decisions_within(self.caller)
        if profile is not None:
            rows = rows.filter(profile_id=profile)
        if run is not None:
            rows = rows.filter(run_id=run)
        page = page_read(request, rows, by=["pk"] if run is None else ["profile_id"])
        return Response(page.body(serializers.Decision(page.rows, many=True).data))


class DecisionView(ApiView):
    """One decision."""

    scopes = {"get": "decisions:read"}
    sees = (models.Decision,)

    @extend_schema(operation_id="decisions_get", responses=serializers.Explanation)
    def get(self, request: Request, decision_id: UUID) -> Response:
        """A decision read out: which version, rule and tier, what was passed over, and the values that settled it."""
        if not decisions_within(self.caller).filter(pk=decision_id).exists():
            raise Http404
        return Response(serializers.Explanation(decision_explain(decision_id, masked=sensitive_names())).data)
