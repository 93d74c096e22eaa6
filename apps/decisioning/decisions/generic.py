"""What everybody may be shown, from the process's own memory: for a page that must not wait.

Which versions are published and can be asked for is kept by its stamp, so what is published holds at once; what a
version says never changes, so it is kept. When the database can't be asked, the memory still knows the static tier of
each place: nothing personal, decided by nobody.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from django.db import connection

from apps.decisioning.content.choosing import Validity, language_choose
from apps.decisioning.content.contracts import CHOSEN_MARK, BrandSpec, tier_block
from apps.decisioning.content.fields import language_chain
from apps.decisioning.content.labels import CHOSEN, WRITTEN, label_text
from apps.decisioning.content.models import BlockVersion
from apps.decisioning.content.rendering import words_render
from apps.decisioning.content.values import image_value
from apps.decisioning.playbooks.contracts import PlaybookSpec
from apps.decisioning.playbooks.models import PlaybookVersion
from apps.decisioning.playbooks.rules import PRIORITY
from apps.foundation.core.caches import Cache

_PUBLISHED: Final = """
SELECT version.id, version.digest, version.spec->>'playbook', COALESCE(version.spec->>'placement', '')
FROM playbooks_playbookversion AS version
WHERE version.state = 'published' AND version.spec->>'trigger' = 'api'
"""
PULLED: Final = frozenset({"web"})
"""Channels that fetch what they show: they get something for everybody where nothing may be said to the person."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A published version that can be asked for."""

    version_id: int
    digest: str
    playbook: str
    placement: str


@dataclass(frozen=True, slots=True)
class Pinned:
    """What a version says, read once."""

    spec: PlaybookSpec
    compiled: Mapping[str, int]
    ends: Mapping[tuple[str, str], datetime]
    """When the first validity of a block in a slot is over, by slot and block; those that never end are missing."""

    @property
    def priority(self) -> int:
        """1 to 9."""
        return self.spec.get("priority", PRIORITY)


_offers: Final = Cache[str, list[Offer]]("published", "published", "CACHE_SITE_SECONDS")


def offers_known(stamps: Mapping[str, str]) -> list[Offer]:
    """What is published and can be asked for, the most important first; kept in this process, and for when nothing can
    be read. stamps: as they were read before."""
    return _offers.get("", stamps, _offers_read)


def _offers_read() -> list[Offer]:
    with connection.cursor() as cursor:
        cursor.execute(_PUBLISHED)
        found = [Offer(*row) for row in cursor.fetchall()]
    found.sort(key=lambda one: (-pinned(one.version_id).priority, one.version_id))
    for one in found:
        generic_slots(one, language="")  # into the memory, for when the database is away
    return found


def offers_remembered() -> list[Offer]:
    """What was published when it was last read; nothing before the first time."""
    return _offers.last("") or []


def offers_for(offers: Iterable[Offer], *, placement: str = "", playbook: str = "") -> list[Offer]:
    """Those of a place, or of a playbook by its code."""
    return [
        one for one in offers if (placement and one.placement == placement) or (playbook and one.playbook == playbook)
    ]


@lru_cache(maxsize=512)
def pinned(version_id: int) -> Pinned:
    """What a version says: it never changes."""
    version = PlaybookVersion.objects.only("spec", "compiled").get(pk=version_id)
    ends: dict[tuple[str, str], datetime] = {}
    for slot, tiers in version.spec["slots"].items():
        for tier in tiers:
            if (validity := Validity.of(tier)) and validity.ends:
                at = slot, tier_block(tier)
                ends[at] = min(ends.get(at, validity.ends), validity.ends)
    return Pinned(version.spec, version.compiled, ends)


@dataclass(frozen=True, slots=True)
class _Block:
    content: Mapping[str, Mapping[str, Any]]
    fields: Sequence[Mapping[str, Any]]
    written: bool


@lru_cache(maxsize=4096)
def _block(version_id: int) -> _Block:
    version = BlockVersion.objects.only("content", "fields", "written_by_model").get(pk=version_id)
    return _Block(version.content, version.fields, version.written_by_model)


def slot_said(name: str, chosen: Mapping[str, Any], spec: PlaybookSpec, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What a slot says, for channels that lay it out themselves: fields of its block, items, tier and labels.

    chosen: the slot as a decision has it; inputs: its language and profile values. Raises RenderError.
    """
    mark = str(chosen["block"])
    version_id = int(mark.removesuffix(CHOSEN_MARK))
    brand, language = spec["brand"], inputs["language"]
    said: dict[str, Any] = {"slot": name, "tier": chosen["tier"], "fields": _fields(mark, brand, inputs)}
    if "items" in chosen:
        said["items"] = list(chosen["items"])
    made = ((CHOSEN, mark.endswith(CHOSEN_MARK)), (WRITTEN, _block(version_id).written))
    labels = [label for label, holds in made if holds]
    if labels:
        said["made_by_model"] = {one: label_text(one, brand=brand, language=language) for one in labels}
    return said


@lru_cache(maxsize=4096)
def block_values(mark: str, language: str, default: str) -> Sequence[tuple[str, str, Any]]:
    """What a block says in a language, as it is written: name, kind and value of each field that says something.

    mark: the block as a slot has it; default: the brand's language. Kept, as a version never changes.
    """
    block = _block(int(mark.removesuffix(CHOSEN_MARK)))
    own = next((block.content[one] for one in language_chain(language, default) if one in block.content), {})
    found = []
    for field in block.fields:
        name, kind = field["name"], field["kind"]
        value = field.get("value") if field.get("fixed") else own.get(name)
        if kind != "products" and value not in (None, ""):
            found.append((name, kind, value))
    return found


def _fields(mark: str, brand: BrandSpec, inputs: Mapping[str, Any]) -> dict[str, Any]:
    profile: Mapping[str, Any] = inputs.get("profile", {})
    found: dict[str, Any] = {}
    for name, kind, value in block_values(mark, inputs["language"], brand["default_language"]):
        if kind in ("text", "rich_text"):
            found[name] = words_render(str(value), profile, markup=kind == "rich_text")
        else:
            found[name] = image_value(value) if kind == "image" else value
    return found


@lru_cache(maxsize=2048)
def generic_slots(offer: Offer, *, language: str) -> tuple[dict[str, Any], ...]:
    """What a version shows to somebody of whom nothing is known: the static tiers, in a language that it has."""
    version = pinned(offer.version_id)
    spec = version.spec
    inputs = {"language": language_choose(language, version.compiled, spec["brand"]["default_language"])}
    return tuple(
        slot_said(name, {"block": tier_block(tiers[-1]), "tier": tiers[-1]["tier"]}, spec, inputs)
        for name, tiers in sorted(spec["slots"].items())
        if tiers
    )


def valid_until(version: Pinned, slots: Mapping[str, Mapping[str, Any]]) -> datetime | None:
    """When the first of the blocks that are shown is over, None where none ends."""
    if not version.ends:
        return None
    shown = ((slot, one["block"]) for slot, one in slots.items())
    return min((version.ends[at] for at in shown if at in version.ends), default=None)
