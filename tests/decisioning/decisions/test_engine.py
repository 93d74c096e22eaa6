"""The engine as tables: who gets which tier, and what the reasons say."""

import copy
from typing import Any

import pytest

from apps.decisioning.audiences.contracts import Counted, PersonFacts, Window
from apps.decisioning.audiences.rules import rule_parse
from apps.decisioning.content.choosing import language_choose
from apps.decisioning.decisions.engine import Person, Plan, decide, held_out, item_fault, plan_make
from apps.decisioning.decisions.keeping import own_pack, propensity
from apps.decisioning.recommendations.contracts import Candidate, ItemCard

GERMAN = {"attribute": "country", "in": ["DE", "AT", "CH"]}
OFTEN = {"orders": {"at_least": 2}}


def _tier(tier: str, block: int, **fields: Any) -> dict[str, Any]:
    return {"tier": tier, "name": tier, "block_version": block, "when": None, "source": None, "count": 0, **fields}


SPEC: Any = {
    "brand": {"default_language": "en"},
    "cap": {"count": 2, "days": 7},
    "slots": {
        "hero": [_tier("segment", 1, name="German", when=GERMAN), _tier("static", 2)],
        "products": [
            _tier("category", 3, source="category", count=3),
            _tier("country", 3, source="country", count=2, when=OFTEN),
            _tier("site", 3, source="shop", count=3),
            _tier("static", 4),
        ],
        "subject": [_tier("static", 5)],
    },
}


def _spec(**changes: Any) -> Any:
    return {**SPEC, **changes}


TOKENS = {"en": ["first_name", "points"], "de": ["first_name"], "pt": []}
PLAN: Plan = plan_make(SPEC, {"en": 11, "de": 12, "pt": 13}, TOKENS)
ORDERS = Counted("orders", "", Window())


def _cards(count: int, word: str = "item") -> list[Candidate]:
    return [
        Candidate(ItemCard(sku=f"{word}{number}", title=f"{word} {number}", price="£1.00", url="", image_url=""))
        for number in range(count)
    ]


def _person(**fields: Any) -> Person:
    country, orders = fields.pop("country", "FR"), fields.pop("orders", 0)
    facts = PersonFacts(attributes={"country": country}, counts={ORDERS: orders}, consents={})
    return Person(**{"gate": "", "facts": facts, **fields})


@pytest.mark.parametrize("reason", ["no_consent", "withdrawn", "suppressed", "invalid_address"])
def test_the_gate_comes_first(reason: str) -> None:
    verdict = decide(PLAN, _person(gate=reason, messages=9, cards={"shop": _cards(3)}))
    assert (verdict.outcome, verdict.compiled, verdict.tier, verdict.inputs) == (reason, None, "", {})
    assert verdict.reasons == {"gate": reason}


def test_a_gate_without_an_answer_is_no_consent() -> None:
    verdict = decide(PLAN, _person(gate=None))
    assert (verdict.outcome, verdict.reasons) == ("no_consent", {"gate": "no answer"})


@pytest.mark.parametrize(
    ("messages", "outcome"), [(0, "send"), (1, "send"), (2, "frequency_cap"), (3, "frequency_cap")]
)
def test_the_cap_counts_what_they_got(messages: int, outcome: str) -> None:
    verdict = decide(PLAN, _person(messages=messages))
    assert verdict.outcome == outcome
    if outcome == "frequency_cap":
        assert verdict.reasons == {"cap": {"got": messages, "count": 2, "days": 7}}


def test_without_a_cap_nobody_counts() -> None:
    plan = plan_make(_spec(cap=None), {"en": 11}, {"en": []})
    assert decide(plan, _person(messages=1000)).outcome == "send"


@pytest.mark.parametrize(
    ("cards", "orders", "tier", "passed"),
    [
        ({"category": 3, "shop": 3}, 0, "category", []),
        ({"category": 5}, 0, "category", []),
        ({"category": 1, "country": 2, "shop": 3}, 2, "country", [{"items": 1, "of": 3}]),
        (
            {"category": 1, "country": 2, "shop": 3},
            1,
            "site",
            [{"items": 1, "of": 3}, [{"field": "orders", "is": 1, "wanted": "at least 2 orders"}]],
        ),
        (
            {"country": 1},
            2,
            "static",
            [{"items": 0, "of": 3}, {"items": 1, "of": 2}, {"items": 0, "of": 3}],
        ),
    ],
)
def test_the_first_tier_that_holds_is_shown(
    cards: dict[str, int], orders: int, tier: str, passed: list[object]
) -> None:
    verdict = decide(PLAN, _person(orders=orders, cards={name: _cards(count, name) for name, count in cards.items()}))
    assert verdict.outcome == "send"
    assert verdict.tier == tier
    products = verdict.inputs["slots"]["products"]
    assert products["block"] == ("4" if tier == "static" else "3")
    wanted = {"category": 3, "country": 2, "site": 3, "static": 0}[tier]
    assert len(products.get("items", [])) == wanted
    assert verdict.reasons["slots"]["products"].get("no", []) == passed
    assert verdict.reasons["slots"]["products"]["at"] == len(passed)


