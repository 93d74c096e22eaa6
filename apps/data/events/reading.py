"""From what clients send to events: one form for all, whoever sent it and however they spell it. Pure.

Of Segment's calls, `track` is an event by its own name; the others are events too, under the names of `CALLS`. The
spelling of the specification counts (`userId`), and that of its servers' languages (`user_id`); `action` is an older
word for `type`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import orjson

from .contracts import Entry, EventSource
from .errors import Unreadable

CALLS: Final = {
    "identify": "User Identified",
    "alias": "User Aliased",
    "group": "Group Joined",
    "page": "Page Viewed",
    "screen": "Screen Viewed",
}
NAME_LIMIT: Final = 120
ID_LIMIT: Final = 120
EVENT_BYTES: Final = 32_768
"""Of one event, as Segment has it."""
AHEAD: Final = timedelta(minutes=5)
"""How far a moment may lie in the future: clocks differ."""
_SKEW_LEAST, _SKEW_MOST = timedelta(seconds=30), timedelta(hours=24)
_OLDEST: Final = datetime(1990, 1, 1, tzinfo=UTC)
_MILLISECONDS: Final = 100_000_000_000  # as seconds, this is the year 5138
_DEPTH: Final = 32

PERSONAL_TRAITS: Final = frozenset(
    {
        "email", "phone", "name", "firstName", "first_name", "lastName", "last_name", "username", "userName",
        "address", "street", "avatar", "photo", "birthday", "age", "gender", "title", "ip",
    }
)  # fmt: skip
"""Traits that tell who somebody is: they go into the profile or nowhere, never into an event."""

_CONTEXT: Final = frozenset(
    ("campaign", "library", "locale", "timezone", "groupId", "app", "os", "screen", "page", "device")
)
_OF_DEVICE: Final = ("type", "manufacturer", "model")
_OF_PAGE: Final = ("path", "title", "url", "referrer")


@dataclass(slots=True)
class Arrival:
    """Something sent, read. entry: with which it came; kind: the call; user, device, previous: ids as the sender knows
    them, "" where not given; profile_id: of ours, where the sender knows it; faults: what was found wrong; raw: as it
    was sent, in a batch that was sent at `sent_at`; tries: how often it was set aside before."""

    entry: Entry
    kind: str
    name: str
    message_id: str
    occurred_at: datetime
    raw: Mapping[str, Any]
    sent_at: datetime | None = None
    user: str = ""
    device: str = ""
    previous: str = ""
    profile_id: int | None = None
    properties: dict[str, Any] = field(default_factory=dict)
    traits: Mapping[str, Any] = field(default_factory=dict)
    context: dict[str, Any] | None = None
    faults: list[str] | None = None
    tries: int = 0

    @property
    def source(self) -> EventSource:
        """Who sent it."""
        return self.entry.source

    def fault(self, says: str) -> None:
        """Note something wrong, without values."""
        self.faults = [*(self.faults or []), says]


def items_of(body: Any) -> list[Any]:
    """What one body tells of, one after the other: a list, an object with a `batch` or `events`, or one thing."""
    if isinstance(body, list):
        return body
    if isinstance(body, dict):
        for name in ("batch", "events"):
            if isinstance(body.get(name), list):
                return list(body[name])
    return [body]


def is_too_large(item: Any) -> bool:
    """Whether one thing of a body has more bytes than an event may have."""
    return len(orjson.dumps(item)) > EVENT_BYTES


def sent_at_of(body: Any) -> datetime | None:
    """When the sender's clock says that it sent a batch."""
    return moment_read(body.get("sentAt")) if isinstance(body, dict) else None


def arrival_read(raw: Any, *, entry: Entry, made_id: str, sent_at: datetime | None) -> Arrival:
    """One thing of an entry. made_id: stands for its id where the sender gave it none; the same at every reading.

    Raises Unreadable.
    """
    if not isinstance(raw, dict):
        raise Unreadable("no_object", "It is no object")
    return (_own_read if entry.shape == "own" else _segment_read)(raw, entry, made_id, sent_at)


def _own_read(raw: dict[str, Any], entry: Entry, made_id: str, sent_at: datetime | None) -> Arrival:
    arrival = _begin(raw, entry, "track", raw.get("name"), raw.get("id"), made_id)
    arrival.user, arrival.device = _id(raw.get("user_id"), arrival), _id(raw.get("anonymous_id"), arrival)
    known = raw.get("profile_id")
    arrival.profile_id = known if isinstance(known, int) and not isinstance(known, bool) else None
    arrival.properties = _object(raw.get("properties"), "properties", arrival)
    arrival.context = context_keep(raw.get("context"))
    _place(arrival, raw.get("occurred_at"), None)
    return arrival


def _segment_read(raw: dict[str, Any], entry: Entry, made_id: str, sent_at: datetime | None) -> Arrival:
    kind = entry.kind or raw.get("type") or raw.get("action") or ("track" if "event" in raw else "")
    if kind != "track" and kind not in CALLS:
        raise Unreadable("no_call", "It is no track, identify, page, screen, group or alias")
    name = _either(raw, "event", "name") if kind == "track" else CALLS[kind]
    arrival = _begin(raw, entry, kind, name, _either(raw, "messageId", "message_id"), made_id)
    arrival.user = _id(_either(raw, "userId", "user_id"), arrival)
    arrival.device = _id(_either(raw, "anonymousId", "anonymous_id"), arrival)
    arrival.context = context_keep(raw.get("context"))
    properties = _object(raw.get("properties"), "properties", arrival)
    if kind == "alias":
        arrival.previous = _id(_either(raw, "previousId", "previous_id"), arrival)
    elif kind in ("page", "screen"):
        named = {word: raw[word] for word in ("name", "category") if isinstance(raw.get(word), str)}
        properties = _page_keep({**named, **properties})
    elif kind == "identify":
        arrival.traits = _object(raw.get("traits"), "traits", arrival)
        properties = {"traits": sorted(str(trait)[:60] for trait in arrival.traits)[:100]}
    elif kind == "group":
        group = _id(_either(raw, "groupId", "group_id"), arrival)
        traits = _object(raw.get("traits"), "traits", arrival)
        properties = {**{k: v for k, v in traits.items() if k not in ("email", "phone", "avatar")}, "group_id": group}
    arrival.properties, arrival.sent_at = properties, sent_at
    given = _either(raw, "timestamp", "originalTimestamp")
    _place(arrival, given, moment_read(_either(raw, "sentAt", "sent_at")) or sent_at)
    return arrival


