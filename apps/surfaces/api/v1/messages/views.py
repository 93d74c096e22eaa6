"""Messages and what came of them."""

from uuid import UUID

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.data.profiles.models import Profile
from apps.delivery.sending import models
from apps.delivery.sending.waiting import waiting_read, waiting_shown
from apps.surfaces.api.paging import choice_read, number_read, page_read
from apps.surfaces.api.problems import Problem
from apps.surfaces.api.reaching import message_reached, messages_within
from apps.surfaces.api.schema import CURSOR, LIMIT
from apps.surfaces.api.views import ApiView

from . import serializers


class MessagesView(ApiView):
    """All messages."""

    scopes = {"get": "messages:read"}
    sees = (models.Message,)

    @extend_schema(
        operation_id="messages_list",
        parameters=[
            LIMIT,
            CURSOR,
            OpenApiParameter("run", int, description="of one run"),
            OpenApiParameter("profile", int, description="of one person"),
            OpenApiParameter("state", str, enum=models.Message.State.values, description="beside run or profile"),
        ],
        responses=serializers.MessagePage,
    )
    def get(self, request: Request) -> Response:
        """Messages of the client's brands: those of a run in the order of people, others the oldest first."""
        rows = messages_within(self.caller).select_related("dispatch")
        run, profile = number_read(request, "run"), number_read(request, "profile")
        state = choice_read(request, "state", models.Message.State.values)
        if state is not None:
            if run is None and profile is None:  # no index leads there, and there may be millions
                detail = "state narrows the messages of a run or of a person: name one of them too"
                raise Problem(400, "parameter_wrong", detail, more={"errors": [{"parameter": "state"}]})
            rows = rows.filter(state=state)
        if profile is not None:
            rows = rows.filter(profile_id=profile)
        if run is not None:
            rows = rows.filter(dispatch__run_id=run)
        page = page_read(request, rows, by=["pk"] if run is None else ["profile_id"])
        return Response(page.body(serializers.Message(page.rows, many=True).data))


class MessageView(ApiView):
    """One message."""

    scopes = {"get": "messages:read"}
    sees = (models.Message, models.DeliveryAttempt)

    @extend_schema(operation_id="messages_get", responses=serializers.MessageWhole)
    def get(self, request: Request, message_id: UUID) -> Response:
        """A message, with each try to hand it over."""
        message = message_reached(self.caller, message_id)
        tries = serializers.Attempt(message.delivery_attempts.order_by("number"), many=True).data
        return Response({**serializers.Message(message).data, "tries": tries})


class WaitingView(ApiView):
    """What waits for one person on the web."""

    scopes = {"get": "messages:fetch"}

    @extend_schema(operation_id="messages_waiting", responses=serializers.WaitingList)
    def get(self, request: Request, profile_id: int) -> Response:
        """Messages that wait for a person, the newest first, by what they agree to now.

        Asking changes nothing: say of each that it was shown, and it waits no more.
        """
        if not Profile.objects.filter(pk=profile_id).exists():
            raise Http404
        found = waiting_read(messages_within(self.caller), profile_id=profile_id)
        return Response({"items": serializers.Waiting(found, many=True).data})


class ShownView(ApiView):
    """That a message was shown."""

    scopes = {"post": "messages:fetch"}

    @extend_schema(operation_id="messages_shown", request=None, responses={204: None})
    def post(self, request: Request, message_id: UUID) -> Response:
        """A message that waited was shown to its person. Twice changes nothing."""
        waiting_shown(message_reached(self.caller, message_id))
        return Response(status=204)


class MessageEventsView(ApiView):
    """What was heard of one message."""

    scopes = {"get": "messages:read"}
    sees = (models.Message, models.MessageEvent)

    @extend_schema(operation_id="messages_events", parameters=[LIMIT, CURSOR], responses=serializers.HeardPage)
    def get(self, request: Request, message_id: UUID) -> Response:
        """What came back of a message, as it was recorded."""
        page = page_read(request, message_reached(self.caller, message_id).events.all())
        return Response(page.body(serializers.Heard(page.rows, many=True).data))
