"""JSON in and out."""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.utils.serializer_helpers import ReturnDict, ReturnList

from .problems import Problem

_OPTIONS: Final = orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z
_NUL: Final = b"\\u0000"


def body_read(raw: bytes) -> Any:
    """A body as JSON (RFC 8259, in UTF-8). Raises Problem for what is none, or what the database can't hold.

    NUL is refused: PostgreSQL's text can't hold it, and silently leaving it out would store what nobody sent.
    """
    try:
        data = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        detail = f"The body is no JSON: {error.msg}, line {error.lineno}, column {error.colno}"
        raise Problem(400, "json_wrong", detail) from None
    if _NUL in raw and _has_nul(data):
        raise Problem(400, "nul_in_text", "A text has the character U+0000, which can't be kept: leave it out")
    return data


def _has_nul(data: Any) -> bool:
    waiting = [data]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            if "\0" in one:
                return True
        elif isinstance(one, dict):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, list):
            waiting += one
    return False


class JsonParser(BaseParser):
    """A JSON body, by Django's own way to the bytes, which holds the limit of size."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        assert parser_context is not None  # noqa: S101  # DRF gives it
        request: Request = parser_context["request"]
        return body_read(request._request.body)


class MergePatchParser(JsonParser):
    """The same as JSON Merge Patch (RFC 7396): what is left out stays, null empties."""

    media_type = "application/merge-patch+json"


class JsonRenderer(BaseRenderer):
    """JSON, whatever `Accept` says: there is nothing else."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        return b"" if data is None else orjson.dumps(data, default=_plain, option=_OPTIONS)


def _plain(value: Any) -> Any:
    if isinstance(value, ReturnDict):
        return dict(value)
    if isinstance(value, ReturnList):
        return list(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    return str(value)


def body_limit() -> int:
    """Bytes of the largest body that is taken."""
    return int(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)


def file_check(file: "UploadedFile[Any]") -> None:
    """Raise Problem (413) for a file that is larger than imports may be."""
    if (file.size or 0) > settings.IMPORT_UPLOAD_LIMIT:
        limit = settings.IMPORT_UPLOAD_LIMIT // 1_000_000
        raise Problem(413, "body_too_large", f"The file is larger than {limit} MB: import it on the server")
