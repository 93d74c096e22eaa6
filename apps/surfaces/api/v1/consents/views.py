"""Consent and preferences of one person.

A grant by the API needs evidence, and counts only for who has nothing on record: no system lifts a withdrawal, people
do that themselves. A withdrawal is always taken, whatever a client's limits say.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.data.consent import models
from apps.data.consent.preferences import Wanted, preferences_change, preferences_plain, preferences_read
from apps.data.consent.services import consent_withdraw, consents_grant_new, gate_lock
from apps.data.profiles.merging import survivor_of
from apps.data.profiles.models import Profile
from apps.foundation.accounts.contracts import Caller
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid, NotAllowed
from apps.surfaces.api.etags import etag, if_match
from apps.surfaces.api.paging import page_read
from apps.surfaces.api.schema import CURSOR, IF_MATCH, LIMIT
from apps.surfaces.api.serializers import BulkResult, read, rows_do, rows_read
from apps.surfaces.api.v1.profiles.views import profile_known
from apps.surfaces.api.views import ApiView, PatchView

from . import serializers

_METHOD = models.ConsentRecord.Method.API
_Kind = models.PreferenceChange.Kind
_GRANT = OpenApiExample(
    "Agreed at the checkout",
    value={"purpose": "marketing", "channel": "email", "granted": True, "evidence": "checkout form v3, order 1007"},
    request_only=True,
)
_WITHDRAWAL = OpenApiExample(
    "Withdrawn", value={"purpose": "marketing", "channel": "email", "granted": False}, request_only=True
)


class ConsentsView(ApiView):
    """What one person agreed to."""

    scopes = {"get": "consents:read", "post": "consents:write"}
    makes = True

    @extend_schema(operation_id="consents_get", responses=serializers.States)
    def get(self, request: Request, profile_id: int) -> Response:
        """What holds of each purpose and channel; what is not there was never chosen, and is no consent."""
        profile_known(profile_id)
        rows = models.ConsentState.objects.filter(profile_id=profile_id).order_by("purpose_id", "channel")
        return Response({"items": serializers.State(rows, many=True).data})

    @extend_schema(
        operation_id="consents_record",
        request=serializers.Choice,
        responses={200: serializers.Recorded, 201: serializers.Recorded},
        examples=[_GRANT, _WITHDRAWAL],
    )
    def post(self, request: Request, profile_id: int) -> Response:
        """Record that a person agreed, or withdrew.

        A grant needs its evidence, and is refused (409) for who withdrew. A withdrawal holds at once.
        """
        said = read(serializers.Choice, request.data)
        done = choice_record(self.caller, profile_known(profile_id).pk, said)
        return Response({"recorded": done}, status=201 if done else 200)


class ConsentsBulkView(ApiView):
    """Choices of many people at once."""

    scopes = {"post": "consents:write"}
    makes = True

    @extend_schema(operation_id="consents_record_many", request=serializers.ChoiceRows, responses=BulkResult)
    def post(self, request: Request) -> Response:
        """Record up to 500 choices, each by itself and as for one person: 201 where it is news, 200 where it held."""
        rows = rows_read(self)

        def put(row: Any) -> tuple[int, str]:
            said = read(serializers.PersonsChoice, row)
            profile = profile_known(said.pop("profile"))
            return 201 if choice_record(self.caller, profile.pk, said) else 200, str(profile.pk)

        with transaction.atomic():
            self._gates_lock(rows)
            return Response(rows_do(rows, put))

    def _gates_lock(self, rows: Sequence[Any]) -> None:
        """All gates at once and in order, as everybody takes them: row by row two requests could wait in a circle."""
        named = {row["profile"] for row in rows if isinstance(row, Mapping) and type(row.get("profile")) is int}
        small = [number for number in named if 0 < number < 2**63]
        there = list(Profile.objects.filter(pk__in=small, erased_at=None).values_list("pk", flat=True))
        gate_lock(profile_ids=[survivor_of(profile_id) for profile_id in there])


def choice_record(caller: Caller, profile_id: int, said: Mapping[str, Any]) -> bool:
    """Record what a client says of a person's choice; False where it held already. Raises as the endpoint answers."""
    if not models.Purpose.objects.filter(pk=said["purpose"]).exists():
        raise Invalid("purpose_unknown", "There is no such purpose", {"field": "purpose"})
    return _grant(caller, profile_id, said) if said["granted"] else _withdraw(caller, profile_id, said)


