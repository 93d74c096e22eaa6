"""The API's document and the page that reads it to people. Both are public: they tell of the API, and of no data.

The page is HTML made here: no script, and nothing from elsewhere.
"""

from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, cast

import orjson
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import cache_control
from django.views.decorators.http import condition, require_safe
from drf_spectacular.generators import SchemaGenerator

from apps.foundation.accounts.api_scopes import KINDS_OF_CLIENTS, SCOPES_OF_API

_METHODS: Final = ("get", "post", "put", "patch", "delete")


@lru_cache(maxsize=1)
def document() -> dict[str, Any]:
    """The OpenAPI document; made once by each process."""
    made = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]  # it has no types
    return cast(dict[str, Any], orjson.loads(orjson.dumps(made, default=str)))


@lru_cache(maxsize=1)
def _raw() -> tuple[bytes, str]:
    raw = orjson.dumps(document(), option=orjson.OPT_INDENT_2)
    return raw, f'"{sha256(raw).hexdigest()[:32]}"'


@require_safe
@cache_control(public=True, max_age=300)
@condition(etag_func=lambda request: _raw()[1])
def schema_document(request: HttpRequest) -> HttpResponse:
    """The API in OpenAPI 3.1."""
    return HttpResponse(_raw()[0], content_type="application/json")


@require_safe
@cache_control(public=True, max_age=300)
def docs_page(request: HttpRequest) -> HttpResponse:
    """The same for people."""
    context = {
        "groups": _groups(document()),
        "news": _news(document()),
        "scopes": SCOPES_OF_API,
        "kinds": KINDS_OF_CLIENTS,
        "base_url": settings.BASE_URL,
    }
    return render(request, "api/docs.html", context)


def _groups(told: dict[str, Any]) -> list[dict[str, Any]]:
    """The operations by their tag, each with what the page shows of it."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, methods in told["paths"].items():
        for method in _METHODS:
            if (operation := methods.get(method)) is None:
                continue
            tag = (operation.get("tags") or ["other"])[0]
            groups.setdefault(tag, []).append(_operation(told, path, method, operation))
    return [{"name": name, "operations": groups[name]} for name in sorted(groups)]


def _news(told: dict[str, Any]) -> list[dict[str, Any]]:
    """The kinds of news that webhooks carry, each with the fields of its data."""
    found = []
    for kind, methods in told["webhooks"].items():
        schema = methods["post"]["requestBody"]["content"]["application/json"]["schema"]
        fields = _fields(told, schema["properties"]["data"])
        found.append({"kind": kind, "words": methods["post"]["summary"], "fields": fields})
    return found


def _operation(told: dict[str, Any], path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    said = operation.get("description", "").split("\n\nScope:")[0].removeprefix("Scope:").strip()
    summary, _, more = said.partition("\n")
    bodies = operation.get("requestBody", {}).get("content", {})
    body = bodies.get("application/json") or next(iter(bodies.values()), None)
    answers = [
        {"status": status, "words": answer.get("description", ""), "fields": _fields(told, _schema(answer))}
        for status, answer in sorted(operation["responses"].items())
    ]
    return {
        "id": operation.get("operationId", f"{method}-{path}"),
        "method": method.upper(),
        "path": path,
        "summary": operation.get("summary") or summary,
        "more": more.strip() if not operation.get("summary") else said,
        "scope": operation.get("x-scope", ""),
        "parameters": operation.get("parameters", []),
        "body": _fields(told, body["schema"]) if body and "schema" in body else [],
        "examples": _examples(body),
        "good": [answer for answer in answers if answer["status"] < "300"],
        "bad": [answer for answer in answers if answer["status"] >= "300"],
    }


def _schema(answer: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, dict[str, Any]] = answer.get("content", {})
    return next((cast(dict[str, Any], one.get("schema", {})) for one in content.values()), {})


def _examples(body: dict[str, Any] | None) -> list[dict[str, str]]:
    return [
        {
            "name": one.get("summary", name),
            "text": orjson.dumps(one.get("value"), option=orjson.OPT_INDENT_2).decode(),
        }
        for name, one in (body or {}).get("examples", {}).items()
    ]


def _fields(told: dict[str, Any], schema: dict[str, Any], depth: int = 0) -> list[dict[str, Any]]:
    """The fields of a schema, those inside others behind them, one step further in."""
    schema = _resolved(told, schema)
    if several := schema.get("oneOf"):  # the first is the plain one
        return _fields(told, several[0], depth)
    if schema.get("type") == "array":
        return _fields(told, schema.get("items", {}), depth)
    required, found = schema.get("required", []), []
    for name, given in schema.get("properties", {}).items():
        inner = _resolved(told, given)
        element = _resolved(told, inner.get("items", {})) if inner.get("type") == "array" else inner
        found.append(
            {
                "name": name,
                "indent": "— " * depth,
                "type": _type(inner, element),
                "required": name in required,
                "words": given.get("description") or inner.get("description", ""),
            }
        )
        if depth < 2 and element.get("properties"):
            found += _fields(told, element, depth + 1)
    return found


def _type(schema: dict[str, Any], element: dict[str, Any]) -> str:
    kind = schema.get("type", "")
    words = " or ".join(kind) if isinstance(kind, list) else str(kind)
    if words == "array":
        words = f"array of {element.get('type', 'anything')}"
    if form := schema.get("format"):
        words = f"{words} ({form})"
    if values := schema.get("enum"):
        words = f"{words}: {', '.join(str(value) for value in values if value is not None)}"
    return words or "anything"


def _resolved(told: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    for _ in range(8):  # references to references
        ref = schema.get("$ref") or next((one["$ref"] for one in schema.get("allOf", []) if "$ref" in one), None)
        if ref is None:
            break
        schema = told["components"]["schemas"].get(ref.rpartition("/")[2], {})
    return schema
