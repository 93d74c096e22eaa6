"""Blocks: drafts written and handed in. Others agree, and publish, in the admin."""

from collections.abc import Sequence
from typing import Any

from django.http import Http404
from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.decisioning.content import models
from apps.decisioning.content.services import VersionFacts, block_create, block_update, block_version_create
from apps.foundation.accounts.contracts import Caller
from apps.foundation.core.errors import Invalid, NotAllowed
from apps.foundation.governance.workflow import submission_withdraw, version_submit
from apps.surfaces.api.approvals import ContentVersionPage, HandIn, numbers_told, review_told, versions_told
from apps.surfaces.api.etags import moment_etag, moment_if_match
from apps.surfaces.api.paging import page_read
from apps.surfaces.api.reaching import blocks_within
from apps.surfaces.api.schema import CURSOR, IF_MATCH, LIMIT
from apps.surfaces.api.serializers import read
from apps.surfaces.api.views import ApiView, PatchView

from . import serializers

_FACTS = ("valid_from", "valid_until", "written_by_model")
_EXAMPLE = OpenApiExample(
    "A line in two languages",
    value={
        "name": "New teas",
        "type": "line",
        "market": None,
        "content": {"en": {"words": "New teas"}, "de": {"words": "Neue Tees"}},
    },
    request_only=True,
)


def _reached(caller: Caller, block_id: int) -> models.Block:
    block = blocks_within(caller).select_related("type", "market").filter(pk=block_id).first()
    if block is None:
        raise Http404
    return block


def _version(caller: Caller, block_id: int, number: int) -> models.BlockVersion:
    version = _reached(caller, block_id).versions.filter(number=number).first()
    if version is None:
        raise Http404
    return version


def _market(caller: Caller, code: str | None) -> models.Market | None:
    if code is None:
        if caller.within("markets") is not None:
            raise NotAllowed("market_beyond_limits", "This client writes for its markets alone: name one of them")
        return None
    market = models.Market.objects.filter(code=code).first()
    if market is None or not caller.reaches("markets", code):
        raise Invalid("market_unknown", "There is no such market", {"field": "market"})
    return market


def _told(blocks: Sequence[models.Block]) -> list[dict[str, Any]]:
    numbers = numbers_told(blocks)
    for block in blocks:
        block.__dict__.update(numbers[block.pk])
    return list(serializers.Block(blocks, many=True).data)


def _answer(block: models.Block, status: int = 200) -> Response:
    headers = {"ETag": moment_etag(block.updated_at)}
    if status == 201:
        headers["Location"] = reverse("api:block", args=[block.pk])
    return Response(_told([block])[0], status=status, headers=headers)


def _version_answer(version: models.BlockVersion, status: int = 200) -> Response:
    facts = {name: getattr(version, name) for name in _FACTS}
    body = {**versions_told([version])[0], "content": version.content, **facts, "review": review_told(version)}
    return Response(body, status=status)


class BlockTypesView(ApiView):
    """The kinds of blocks."""

    scopes = {"get": "content:read"}
    sees = (models.BlockType,)

    @extend_schema(operation_id="block_types_list", parameters=[LIMIT, CURSOR], responses=serializers.BlockTypePage)
    def get(self, request: Request) -> Response:
        """Types of blocks, with their fields and what these may hold."""
        page = page_read(request, models.BlockType.objects.all())
        return Response(page.body(serializers.BlockType(page.rows, many=True).data))


class BlocksView(ApiView):
    """All blocks."""

    scopes = {"get": "content:read", "post": "content:write"}
    sees = (models.Block,)
    makes = True

    @extend_schema(
        operation_id="blocks_list",
        parameters=[
            LIMIT,
            CURSOR,
            OpenApiParameter("market", str, description="of one market, by its code"),
            OpenApiParameter("type", str, description="of one type, by its code"),
            OpenApiParameter("name", str, description="the one with this name"),
        ],
        responses=serializers.BlockPage,
    )
    def get(self, request: Request) -> Response:
        """Blocks of the client's markets, the oldest first."""
        rows = blocks_within(self.caller).select_related("type", "market")
        for name, field in (("market", "market__code"), ("type", "type__code"), ("name", "name")):
            if (value := request.query_params.get(name)) is not None:
                rows = rows.filter(**{field: value})
        page = page_read(request, rows)
        return Response(page.body(_told(page.rows)))

    @extend_schema(
        operation_id="blocks_add",
        request=serializers.BlockNew,
        responses={201: serializers.Block},
        examples=[_EXAMPLE],
    )
    def post(self, request: Request) -> Response:
        """Add a block with its first version, a draft."""
        said = read(serializers.BlockNew, request.data)
        kind = models.BlockType.objects.filter(code=said.pop("type")).first()
        if kind is None:
            raise Invalid("block_type_unknown", "There is no such type of block", {"field": "type"})
        market = _market(self.caller, said.pop("market", None))
        block = block_create(by=self.owner, type_id=kind.pk, market=market, **said)
        return _answer(_reached(self.caller, block.pk), status=201)


