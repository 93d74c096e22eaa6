"""What the document says of the addresses of events: the API's own, and Segment's."""

from typing import Any, Final

from apps.data.events.accepting import BATCH_MOST
from apps.data.events.sources import SCOPE
from apps.surfaces.api.schema import operation_declare

_TEXT: Final = {"type": "string", "minLength": 1, "maxLength": 120}
EVENT: Final[dict[str, Any]] = {
    "type": "object",
    "description": "Something that somebody did",
    "properties": {
        "name": {**_TEXT, "description": "what happened, such as Product Viewed"},
        "id": {**_TEXT, "description": "the same id within seven days is the same event: sent again, it counts once"},
        "occurred_at": {"type": "string", "format": "date-time", "description": "when; now where nothing is said"},
        "user_id": {**_TEXT, "description": "the customer number, as your system knows it"},
        "anonymous_id": {**_TEXT, "description": "of the device or cookie, for people who are not known (yet)"},
        "profile_id": {"type": "integer", "minimum": 1, "description": "id of the person, where you know it"},
        "properties": {"type": "object", "additionalProperties": True, "description": "what its schema says, and more"},
        "context": {"type": "object", "additionalProperties": True, "description": "page, campaign, app, locale …"},
    },
    "required": ["name"],
    "additionalProperties": False,
}
_EXAMPLE: Final = {
    "id": "order-4711",
    "name": "Order Completed",
    "occurred_at": "2026-11-28T20:15:00Z",
    "user_id": "17850",
    "properties": {"order_id": "4711", "revenue": 42.5, "currency": "EUR"},
}
_RESULTS: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "results": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "index": {"type": "integer", "description": "place in the request, from 0"},
                    "status": {"type": "integer", "description": "202 taken, 422 not"},
                    "problem": {"type": "object", "description": "RFC 9457, where it was not taken"},
                },
                "required": ["index", "status"],
            },
        },
        "done": {"type": "integer"},
        "failed": {"type": "integer"},
    },
    "required": ["results", "done", "failed"],
}


_FULL: Final[dict[str, Any]] = {
    "description": "too much waits to be written down: see Retry-After",
    "headers": {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}},
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}

# --- Segment's: segment.com/docs/connections/spec, and …/sources/catalog/libraries/server/http-api ---

_OBJECT: Final = {"type": "object", "additionalProperties": True}
_ID: Final = {"type": ["string", "integer"]}
_MOMENT: Final = {"type": "string", "format": "date-time"}
_COMMON: Final[dict[str, Any]] = {
    "userId": {**_ID, "description": "the customer number, as your system knows it"},
    "anonymousId": {**_ID, "description": "of the device or cookie, for people who are not known (yet)"},
    "messageId": {"type": "string", "description": "the same id within seven days is the same message"},
    "timestamp": {**_MOMENT, "description": "when it happened; its arrival where nothing is said"},
    "context": {**_OBJECT, "description": "of it campaign, page, locale and kind of device are kept"},
}
_SENT: Final[dict[str, Any]] = {
    "sentAt": {**_MOMENT, "description": "your clock when it was sent, by which `timestamp` is set right"},
    "writeKey": {"type": "string", "description": "the key, where `Authorization` can't have it"},
}
_SUCCESS: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"success": {"type": "boolean", "const": True}},
    "required": ["success"],
}
_WHO: Final = {"userId": "17850", "anonymousId": "d5c1c2f0-9a0b-4c0e-8a55-6f0a51b2a4de"}
_SEGMENT: Final[dict[str, tuple[str, str, dict[str, Any], list[str], dict[str, Any]]]] = {
    "track": (
        "Tell what somebody did",
        "The event is known by its own name. Orders by the names of Segment's specification become orders.",
        {
            "event": {**_TEXT, "description": "what happened, such as Product Viewed"},
            "properties": {**_OBJECT, "description": "what its schema says, and more"},
        },
        ["event"],
        {**_WHO, "event": "Product Viewed", "properties": {"sku": "TEA-1", "price": 4.5}},
    ),
    "identify": (
        "Tell who somebody is",
        "Traits go into the profile; the event *User Identified* keeps their names alone.",
        {"traits": {**_OBJECT, "description": "email, phone, firstName, lastName, country … and attributes"}},
        [],
        {**_WHO, "traits": {"email": "anna@example.com", "firstName": "Anna", "plan": "pro"}},
    ),
    "page": (
        "Tell what page somebody saw",
        "The event is *Page Viewed*; addresses are kept without their query.",
        {"name": {"type": "string"}, "category": {"type": "string"}, "properties": _OBJECT},
        [],
        {**_WHO, "name": "Tea", "properties": {"path": "/tea", "url": "https://shop.example/tea"}},
    ),
    "screen": (
        "Tell what screen of an app somebody saw",
        "The event is *Screen Viewed*.",
        {"name": {"type": "string"}, "category": {"type": "string"}, "properties": _OBJECT},
        [],
        {**_WHO, "name": "Basket"},
    ),
    "group": (
        "Tell what group somebody belongs to",
        "The event is *Group Joined*.",
        {"groupId": _ID, "traits": {**_OBJECT, "description": "of the group"}},
        [],
        {**_WHO, "groupId": "tea-club", "traits": {"name": "Tea Club"}},
    ),
    "alias": (
        "Tell that two ids are one person's",
        "A known customer number gets a second one, or a device its person. Two people who are known both are never "
        "put together by it: somebody looks.",
        {"previousId": {**_ID, "description": "the number or device that they had before"}},
        [],
        {"userId": "17850", "previousId": "guest-9931"},
    ),
}


