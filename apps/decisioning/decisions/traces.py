"""The trace of an answer: what its links begin with where their person agreed to be followed, and where each leads.

It names the answer and its compiled template, signed, and nothing of the person. Items have the numbers that they have
in a message (`content.traces`), and the links of a block's own fields those from FIELDS on in their slot. Where each
leads is kept with the answer (its items, and the versions of its blocks), never in the link.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape, unescape
from typing import Any, Final
from uuid import UUID

from django.conf import settings

from apps.decisioning.content.contracts import CompiledSources
from apps.decisioning.content.rendering import destination_of, link_allowed
from apps.decisioning.content.traces import ITEMS, slot_numbers
from apps.foundation.core.signing import BadToken, token_read, token_sign

from .generic import block_values, pinned

SCOPE: Final = "d"
"""What the token is good for; also its path."""
FIELDS: Final = 500
"""Of the thousand numbers of a slot, those of its block's own links begin here; below are its items."""

_ANCHOR: Final = re.compile(r"""(<a\b[^<>]*?\shref=")([^"<>]*)(?=")""", re.IGNORECASE)
_FIXED: Final = re.compile(r"https?://[^{}]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Shown:
    """What an answer showed: its slots as decided, and of each slot the links of its block's own fields, as pairs of
    field and address."""

    slots: Mapping[str, Any]
    links: Mapping[str, Sequence[tuple[str, str]]]


@dataclass(frozen=True, slots=True)
class Led:
    """Where a link leads. field: of the block, "" for an item, whose number `sku` is."""

    url: str
    slot: str
    field: str = ""
    sku: str = ""


def answer_trace_read(token: str) -> tuple[UUID, int]:
    """The answer's id and the compiled template's id. Raises BadToken."""
    payload = token_read(SCOPE, token)
    if len(payload) != 24:
        raise BadToken("not a trace")
    return UUID(bytes=payload[8:]), int.from_bytes(payload[:8], "big")


def answer_shown(version_id: int, inputs: Mapping[str, Any]) -> Shown:
    """What an answer by a version of a playbook showed, by the inputs that were kept of it."""
    slots: Mapping[str, Any] = inputs.get("slots") or {}
    default = pinned(version_id).spec["brand"]["default_language"]
    return Shown(
        slots,
        {name: _links(str(slot["block"]), str(inputs.get("language") or ""), default) for name, slot in slots.items()},
    )


def answer_leads(shown: Shown, compiled: CompiledSources, number: int) -> Led:
    """Where the link of this number leads; one that the brand does not allow leads to its shop.

    Raises LookupError for a number that the answer has not.
    """
    if number < ITEMS:
        raise LookupError(number)
    slot, place = sorted(shown.slots)[number // ITEMS - 1], number % ITEMS
    if place < FIELDS:
        url = destination_of(compiled, shown.slots, number)
        return Led(url, slot, sku=str(shown.slots[slot]["items"][place].get("sku") or ""))
    field, url = shown.links[slot][place - FIELDS]
    return Led(link_allowed(url, compiled), slot, field=field)


def slots_traced(said: Sequence[dict[str, Any]], shown: Shown, *, answer_id: UUID, compiled_id: int) -> None:
    """Give what is said links that tell that they were followed: each item with an address a `link`, each slot `links`
    for its fields of that kind; those within rich text lead by them."""
    trace = f"{settings.BASE_URL}/{SCOPE}/{token_sign(SCOPE, compiled_id.to_bytes(8, 'big') + answer_id.bytes)}"
    numbers = slot_numbers(shown.slots)
    for slot in said:
        first = numbers[slot["slot"]]
        if "items" in slot:
            slot["items"] = [
                {**item, "link": f"{trace}/{first + place}"} if item.get("url") else item
                for place, item in enumerate(slot["items"])
            ]
        traced = {link: f"{trace}/{first + FIELDS + place}" for place, link in enumerate(shown.links[slot["slot"]])}
        if traced:
            slot["fields"] = {
                name: _anchors_traced(name, value, traced) if isinstance(value, str) else value
                for name, value in slot["fields"].items()
            }
            if links := {name: there for (name, url), there in traced.items() if slot["fields"].get(name) == url}:
                slot["links"] = links


def _anchors_traced(field: str, value: str, traced: Mapping[tuple[str, str], str]) -> str:
    def there(found: "re.Match[str]") -> str:
        link = traced.get((field, unescape(found[2])))
        return found[0] if link is None else f"{found[1]}{escape(link)}"

    return _ANCHOR.sub(there, value) if "<" in value else value


@lru_cache(maxsize=4096)
def _links(mark: str, language: str, default: str) -> tuple[tuple[str, str], ...]:
    """The links of a block's own fields in a language, each once of a field, in their order. One whose address is put
    together for each person is none."""
    found: dict[tuple[str, str], None] = {}
    for name, kind, value in block_values(mark, language, default):
        urls = [str(value)] if kind == "link" else []
        if kind == "rich_text":
            urls = [unescape(anchor[2]) for anchor in _ANCHOR.finditer(str(value))]
        found.update(dict.fromkeys((name, url) for url in urls if _FIXED.fullmatch(url)))
    return tuple(found)[: ITEMS - FIELDS]
