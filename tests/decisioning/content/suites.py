"""Makes suites of template tests."""

from functools import cache
from typing import Any

import yaml

from apps.decisioning.content.case_files import cases_read
from apps.decisioning.content.case_runs import Suite
from apps.decisioning.content.cases import Arrangement, Case, arrangement_read, case_read
from apps.decisioning.content.compiling import BlockSource, TemplateSource
from apps.decisioning.content.fields import fields_read
from apps.decisioning.content.notation import Reading, yaml_read
from apps.surfaces.console.sample_shop.campaigns import WEEKLY_SLOTS

from .making import SAMPLE, block, sources


def arrangement_of(slots: dict[str, Any], brand: str = "") -> Arrangement:
    """An arrangement that must be readable."""
    arrangement, problems = arrangement_read(Reading({"brand": brand, "slots": slots}, "template.yaml"))
    assert problems == []
    return arrangement


def case_of(text: str, name: str = "case", arrangement: Arrangement | None = None) -> Case:
    """A case that must be readable, from YAML."""
    case, problems = case_read(yaml_read(text, f"{name}.case.yaml"), name, arrangement)
    assert problems == []
    assert case is not None
    return case


def case_problems(text: str, arrangement: Arrangement | None = None) -> list[str]:
    """What is wrong with a case."""
    case, problems = case_read(yaml_read(text, "x.case.yaml"), "x", arrangement)
    assert (case is None) is bool(problems)
    return [str(problem) for problem in problems]


PLAIN_MJML = (
    '<mjml><mj-body>[[ slot:hero ]]<mj-section><mj-column><mj-text><a href="{{ links.unsubscribe }}">Unsubscribe</a> '
    "[[ brand.postal_address ]]</mj-text></mj-column></mj-section></mj-body></mjml>"
)
PLAIN_TEXT = "[[ slot:hero ]]\n{{ links.unsubscribe }} [[ brand.postal_address ]]\n"


def plain_suite(
    *tiers: dict[str, Any], cases: tuple[Case, ...] = (), subject: str = "Hello", text: str = PLAIN_TEXT
) -> Suite:
    """A template with one slot `hero`, and a block named after each tier's `block`."""
    arrangement = arrangement_of({"hero": list(tiers)})
    blocks = {
        tier["block"]: block(text=f"Words of {tier['block']}", number=str(number))
        for number, tier in enumerate(tiers, 1)
    }
    return Suite(TemplateSource("plain", subject, PLAIN_MJML, text), None, arrangement, blocks, list(cases))


@cache
def sample_suite() -> Suite:
    """The sample shop's template with its cases."""
    arrangement = arrangement_of(WEEKLY_SLOTS, "harbour-and-pine")
    types = yaml.safe_load((SAMPLE / "block_types.yaml").read_text())
    blocks = {
        name: BlockSource(
            "0",
            name,
            tuple(fields_read(types[entry["type"]]["fields"], [])),
            entry["content"],
            types[entry["type"]]["layout"],
            types[entry["type"]]["text_layout"],
        )
        for name, entry in yaml.safe_load((SAMPLE / "blocks.yaml").read_text()).items()
    }
    return Suite(
        template=TemplateSource("Weekly picks", **sources()),
        brand=yaml.safe_load((SAMPLE / "brand.yaml").read_text()),
        arrangement=arrangement,
        blocks=blocks,
        cases=cases_read(SAMPLE / "weekly_picks", arrangement),
    )
