"""Promotions: what is offered for a while."""

from typing import Any

from django.http import Http404
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.data.catalog import models
from apps.data.catalog.promotions import promotion_change, promotion_put, promotion_version
from apps.surfaces.api.etags import etag, if_match
from apps.surfaces.api.paging import page_read
from apps.surfaces.api.schema import CURSOR, IF_MATCH, LIMIT
from apps.surfaces.api.serializers import BulkResult, read, rows_do, rows_read
from apps.surfaces.api.views import ApiView, PatchView

from . import serializers

_EXAMPLE = OpenApiExample(
    "May",
    value={"code": "MAY", "title": "Free delivery in May", "starts_at": "2026-05-01T00:00:00Z", "countries": ["DE"]},
    request_only=True,
)


def _answer(promotion: models.Promotion, status: int = 200) -> Response:
    headers = {"ETag": etag(promotion_version(promotion))}
    return Response(serializers.Promotion(promotion).data, status=status, headers=headers)


def _put(row: Any) -> tuple[models.Promotion, bool]:
    fields = read(serializers.PromotionPut, row)
    return promotion_put(code=fields.pop("code"), fields=fields)


class PromotionsView(ApiView):
    """All promotions."""

    scopes = {"get": "promotions:read", "post": "promotions:write"}
    makes = True

    @extend_schema(
        operation_id="promotions_list",
        parameters=[LIMIT, CURSOR, OpenApiParameter("code", str, description="the one with this code")],
        responses=serializers.PromotionPage,
    )
    def get(self, request: Request) -> Response:
        """Promotions, the oldest first."""
        rows = models.Promotion.objects.all()
        if (code := request.query_params.get("code")) is not None:
            rows = rows.filter(code=code)
        page = page_read(request, rows)
        return Response(page.body(serializers.Promotion(page.rows, many=True).data))

    @extend_schema(
        operation_id="promotions_put",
        request=serializers.PromotionPut,
        responses={200: serializers.Promotion, 201: serializers.Promotion},
        examples=[_EXAMPLE],
    )
    def post(self, request: Request) -> Response:
        """Add a promotion, or change the one with this code."""
        promotion, new = _put(request.data)
        return _answer(promotion, 201 if new else 200)


class PromotionsBulkView(ApiView):
    """Many promotions at once."""

    scopes = {"post": "promotions:write"}
    makes = True

    @extend_schema(operation_id="promotions_upsert", request=serializers.PromotionRows, responses=BulkResult)
    def post(self, request: Request) -> Response:
        """Add or change up to 500 promotions by their codes, each by itself."""

        def put(row: Any) -> tuple[int, str]:
            promotion, new = _put(row)
            return 201 if new else 200, str(promotion.pk)

        return Response(rows_do(rows_read(self), put))


class PromotionView(PatchView):
    """One promotion."""

    scopes = {"get": "promotions:read", "patch": "promotions:write"}

    @extend_schema(operation_id="promotions_get", responses=serializers.Promotion)
    def get(self, request: Request, promotion_id: int) -> Response:
        """A promotion."""
        promotion = models.Promotion.objects.filter(pk=promotion_id).first()
        if promotion is None:
            raise Http404
        return _answer(promotion)

    @extend_schema(
        operation_id="promotions_change",
        request=serializers.PromotionFields,
        responses=serializers.Promotion,
        parameters=[IF_MATCH],
    )
    def patch(self, request: Request, promotion_id: int) -> Response:
        """Change a promotion: what is not named stays."""
        fields = read(serializers.PromotionFields, request.data)
        return _answer(promotion_change(promotion_id=promotion_id, fields=fields, seen=if_match(request)))
