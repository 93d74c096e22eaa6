"""Imports: files in, how far they are, and what was left out of them."""

from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.http import FileResponse, Http404
from django.http.response import HttpResponseBase
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from apps.data.imports import models
from apps.data.imports.mapping import Mapping, mapping_parse
from apps.data.imports.presets import preset_mapping
from apps.data.imports.services import Grant, errors_path, import_go_on, import_stop, import_take, may_steer
from apps.data.imports.tasks import import_work
from apps.foundation.accounts.rights import right_require
from apps.foundation.core.errors import Invalid, NotAllowed
from apps.foundation.core.queue import enqueue_on_commit
from apps.surfaces.api.bodies import body_read, file_check
from apps.surfaces.api.paging import choice_read, page_read
from apps.surfaces.api.schema import CURSOR, LIMIT
from apps.surfaces.api.serializers import read
from apps.surfaces.api.views import ApiView

from . import serializers


def _known(import_id: int) -> models.Import:
    job = models.Import.objects.filter(pk=import_id).first()
    if job is None:
        raise Http404
    return job


def _wake(job: models.Import) -> None:
    if job.running and not job.stop_wanted:
        enqueue_on_commit(import_work, job.pk)


class ImportsView(ApiView):
    """All imports."""

    scopes = {"get": "imports:read", "post": "imports:write"}
    sees = (models.Import,)
    makes = True
    parser_classes = [MultiPartParser]

    @extend_schema(
        operation_id="imports_list",
        parameters=[LIMIT, CURSOR, OpenApiParameter("state", str, enum=models.Import.State.values)],
        responses=serializers.ImportPage,
    )
    def get(self, request: Request) -> Response:
        """Imports, the newest first."""
        rows = models.Import.objects.all()
        if (state := choice_read(request, "state", models.Import.State.values)) is not None:
            rows = rows.filter(state=state)
        page = page_read(request, rows, by=["-pk"])
        return Response(page.body(serializers.Import(page.rows, many=True).data))

    @extend_schema(
        operation_id="imports_add",
        request={"multipart/form-data": serializers.ImportNew},
        responses={201: serializers.Import},
    )
    def post(self, request: Request) -> Response:
        """Send a file in. It is read in the background: ask for it again to see how far it is.

        The same file with the same mapping is the same import, and is not read twice. Nothing in it counts as consent
        but a column that the mapping names, or what the client's owner vouches for with their evidence.
        """
        right_require(self.owner, "add", models.Import, what="import files")
        said = read(serializers.ImportNew, request.data)
        file: UploadedFile[Any] = said["file"]
        file_check(file)
        mapping = self._mapping(said)
        job = import_take(
            kind=said["kind"],
            chunks=file.chunks(),
            mapping=mapping,
            grant=self._grant(said, mapping),
            by=self.owner,
            file_name=file.name or "",
        )
        _wake(job)
        headers = {"Location": reverse("api:import", args=[job.pk])}
        return Response(serializers.Import(job).data, status=201, headers=headers)

    def _mapping(self, said: dict[str, Any]) -> Mapping:
        if ("mapping" in said) == ("preset" in said):
            raise Invalid("mapping_missing", "Give a preset or a mapping, and not both", {"field": "mapping"})
        if "preset" in said:
            return preset_mapping(said["preset"], kind=said["kind"])
        return mapping_parse(body_read(said["mapping"].encode()), kind=said["kind"])

    def _grant(self, said: dict[str, Any], mapping: Mapping) -> Grant | None:
        purposes = {*mapping.consent, *([said["purpose"]] if "purpose" in said else [])}
        if beyond := sorted(purpose for purpose in purposes if not self.caller.reaches("purposes", purpose)):
            raise NotAllowed("purpose_beyond_limits", f"This client may not record grants of {', '.join(beyond)}")
        if "purpose" not in said:
            return None
        return Grant(purpose=said["purpose"], evidence=said.get("evidence", "").strip(), by=self.owner)


class ImportView(ApiView):
    """One import."""

    scopes = {"get": "imports:read"}
    sees = (models.Import,)

    @extend_schema(operation_id="imports_get", responses=serializers.Import)
    def get(self, request: Request, import_id: int) -> Response:
        """How far an import is, and what came of it."""
        return Response(serializers.Import(_known(import_id)).data)


class ImportErrorsView(ApiView):
    """What was left out of one import."""

    scopes = {"get": "imports:read"}
    sees = (models.Import,)

    @extend_schema(
        operation_id="imports_errors",
        responses={(200, "text/csv"): OpenApiResponse(OpenApiTypes.STR, "the lines that were left out, each with why")},
    )
    def get(self, request: Request, import_id: int) -> HttpResponseBase:
        """The file of what was left out, 404 without any. It holds lines of customers as they came."""
        job = _known(import_id)
        if not may_steer(self.owner, job):
            raise NotAllowed("right_missing", "Errors hold lines of customers: only who may steer the import sees them")
        if (path := errors_path(job)) is None:
            raise Http404
        name = f"import-{job.pk}-errors.csv"
        return FileResponse(path.open("rb"), as_attachment=True, filename=name, content_type="text/csv")


class _SteerView(ApiView):
    scopes = {"post": "imports:write"}
    sees = (models.Import,)

    def _job(self, import_id: int) -> models.Import:
        job = _known(import_id)
        if not may_steer(self.owner, job):
            raise NotAllowed("right_missing", "Only who opened this import, or an administrator, may steer it")
        return job


class ImportStopView(_SteerView):
    """Stopping an import."""

    @extend_schema(operation_id="imports_stop", request=None, responses=serializers.Import)
    def post(self, request: Request, import_id: int) -> Response:
        """Ask an import to stop, which it does within some thousand lines. Nothing that was read is lost."""
        job = import_stop(import_id=self._job(import_id).pk, by=self.owner)
        return Response(serializers.Import(job).data)


class ImportGoOnView(_SteerView):
    """Letting an import go on."""

    @extend_schema(operation_id="imports_go_on", request=None, responses=serializers.Import)
    def post(self, request: Request, import_id: int) -> Response:
        """Let an import that was stopped go on from where it was."""
        job = import_go_on(import_id=self._job(import_id).pk, by=self.owner)
        _wake(job)
        return Response(serializers.Import(job).data)
