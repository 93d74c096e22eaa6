"""What each kind of news carries, as JSON Schema: for the API's document, and held against all that is told in tests.

Ids, and what changed about them; no personal data.
"""

from collections.abc import Mapping
from typing import Any, Final

from .rules import KINDS

_ID: Final = {"type": "integer"}
_MOMENT: Final = {"type": "string", "format": "date-time"}
_TEXT: Final = {"type": "string"}
_PERSON: Final = {"type": "integer", "description": "the profile"}
_VERSION: Final = {"type": "integer", "description": "a newer one is higher; that of the feed of changes"}
_PLACE: Final = {"type": "integer", "description": "place in the feed of changes"}
_TEXTS: Final = {"type": "array", "items": _TEXT}
_HOUR: Final = {"type": "string", "examples": ["22:00"]}


def _object(**properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(properties),
        "additionalProperties": False,
    }


_PREFERENCES: Final = _object(
    topics_off=_TEXTS,
    channels_off=_TEXTS,
    interests=_TEXTS,
    frequency={"type": "string", "enum": ["each", "daily", "weekly"]},
    quiet_hours={"oneOf": [{"type": "null"}, _object(start=_HOUR, end=_HOUR)]},
    time_zone=_TEXT,
    language=_TEXT,
    paused_until={"type": ["string", "null"], "format": "date-time"},
)
_MERGE: Final = _object(merge=_ID, kept=_PERSON, absorbed=_PERSON, at=_MOMENT)
_QUALITY: Final = _object(
    alert=_ID,
    attribute=_TEXT,
    source=_TEXT,
    measure=_TEXT,
    value={"type": "number", "minimum": 0, "maximum": 1},
    least={"type": "number", "minimum": 0, "maximum": 1},
)
DATA: Final[Mapping[str, dict[str, Any]]] = {
    "consent.changed": _object(
        record={"type": "integer", "description": "line of the person's ledger"},
        version=_VERSION,
        profile=_PERSON,
        purpose=_TEXT,
        channel=_TEXT,
        granted={"type": "boolean"},
        occurred_at=_MOMENT,
    ),
    "preference.changed": _object(profile=_PERSON, version=_VERSION, position=_PLACE, preferences=_PREFERENCES),
    "suppression.added": _object(
        kind=_TEXT, reason=_TEXT, profiles={"type": "array", "items": _PERSON, "description": "who holds the address"}
    ),
    "profile.changed": _object(profile=_PERSON, version=_VERSION, position=_PLACE),
    "profile.corrected": _object(profile=_PERSON, fields=_TEXTS),
    "profile.restricted": _object(profile=_PERSON, restricted={"type": "boolean"}, at=_MOMENT),
    "profile.merged": _MERGE,
    "profile.unmerged": _MERGE,
    "profile.erased": _object(profile=_PERSON, at=_MOMENT),
    "quality.fell": _QUALITY,
    "quality.recovered": _QUALITY,
    "webhook.test": _object(),
}


def news_schema(kind: str) -> dict[str, Any]:
    """The body of a piece of news."""
    return _object(type={"const": kind}, timestamp=_MOMENT, data=DATA[kind])


def news_described() -> dict[str, Any]:
    """All kinds as the `webhooks` of an OpenAPI 3.1 document."""
    headers = [
        {"name": name, "in": "header", "required": True, "schema": _TEXT, "description": words}
        for name, words in (
            ("webhook-id", "the same at each try: take a piece of news once"),
            ("webhook-timestamp", "of this try, in seconds; refuse old ones"),
            ("webhook-signature", "Standard Webhooks 1.0.0; while a secret changes there are two"),
        )
    ]
    answers = {
        "2XX": {"description": "taken"},
        "410": {"description": "nobody is here any more: the endpoint is switched off"},
        "default": {"description": "not taken: it is tried again, for about three days"},
    }
    return {
        kind: {
            "post": {
                "operationId": kind.replace(".", "_"),
                "summary": words,
                "tags": ["webhooks"],
                "parameters": headers,
                "requestBody": {"required": True, "content": {"application/json": {"schema": news_schema(kind)}}},
                "responses": answers,
            }
        }
        for kind, words in KINDS.items()
    }