class BlockView(PatchView):
    """One block."""

    scopes = {"get": "content:read", "patch": "content:write"}
    sees = (models.Block,)

    @extend_schema(operation_id="blocks_get", responses=serializers.Block)
    def get(self, request: Request, block_id: int) -> Response:
        """A block, with the numbers of its newest version and of the one that is live."""
        return _answer(_reached(self.caller, block_id))

    @extend_schema(
        operation_id="blocks_change",
        request=serializers.BlockFields,
        responses=serializers.Block,
        parameters=[IF_MATCH],
    )
    def patch(self, request: Request, block_id: int) -> Response:
        """Change what a block is; what it says is in its versions. Approvals of what is not live become void."""
        said: dict[str, Any] = read(serializers.BlockFields, request.data)
        there = _reached(self.caller, block_id)
        if "market" in said:
            said["market"] = _market(self.caller, said["market"])
        block_update(block_id=there.pk, by=self.owner, seen_at=moment_if_match(request), **said)
        return _answer(_reached(self.caller, block_id))


class BlockVersionsView(ApiView):
    """The versions of one block."""

    scopes = {"get": "content:read", "post": "content:write"}
    sees = (models.Block, models.BlockVersion)
    makes = True

    @extend_schema(operation_id="blocks_versions", parameters=[LIMIT, CURSOR], responses=ContentVersionPage)
    def get(self, request: Request, block_id: int) -> Response:
        """What a block said, the newest first, each with its state."""
        page = page_read(request, _reached(self.caller, block_id).versions.all(), by=["-number"])
        return Response(page.body(versions_told(page.rows)))

    @extend_schema(
        operation_id="blocks_versions_add",
        request=serializers.BlockVersionNew,
        responses={200: serializers.BlockVersion, 201: serializers.BlockVersion},
    )
    def post(self, request: Request, block_id: int) -> Response:
        """Write what a block says from now on: a draft, until others agreed and it is published.

        The same content again is the version that there is (200). Approvals of what is not live become void.
        """
        said: dict[str, Any] = read(serializers.BlockVersionNew, request.data)
        block = _reached(self.caller, block_id)
        before = block.versions.order_by("-number").first()
        facts = None
        if any(name in said for name in _FACTS):
            known = {name: getattr(before, name) for name in _FACTS} if before is not None else {}
            facts = VersionFacts(**{**known, **{name: said[name] for name in _FACTS if name in said}})
        version = block_version_create(
            block_id=block.pk,
            content=said["content"],
            by=self.owner,
            base=said.get("base"),
            facts=facts,
            why=said.get("why", ""),
        )
        return _version_answer(version, status=200 if before is not None and version.pk == before.pk else 201)


class BlockVersionView(ApiView):
    """One version of a block."""

    scopes = {"get": "content:read"}
    sees = (models.Block, models.BlockVersion)

    @extend_schema(operation_id="blocks_version", responses=serializers.BlockVersion)
    def get(self, request: Request, block_id: int, number: int) -> Response:
        """What a block said in a version, its state, and who agreed or must still."""
        return _version_answer(_version(self.caller, block_id, number))


class BlockHandInView(ApiView):
    """Handing a version of a block in."""

    scopes = {"post": "content:write"}
    sees = (models.Block, models.BlockVersion)

    @extend_schema(operation_id="blocks_version_submit", request=HandIn, responses=serializers.BlockVersion)
    def post(self, request: Request, block_id: int, number: int) -> Response:
        """Ask others to agree to a version. The client's owner, and whoever wrote it, can't agree to it."""
        said = read(HandIn, request.data)
        version = _version(self.caller, block_id, number)
        version_submit(version=version, by=self.owner, note=said.get("note", ""))
        return _version_answer(version)


class BlockTakeBackView(ApiView):
    """Taking a version of a block back."""

    scopes = {"post": "content:write"}
    sees = (models.Block, models.BlockVersion)

    @extend_schema(operation_id="blocks_version_withdraw", request=None, responses=serializers.BlockVersion)
    def post(self, request: Request, block_id: int, number: int) -> Response:
        """Take the request for approval of a block back. What is live stays live."""
        version = _version(self.caller, block_id, number)
        submission_withdraw(version=version, by=self.owner)
        return _version_answer(version)
