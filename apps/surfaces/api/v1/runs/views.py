"""Runs: started for an occasion, read, held, let go on and cancelled; and playbooks begun for one person."""

from collections.abc import Callable
from typing import Any, ClassVar

from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.decisioning.playbooks import models
from apps.decisioning.playbooks.services import run_cancel, run_start
from apps.decisioning.playbooks.triggers import playbook_trigger
from apps.delivery.sending.models import Dispatch
from apps.delivery.sending.tallies import Tally, run_tally
from apps.foundation.accounts.contracts import Caller
from apps.foundation.core.errors import NotFound
from apps.surfaces.api.paging import choice_read, number_read, page_read
from apps.surfaces.api.reaching import playbooks_within, run_reached, runs_within
from apps.surfaces.api.schema import CURSOR, LIMIT
from apps.surfaces.api.serializers import read
from apps.surfaces.api.views import ApiView
from apps.surfaces.console.services import run_pause, run_resume, run_throttle

from . import serializers

_RUN = OpenApiExample(
    "The newsletter of a day", value={"playbook": "news", "occasion": "2026-03-01"}, request_only=True
)
_JOURNEY = OpenApiExample(
    "After an order", value={"playbook": "thanks", "profile": 1, "occasion": "order-1007"}, request_only=True
)
_PACE = OpenApiExample("Ten in a second", value={"per_minute": 600}, request_only=True)


def _by_code(caller: Caller, code: str) -> models.Playbook:
    playbook = playbooks_within(caller).filter(code=code).first()
    if playbook is None:
        raise NotFound("playbook_unknown", "There is no such playbook")
    return playbook


def _shown(run: models.Run) -> Response:
    tally = run_tally(run_id=run.pk, ended=run.ended)
    dispatch = Dispatch.objects.filter(run_id=run.pk).first()
    sending = {
        "sending": dispatch.state if dispatch is not None else "",
        "per_minute": dispatch.per_minute if dispatch is not None else None,
    }
    figures = _figures(tally) if tally is not None else None  # of a large run, before its first count
    return Response({**serializers.Run(run).data, **sending, "figures": figures})


def _figures(tally: Tally) -> dict[str, Any]:
    counts = tally.counts
    return {
        "counted_at": tally.counted_at,
        "decided": counts.planned,
        "withheld": counts.withheld,
        "waiting": counts.queued + counts.sending,
        "sent": counts.sent,
        "failed": counts.failed,
        "uncertain": counts.uncertain,
        "cancelled": counts.cancelled,
        "tiers": counts.by_tier,
    }


class RunsView(ApiView):
    """All runs."""

    scopes = {"get": "playbooks:read", "post": "runs:write"}
    sees = (models.Run,)
    makes = True

    @extend_schema(
        operation_id="runs_list",
        parameters=[
            LIMIT,
            CURSOR,
            OpenApiParameter("playbook", int, description="of one playbook, by its id"),
            OpenApiParameter("state", str, enum=models.Run.State.values),
        ],
        responses=serializers.RunPage,
    )
    def get(self, request: Request) -> Response:
        """Runs of the client's brands, the newest first."""
        rows = runs_within(self.caller)
        if (playbook := number_read(request, "playbook")) is not None:
            rows = rows.filter(playbook_id=playbook)
        if (state := choice_read(request, "state", models.Run.State.values)) is not None:
            rows = rows.filter(state=state)
        page = page_read(request, rows, by=["-pk"])
        return Response(page.body(serializers.Run(page.rows, many=True).data))

    @extend_schema(
        operation_id="runs_start",
        request=serializers.RunNew,
        responses={200: serializers.Run, 201: serializers.Run},
        examples=[_RUN],
    )
    def post(self, request: Request) -> Response:
        """Start a run of what is published, for everybody in its audience.

        The same occasion of a playbook is the same run (200), whoever asks for it: nothing goes out twice.
        """
        said = read(serializers.RunNew, request.data)
        playbook = _by_code(self.caller, said["playbook"])
        run = run_start(
            playbook_id=playbook.pk, occasion_key=said["occasion"], trigger=models.Playbook.Trigger.API, by=self.owner
        )
        headers = {"Location": reverse("api:run", args=[run.pk])}
        return Response(serializers.Run(run).data, status=201 if run.created else 200, headers=headers)


class RunView(ApiView):
    """One run."""

    scopes = {"get": "playbooks:read"}
    sees = (models.Run,)

    @extend_schema(operation_id="runs_get", responses=serializers.RunWhole)
    def get(self, request: Request, run_id: int) -> Response:
        """A run, and where its people are."""
        return _shown(run_reached(self.caller, run_id))


class _OrderView(ApiView):
    scopes = {"post": "runs:write"}
    sees = (models.Run,)
    order: ClassVar[Callable[..., Any]]

    def _done(self, run_id: int) -> Response:
        run = run_reached(self.caller, run_id)
        type(self).order(run_id=run.pk, by=self.owner)
        run.refresh_from_db()
        return _shown(run)


class RunPauseView(_OrderView):
    """Holding a run."""

    order = run_pause

    @extend_schema(operation_id="runs_pause", request=None, responses=serializers.RunWhole)
    def post(self, request: Request, run_id: int) -> Response:
        """Hold a run: once this is answered, nothing more of it goes out until it is resumed."""
        return self._done(run_id)


class RunResumeView(_OrderView):
    """Letting a run go on."""

    order = run_resume

    @extend_schema(operation_id="runs_resume", request=None, responses=serializers.RunWhole)
    def post(self, request: Request, run_id: int) -> Response:
        """Let a held run go on."""
        return self._done(run_id)


class RunPaceView(ApiView):
    """How fast a run goes out."""

    scopes = {"post": "runs:write"}
    sees = (models.Run,)

    @extend_schema(operation_id="runs_pace", request=serializers.Pace, responses=serializers.RunWhole, examples=[_PACE])
    def post(self, request: Request, run_id: int) -> Response:
        """Let at most so many messages of a run out in a minute, from the next claim on."""
        said = read(serializers.Pace, request.data)
        run = run_reached(self.caller, run_id)
        run_throttle(run_id=run.pk, per_minute=said["per_minute"], by=self.owner)
        return _shown(run)


class RunCancelView(_OrderView):
    """Ending a run."""

    order = run_cancel

    @extend_schema(operation_id="runs_cancel", request=None, responses=serializers.RunWhole)
    def post(self, request: Request, run_id: int) -> Response:
        """Cancel a run for good: once this is answered, nothing more of it goes out."""
        return self._done(run_id)


class JourneysView(ApiView):
    """Playbooks begun for one person."""

    scopes = {"post": "runs:write"}
    sees = (models.Playbook,)
    makes = True

    @extend_schema(
        operation_id="journeys_begin",
        request=serializers.JourneyNew,
        responses={201: serializers.Journey},
        examples=[_JOURNEY],
    )
    def post(self, request: Request) -> Response:
        """Begin a playbook for one person. The same occasion of a person is the same journey."""
        said = read(serializers.JourneyNew, request.data)
        journey = playbook_trigger(
            playbook_code=_by_code(self.caller, said["playbook"]).code,
            profile_id=said["profile"],
            key=said["occasion"],
            by=self.owner,
        )
        return Response(serializers.Journey(journey).data, status=201)