def _withdraw(caller: Caller, profile_id: int, said: Mapping[str, Any]) -> bool:
    return consent_withdraw(
        profile_id=profile_id,
        purpose=said["purpose"],
        channel=said["channel"],
        method=_METHOD,
        source=caller.source,
        evidence=said.get("evidence", ""),
        occurred_at=said.get("occurred_at"),
    )


def _grant(caller: Caller, profile_id: int, said: Mapping[str, Any]) -> bool:
    if not caller.reaches("purposes", said["purpose"]):
        raise NotAllowed("purpose_beyond_limits", "This client may not record grants of this purpose")
    at = said.get("occurred_at") or now()
    if at > now():
        raise Invalid("consent_in_future", "A choice can't lie in the future", {"field": "occurred_at"})
    recorded = consents_grant_new(
        grants=[(profile_id, at)],
        purpose=said["purpose"],
        channel=said["channel"],
        method=_METHOD,
        source=caller.source,
        evidence=said.get("evidence", ""),
    )
    if recorded:
        return True
    states = models.ConsentState.objects.filter(
        profile_id=profile_id, purpose_id=said["purpose"], channel=said["channel"], granted=False
    )
    if states.exists():
        words = "They withdrew this: only they can agree again, on their preference page or a form"
        raise Conflict("consent_withdrawn", words)
    return False


class ConsentLedgerView(ApiView):
    """The ledger of one person."""

    scopes = {"get": "consents:read"}

    @extend_schema(operation_id="consents_ledger", parameters=[LIMIT, CURSOR], responses=serializers.Lines)
    def get(self, request: Request, profile_id: int) -> Response:
        """Each choice of a person as it was recorded, the oldest first."""
        profile_known(profile_id)
        page = page_read(request, models.ConsentRecord.objects.filter(profile_id=profile_id))
        return Response(page.body(serializers.Line(page.rows, many=True).data))


class PreferencesView(PatchView):
    """What one person chose beside consent."""

    scopes = {"get": "preferences:read", "patch": "preferences:write"}

    @extend_schema(operation_id="preferences_get", responses=serializers.Preferences)
    def get(self, request: Request, profile_id: int) -> Response:
        """Topics, channels, frequency, quiet hours and the like."""
        return self._shown(profile_known(profile_id).pk)

    @extend_schema(
        operation_id="preferences_change",
        request=serializers.PreferenceChanges,
        responses=serializers.Preferences,
        parameters=[IF_MATCH],
    )
    def patch(self, request: Request, profile_id: int) -> Response:
        """Change preferences for a person, all that is named or nothing. It holds at once."""
        said = read(serializers.PreferenceChanges, request.data)
        pk = profile_known(profile_id).pk
        preferences_change(
            profile_id=pk, changes=_wanted(said), method=_METHOD, source=self.caller.source, seen=if_match(request)
        )
        return self._shown(pk)

    def _shown(self, profile_id: int) -> Response:
        chosen = preferences_read(profile_ids=[profile_id])[profile_id]
        return Response(preferences_plain(chosen), headers={"ETag": etag(chosen.version)})


def _wanted(said: dict[str, Any]) -> list[Wanted]:
    switches = {"topics": _Kind.TOPIC, "channels": _Kind.CHANNEL, "interests": _Kind.INTEREST}
    wanted = [Wanted(kind, on, code) for name, kind in switches.items() for code, on in said.get(name, {}).items()]
    plain = {"frequency": _Kind.FREQUENCY, "time_zone": _Kind.TIME_ZONE, "language": _Kind.LANGUAGE}
    wanted += [Wanted(kind, said[name]) for name, kind in plain.items() if name in said]
    if "quiet_hours" in said:
        quiet = said["quiet_hours"]
        wanted.append(Wanted(_Kind.QUIET, None if quiet is None else dict(quiet)))
    if "paused_until" in said:
        until = said["paused_until"]
        wanted.append(Wanted(_Kind.PAUSE, None if until is None else until.isoformat()))
    return wanted
