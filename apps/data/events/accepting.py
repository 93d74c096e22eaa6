"""Taking in what senders bring, over HTTP or from a broker: looked at as little as must be, and into the stream.

Here only what can't be taken at all is refused: no JSON, too much, too large. Whatever else is wrong with an event is
found when it is written down, and kept. The API's own form is ours to be strict about: there each fault is told.
"""

from datetime import datetime
from typing import Any, Final

import orjson
from django.conf import settings

from apps.foundation.core.clock import now
from apps.foundation.core.errors import Invalid

from .contracts import EventSource, Shape
from .reading import ID_LIMIT, NAME_LIMIT, items_of, moment_read
from .stream import entry_add

BATCH_MOST: Final = 1_000
"""Events that may come at once."""
EVENT_BYTES: Final = 32_768
"""Of one event, as Segment has it."""
_PROBLEMS_MOST: Final = 20
_OWN: Final = frozenset(("name", "id", "occurred_at", "user_id", "anonymous_id", "profile_id", "properties", "context"))


class TooLarge(Invalid):
    """More bytes than are taken at once."""


def body_accept(
    *, source: EventSource, shape: Shape, body: bytes, kind: str = "", received_at: datetime | None = None
) -> int:
    """Take a body of JSON in. Returns how many events it holds, once they are in the stream for good.

    kind: the call, where the address says it. Raises Invalid (`extra["problems"]` names each), TooLarge, StreamFull,
    StreamDown.
    """
    if len(body) > settings.EVENT_BODY_LIMIT:
        raise TooLarge("body_too_large", f"Send at most {settings.EVENT_BODY_LIMIT:,} bytes at once, unpacked")
    try:
        told = orjson.loads(body)
    except ValueError:
        raise Invalid("json_invalid", "The body is no JSON") from None
    items = items_of(told)
    if not items:
        raise Invalid("batch_empty", "There is no event in it")
    if len(items) > BATCH_MOST:
        raise TooLarge("batch_too_large", f"Send at most {BATCH_MOST:,} events at once")
    problems = _problems(items, shape, large=len(body) > EVENT_BYTES)
    if problems:
        raise Invalid("events_invalid", "Nothing was taken: mend what is named", {"problems": problems})
    entry_add(source=source, shape=shape, kind=kind, received_at=received_at or now(), body=body, count=len(items))
    return len(items)


def _problems(items: list[Any], shape: Shape, *, large: bool) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    for number, item in enumerate(items):
        place = f"#/events/{number}" if shape == "own" else f"#/batch/{number}"
        if not isinstance(item, dict):
            found.append({"pointer": place, "code": "no_object", "detail": "An event is an object"})
        elif large and len(orjson.dumps(item)) > EVENT_BYTES:
            detail = f"An event has at most {EVENT_BYTES:,} bytes"
            found.append({"pointer": place, "code": "event_too_large", "detail": detail})
        elif shape == "own":
            found += [
                {"pointer": f"{place}/{name}", "code": f"{name}_invalid", "detail": detail}
                for name, detail in _own_problems(item)
            ]
        if len(found) >= _PROBLEMS_MOST:
            break
    return found[:_PROBLEMS_MOST]


def _own_problems(item: dict[str, Any]) -> list[tuple[str, str]]:
    """What is wrong with an event in the API's own form: field and words."""
    found = [(str(name)[:40], "There is no such field") for name in item.keys() - _OWN]
    if not _is_text(item.get("name"), NAME_LIMIT):
        found.append(("name", f"Name what happened in 1 to {NAME_LIMIT} characters"))
    for name in ("id", "user_id", "anonymous_id"):
        if item.get(name) is not None and not _is_text(item[name], ID_LIMIT):
            found.append((name, f"An id is a text of 1 to {ID_LIMIT} printable characters"))
    if item.get("occurred_at") is not None and moment_read(item["occurred_at"]) is None:
        found.append(("occurred_at", "Write the moment in ISO 8601, such as 2026-11-28T20:15:00Z"))
    known = item.get("profile_id")
    if known is not None and (not isinstance(known, int) or isinstance(known, bool) or not 0 < known < 2**63):
        found.append(("profile_id", "The number of a profile is a whole number"))
    for name in ("properties", "context"):
        if item.get(name) is not None and not isinstance(item[name], dict):
            found.append((name, "It must be an object"))
    return found


def _is_text(value: Any, most: int) -> bool:
    return isinstance(value, str) and 0 < len(value.strip()) <= most and value.isprintable()