def _segment_declare(call: str, title: str, more: str, body: dict[str, Any], example: dict[str, Any]) -> None:
    operation_declare(
        f"/v1/{call}",
        "post",
        scope=SCOPE,
        unlike=("422",),
        operation={
            "operationId": f"segment_{call}",
            "tags": ["segment"],
            "summary": title,
            "description": (
                f"As Segment's libraries send it: in them only the host is changed. {more} Plain or packed with gzip. "
                "What is answered with 200 is not lost any more; what of it can't be read is set aside for people to "
                "see. Nothing of it can be taken: 400, which the libraries don't send again."
            ),
            "security": [{"key": []}, {"write_key": []}, {}],
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": body,
                        "examples": {call: {"summary": title, "value": example}},
                    }
                },
            },
            "responses": {
                "200": {"description": "taken", "content": {"application/json": {"schema": _SUCCESS}}},
                "503": _FULL,
            },
        },
    )


def _segment_all() -> None:
    calls: dict[str, Any] = {}
    for call, (title, more, fields, required, example) in _SEGMENT.items():
        calls |= fields
        body = {"type": "object", "properties": {**_COMMON, **fields, **_SENT}, "additionalProperties": True}
        _segment_declare(call, title, more, {**body, "required": required} if required else body, example)
    one = {
        "type": "object",
        "description": "A call, by its `type`; without one it is a track where it has an `event`",
        "properties": {"type": {"type": "string", "enum": list(_SEGMENT)}, **_COMMON, **calls},
        "additionalProperties": True,
    }
    batch = {
        "type": "object",
        "properties": {
            "batch": {"type": "array", "items": one, "minItems": 1, "maxItems": BATCH_MOST},
            "context": {**_OBJECT, "description": "of the library"},
            **_SENT,
        },
        "required": ["batch"],
        "additionalProperties": True,
    }
    told = [{"type": call, "messageId": f"m-{call}", **_SEGMENT[call][4]} for call in ("identify", "track")]
    example = {"batch": told, "sentAt": "2026-11-28T20:15:00Z"}
    more = f"Up to {BATCH_MOST:,} calls, each of which counts against the limit."
    _segment_declare("batch", "Send many calls at once", more, batch, example)
    _segment_declare("import", "Send many calls of the past", f"The same as `batch`. {more}", batch, example)


def operations_declare() -> None:
    """Describe what has no DRF to describe it."""
    _segment_all()
    several = {"type": "object", "properties": {"events": {"type": "array", "items": EVENT, "maxItems": BATCH_MOST}}}
    operation_declare(
        "/api/v1/events",
        "post",
        scope=SCOPE,
        operation={
            "operationId": "events_send",
            "tags": ["events"],
            "summary": "Send events",
            "description": (
                'One event, or up to 1,000 as `{"events": […]}`, plain or packed with gzip. What is answered with 202 '
                "is not lost any more, and is written down within a second. Events that are wrong are told by their "
                "place, and the others taken. Give each an `id`, and sending again is safe."
            ),
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": {"oneOf": [EVENT, {**several, "required": ["events"]}]},
                        "examples": {"order": {"summary": "An order", "value": _EXAMPLE}},
                    }
                },
            },
            "responses": {
                "202": {"description": "taken", "content": {"application/json": {"schema": _RESULTS}}},
                "503": _FULL,
            },
        },
    )
