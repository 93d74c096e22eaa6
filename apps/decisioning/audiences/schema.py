"""The form of a rule as JSON Schema (draft 2020-12), for editors and for those who write rules by machine.

What the parser takes fits it. It can't say all that the parser asks: that `since` is before `before`, how deep rules
may be nested, what exists. So the parser decides, and tells a fault with its place.
"""

from typing import Any

from apps.data.features.definitions import FEATURES

from .contracts import FEATURE_OPS, Op
from .parsing import CHANNELS, MAX_COUNT, MAX_DAYS, MAX_NUMBER, MAX_RULES, MAX_TEXT, MAX_VALUES

_MOMENT = {"type": "string", "description": "a date (the start of that day in UTC), or a time with its zone"}
_NUMBER = {"type": "number", "minimum": -int(MAX_NUMBER), "maximum": int(MAX_NUMBER)}
_TEXT = {"type": "string", "minLength": 1, "maxLength": MAX_TEXT}
_FLAG = {"type": "boolean"}
_COUNT = {"type": "integer", "minimum": 0, "maximum": MAX_COUNT}
_VALUE_OF_KIND: dict[str, dict[str, Any]] = {
    "number": _NUMBER,
    "amount": _NUMBER,
    "moment": _MOMENT,
    "text": _TEXT,
    "flag": _FLAG,
    "items": {"type": "integer", "minimum": 1},
}


def rule_schema() -> dict[str, Any]:
    """The schema, with the features that there are."""
    counted = {
        "at_least": _COUNT,
        "at_most": _COUNT,
        "exactly": _COUNT,
        "since": _MOMENT,
        "before": _MOMENT,
        "within_days": {"type": "integer", "minimum": 1, "maximum": MAX_DAYS},
    }
    rules = {"type": "array", "items": {"$ref": "#/$defs/rule"}, "maxItems": MAX_RULES}
    scalar = {"anyOf": [_TEXT, _NUMBER, _FLAG]}
    kinds = {
        "all": _object({"all": rules}),
        "any": _object({"any": {**rules, "minItems": 1}}),
        "not": _object({"not": {"$ref": "#/$defs/rule"}}),
        "attribute": _compared(
            {"attribute": _TEXT},
            {
                "is": scalar,
                "is_not": scalar,
                "in": _listed(scalar),
                "contains": _TEXT,
                **{op: {"anyOf": [_TEXT, _NUMBER]} for op in ("gte", "lte")},
                "known": _FLAG,
            },
        ),
        **{f"feature_{kind}": _of_features(kind, ops) for kind, ops in FEATURE_OPS.items()},
        "orders": _object({"orders": _object({**counted, "category": _TEXT}, needed=())}),
        "event": _object({"event": _TEXT, **counted}, needed=("event",)),
        "audience": _chosen("audience", {"type": "string", "pattern": "^[-a-z0-9_]{1,60}$"}),
        "interest": _chosen("interest", {"type": "string", "pattern": "^[-a-zA-Z0-9_]{1,32}$"}),
        **{
            name: _object({name: _TEXT, "channel": {"enum": list(CHANNELS)}, "is": _FLAG}, needed=(name, "channel"))
            for name in ("consent", "asked_again")
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A rule over what is known about people",
        "$ref": "#/$defs/rule",
        "$defs": {"rule": {"oneOf": [{"$ref": f"#/$defs/{name}"} for name in kinds]}, **kinds},
    }


def _object(properties: dict[str, Any], needed: tuple[str, ...] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties if needed is None else needed),
        "additionalProperties": False,
    }


def _chosen(name: str, code: dict[str, Any]) -> dict[str, Any]:
    return _object({name: code, "is": _FLAG}, needed=(name,))


def _compared(of: dict[str, Any], ops: dict[str, Any]) -> dict[str, Any]:
    """One comparison, and what is compared."""
    return {**_object({**of, **ops}, needed=tuple(of)), "minProperties": 2, "maxProperties": 2}


def _of_features(kind: str, ops: tuple[Op, ...]) -> dict[str, Any]:
    names = [name for name, feature in FEATURES.items() if feature.kind == kind]
    value = _VALUE_OF_KIND[kind]
    asked: dict[str, Any] = {op: _FLAG if op == "known" else _listed(value) if op == "in" else value for op in ops}
    return _compared({"feature": {"enum": names}}, asked)


def _listed(value: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": value, "minItems": 1, "maxItems": MAX_VALUES}