@pytest.mark.parametrize(
    ("country", "block", "reason"),
    [
        ("DE", "1", {"at": 0, "why": [{"field": "country", "is": "DE", "wanted": "is DE, AT or CH"}]}),
        ("FR", "2", {"at": 1, "no": [[{"field": "country", "is": "FR", "wanted": "is DE, AT or CH"}]]}),
        (None, "2", {"at": 1, "no": [[{"field": "country", "is": None, "wanted": "is DE, AT or CH"}]]}),
    ],
)
def test_a_segment_says_the_value_that_won_or_lost(country: str, block: str, reason: object) -> None:
    verdict = decide(PLAN, _person(country=country))
    assert verdict.inputs["slots"]["hero"]["block"] == block
    assert verdict.reasons["slots"]["hero"] == reason


def test_who_withdrew_personalisation_is_shown_nothing_by_what_they_did() -> None:
    cards = {"category": _cards(3), "shop": _cards(3, "shop")}

    verdict = decide(PLAN, _person(cards=cards, impersonal=True, country="DE"))

    assert verdict.tier == "site"
    reason = verdict.reasons["slots"]["products"]
    assert reason["no"][0] == {"consent": "personalisation"}
    assert reason["at"] == 2
    assert verdict.inputs["slots"]["hero"]["block"] == "1", "a group of customers is no such thing"


def test_a_slot_of_one_tier_needs_no_reason() -> None:
    verdict = decide(PLAN, _person())
    assert verdict.inputs["slots"]["subject"] == {"block": "5", "tier": "static"}
    assert "subject" not in verdict.reasons["slots"]


def test_a_person_of_whom_nothing_is_known_gets_the_static_message() -> None:
    verdict = decide(PLAN, Person(gate=""))
    assert verdict.outcome == "send"
    assert verdict.compiled == 11
    assert {name: slot["tier"] for name, slot in verdict.inputs["slots"].items()} == {
        "hero": "static",
        "products": "static",
        "subject": "static",
    }
    assert verdict.inputs["profile"] == {}


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ({"first_name": "Ada", "points": 0}, {"first_name": "Ada", "points": 0}),
        ({"first_name": "", "points": None}, {}),
        ({"first_name": "None", "points": float("nan")}, {}),
        ({"first_name": " \u200b", "points": "NaN"}, {}),
        ({"first_name": ["Ada"], "points": {"a": 1}}, {}),
        ({"first_name": "Ada", "email": "ada@example.com"}, {"first_name": "Ada"}),
        ({"first_name": "x" * 600}, {"first_name": "x" * 500}),
    ],
)
def test_inputs_hold_the_tokens_that_are_printed_without_blanks(
    values: dict[str, object], kept: dict[str, object]
) -> None:
    assert decide(PLAN, _person(values=values)).inputs["profile"] == kept


@pytest.mark.parametrize(
    ("wanted", "given", "compiled"),
    [
        ("", "en", 11),
        ("de", "de", 12),
        ("de-AT", "de", 12),
        ("DE_at", "de", 12),
        ("pt-BR", "pt", 13),
        ("fr", "en", 11),
        ("-", "en", 11),
    ],
)
def test_the_language_falls_back_along_its_chain(wanted: str, given: str, compiled: int) -> None:
    verdict = decide(PLAN, _person(language=wanted))
    assert verdict.inputs["language"] == given
    assert verdict.compiled == compiled
    assert verdict.reasons.get("language") == (wanted if wanted and wanted != given else None)


def test_a_more_special_language_wins() -> None:
    assert language_choose("pt-BR", {"pt": 1, "pt-BR": 2}, "en") == "pt-BR"


def test_the_same_inputs_give_the_same_answer_and_are_left_alone() -> None:
    person = _person(country="DE", cards={"shop": _cards(4)}, values={"first_name": "Ada"})
    before = copy.deepcopy(person.cards)
    assert decide(PLAN, person) == decide(PLAN, person)
    assert person.cards == before


def test_a_rule_of_many_leaves_keeps_the_reason_short() -> None:
    many = {"any": [{"attribute": "country", "is": f"X{number}"} for number in range(100)]}
    slots = {"hero": [_tier("segment", 1, when=many), _tier("static", 2)]}
    verdict = decide(plan_make(_spec(slots=slots), {"en": 1}, {"en": []}), _person())
    assert len(verdict.reasons["slots"]["hero"]["no"][0]) == 4


