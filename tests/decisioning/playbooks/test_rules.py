"""Slots as people write them, and the digest."""

from typing import Any

import pytest

from apps.decisioning.playbooks.rules import leading_slot, slots_read, spec_digest

BLOCKS = {"Hero": 1, "Products": 2}
STATIC = {"tier": "static", "block": "Hero"}


def _problems(slots: object) -> list[str]:
    return [str(problem) for problem in slots_read(slots, template_slots=["hero"], blocks=BLOCKS)[1]]


def test_slots_come_into_one_spelling() -> None:
    read, problems = slots_read(
        {"hero": [{"tier": "category", "block": "Products", "source": "category"}, {"tier": "static", "block": 1}]},
        template_slots=["hero"],
        blocks=BLOCKS,
    )
    assert problems == []
    assert read == {
        "hero": [
            {"tier": "category", "name": "category", "block": 2, "when": None, "source": "category", "count": 3},
            {"tier": "static", "name": "static", "block": 1, "when": None, "source": None, "count": 0},
        ]
    }
    assert slots_read(read, template_slots=["hero"], blocks=BLOCKS) == (read, [])


@pytest.mark.parametrize(
    ("slots", "place", "word"),
    [
        ([], "slots", "object"),
        (None, "slots", "object"),
        ({}, "slots.hero", "static"),
        ({"hero": []}, "slots.hero", "static"),
        ({"hero": [STATIC], "footer": [STATIC]}, "slots.footer", "no such slot"),
        ({"hero": ["Hero"]}, "slots.hero[0]", "object"),
        ({"hero": [{**STATIC, "block": "Gone"}]}, "slots.hero[0].block", "no block 'Gone'"),
        ({"hero": [{**STATIC, "block": 99}]}, "slots.hero[0].block", "no block 99"),
        ({"hero": [{**STATIC, "block": True}]}, "slots.hero[0].block", "no block"),
        ({"hero": [{**STATIC, "blok": 1}]}, "slots.hero[0].blok", "Unknown"),
        ({"hero": [{**STATIC, "tier": "best"}]}, "slots.hero[0].tier", "one of"),
        ({"hero": [{**STATIC, "tier": ["x"]}]}, "slots.hero[0].tier", "one of"),
        ({"hero": [{**STATIC, "name": "x" * 81}]}, "slots.hero[0].name", "80"),
        ({"hero": [{**STATIC, "name": "a\0b"}]}, "slots.hero[0].name", "80"),
        ({"hero": [{**STATIC, "when": {"all": []}}]}, "slots.hero[0]", "no conditions"),
        ({"hero": [{**STATIC, "source": "shop"}]}, "slots.hero[0]", "no conditions"),
        ({"hero": [{**STATIC, "tier": "segment"}]}, "slots.hero[0]", "must be static"),
        ({"hero": [STATIC, STATIC]}, "slots.hero[0]", "put it last"),
        ({"hero": [{**STATIC, "tier": "segment"}, STATIC]}, "slots.hero[0]", "a rule (when) or a list"),
        ({"hero": [{**STATIC, "tier": "segment", "when": {"al": []}}, STATIC]}, "slots.hero[0].when", "all"),
        ({"hero": [{**STATIC, "tier": "site", "source": "web"}, STATIC]}, "slots.hero[0].source", "one of"),
        ({"hero": [{**STATIC, "tier": "site", "source": {}}, STATIC]}, "slots.hero[0].source", "one of"),
        ({"hero": [{**STATIC, "tier": "site", "source": "shop", "count": 99}, STATIC]}, "slots.hero[0].count", "12"),
        ({"hero": [{**STATIC, "tier": "site", "source": "shop", "count": "3"}, STATIC]}, "slots.hero[0].count", "12"),
    ],
)
def test_each_fault_is_told_with_its_place(slots: object, place: str, word: str) -> None:
    problems = _problems(slots)
    assert len(problems) == 1
    assert problems[0].startswith(f"{place}: ")
    assert word in problems[0]


def test_all_faults_are_told_at_once() -> None:
    assert len(_problems({"hero": [{"tier": "x", "block": "y"}], "z": 1})) == 3


def test_the_leading_slot_is_the_one_decided_by_person() -> None:
    tier: dict[str, Any] = {"source": None}
    spec: Any = {"slots": {"hero": [tier, tier, tier], "products": [{"source": "shop"}, tier], "subject": [tier]}}
    assert leading_slot(spec) == "products"
    spec["slots"] = {"hero": [tier, tier], "subject": [tier]}
    assert leading_slot(spec) == "hero"


def test_the_digest_holds_for_the_content_and_not_for_the_order() -> None:
    one = spec_digest({"a": 1, "b": {"c": [1, 2], "d": "ü"}}, {"en": "x", "de": "y"})
    assert one == spec_digest({"b": {"d": "ü", "c": [1, 2]}, "a": 1}, {"de": "y", "en": "x"})
    assert one != spec_digest({"a": 1, "b": {"c": [2, 1], "d": "ü"}}, {"en": "x", "de": "y"})
    assert one != spec_digest({"a": 1, "b": {"c": [1, 2], "d": "ü"}}, {"en": "x", "de": "z"})
