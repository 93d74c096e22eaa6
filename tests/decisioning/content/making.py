"""Makes content for tests."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from apps.decisioning.content import services
from apps.decisioning.content.checking import STAND_IN
from apps.decisioning.content.compiling import BlockSource, Compilation, TemplateSource, message_compiled, slots_named
from apps.decisioning.content.contracts import BrandSpec, CompiledSources, TierSpec
from apps.decisioning.content.fields import fields_read
from apps.decisioning.content.models import Block, BlockVersion, Brand, TemplateVersion
from apps.foundation.accounts.models import User
from apps.surfaces.console.sample_shop.campaigns import WEEKLY_SLOTS
from tests.factories import make_user

SAMPLE = Path(__file__).resolve().parents[3] / "apps/surfaces/console/sample_shop/content"
PLAIN = "<mj-section><mj-column><mj-text>{}</mj-text></mj-column></mj-section>"


def block(
    layout: str = PLAIN.format("Block"),
    text: str = "Block",
    *,
    number: str = "1",
    fields: tuple[dict[str, Any], ...] = (),
    **values: Any,
) -> BlockSource:
    """A block in English with these values."""
    return BlockSource(number, f"block {number}", tuple(fields_read(list(fields), [])), {"en": values}, layout, text)


def compilation(
    template: TemplateSource, *, hosts: tuple[str, ...] = ("shop.example",), **slots: list[BlockSource]
) -> Compilation:
    """A compilation in English for a brand of shop.example; slots that are not given hold a plain block."""
    standing = {name: slots.get(name, [block()]) for name in slots_named(template)}
    return Compilation(template, brand=STAND_IN, slots=standing, language="en", hosts=hosts)


@cache
def compiled_of(template: TemplateSource) -> CompiledSources:
    """A template that must compile, compiled."""
    work = compilation(template)
    sources = work.compile()
    assert sources is not None, work.problems
    return sources


def brand_spec(brand: Brand) -> BrandSpec:
    """A brand as a playbook version pins it."""
    return {name: getattr(brand, name) for name in BrandSpec.__annotations__}  # type: ignore[return-value]


def tier(kind: str, version: BlockVersion, *, when: bool = False, source: str | None = None) -> TierSpec:
    """A tier of a slot."""
    return {
        "tier": kind,
        "name": kind,
        "block_version": version.pk,
        "when": {"all": []} if when else None,
        "source": source,
        "count": 3 if source else 0,
    }


@cache
def _sample_slots() -> dict[str, list[BlockSource]]:
    """The blocks that stand in each slot of the sample shop's weekly mail, numbered by their order."""
    types, blocks = _yaml("block_types"), _yaml("blocks")
    numbers = {name: str(number) for number, name in enumerate(blocks, 1)}

    def source(name: str) -> BlockSource:
        kind = types[blocks[name]["type"]]
        fields = tuple(fields_read(kind.get("fields", []), []))
        return BlockSource(numbers[name], name, fields, blocks[name]["content"], kind["layout"], kind["text_layout"])

    return {
        slot: [source(name) for name in dict.fromkeys(tier["block"] for tier in tiers)]
        for slot, tiers in WEEKLY_SLOTS.items()
    }


def sample_blocks(slot: str) -> list[str]:
    """What decisions call the blocks of a slot in `sample_compiled`."""
    return [block.id for block in _sample_slots()[slot]]


def sample_compiled(language: str) -> CompiledSources:
    """The sample shop's weekly mail, compiled without a database."""
    given = sources()
    compiled, problems = message_compiled(
        TemplateSource("weekly_picks", given["subject"], given["mjml"], given["text"]),
        brand=_yaml("brand"), slots=_sample_slots(), language=language, hosts=_yaml("brand")["link_hosts"],
    )  # fmt: skip
    assert compiled is not None, problems
    return compiled


class Sample:
    """The sample shop's content, loaded by people with the roles that may."""

    def __init__(self) -> None:
        self.administrator = make_user("administrator")
        self.engineer = make_user("engineer")
        self.market = services.market_create(by=self.administrator, code="here", name="Here", languages=["en", "de"])
        self.editor = make_user("local_editor", markets=[self.market])
        self.brand = services.brand_create(by=self.administrator, **_yaml("brand"))
        types = {
            code: services.block_type_create(by=self.engineer, code=code, **entry)
            for code, entry in _yaml("block_types").items()
        }
        self.blocks: dict[str, Block] = {
            name: services.block_create(
                by=self.engineer if entry["tier"] == "foundation" else self.editor,
                market=None if entry["tier"] == "foundation" else self.market,
                name=name,
                type_id=types[entry["type"]].pk,
                tier=entry["tier"],
                tags=entry["tags"],
                content=entry["content"],
            )
            for name, entry in _yaml("blocks").items()
        }
        mjml, text, subject = (sources()[name] for name in ("mjml", "text", "subject"))
        self.template = services.template_create(
            by=self.engineer, code="weekly_picks", name="Picks", subject=subject, mjml=mjml, text=text
        )

    def version(self, name: str) -> BlockVersion:
        """The newest version of a block."""
        return self.blocks[name].versions.all()[0]

    @property
    def template_version(self) -> TemplateVersion:
        """The newest version of the template."""
        return self.template.versions.all()[0]

    def slots(self) -> dict[str, list[TierSpec]]:
        """Tiers for all slots of the template."""
        static = {
            "subject": "Subject: for your home",
            "preview": "Preview: this week",
            "promise": "Our promise, in short",
            "legal": "Legal footer",
        }
        return {
            **{slot: [tier("static", self.version(name))] for slot, name in static.items()},
            "hero": [
                tier("segment", self.version("Hero: best customers"), when=True),
                tier("country", self.version("Hero: German-speaking"), when=True),
                tier("static", self.version("Hero: everybody")),
            ],
            "products": [
                tier("personal", self.version("Picks: for you"), source="neighbours"),
                tier("category", self.version("Picks: for you"), source="category"),
                tier("site", self.version("Picks: best sellers"), source="shop"),
                tier("static", self.version("Our promise")),
            ],
        }


def sources() -> dict[str, str]:
    """The sources of the sample shop's template."""
    return {
        "subject": (SAMPLE / "weekly_picks.subject").read_text(),
        "mjml": (SAMPLE / "weekly_picks.mjml").read_text(),
        "text": (SAMPLE / "weekly_picks.txt").read_text(),
    }


def superuser() -> User:
    """Somebody who may do everything."""
    return User.objects.create_superuser("root@staff.example", "a long enough password")


def _yaml(name: str) -> Any:
    return yaml.safe_load((SAMPLE / f"{name}.yaml").read_text())
