"""People: told of by their identifiers, read and changed by their ids.

No address has a person's value in it: whom an identifier belongs to is asked by POST.
"""

from typing import Any

from django.http import Http404
from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.data.events.models import Event
from apps.data.profiles import models
from apps.data.profiles.addresses import identifiers_read
from apps.data.profiles.attributes import attributes_read
from apps.data.profiles.telling import (
    Told,
    identifier_add,
    profile_change,
    profile_tell,
    profile_version,
    profiles_of,
)
from apps.foundation.accounts.contracts import Caller
from apps.surfaces.api.etags import etag, if_match
from apps.surfaces.api.paging import page_read
from apps.surfaces.api.schema import CURSOR, IF_MATCH, LIMIT
from apps.surfaces.api.serializers import BulkResult, read, rows_do, rows_read
from apps.surfaces.api.views import ApiView, PatchView

from . import serializers

_EXAMPLE = OpenApiExample(
    "A customer",
    value={
        "identifiers": [
            {"kind": "external_id", "value": "shop:17850"},
            {"kind": "email", "value": "ada@example.com"},
        ],
        "first_name": "Ada",
        "country": "GB",
        "attributes": {"tier": "gold"},
    },
    request_only=True,
)


def profile_known(profile_id: int) -> models.Profile:
    """A person who is there. Raises Http404, also for one who was erased."""
    profile = models.Profile.objects.filter(pk=profile_id, erased_at=None).first()
    if profile is None:
        raise Http404
    return profile


def _shown(profile: models.Profile) -> Response:
    said = serializers.ProfileLine(profile).data
    identifiers = serializers.Identifier(identifiers_read(profile_id=profile.pk), many=True).data
    body = {**said, "identifiers": identifiers, "attributes": attributes_read(profile_id=profile.pk)}
    return Response(body, headers={"ETag": etag(profile_version(profile))})


def _told(row: Any, caller: Caller) -> Told:
    return Told(row["kind"], row["value"], verified=caller.trusted_for(row["kind"]))


def _tell(row: Any, caller: Caller) -> tuple[int, bool]:
    said = read(serializers.ProfileTold, row)
    identifiers = [_told(one, caller) for one in said.pop("identifiers")]
    attributes = said.pop("attributes", {})
    return profile_tell(identifiers=identifiers, fields=said, attributes=attributes, source=caller.source)


class ProfilesView(ApiView):
    """All people."""

    scopes = {"get": "profiles:read", "post": "profiles:write"}
    makes = True

    @extend_schema(
        operation_id="profiles_list",
        parameters=[LIMIT, CURSOR, OpenApiParameter("country", str, description="ISO 3166-1, two letters")],
        responses=serializers.ProfilePage,
    )
    def get(self, request: Request) -> Response:
        """People, the oldest first, without identifiers and attributes."""
        rows = models.Profile.objects.filter(erased_at=None)
        if (country := request.query_params.get("country")) is not None:
            rows = rows.filter(country=country)
        page = page_read(request, rows)
        return Response(page.body(serializers.ProfileLine(page.rows, many=True).data))

    @extend_schema(
        operation_id="profiles_put",
        request=serializers.ProfileTold,
        responses={200: serializers.Made, 201: serializers.Made},
        examples=[_EXAMPLE],
    )
    def post(self, request: Request) -> Response:
        """Tell of a person: add them, or change the one who has the first identifier.

        The other identifiers are added. What is not named stays. Identifiers count as verified where the client is
        trusted for their kind.
        """
        profile_id, new = _tell(request.data, self.caller)
        headers = {"Location": reverse("api:profile", args=[profile_id])}
        return Response({"id": profile_id}, status=201 if new else 200, headers=headers)


