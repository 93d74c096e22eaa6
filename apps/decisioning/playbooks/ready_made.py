"""Ready-made playbooks: what there is to begin from, whether the data has what it needs, and copying one.

A copy is a draft like any other: blocks, audience and playbook of its own, owned by whoever copied it, made by the
services, so that rights, checks and the audit log hold. Ready-made playbooks come in two groups, those for a
customer's life and system mail. What a group shares (template, block types, legal foot, …) is made once, by somebody
who may; from then on it is edited and approved like all else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from django.db import transaction

from apps.data.events.models import Event, Order
from apps.data.profiles.models import Profile
from apps.decisioning.audiences.services import audience_create
from apps.decisioning.content.choosing import COLLECTED
from apps.decisioning.content.models import Block, BlockType, Brand, Market, Template
from apps.decisioning.content.selectors import markets_of
from apps.decisioning.content.services import block_create, block_type_create, template_create
from apps.foundation.accounts.models import User
from apps.foundation.core.errors import Conflict, NotAllowed, NotFound

from .models import Playbook
from .pictures import Picture, start_words, steps_shown
from .selectors import rule_words
from .services import PlaybookFields, playbook_create

_SHELF = Path(__file__).parent / "shelf"
LIFE, SYSTEM = "life", "system"
_ORDER = {
    LIFE: (
        "welcome",
        "onboarding",
        "first_time_buyer",
        "cart_abandonment",
        "loyalty_milestone",
        "high_value_at_risk",
        "win_back",
    ),
    SYSTEM: (
        "system_confirm",
        "system_link",
        "system_welcome",
        "system_export",
        "system_address",
        "system_moved",
        "system_digest",
    ),
}
_TEMPLATES = {LIFE: "ready_made", SYSTEM: "system_mail"}
"""Codes of the templates that the playbooks of a group use."""
_LAYOUTS = {LIFE: "layout", SYSTEM: "system_layout"}
_SHARED = {LIFE: "Ready-made", SYSTEM: "System mail:"}
"""How the names of blocks begin that a group shares."""
_LINES = ("subject", "preview")
_LISTS = (("personal", "neighbours"), ("category", "category"), ("site", "shop"))


@dataclass(frozen=True, slots=True)
class Need:
    """Something that a playbook needs to know of people. there: whether any of it is in the data."""

    words: str
    there: bool


@dataclass(frozen=True, slots=True)
class ReadyMade:
    """A ready-made playbook as the gallery shows it."""

    code: str
    name: str
    about: str
    picture: Picture
    needs: tuple[Need, ...]
    group: str
    languages: tuple[str, ...]
    mail_kind: str


@lru_cache(maxsize=16)
def _read(code: str) -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load((_SHELF / f"{code}.yaml").read_text("utf-8"))
    return data


def _found(code: str) -> dict[str, Any]:
    if not any(code in codes for codes in _ORDER.values()):
        raise NotFound("ready_made_unknown", "There is no such ready-made playbook")
    return _read(code)


def ready_made_all(group: str = LIFE) -> list[ReadyMade]:
    """What there is to begin from in a group, in the order of a customer's life."""
    return [ready_made_get(code) for code in _ORDER[group]]


def ready_made_get(code: str) -> ReadyMade:
    """One of them. Raises NotFound."""
    data = _found(code)
    trigger = data["trigger"]
    picture = Picture(
        start=start_words(
            trigger=trigger["trigger"],
            schedule="",
            zone="",
            event=trigger.get("event_name", ""),
            where=None,
            again=trigger.get("again_after_days"),
            mail=trigger.get("mail_kind", ""),
        ),
        audience=rule_words(data["audience"]["rule"]),
        steps=steps_shown(data["steps"]),
        notes=[],
    )
    return ReadyMade(
        code=code,
        name=data["name"],
        about=data["about"],
        picture=picture,
        needs=tuple(map(_need, data["needs"])),
        group=_group(data),
        languages=_languages(data),
        mail_kind=trigger.get("mail_kind", ""),
    )


def _group(data: Mapping[str, Any]) -> str:
    return str(data.get("group", LIFE))


