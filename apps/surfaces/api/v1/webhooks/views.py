"""Webhooks: where news goes, how a receiver verifies it, and what came of each piece."""

from typing import Any

from django.http import Http404
from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.delivery.webhooks import models, services
from apps.foundation.accounts.rights import right_require
from apps.surfaces.api.etags import etag, if_match
from apps.surfaces.api.paging import choice_read, page_read
from apps.surfaces.api.schema import CURSOR, IF_MATCH, LIMIT
from apps.surfaces.api.serializers import read
from apps.surfaces.api.views import ApiView, PatchView

from . import serializers

_EXAMPLE = OpenApiExample(
    "A CRM",
    value={"name": "CRM", "url": "https://crm.example/hooks/tessera", "kinds": ["consent.changed", "profile.erased"]},
    request_only=True,
)


def _known(endpoint_id: int) -> models.WebhookEndpoint:
    endpoint = models.WebhookEndpoint.objects.filter(pk=endpoint_id).first()
    if endpoint is None:
        raise Http404
    return endpoint


def _answer(endpoint: models.WebhookEndpoint, status: int = 200) -> Response:
    headers = {"ETag": etag(services.endpoint_version(endpoint))}
    if status == 201:
        headers["Location"] = reverse("api:webhook", args=[endpoint.pk])
    return Response(serializers.Endpoint(endpoint).data, status=status, headers=headers)


class WebhooksView(ApiView):
    """All endpoints."""

    scopes = {"get": "webhooks:read", "post": "webhooks:write"}
    sees = (models.WebhookEndpoint,)
    makes = True

    @extend_schema(operation_id="webhooks_list", parameters=[LIMIT, CURSOR], responses=serializers.EndpointPage)
    def get(self, request: Request) -> Response:
        """Endpoints, the oldest first."""
        page = page_read(request, models.WebhookEndpoint.objects.all())
        return Response(page.body(serializers.Endpoint(page.rows, many=True).data))

    @extend_schema(
        operation_id="webhooks_add",
        request=serializers.EndpointNew,
        responses={201: serializers.Endpoint},
        examples=[_EXAMPLE],
    )
    def post(self, request: Request) -> Response:
        """Add an endpoint. Its secret is asked for by itself, so that no answer that is kept has it."""
        said = read(serializers.EndpointNew, request.data)
        return _answer(services.endpoint_create(by=self.owner, **said), status=201)


class WebhookView(PatchView):
    """One endpoint."""

    scopes = {"get": "webhooks:read", "patch": "webhooks:write", "delete": "webhooks:write"}
    sees = (models.WebhookEndpoint,)

    @extend_schema(operation_id="webhooks_get", responses=serializers.Endpoint)
    def get(self, request: Request, endpoint_id: int) -> Response:
        """An endpoint, and how it does."""
        return _answer(_known(endpoint_id))

    @extend_schema(
        operation_id="webhooks_change",
        request=serializers.EndpointFields,
        responses=serializers.Endpoint,
        parameters=[IF_MATCH],
    )
    def patch(self, request: Request, endpoint_id: int) -> Response:
        """Change an endpoint. Switched on again, it begins anew."""
        said: dict[str, Any] = read(serializers.EndpointFields, request.data)
        there = _known(endpoint_id)
        seen = if_match(request)
        changed = services.endpoint_update(
            endpoint_id=there.pk,
            by=self.owner,
            name=said.get("name", there.name),
            url=said.get("url", there.url),
            kinds=said.get("kinds", there.kinds),
            active=said.get("active", there.active),
            seen=services.endpoint_version(there) if seen is None else seen,  # what is not named stays as it was read
        )
        return _answer(changed)

    @extend_schema(operation_id="webhooks_remove", responses={204: None})
    def delete(self, request: Request, endpoint_id: int) -> Response:
        """Take an endpoint away, with the record of its deliveries. Switched off, it keeps them."""
        services.endpoint_remove(endpoint_id=endpoint_id, by=self.owner)
        return Response(status=204)


class WebhookSecretView(ApiView):
    """The secret of one endpoint."""

    scopes = {"get": "webhooks:write", "post": "webhooks:write"}
    sees = (models.WebhookEndpoint,)

    @extend_schema(operation_id="webhooks_secret", responses=serializers.Secret)
    def get(self, request: Request, endpoint_id: int) -> Response:
        """The secret that signs now, for who may change the endpoint."""
        endpoint = _known(endpoint_id)
        right_require(self.owner, "change", endpoint, what="read the secret of this endpoint")
        return self._shown(endpoint)

    @extend_schema(operation_id="webhooks_secret_change", request=None, responses=serializers.Secret)
    def post(self, request: Request, endpoint_id: int) -> Response:
        """Change the secret. The one before signs beside it for two days; until then it can't be changed again."""
        return self._shown(services.endpoint_secret_change(endpoint_id=endpoint_id, by=self.owner))

    def _shown(self, endpoint: models.WebhookEndpoint) -> Response:
        return Response({"secret": services.endpoint_secret(endpoint), "before_signs_until": endpoint.old_until})


class WebhookTestView(ApiView):
    """Trying one endpoint."""

    scopes = {"post": "webhooks:write"}
    sees = (models.WebhookEndpoint,)

    @extend_schema(operation_id="webhooks_test", request=None, responses={201: serializers.Delivery})
    def post(self, request: Request, endpoint_id: int) -> Response:
        """Send an endpoint a test, whatever kinds it wants: see its deliveries for what came of it."""
        delivery = services.endpoint_test(endpoint_id=endpoint_id, by=self.owner)
        return Response(serializers.Delivery(delivery).data, status=201)


class WebhookDeliveriesView(ApiView):
    """What goes to one endpoint."""

    scopes = {"get": "webhooks:read"}
    sees = (models.WebhookEndpoint, models.WebhookDelivery)

    @extend_schema(
        operation_id="webhooks_deliveries",
        parameters=[LIMIT, CURSOR, OpenApiParameter("state", str, enum=models.WebhookDelivery.State.values)],
        responses=serializers.DeliveryPage,
    )
    def get(self, request: Request, endpoint_id: int) -> Response:
        """The deliveries of an endpoint, the newest first."""
        rows = _known(endpoint_id).deliveries.select_related("event")
        if (state := choice_read(request, "state", models.WebhookDelivery.State.values)) is not None:
            rows = rows.filter(state=state)
        page = page_read(request, rows, by=["-pk"])
        return Response(page.body(serializers.Delivery(page.rows, many=True).data))


class WebhookAgainView(ApiView):
    """Sending a delivery again."""

    scopes = {"post": "webhooks:write"}
    sees = (models.WebhookEndpoint, models.WebhookDelivery)

    @extend_schema(operation_id="webhooks_deliveries_again", request=None, responses=serializers.Delivery)
    def post(self, request: Request, endpoint_id: int, delivery_id: int) -> Response:
        """Try a delivery again from the beginning, also one that arrived. It keeps its id."""
        delivery = _known(endpoint_id).deliveries.select_related("event").filter(pk=delivery_id).first()
        if delivery is None:
            raise Http404
        services.delivery_again(delivery_id=delivery.pk, by=self.owner)
        delivery.refresh_from_db()
        return Response(serializers.Delivery(delivery).data)
