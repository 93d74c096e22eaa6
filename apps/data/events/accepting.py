"""Taking in what senders bring, over HTTP or from a broker: looked at as little as must be, and into the stream.

Here only what can't be taken at all is refused: no JSON, too much, too large. Whatever else is wrong with an event is
found when it is written down, and kept. The API's own form is ours to be strict about: there each fault is told, and
the other events of its batch are taken.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import orjson
from django.conf import settings

from apps.foundation.core.clock import now
from apps.foundation.core.errors import Invalid

from .contracts import EventSource, Shape
from .errors import TooLarge
from .reading import EVENT_BYTES, ID_LIMIT, NAME_LIMIT, is_too_large, items_of, moment_read
from .stream import NewEntry, entry_add

BATCH_MOST: Final = 1_000
"""Events that may come at once."""
_TOLD_MOST: Final = 20
Problem = dict[str, str]
_OWN: Final = frozenset(("name", "id", "occurred_at", "user_id", "anonymous_id", "profile_id", "properties", "context"))


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a body. events: how many are in the stream; refused: by their place in it, those that are not,
    each with what is wrong: `pointer`, `code`, `detail`."""

    events: int
    refused: Mapping[int, Sequence[Problem]] = field(default_factory=dict)


def body_accept(
    *,
    source: EventSource,
    shape: Shape,
    body: bytes,
    kind: str = "",
    received_at: datetime | None = None,
    holds: Callable[[int], None] = lambda count: None,
) -> Accepted:
    """Take a body of JSON in: what of it is good is in the stream for good once this returns.

    kind: the call, where the address says it; holds: told how many events there are before any is looked at, and may
    refuse them all by raising. Of Segment's calls, which can't be told of single events, those that are
    no good become dead letters instead. Raises Invalid where none is good (`extra["problems"]` names each), TooLarge,
    StreamFull, StreamDown.
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
    holds(len(items))
    refused = _problems(items, shape, large=len(body) > EVENT_BYTES)
    if len(refused) == len(items):
        told_of = [one for _, problems in zip(range(_TOLD_MOST), refused.values(), strict=False) for one in problems]
        raise Invalid("events_invalid", "Nothing was taken: mend what is named", {"problems": told_of})
    if shape == "segment":
        refused = {}
    elif refused:
        items = [one for number, one in enumerate(items) if number not in refused]
        body = orjson.dumps(items)
    at = received_at or now()
    entry_add(NewEntry(source=source, shape=shape, kind=kind, received_at=at, body=body, count=len(items)))
    return Accepted(len(items), refused)


def _problems(items: list[Any], shape: Shape, *, large: bool) -> dict[int, list[Problem]]:
    """What is wrong with events, by their places in the body."""
    found: dict[int, list[Problem]] = {}
    for number, item in enumerate(items):
        if not isinstance(item, dict):
            found[number] = [_problem("", "no_object", "An event is an object")]
        elif large and is_too_large(item):
            found[number] = [_problem("", "event_too_large", f"An event has at most {EVENT_BYTES:,} bytes")]
        elif shape == "own" and (problems := own_problems(item)):
            found[number] = [_problem(f"/{name}", f"{name}_invalid", detail) for name, detail in problems]
    return found


def _problem(place: str, code: str, detail: str) -> Problem:
    return {"pointer": f"#{place}", "code": code, "detail": detail}


def own_problems(item: dict[str, Any]) -> list[tuple[str, str]]:
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
