"""Support tickets: while one is open, playbooks may leave somebody alone."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.data.events import models
from apps.data.events.tickets import ticket_put
from apps.surfaces.api.paging import number_read, page_read
from apps.surfaces.api.problems import Problem
from apps.surfaces.api.schema import CURSOR, LIMIT
from apps.surfaces.api.serializers import BulkResult, read, rows_do, rows_read
from apps.surfaces.api.views import ApiView

from . import serializers

_EXAMPLE = OpenApiExample("Opened", value={"number": "4711", "profile": 1, "state": "open"}, request_only=True)


class TicketsView(ApiView):
    """All tickets."""

    scopes = {"get": "tickets:read", "post": "tickets:write"}
    makes = True

    @extend_schema(
        operation_id="tickets_list",
        parameters=[
            LIMIT,
            CURSOR,
            OpenApiParameter("profile", int, description="of one person"),
            OpenApiParameter("state", str, enum=["open", "closed"]),
        ],
        responses=serializers.TicketPage,
    )
    def get(self, request: Request) -> Response:
        """Tickets, the oldest first."""
        rows = models.Ticket.objects.all()
        if (profile := number_read(request, "profile")) is not None:
            rows = rows.filter(profile_id=profile)
        if (state := request.query_params.get("state")) is not None:
            if state not in ("open", "closed"):
                raise Problem(400, "parameter_wrong", "state is open or closed")
            rows = rows.filter(closed_at__isnull=state == "open")
        page = page_read(request, rows)
        return Response(page.body(serializers.Ticket(page.rows, many=True).data))

    @extend_schema(
        operation_id="tickets_put",
        request=serializers.TicketPut,
        responses={200: serializers.Ticket, 201: serializers.Ticket},
        examples=[_EXAMPLE],
    )
    def post(self, request: Request) -> Response:
        """Open or close a ticket by its number.

        What is older than what is known changes nothing, so tickets may be told of in any order.
        """
        ticket, new = _put(read(serializers.TicketPut, request.data), self.caller.source)
        return Response(serializers.Ticket(ticket).data, status=201 if new else 200)


class TicketsBulkView(ApiView):
    """Many tickets at once."""

    scopes = {"post": "tickets:write"}
    makes = True

    @extend_schema(operation_id="tickets_upsert", request=serializers.TicketRows, responses=BulkResult)
    def post(self, request: Request) -> Response:
        """Open and close up to 500 tickets by their numbers, each by itself."""

        def put(row: Any) -> tuple[int, str]:
            ticket, new = _put(read(serializers.TicketPut, row), self.caller.source)
            return 201 if new else 200, str(ticket.pk)

        return Response(rows_do(rows_read(self), put))


def _put(said: dict[str, Any], source: str) -> tuple[models.Ticket, bool]:
    return ticket_put(
        source=source,
        number=said["number"],
        profile_id=said["profile"],
        is_open=said["state"] == "open",
        changed_at=said.get("at"),
    )