def _languages(data: Mapping[str, Any]) -> tuple[str, ...]:
    """The languages that all its messages are there in."""
    return tuple(key for key in next(iter(data["messages"].values())) if key != "products")


def _need(need: Mapping[str, Any]) -> Need:
    if "event" in need:
        return Need(f"events “{need['event']}”", Event.objects.filter(name=need["event"]).exists())
    if "attribute" in need:
        known = Profile.objects.filter(attributes__has_key=need["attribute"]).exists()
        return Need(f"the attribute “{need['attribute']}” of people", known)
    return Need("orders", Order.objects.filter(status=Order.Status.PURCHASE).exists())


def copy_lacks(by: User) -> str:
    """Why somebody can't copy, "" if they can: a copy is a playbook, an audience, and blocks of a market of theirs."""
    if not by.has_perm("playbooks.add_playbook") or not by.has_perm("audiences.add_audience"):
        return "Setting up playbooks is for publishers."
    if not by.has_perm("content.add_block") and not markets_of(by).exists():
        return "A copy brings blocks of its own, in a market of yours. Ask an administrator for a market to work in."
    return ""


def _shared_name(group: str, what: str) -> str:
    return f"{_SHARED[group]} {what}"


def layout_missing(group: str = LIFE) -> bool:
    """Whether the template and blocks that the playbooks of a group share are not there yet."""
    names = {_shared_name(group, what) for what in _read(_LAYOUTS[group])["blocks"]}
    template = Template.objects.filter(code=_TEMPLATES[group], versions__isnull=False)
    return not template.exists() or Block.objects.filter(name__in=names).count() < len(names)


def layout_add(*, by: User, group: str = LIFE) -> Template:
    """Add the template, block types and shared blocks that the playbooks of a group use, once.

    Raises NotAllowed, NotFound.
    """
    if group not in _ORDER:
        raise NotFound("group_unknown", "There is no such group of ready-made playbooks")
    layout = _read(_LAYOUTS[group])
    with transaction.atomic():
        for code, entry in layout["block_types"].items():
            if not BlockType.objects.filter(code=code).exists():
                block_type_create(by=by, code=code, **entry)
        types = dict(BlockType.objects.values_list("code", "pk"))
        for what, entry in layout["blocks"].items():
            name = _shared_name(group, what)
            if not Block.objects.filter(name=name).exists():
                block_create(
                    by=by,
                    name=name,
                    type_id=types[entry["type"]],
                    tier=entry["tier"],
                    tags=["ready-made"],
                    content=entry["content"],
                )
        found = Template.objects.filter(code=_TEMPLATES[group]).first()
        return found or template_create(by=by, code=_TEMPLATES[group], **layout["template"])


def ready_made_copy(*, code: str, brand: Brand, name: str, by: User, market: Market | None = None) -> Playbook:
    """A draft of one's own of a ready-made playbook: its blocks in all its languages, its audience, its steps.

    name: of the playbook; blocks and audience are called after it; market: of its blocks, None for all markets.
    A shop without the template gets it too, if `by` may make templates.
    Raises NotFound, NotAllowed, Invalid, Conflict for a name in use or without the template.
    """
    data = _found(code)
    if lacking := copy_lacks(by):
        raise NotAllowed("not_allowed", lacking)
    title = " ".join(name.split()) or data["name"]
    group = _group(data)
    asked_for = data.get("purpose") == "transactional"  # who asked for it waits for it: no cap
    with transaction.atomic():
        if layout_missing(group):
            if not by.has_perm("content.add_template"):
                raise Conflict("layout_missing", "The template is not there yet: ask an engineer to add it here first")
            layout_add(by=by, group=group)
        template = Template.objects.get(code=_TEMPLATES[group])
        blocks = _blocks_make(data, title, brand, market, by)
        audience = audience_create(
            name=f"{title}: {data['audience']['name']}"[:120], rule=data["audience"]["rule"], owner=by
        )
        quiet = [time.fromisoformat(text) for text in data.get("quiet", [])]
        trigger = data["trigger"]
        fields: PlaybookFields = {
            "code": _code(title),
            "name": title,
            "description": data["about"],
            "audience": audience,
            "brand": brand,
            "steps": [_step(step, data, template, blocks) for step in data["steps"]],
            "purpose": data.get("purpose", "marketing"),
            "budget": Playbook.Budget.TRANSACTIONAL if asked_for else Playbook.Budget.TRIGGERED,
            "kpi": data["kpi"],
            "guardrails": [{"kpi": kpi, "limit": limit} for kpi, limit in data["guardrails"].items()],
            "approval_path": ["brand_approver"],
            "cap_count": None if asked_for else 4,
            "cap_days": None if asked_for else 7,
            "quiet_start": quiet[0] if quiet else None,
            "quiet_end": quiet[1] if quiet else None,
            "trigger": trigger["trigger"],
            "mail_kind": trigger.get("mail_kind", ""),
            "event_name": trigger.get("event_name", ""),
            "again_after_days": trigger.get("again_after_days"),
        }
        return playbook_create(by=by, **fields)