class ProfilesBulkView(ApiView):
    """Many people at once."""

    scopes = {"post": "profiles:write"}
    makes = True

    @extend_schema(operation_id="profiles_upsert", request=serializers.ProfileRows, responses=BulkResult)
    def post(self, request: Request) -> Response:
        """Tell of up to 500 people, each by themselves."""

        def put(row: Any) -> tuple[int, str]:
            profile_id, new = _tell(row, self.caller)
            return 201 if new else 200, str(profile_id)

        return Response(rows_do(rows_read(self), put))


class IdentifiersBulkView(ApiView):
    """Identifiers of many people at once."""

    scopes = {"post": "profiles:write"}
    makes = True

    @extend_schema(operation_id="identifiers_add_many", request=serializers.IdentifierRows, responses=BulkResult)
    def post(self, request: Request) -> Response:
        """Let up to 500 people be known by one more identifier, each by itself. `id` is the identifier's."""

        def put(row: Any) -> tuple[int, str]:
            said = read(serializers.PersonsIdentifier, row)
            profile_id = said.pop("profile")
            told = _told(said, self.caller)
            return 201, str(identifier_add(profile_id=profile_id, told=told, source=self.caller.source))

        return Response(rows_do(rows_read(self), put))


class ProfilesLookupView(ApiView):
    """Who has an identifier."""

    scopes = {"post": "profiles:read"}

    @extend_schema(operation_id="profiles_lookup", request=serializers.IdentifierTold, responses=serializers.Found)
    def post(self, request: Request) -> Response:
        """Who is known by an identifier: ids, those first whose main one it is. It changes nothing."""
        said = read(serializers.IdentifierTold, request.data)
        return Response({"ids": profiles_of(kind=said["kind"], value=said["value"])})


class ProfileView(PatchView):
    """One person."""

    scopes = {"get": "profiles:read", "patch": "profiles:write"}

    @extend_schema(operation_id="profiles_get", responses=serializers.Profile)
    def get(self, request: Request, profile_id: int) -> Response:
        """A person, with identifiers and attributes."""
        return _shown(profile_known(profile_id))

    @extend_schema(
        operation_id="profiles_change",
        request=serializers.ProfileFields,
        responses=serializers.Profile,
        parameters=[IF_MATCH],
    )
    def patch(self, request: Request, profile_id: int) -> Response:
        """Change what is known of a person: what is not named stays."""
        said = read(serializers.ProfileFields, request.data)
        attributes = said.pop("attributes", {})
        return _shown(
            profile_change(
                profile_id=profile_id,
                fields=said,
                attributes=attributes,
                source=self.caller.source,
                seen=if_match(request),
            )
        )


class ProfileIdentifiersView(ApiView):
    """The identifiers of one person."""

    scopes = {"post": "profiles:write"}
    makes = True

    @extend_schema(
        operation_id="profiles_identifiers_add",
        request=serializers.IdentifierTold,
        responses={201: serializers.Made},
    )
    def post(self, request: Request, profile_id: int) -> Response:
        """Let a person be known by one more identifier. The answer has the identifier's id."""
        told = _told(read(serializers.IdentifierTold, request.data), self.caller)
        pk = identifier_add(profile_id=profile_id, told=told, source=self.caller.source)
        return Response({"id": pk}, status=201)


class ProfileEventsView(ApiView):
    """What one person did."""

    scopes = {"get": "events:read"}

    @extend_schema(
        operation_id="profiles_events",
        parameters=[LIMIT, CURSOR, OpenApiParameter("name", str, description="events of this name")],
        responses=serializers.EventPage,
    )
    def get(self, request: Request, profile_id: int) -> Response:
        """Events of a person, the newest first, with what was found wrong in them: whether what was sent is there."""
        rows = Event.objects.filter(profile_id=profile_known(profile_id).pk)
        if (name := request.query_params.get("name")) is not None:
            rows = rows.filter(name=name)
        page = page_read(request, rows, by=("-occurred_at", "-pk"))
        return Response(page.body(serializers.EventLine(page.rows, many=True).data))