def _begin(raw: dict[str, Any], entry: Entry, kind: str, name: Any, message_id: Any, made_id: str) -> Arrival:
    if not isinstance(name, str) or not (name := _clean(name)) or len(name) > NAME_LIMIT:
        raise Unreadable("no_name", f"It has no name of 1 to {NAME_LIMIT} characters")
    if _depth_over(raw, _DEPTH):
        raise Unreadable("too_deep", f"It is nested more than {_DEPTH} deep")
    given = _clean(message_id) if isinstance(message_id, str) else ""
    if len(given) > ID_LIMIT:
        raise Unreadable("id_too_long", f"Its id has more than {ID_LIMIT} characters")
    return Arrival(
        entry=entry,
        kind=kind,
        name=name,
        message_id=given or made_id,
        occurred_at=entry.received_at,
        raw=raw,
    )


def _place(arrival: Arrival, given: Any, sent_at: datetime | None) -> None:
    """When it happened. A clock that is wrong is set right by when it says that it sent, as Segment does; one that is
    more than a day off is not believed to be a clock: what is sent may be old, and kept its mark."""
    if given is None:
        return
    moment = moment_read(given)
    if moment is None:
        arrival.fault("the moment is none: that of its arrival stands for it")
        return
    if sent_at is not None and _SKEW_LEAST < abs(skew := arrival.entry.received_at - sent_at) < _SKEW_MOST:
        moment += skew
    if moment > arrival.entry.received_at + AHEAD:
        arrival.fault("the moment lies in the future: that of its arrival stands for it")
        return
    arrival.occurred_at = moment


def moment_read(given: Any) -> datetime | None:
    """A moment as ISO 8601, or seconds or milliseconds since 1970; without a zone it is UTC. None for anything else."""
    try:
        if isinstance(given, str):
            moment = datetime.fromisoformat(given.strip())
        elif isinstance(given, int | float) and not isinstance(given, bool):
            moment = datetime.fromtimestamp(given / 1000 if abs(given) >= _MILLISECONDS else given, UTC)
        else:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC) if moment >= _OLDEST else None
    except (ValueError, OverflowError, OSError):
        return None


def _either(raw: Mapping[str, Any], name: str, other: str) -> Any:
    found = raw.get(name)
    return raw.get(other) if found is None else found


def _clean(text: str) -> str:
    return text.replace("\0", "").strip()


def id_text(given: Any) -> str:
    """An id as text, as the sender means it; "" for none, and for what is neither text nor a whole number."""
    return _clean(str(given)) if isinstance(given, str | int) and not isinstance(given, bool) else ""


def _id(given: Any, arrival: Arrival) -> str:
    """An id as text; "" for none, and for what can't be one."""
    if given is None:
        return ""
    if isinstance(given, bool) or not isinstance(given, str | int):
        arrival.fault("an id is neither text nor a number")
        return ""
    text = id_text(given)
    if len(text) > ID_LIMIT or not text.isprintable():
        arrival.fault(f"an id is longer than {ID_LIMIT} characters, or not printable")
        return ""
    return text


def _object(given: Any, what: str, arrival: Arrival) -> dict[str, Any]:
    if isinstance(given, dict):
        return given
    if given is not None:
        arrival.fault(f"its {what} are no object")
    return {}


def _depth_over(value: Any, limit: int) -> bool:
    """Whether an object is nested deeper than the limit. Level by level: most have three."""
    level = [value]
    for _ in range(limit):
        level = [
            one
            for outer in level
            for one in (outer.values() if type(outer) is dict else outer)
            if type(one) is dict or type(one) is list
        ]
        if not level:
            return False
    return True


@lru_cache(maxsize=1_000)  # a site has few, and each is read anew with every call
def url_keep(url: str) -> str:
    """An address without its query and fragment, which may name people; of its query, what campaigns are told by."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return ""
    query = "&".join(one for one in parts.query.split("&") if one.startswith("utm_"))
    return urlunsplit((parts.scheme, host, parts.path, query, ""))[:500]


def _page_keep(properties: dict[str, Any]) -> dict[str, Any]:
    kept = dict(properties)
    kept.pop("search", None)
    for name in ("url", "referrer"):
        if isinstance(kept.get(name), str):
            kept[name] = url_keep(kept[name])
    return kept


def context_keep(context: Any) -> dict[str, Any] | None:
    """What is kept of the circumstances: nothing that tells one device or person from another."""
    if not isinstance(context, dict):
        return None
    kept = {name: value for name, value in context.items() if name in _CONTEXT}
    if "device" in kept:
        kept["device"] = _some(kept["device"], _OF_DEVICE)
    if "page" in kept:
        page = _some(kept["page"], _OF_PAGE)
        kept["page"] = _page_keep(page) if isinstance(page, dict) else page
    return kept or None


def _some(value: Any, names: tuple[str, ...]) -> Any:
    return {name: value[name] for name in names if name in value} if isinstance(value, dict) else None