def _code(title: str) -> str:
    """A code that nobody has yet."""
    plain = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in title.lower())
    short = "-".join(filter(None, plain.split("-")))[:50] or "playbook"
    taken = set(Playbook.objects.filter(code__startswith=short).values_list("code", flat=True))
    return next(
        code
        for number in range(1, len(taken) + 2)
        if (code := short if number == 1 else f"{short}-{number}") not in taken
    )


def _blocks_make(data: dict[str, Any], title: str, brand: Brand, market: Market | None, by: User) -> dict[str, str]:
    """The copy's own blocks. Returns names by what they are for, such as `hello subject`, with the shared ones."""
    group = _group(data)
    layout = _read(_LAYOUTS[group])
    types: dict[str, int] = dict(BlockType.objects.filter(code__in=layout["block_types"]).values_list("code", "pk"))
    made: dict[str, str] = {what: _shared_name(group, what) for what in layout["blocks"]}
    main = data.get("main", "ready_hero")
    links = {"link": brand.shop_url} if main == "ready_hero" else {}
    line_type = next(code for code in layout["block_types"] if code.endswith("_line"))

    def make(what: str, kind: str, content: dict[str, Any]) -> None:
        made[what] = f"{title}: {what}"[:120]
        block_create(by=by, name=made[what], type_id=types[kind], tags=["ready-made"], content=content, market=market)

    for step, words in data["messages"].items():
        spoken = {language: words[language] for language in _languages(data)}
        for line in _LINES:
            content = {language: {"line": said[line]} for language, said in spoken.items()}
            make(f"{step} {line}", line_type, content)
        content = {
            language: {**{key: text for key, text in said.items() if key not in _LINES}, **links}
            for language, said in spoken.items()
        }
        make(f"{step} hero", main, content)
    return made


def _step(step: dict[str, Any], data: dict[str, Any], template: Template, blocks: dict[str, str]) -> dict[str, Any]:
    copied = dict(step)
    for way in ("then", "else"):
        if way in step:
            copied[way] = [_step(one, data, template, blocks) for one in step[way]]
    if step["kind"] != "message":
        return copied
    slots = {line: [{"tier": "static", "block": blocks[f"{step['id']} {line}"]}] for line in (*_LINES, "hero")}
    slots["legal"] = [{"tier": "static", "block": blocks[data.get("legal", "legal")]}]
    if (collected := data.get("collected")) is not None:
        shown = {"tier": "site", "name": "what was collected", "source": COLLECTED, "count": collected["count"]}
        slots["hero"] = [{**shown, "block": blocks[collected["block"]]}, *slots["hero"]]
    if "note" not in blocks:
        return {**copied, "template": template.pk, "slots": slots}
    products: list[dict[str, Any]] = [{"tier": "static", "block": blocks["note"]}]
    if data["messages"][step["id"]].get("products"):
        lists = [{"tier": tier, "block": blocks["products"], "source": source, "count": 3} for tier, source in _LISTS]
        products = [*lists, *products]
    return {**copied, "template": template.pk, "slots": {**slots, "products": products}}
