"""The API's description, OpenAPI 3.1, made of the views; and what drf-spectacular can't see by itself."""

from collections.abc import Collection
from typing import Any, Final, cast

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from apps.delivery.webhooks.news import news_described

from .views import ANY_CLIENT, ApiView

PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "description": "What went wrong (RFC 9457)",
    "properties": {
        "type": {"type": "string", "format": "uri", "examples": ["urn:tessera:problem:content_wrong"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "stable, for programs", "examples": ["content_wrong"]},
        "detail": {"type": "string", "description": "for people: what to do"},
        "instance": {"type": "string", "format": "uri", "description": "id of the request"},
        "errors": {
            "type": "array",
            "description": "where in the body, as JSON pointers (RFC 6901)",
            "items": {
                "type": "object",
                "properties": {
                    "pointer": {"type": "string", "examples": ["#/email"]},
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                },
                "additionalProperties": True,
            },
        },
    },
    "required": ["type", "title", "status", "code", "detail"],
    "additionalProperties": True,
}
_ALWAYS: Final = {
    "400": "the request can't be read",
    "401": "no key, or one that opens nothing",
    "403": "the client lacks the scope, or what it asks for is beyond its limits",
    "429": "too much within a minute, requests and what they hold: see Retry-After",
}
_WITH_BODY: Final = {"413": "the body is too large", "415": "it is no JSON", "422": "its content is wrong"}
LIMIT: Final = OpenApiParameter("limit", int, description="rows of a page, 1 to 200; 50 where nothing is said")
CURSOR: Final = OpenApiParameter("cursor", str, description="`next` of the page before")
IF_MATCH: Final = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, description="change only what still has this `ETag`, else 412"
)
GONE: Final = OpenApiResponse(PROBLEM, "it is gone: read all anew")
_IDEMPOTENCY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "makes it safe to send this again: the same key and body get the same answer for 24 hours",
    "schema": {"type": "string", "maxLength": 255},
}


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # it has no types
    """How a client says who it is."""

    target_class = "apps.surfaces.api.views.BearerAuthentication"
    name = "key"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "A key of a client, which administrators make in the admin. It never goes into an address.",
        }


class ApiSchema(AutoSchema):
    """An operation with what all have: the scope, problems, and the header of idempotency."""

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        operation: dict[str, Any] | None = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        method = self.method.lower()
        view = cast(ApiView, self.view)
        makes = method == "post" and view.makes
        return operation_complete(operation, method=method, scope=view.scopes.get(method), makes=makes)


def operation_complete(operation: dict[str, Any], *, method: str, scope: str | None, makes: bool) -> dict[str, Any]:
    """An operation with what all have."""
    if scope not in (None, ANY_CLIENT):
        operation["description"] = f"{operation.get('description', '')}\n\nScope: `{scope}`".strip()
        operation["x-scope"] = scope
    if makes:
        operation.setdefault("parameters", []).append(_IDEMPOTENCY)
    said = dict(_ALWAYS)
    if method in ("post", "put", "patch"):
        said |= _WITH_BODY
    if makes:
        said["409"] = "something stands against it, or a request with this key is being answered"
    own = {status: answer["description"] for status, answer in operation["responses"].items() if status >= "400"}
    for status, words in {**said, **own}.items():
        operation["responses"][status] = _problem(words)
    return operation


def _problem(words: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": words, "content": {"application/problem+json": {"schema": schema}}}


_WRITE_KEY: Final = {
    "type": "http",
    "scheme": "basic",
    "description": "Of sources of events: the key as the user name, with an empty password, as Segment has it.",
}
_declared: Final[dict[tuple[str, str], dict[str, Any]]] = {}


def operation_declare(
    path: str,
    method: str,
    *,
    scope: str,
    operation: dict[str, Any],
    makes: bool = False,
    unlike: Collection[str] = (),
) -> None:
    """Describe an endpoint without DRF (`slim.py`): its operation object as OpenAPI has it.

    Without security it takes a key as all do. unlike: statuses that others answer, and it never does.
    """
    full = {"security": [{"key": []}], "parameters": [], "responses": {}, **operation}
    told = operation_complete(full, method=method.lower(), scope=scope, makes=makes)
    told["responses"] = {status: said for status, said in told["responses"].items() if status not in unlike}
    _declared[path, method.lower()] = told


def document_complete(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """drf-spectacular's hook behind the document: adds what all have, endpoints without DRF, and what
    webhooks carry."""
    result["components"].setdefault("schemas", {})["Problem"] = PROBLEM
    result["components"].setdefault("securitySchemes", {})["write_key"] = _WRITE_KEY
    for (path, method), operation in _declared.items():
        result["paths"].setdefault(path, {})[method] = operation
    result["paths"] = dict(sorted(result["paths"].items()))
    result["webhooks"] = news_described()
    return result
