"""Items: what is sold."""

from typing import Any

from django.http import Http404
from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.data.catalog import models
from apps.data.catalog.services import item_change, item_create, item_put, item_version
from apps.foundation.accounts.contracts import Caller
from apps.surfaces.api.etags import etag, if_match
from apps.surfaces.api.paging import page_read
from apps.surfaces.api.schema import CURSOR, IF_MATCH, LIMIT
from apps.surfaces.api.serializers import BulkResult, read, rows_do, rows_read
from apps.surfaces.api.views import ApiView, PatchView

from . import serializers

_EXAMPLE = OpenApiExample(
    "Tea",
    value={
        "sku": "T-100",
        "title": "Assam, 100 g",
        "category": "Tea",
        "price": "8.90",
        "cost": "3.10",
        "currency": "EUR",
    },
    request_only=True,
)


def _shown(item: models.Item, caller: Caller) -> dict[str, Any]:
    """What a client sees of an item: what it costs the shop is for those who may tell it."""
    said = dict(serializers.Item(item).data)
    if not caller.may("items:write"):
        del said["cost"]
    return said


def _answer(item: models.Item, caller: Caller, status: int = 200) -> Response:
    headers = {"ETag": etag(item_version(item))}
    if status == 201:
        headers["Location"] = reverse("api:item", args=[item.pk])
    return Response(_shown(item, caller), status=status, headers=headers)


class ItemsView(ApiView):
    """All items."""

    scopes = {"get": "items:read", "post": "items:write"}
    makes = True

    @extend_schema(
        operation_id="items_list",
        parameters=[
            LIMIT,
            CURSOR,
            OpenApiParameter("sku", str, description="the one with this number"),
            OpenApiParameter("category", str),
        ],
        responses=serializers.ItemPage,
    )
    def get(self, request: Request) -> Response:
        """Items, the oldest first."""
        rows = models.Item.objects.all()
        for name in ("sku", "category"):
            if (value := request.query_params.get(name)) is not None:
                rows = rows.filter(**{name: value})
        page = page_read(request, rows)
        return Response(page.body([_shown(item, self.caller) for item in page.rows]))

    @extend_schema(
        operation_id="items_create",
        request=serializers.ItemNew,
        responses={201: serializers.Item},
        examples=[_EXAMPLE],
    )
    def post(self, request: Request) -> Response:
        """Add an item."""
        fields = read(serializers.ItemNew, request.data)
        return _answer(item_create(sku=fields.pop("sku"), fields=fields), self.caller, 201)


class ItemsBulkView(ApiView):
    """Many items at once."""

    scopes = {"post": "items:write"}
    makes = True

    @extend_schema(operation_id="items_upsert", request=serializers.ItemRows, responses=BulkResult)
    def post(self, request: Request) -> Response:
        """Add or change up to 500 items by their numbers, each by itself.

        What a row doesn't name stays as it is.
        """

        def put(row: Any) -> tuple[int, str]:
            fields = read(serializers.ItemNew, row)
            item, new = item_put(sku=fields.pop("sku"), fields=fields)
            return 201 if new else 200, str(item.pk)

        return Response(rows_do(rows_read(self), put))


class ItemView(PatchView):
    """One item."""

    scopes = {"get": "items:read", "patch": "items:write"}

    @extend_schema(operation_id="items_get", responses=serializers.Item)
    def get(self, request: Request, item_id: int) -> Response:
        """An item."""
        item = models.Item.objects.filter(pk=item_id).first()
        if item is None:
            raise Http404
        return _answer(item, self.caller)

    @extend_schema(
        operation_id="items_change", request=serializers.ItemFields, responses=serializers.Item, parameters=[IF_MATCH]
    )
    def patch(self, request: Request, item_id: int) -> Response:
        """Change an item: what is not named stays."""
        fields = read(serializers.ItemFields, request.data)
        return _answer(item_change(item_id=item_id, fields=fields, seen=if_match(request)), self.caller)
