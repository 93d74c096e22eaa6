"""Templates: drafts written and handed in. Others agree, and publish, in the admin."""

from collections.abc import Sequence
from typing import Any

from django.http import Http404
from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.decisioning.content import models
from apps.decisioning.content.services import template_create, template_update, template_version_create
from apps.foundation.governance.workflow import submission_withdraw, version_submit
from apps.surfaces.api.approvals import ContentVersionPage, HandIn, numbers_told, review_told, versions_told
from apps.surfaces.api.etags import moment_etag, moment_if_match
from apps.surfaces.api.paging import page_read
from apps.surfaces.api.schema import CURSOR, IF_MATCH, LIMIT
from apps.surfaces.api.serializers import read
from apps.surfaces.api.views import ApiView, PatchView

from . import serializers

_SOURCES = ("subject", "mjml", "text", "slots")


def _known(template_id: int) -> models.Template:
    template = models.Template.objects.filter(pk=template_id).first()
    if template is None:
        raise Http404
    return template


def _version(template_id: int, number: int) -> models.TemplateVersion:
    version = models.TemplateVersion.objects.filter(template=template_id, number=number).first()
    if version is None:
        raise Http404
    return version


def _told(templates: Sequence[models.Template]) -> list[dict[str, Any]]:
    numbers = numbers_told(templates)
    for template in templates:
        template.__dict__.update(numbers[template.pk])
    return list(serializers.Template(templates, many=True).data)


def _answer(template: models.Template, status: int = 200) -> Response:
    headers = {"ETag": moment_etag(template.updated_at)}
    if status == 201:
        headers["Location"] = reverse("api:template", args=[template.pk])
    return Response(_told([template])[0], status=status, headers=headers)


def _version_answer(version: models.TemplateVersion, status: int = 200) -> Response:
    sources = {name: getattr(version, name) for name in _SOURCES}
    return Response({**versions_told([version])[0], **sources, "review": review_told(version)}, status=status)


class TemplatesView(ApiView):
    """All templates."""

    scopes = {"get": "content:read", "post": "content:write"}
    sees = (models.Template,)
    makes = True

    @extend_schema(
        operation_id="templates_list",
        parameters=[LIMIT, CURSOR, OpenApiParameter("code", str, description="the one with this code")],
        responses=serializers.TemplatePage,
    )
    def get(self, request: Request) -> Response:
        """Templates, the oldest first."""
        rows = models.Template.objects.all()
        if (code := request.query_params.get("code")) is not None:
            rows = rows.filter(code=code)
        page = page_read(request, rows)
        return Response(page.body(_told(page.rows)))

    @extend_schema(operation_id="templates_add", request=serializers.TemplateNew, responses={201: serializers.Template})
    def post(self, request: Request) -> Response:
        """Add a template with its first version, a draft. One that could print an empty token is refused."""
        said = read(serializers.TemplateNew, request.data)
        return _answer(_known(template_create(by=self.owner, **said).pk), status=201)


class TemplateView(PatchView):
    """One template."""

    scopes = {"get": "content:read", "patch": "content:write"}
    sees = (models.Template,)

    @extend_schema(operation_id="templates_get", responses=serializers.Template)
    def get(self, request: Request, template_id: int) -> Response:
        """A template, with the numbers of its newest version and of the one that is live."""
        return _answer(_known(template_id))

    @extend_schema(
        operation_id="templates_change",
        request=serializers.TemplateFields,
        responses=serializers.Template,
        parameters=[IF_MATCH],
    )
    def patch(self, request: Request, template_id: int) -> Response:
        """Change a template's name. Approvals of what is not live become void."""
        said = read(serializers.TemplateFields, request.data)
        template_update(template_id=template_id, by=self.owner, seen_at=moment_if_match(request), **said)
        return _answer(_known(template_id))


class TemplateVersionsView(ApiView):
    """The versions of one template."""

    scopes = {"get": "content:read", "post": "content:write"}
    sees = (models.Template, models.TemplateVersion)
    makes = True

    @extend_schema(operation_id="templates_versions", parameters=[LIMIT, CURSOR], responses=ContentVersionPage)
    def get(self, request: Request, template_id: int) -> Response:
        """The versions of a template, the newest first, each with its state."""
        page = page_read(request, _known(template_id).versions.all(), by=["-number"])
        return Response(page.body(versions_told(page.rows)))

    @extend_schema(
        operation_id="templates_versions_add",
        request=serializers.TemplateVersionNew,
        responses={200: serializers.TemplateVersion, 201: serializers.TemplateVersion},
    )
    def post(self, request: Request, template_id: int) -> Response:
        """Write new sources of a template: a draft, until others agreed and it is published.

        What is not given stays as it was; the same again is the version that there is (200).
        """
        said = read(serializers.TemplateVersionNew, request.data)
        before = _known(template_id).versions.order_by("-number").first()
        version = template_version_create(template_id=template_id, by=self.owner, **said)
        return _version_answer(version, status=200 if before is not None and version.pk == before.pk else 201)


class TemplateVersionView(ApiView):
    """One version of a template."""

    scopes = {"get": "content:read"}
    sees = (models.Template, models.TemplateVersion)

    @extend_schema(operation_id="templates_version", responses=serializers.TemplateVersion)
    def get(self, request: Request, template_id: int, number: int) -> Response:
        """The sources of a version, its state, and who agreed or must still."""
        return _version_answer(_version(template_id, number))


class TemplateHandInView(ApiView):
    """Handing a version of a template in."""

    scopes = {"post": "content:write"}
    sees = (models.Template, models.TemplateVersion)

    @extend_schema(operation_id="templates_version_submit", request=HandIn, responses=serializers.TemplateVersion)
    def post(self, request: Request, template_id: int, number: int) -> Response:
        """Ask others to agree to a version. The client's owner, and whoever wrote it, can't agree to it."""
        said = read(HandIn, request.data)
        version = _version(template_id, number)
        version_submit(version=version, by=self.owner, note=said.get("note", ""))
        return _version_answer(version)


class TemplateTakeBackView(ApiView):
    """Taking a version of a template back."""

    scopes = {"post": "content:write"}
    sees = (models.Template, models.TemplateVersion)

    @extend_schema(operation_id="templates_version_withdraw", request=None, responses=serializers.TemplateVersion)
    def post(self, request: Request, template_id: int, number: int) -> Response:
        """Take the request for approval of a template back. What is live stays live."""
        version = _version(template_id, number)
        submission_withdraw(version=version, by=self.owner)
        return _version_answer(version)