def test_rules_and_sources_are_collected_for_reading_ahead() -> None:
    assert PLAN.rules == (rule_parse(GERMAN), rule_parse(OFTEN))
    assert PLAN.sources == ("category", "country", "shop")
    assert PLAN.most_items == 3
    assert PLAN.leading == "products"


def _held(percent: int, playbook: str = "spring", everything: float = 0) -> set[int]:
    plan = plan_make(_spec(playbook=playbook, holdout=percent), {"en": 1}, {"en": []}, holdout_all=everything)
    return {seed for seed in range(4000) if decide(plan, _person(seed=seed)).outcome == "holdout"}


def test_the_same_people_are_held_out_each_time_and_others_of_another_playbook() -> None:
    ten = _held(10)
    assert 320 < len(ten) < 480
    assert _held(10) == ten
    assert ten < _held(20)  # a larger part holds the smaller one
    other = _held(10, "autumn")
    assert len(ten & other) < 80  # about 40 by chance
    everything = _held(0, everything=5)
    assert 140 < len(everything) < 260
    assert _held(0, "autumn", everything=5) == everything


@pytest.mark.parametrize(("everything", "percent"), [(0, 0), (0, 10), (5, 0), (5, 20), (2.5, 50)])
def test_the_chance_of_an_outcome_is_how_often_it_comes(everything: float, percent: int) -> None:
    spec = _spec(playbook="spring", holdout=percent)
    plan = plan_make(spec, {"en": 1}, {"en": []}, holdout_all=everything)
    outcomes = [decide(plan, _person(seed=seed)).outcome for seed in range(4000)]
    seen = own_pack(plan, _person())
    sent, held = (propensity(spec, seen, outcome) for outcome in ("send", "holdout"))
    assert sent + held == 1
    spread = 4 * (sent * held / 4000) ** 0.5  # four standard deviations of a share of 4,000
    assert abs(outcomes.count("send") / 4000 - sent) <= spread


def test_what_is_certain_has_the_chance_one() -> None:
    spec = _spec(playbook="spring", holdout=50)
    plan = plan_make(spec, {"en": 1}, {"en": []}, holdout_all=50)
    assert propensity(spec, own_pack(plan, _person()), "open_ticket") == 0.25
    assert propensity(spec, own_pack(plan, _person(gate="paused")), "paused") == 1  # it was over before the draw
    assert propensity(_spec(holdout=50, mail_kind="link"), own_pack(plan, _person()), "send") == 1


def test_nobody_is_held_out_of_what_they_are_owed() -> None:
    for owed in ({"budget": "transactional"}, {"mail_kind": "link"}):
        plan = plan_make(_spec(playbook="spring", holdout=50, **owed), {"en": 1}, {"en": []}, holdout_all=50)
        assert {decide(plan, _person(seed=seed)).outcome for seed in range(200)} == {"send"}


def test_live_sources_are_for_what_is_transactional_alone() -> None:
    may = {
        budget: plan_make(_spec(budget=budget), {"en": 1}, {"en": []}).transactional
        for budget in ("transactional", "triggered", "bulk")
    }
    assert may == {"transactional": True, "triggered": False, "bulk": False}


def test_each_reason_comes_in_its_turn() -> None:
    spec = _spec(playbook="spring", holdout=50, heeds_tickets=True, audience_rule=GERMAN)
    plan = plan_make(spec, {"en": 1}, {"en": []}, asks_audience=True)
    out = next(seed for seed in range(100) if held_out(plan, seed))
    within = next(seed for seed in range(100) if not held_out(plan, seed))
    against: dict[str, Any] = {"gate": "paused", "seed": out, "country": "FR", "ticket": True, "messages": 2}
    outcomes = []
    for mended in ({}, {"gate": ""}, {"seed": within}, {"country": "DE"}, {"ticket": False}, {"messages": 1}):
        against |= mended
        outcomes.append(decide(plan, _person(**against)).outcome)
    assert outcomes == ["paused", "holdout", "not_in_audience", "open_ticket", "frequency_cap", "send"]


def test_a_model_offers_and_hard_rules_decide_what_is_shown() -> None:
    brand = {"default_language": "en", "unsafe_words": ["Whisky"]}
    plan = plan_make(_spec(brand=brand, blocked_items=["shop1"]), {"en": 1}, {"en": []})
    offered = _cards(7, "shop")
    offered[0] = Candidate(offered[0].card, gone="out_of_stock")
    offered[2] = Candidate({**offered[2].card, "title": "A WHISKY tea"})
    offered[3] = Candidate(offered[3].card, category="Whisky & co")
    verdict = decide(plan, _person(cards={"shop": offered}))
    assert [item["sku"] for item in verdict.inputs["slots"]["products"]["items"]] == ["shop4", "shop5", "shop6"]
    assert [item_fault(plan, one) for one in offered[:4]] == ["out_of_stock", "blocked", "brand_safety", "brand_safety"]
