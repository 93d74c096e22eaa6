"""Audiences: rules, how many people they hold for, and whether one person is in."""

from typing import Any, Final

from django.http import Http404
from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.decisioning.audiences import models
from apps.decisioning.audiences.contracts import Rule
from apps.decisioning.audiences.rules import rule_matches, rule_parse, rule_to_json
from apps.decisioning.audiences.schema import rule_schema
from apps.decisioning.audiences.selectors import audience_glance, facts_load, rule_admit, rule_catalog
from apps.decisioning.audiences.services import audience_create, audience_put, audience_update
from apps.decisioning.playbooks.selectors import rule_words
from apps.foundation.core.clock import now
from apps.surfaces.api.etags import moment_etag, moment_if_match
from apps.surfaces.api.paging import page_read
from apps.surfaces.api.problems import Problem
from apps.surfaces.api.schema import CURSOR, IF_MATCH, LIMIT
from apps.surfaces.api.serializers import BulkResult, read, rows_do, rows_read
from apps.surfaces.api.v1.profiles.views import profile_known
from apps.surfaces.api.views import ApiView, PatchView

from . import serializers

_COUNT_MILLISECONDS: Final = 10_000
"""How long a count may take; each of its statements."""
_EXAMPLE = OpenApiExample(
    "Bought twice",
    value={
        "name": "Bought twice",
        "rule": {"all": [{"orders": {"at_least": 2}}]},
    },
    request_only=True,
)
_ROWS_EXAMPLE = OpenApiExample(
    "Two audiences, the second of people in the first",
    value={
        "rows": [
            {"code": "regulars", "name": "Regulars", "rule": {"all": [{"orders": {"at_least": 2}}]}},
            {
                "code": "regulars-de",
                "name": "Regulars in Germany",
                "rule": {"all": [{"audience": "regulars"}, {"attribute": "country", "is": "DE"}]},
                "watched": True,
            },
        ]
    },
    request_only=True,
)


def _known(audience_id: int) -> models.Audience:
    audience = models.Audience.objects.filter(pk=audience_id).first()
    if audience is None:
        raise Http404
    return audience


def _answer(audience: models.Audience, status: int = 200) -> Response:
    headers = {"ETag": moment_etag(audience.updated_at)}
    if status == 201:
        headers["Location"] = reverse("api:audience", args=[audience.pk])
    return Response(serializers.Audience(audience).data, status=status, headers=headers)


def _counted(rule: Rule) -> dict[str, Any]:
    """How many people a rule finds now. Raises Problem (503)."""
    at = now()
    glance = audience_glance(rule=rule, as_of=at, size=0, milliseconds=_COUNT_MILLISECONDS)
    if glance is None:
        detail = "Counting this rule takes too long to wait for: it can still be used for a run"
        raise Problem(503, "count_too_slow", detail, headers={"Retry-After": "60"})
    return {"count": glance.count, "everybody": glance.everybody, "as_of": at}


class AudiencesView(ApiView):
    """All audiences."""

    scopes = {"get": "audiences:read", "post": "audiences:write"}
    sees = (models.Audience,)
    makes = True

    @extend_schema(
        operation_id="audiences_list",
        parameters=[LIMIT, CURSOR, OpenApiParameter("code", str, description="the one with this code")],
        responses=serializers.AudiencePage,
    )
    def get(self, request: Request) -> Response:
        """Audiences, the oldest first, with their rules in words."""
        rows = models.Audience.objects.all()
        if (code := request.query_params.get("code")) is not None:
            rows = rows.filter(code=code)
        page = page_read(request, rows)
        return Response(page.body(serializers.AudienceLine(page.rows, many=True).data))

    @extend_schema(
        operation_id="audiences_add",
        request=serializers.AudienceNew,
        responses={201: serializers.Audience},
        examples=[_EXAMPLE],
    )
    def post(self, request: Request) -> Response:
        """Add an audience, whose owner is the client's."""
        said = read(serializers.AudienceNew, request.data)
        return _answer(audience_create(owner=self.owner, **said), status=201)


