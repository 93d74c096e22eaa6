"""The feed of changes of people, their consent and their preferences."""

from typing import Final

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.data.profiles import models
from apps.data.profiles.changes import ChangesGone, changes_order, changes_reached, changes_read
from apps.surfaces.api.paging import choice_read, limit_read, number_read
from apps.surfaces.api.problems import Problem
from apps.surfaces.api.schema import GONE
from apps.surfaces.api.views import ApiView

from . import serializers

_MOST: Final = 1_000
_LATEST: Final = "latest"


class ChangesView(ApiView):
    """Who changed."""

    scopes = {"get": "changes:read"}

    @extend_schema(
        operation_id="changes_list",
        parameters=[
            OpenApiParameter("after", str, description="`after` of the part before; `latest`; left out: all there is"),
            OpenApiParameter("kind", str, enum=models.Change.Kind.values),
            OpenApiParameter("limit", int, description=f"1 to {_MOST}; 50 where nothing is said"),
        ],
        responses={200: serializers.Feed, 410: GONE},
    )
    def get(self, request: Request) -> Response:
        """Every change of people, consent and preferences that was committed, in order, with none missing.

        To begin: ask for `after=latest`, read all people, then go on from there. What changed twice in short order
        may come once. It tells who changed and no value. Who was away for longer than the feed goes back gets 410.
        """
        changes_order()  # so that what was committed just now is there
        kind = choice_read(request, "kind", models.Change.Kind.values) or ""
        limit = limit_read(request, most=_MOST)
        if request.query_params.get("after") == _LATEST:
            return Response({"items": [], "after": changes_reached(), "more": False})
        try:
            found = changes_read(after=number_read(request, "after") or 0, limit=limit, kind=kind)
        except ChangesGone as error:
            raise Problem(410, error.code, error.message) from None
        items = serializers.Change(found.rows, many=True).data
        return Response({"items": items, "after": found.after, "more": found.more})
