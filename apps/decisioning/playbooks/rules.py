"""What a playbook's slots must be, and the digest that binds a version. Pure."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from apps.decisioning.audiences.rules import rule_parse
from apps.decisioning.content.choosing import COLLECTED
from apps.decisioning.recommendations.rankers import RANKERS
from apps.foundation.core.errors import Invalid

from .contracts import GuardrailSpec, PlaybookSpec
from .errors import Problem

TIERS: dict[str, str] = {
    "personal": "personal",
    "category": "category",
    "country": "country",
    "segment": "segment",
    "site": "site-wide",
    "static": "static",
}
"""Tiers of a slot and their words for people."""

SOURCES: dict[str, str] = {
    **{ranker.name: ranker.words for ranker in RANKERS.values()},
    COLLECTED: "collected for their digest",
}
"""Lists of recommendations and their words for people."""

GUARDRAILS: dict[str, tuple[str, str]] = {
    "unsubscribe_rate": ("unsubscribed, of those who got a message", "%"),
    "complaint_rate": ("complained, of those who got a message", "%"),
    "bounce_rate": ("bounced, of those who were sent a message", "%"),
    "messages_per_person": ("messages of all playbooks to one person in a week", ""),
}
"""Guardrail KPIs: words for people, and the unit of their limit. The figure must stay at or below the limit."""

PRIORITY = 5
"""Of a playbook that says nothing, from 1 to 9."""
MAX_COUNT = 12
_KEYS = frozenset({"tier", "name", "block", "when", "source", "count"})


def slots_read(
    slots: object, *, template_slots: Sequence[str], blocks: Mapping[str, int]
) -> tuple[dict[str, list[dict[str, Any]]], list[Problem]]:
    """Slots as a person or a program wrote them, in their one spelling, and what is wrong with them.

    For each slot a list of tiers `{"tier", "name", "block", "when", "source", "count"}`, the first that holds is
    shown. block: its name or its id, kept as id; when: an audience rule; source: a list of recommendations that must
    give `count` items (3 unless told). The last tier is static, without conditions, and only the last.
    blocks: ids by name.
    """
    if not isinstance(slots, dict):
        return {}, [Problem("slots", "Write an object: for each slot of the template a list of tiers")]
    problems = [
        Problem(f"slots.{name}", f"The template has no such slot: it has {', '.join(template_slots) or 'none'}")
        for name in slots
        if name not in template_slots
    ]
    read: dict[str, list[dict[str, Any]]] = {}
    for name in template_slots:
        tiers = slots.get(name)
        if not isinstance(tiers, list) or not tiers:
            problems.append(Problem(f"slots.{name}", "Give this slot a list of tiers that ends in a static one"))
            continue
        read[name] = []
        for index, tier in enumerate(tiers):
            place = f"slots.{name}[{index}]"
            clean, found = _tier_read(tier, place, last=index == len(tiers) - 1, blocks=blocks)
            read[name].append(clean)
            problems.extend(found)
    return read, problems


def _tier_read(
    tier: object, place: str, *, last: bool, blocks: Mapping[str, int]
) -> tuple[dict[str, Any], list[Problem]]:
    if not isinstance(tier, dict):
        return {}, [Problem(place, 'Write an object, such as {"tier": "static", "block": "…"}')]
    problems = [
        Problem(f"{place}.{key}", f"Unknown: a tier has {', '.join(sorted(_KEYS))}") for key in tier if key not in _KEYS
    ]
    kind, when, source = tier.get("tier"), tier.get("when"), tier.get("source")
    if not isinstance(kind, str) or kind not in TIERS:
        problems.append(Problem(f"{place}.tier", f"Choose one of {', '.join(TIERS)}"))
        kind = ""
    name = tier.get("name") or TIERS.get(kind, "")
    if not isinstance(name, str) or len(name) > 80 or "\0" in name:
        problems.append(Problem(f"{place}.name", "Write a name of at most 80 characters"))
        name = ""
    block = tier.get("block")
    block_id = blocks.get(block, 0) if isinstance(block, str) else block
    if isinstance(block_id, bool) or not isinstance(block_id, int) or block_id not in blocks.values():
        problems.append(Problem(f"{place}.block", f"There is no block {block!r}" if block else "Name a block"))
        block_id = 0
    if when is not None:
        try:
            rule_parse(when)
        except Invalid as error:
            problems.append(Problem(f"{place}.when", error.message))
    if source is not None and (not isinstance(source, str) or source not in SOURCES):
        problems.append(Problem(f"{place}.source", f"Choose one of {', '.join(SOURCES)}"))
    count = tier.get("count") or (3 if source is not None else 0)
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MAX_COUNT:
        problems.append(Problem(f"{place}.count", f"Write a number from 1 to {MAX_COUNT}"))
        count = 0
    bare = when is None and source is None
    if kind == "static" and not bare:
        problems.append(Problem(place, "A static tier has no conditions: it can always be shown"))
    if last and kind and kind != "static":
        problems.append(Problem(place, "The last tier must be static, so that the slot is never empty"))
    if not last and kind == "static":
        problems.append(Problem(place, "A static tier hides those below it: put it last"))
    elif not last and bare:
        problems.append(Problem(place, "Give this tier a rule (when) or a list (source), or those below never show"))
    return (
        {
            "tier": kind,
            "name": name,
            "block": block_id,
            "when": when,
            "source": source,
            "count": count if source else 0,
        },
        problems,
    )


def guardrails_read(data: object) -> tuple[list[GuardrailSpec], list[Problem]]:
    """Guardrails in their one spelling, and what is wrong with them."""
    if not isinstance(data, list):
        return [], [Problem("guardrails", 'Write a list, such as [{"kpi": "unsubscribe_rate", "limit": 0.5}]')]
    read: list[GuardrailSpec] = []
    problems = []
    for index, one in enumerate(data):
        kpi, limit = (one.get("kpi"), one.get("limit")) if isinstance(one, dict) else (None, None)
        if not isinstance(kpi, str) or kpi not in GUARDRAILS:
            problems.append(Problem(f"guardrails[{index}].kpi", f"Choose one of {', '.join(GUARDRAILS)}"))
        elif isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 < limit <= 100:
            problems.append(Problem(f"guardrails[{index}].limit", "Write a number above 0, and at most 100"))
        elif any(kpi == other["kpi"] for other in read):
            problems.append(Problem(f"guardrails[{index}].kpi", f"{kpi} has a limit already"))
        else:
            read.append({"kpi": kpi, "limit": float(limit)})
    return read, problems


def leading_slot(spec: PlaybookSpec) -> str:
    """The slot whose tier stands for the whole message in counts: the one with the most lists, then the most tiers."""
    slots = spec["slots"]
    return max(
        sorted(slots), key=lambda name: (sum(tier["source"] is not None for tier in slots[name]), len(slots[name]))
    )


def spec_digest(spec: Mapping[str, Any], compiled: Mapping[str, str]) -> str:
    """SHA-256 in hex over canonical JSON (sorted keys, no spaces, UTF-8) of a spec and the compiled digests."""
    text = json.dumps(
        {"compiled": dict(compiled), "spec": spec}, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    return hashlib.sha256(text.encode()).hexdigest()