class AudiencesBulkView(ApiView):
    """Many audiences at once."""

    scopes = {"post": "audiences:write"}
    sees = (models.Audience,)
    makes = True

    @extend_schema(
        operation_id="audiences_upsert",
        request=serializers.AudienceRows,
        responses=BulkResult,
        examples=[_ROWS_EXAMPLE],
    )
    def post(self, request: Request) -> Response:
        """Add or change up to 500 audiences by their codes, each by itself, in their order.

        What a row doesn't name stays as it is. A rule may name audiences of earlier rows. Each row needs the owner's
        right to add audiences, or to change that one.
        """

        def put(row: Any) -> tuple[int, str]:
            fields = read(serializers.AudiencePut, row)
            audience, new = audience_put(code=fields.pop("code"), fields=fields, by=self.owner)
            return 201 if new else 200, str(audience.pk)

        return Response(rows_do(rows_read(self), put))


class RuleFormView(ApiView):
    """What rules may be."""

    scopes = {"get": "audiences:read"}
    sees = (models.Audience,)

    @extend_schema(operation_id="audiences_rule", responses=serializers.RuleForm)
    def get(self, request: Request) -> Response:
        """The form of a rule as JSON Schema, and what rules can name: for whoever writes them by machine."""
        known = rule_catalog()
        names = {
            **known,
            "features": [
                {"name": name, "description": words, "kind": kind, "asks": list(ops)}
                for name, words, ops, kind in known["features"]
            ],
            **{kind: [code for code, _ in known[kind]] for kind in ("audiences", "purposes", "interests")},
        }
        return Response({"schema": rule_schema(), "names": names})


class RuleCountView(ApiView):
    """The size of a rule that nobody saved."""

    scopes = {"post": "audiences:read"}
    sees = (models.Audience,)

    @extend_schema(
        operation_id="audiences_try",
        request=serializers.RuleNew,
        responses=serializers.RuleCount,
        examples=[OpenApiExample("Ordered twice", value={"rule": {"orders": {"at_least": 2}}}, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        """How many people a rule finds now, before it is saved. One that takes longer than 10 s is answered 503."""
        rule = rule_admit(read(serializers.RuleNew, request.data)["rule"])
        return Response({**_counted(rule), "rule_in_words": rule_words(rule_to_json(rule))})


class AudienceView(PatchView):
    """One audience."""

    scopes = {"get": "audiences:read", "patch": "audiences:write"}
    sees = (models.Audience,)

    @extend_schema(operation_id="audiences_get", responses=serializers.Audience)
    def get(self, request: Request, audience_id: int) -> Response:
        """An audience, with its rule."""
        return _answer(_known(audience_id))

    @extend_schema(
        operation_id="audiences_change",
        request=serializers.AudienceFields,
        responses=serializers.Audience,
        parameters=[IF_MATCH],
    )
    def patch(self, request: Request, audience_id: int) -> Response:
        """Change an audience. Playbooks that were handed in keep the rule that others agreed to."""
        said: dict[str, Any] = read(serializers.AudienceFields, request.data)
        there = _known(audience_id)
        seen = moment_if_match(request)
        changed = audience_update(
            audience_id=there.pk,
            by=self.owner,
            name=said.get("name", there.name),
            description=said.get("description", there.description),
            rule=said.get("rule", there.rule),
            watched=said.get("watched"),
            seen_at=seen or there.updated_at,  # what is not named stays as it was read
        )
        return _answer(changed)


class AudienceCountView(ApiView):
    """The size of one audience."""

    scopes = {"get": "audiences:read"}
    sees = (models.Audience,)

    @extend_schema(operation_id="audiences_count", responses=serializers.Count)
    def get(self, request: Request, audience_id: int) -> Response:
        """How many people are in an audience now. A rule that takes longer than 10 s is answered 503."""
        return Response(_counted(rule_parse(_known(audience_id).rule)))


class AudiencePersonView(ApiView):
    """One person and one audience."""

    scopes = {"get": "audiences:read"}
    sees = (models.Audience,)

    @extend_schema(operation_id="audiences_person", responses=serializers.Membership)
    def get(self, request: Request, audience_id: int, profile_id: int) -> Response:
        """Whether a person is in an audience now, and which parts of the rule settled it."""
        rule, at = rule_parse(_known(audience_id).rule), now()
        pk = profile_known(profile_id).pk
        facts = facts_load(rules=[rule], profile_ids=[pk], as_of=at).get(pk)
        if facts is None:
            raise Http404
        match = rule_matches(rule, facts)
        because = serializers.Reason(match.because, many=True).data
        return Response({"member": match.matched, "because": because, "as_of": at})
