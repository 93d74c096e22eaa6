"""Template tests: read strictly, run as decisions would, and what they cover."""

from dataclasses import replace
from typing import Any

import pytest

from apps.decisioning.content.case_runs import Report, Suite, suite_run
from apps.decisioning.content.cases import arrangement_data, arrangement_read, case_data, case_read
from apps.decisioning.content.notation import Reading, yaml_read, yaml_write
from apps.decisioning.content.starting import cases_start
from apps.decisioning.content.trying import report_apart, start_apart

from .suites import arrangement_of, case_of, case_problems, plain_suite, sample_suite

STATIC = {"tier": "static", "block": "Everybody"}
AUSTRIA = {"tier": "country", "name": "Austria", "block": "Austrian", "when": {"attribute": "country", "is": "AT"}}


def failures(report: Report) -> list[str]:
    assert report.problems == ()
    return [failure.said for result in report.results for failure in result.failures]


def test_the_sample_shops_cases_pass_and_cover_all_slots_tiers_and_branches() -> None:
    report = suite_run(sample_suite())

    assert failures(report) == []
    assert report.publish_problems() == []
    assert [cover.branch for cover in report.branches if not cover.cases] == []
    assert len(report.branches) >= 12


def test_a_child_process_gives_the_same_report() -> None:
    here = suite_run(sample_suite(), show="vienna")
    there = report_apart(sample_suite(), show="vienna")

    assert there.publish_problems() == []
    assert list(there.results) == list(here.results)
    assert list(there.tiers) == list(here.tiers)
    assert list(there.branches) == list(here.branches)
    assert [result.name for result in there.results if result.html] == ["vienna"]


@pytest.mark.parametrize(
    ("expect", "said"),
    [
        ("{slots: {hero: {tier: static}}}", "slot hero: expected tier static, got country"),
        ("{slots: {hero: {block: Everybody}}}", "slot hero: expected block Everybody, got Austrian"),
        ("{slots: {hero: {items: 1}}}", "slot hero: expected 1 items, got 0"),
        ("{slots: {hero: {name: static}}}", "slot hero: expected name static, got Austria"),
        ("{language: de}", "expected de, got en"),
        ("{subject: {contains: Good night}}", "subject: 'Good night' is missing"),
        ("{text: {lacks: Words of Austrian}}", "text: 'Words of Austrian' should not be there"),
        ("{html: {lacks: [Nowhere, Block]}}", "html: 'Block' should not be there"),
        ("{fallbacks: [first_name]}", "expected fallbacks for first_name, got none"),
    ],
)
def test_what_does_not_come_as_expected_fails_with_what_came(expect: str, said: str) -> None:
    arrangement = plain_suite(AUSTRIA, STATIC).arrangement
    case = case_of(f"persona: {{country: AT}}\nexpect: {expect}\n", arrangement=arrangement)

    assert failures(suite_run(plain_suite(AUSTRIA, STATIC, cases=(case,)))) == [said]


def test_a_case_covers_a_tier_only_if_it_expects_it_and_passes() -> None:
    seen = case_of("persona: {country: AT}\nexpect: {slots: {hero: {tier: country}}}", "seen")
    silent = case_of("expect: {text: {contains: Words of Everybody}}", "silent")
    failing = case_of("expect: {slots: {hero: {tier: static}}, text: {contains: Nonsense}}", "failing")

    report = suite_run(plain_suite(AUSTRIA, STATIC, cases=(seen, silent, failing)))

    assert [(cover.asked.block, cover.cases) for cover in report.tiers] == [("Austrian", ("seen",)), ("Everybody", ())]
    assert [str(problem) for problem in report.publish_problems()] == [
        "case failing: fails: text: 'Nonsense' is missing",
        "slot hero: 2. static is covered by no case: write one that expects it",
    ]


def test_fallbacks_and_branches_are_told_from_the_compiled_sources() -> None:
    subject = (
        '{% if profile.points | number(0) > 100 %}Gold{% elif profile.country == "AT" %}Servus{% else %}Hi{% endif %} '
        '{{ profile.first_name | capitalize | fallback("friend") }}'
    )
    known = case_of("persona: {first_name: anna, points: 200}\nexpect: {fallbacks: []}", "known")
    unknown = case_of("expect: {fallbacks: [first_name, points]}", "unknown")

    report = suite_run(plain_suite(STATIC, cases=(known, unknown), subject=subject))

    assert failures(report) == []
    assert [(c.branch.where, c.branch.line, c.branch.statement, c.branch.side, c.cases) for c in report.branches] == [
        ("subject", 1, '{% elif profile.country == "AT" %}', "taken", ()),
        ("subject", 1, "{% if profile.points | number(0) > 100 %}", "otherwise", ("unknown",)),
        ("subject", 1, "{% if profile.points | number(0) > 100 %}", "taken", ("known",)),
    ]


@pytest.mark.parametrize(
    ("rule", "yes", "no"),
    [
        ({"orders": {"at_least": 2, "within_days": 30}}, "orders: [{count: 2, days_ago: 30}]",
         "orders: [{days_ago: 1}]"),
        ({"orders": {"exactly": 1, "category": "Tea"}}, "orders: [{category: Tea}]", "orders: [{category: Lamps}]"),
        ({"event": "Opened", "since": "2026-01-02"}, "{as_of: 2026-02-01, events: [{name: Opened, at: 2026-01-02}]}",
         "{as_of: 2026-02-01, events: [{name: Opened, at: 2026-01-01}]}"),
        ({"event": "Opened", "before": "2025-06-01"}, "events: [{name: Opened, at: 2025-05-31}]",
         "events: [{name: Opened, at: 2025-06-01}]"),
        ({"consent": "marketing", "channel": "email"}, "consents: [{purpose: marketing, channel: email}]",
         "consents: [{purpose: marketing, channel: sms}]"),
        ({"interest": "kitchen"}, "interests: [garden, kitchen]", "interests: [garden]"),
        ({"orders": {"at_least": 1}}, "orders: [{at: 2026-01-01T12:00Z}]", "orders: [{at: 2026-01-01T12:01Z}]"),
    ],
)  # fmt: skip
def test_the_context_gives_rules_their_facts(rule: dict[str, object], yes: str, no: str) -> None:
    tier = {"tier": "segment", "block": "Segment", "when": rule}

    def shown(context: str, wanted: str) -> list[str]:
        inner = context if context.startswith("{") else f"{{{context}}}"
        case = case_of(f"context: {inner}\nexpect: {{slots: {{hero: {{tier: {wanted}}}}}}}")
        return failures(suite_run(plain_suite(tier, STATIC, cases=(case,))))

    assert shown(yes, "segment") == []
    assert shown(no, "static") == []


def test_nobody_in_a_case_is_asked_again() -> None:
    rule = {"asked_again": "marketing", "channel": "email"}
    case = case_of("expect: {slots: {hero: {tier: static}}}")

    report = suite_run(plain_suite({"tier": "segment", "block": "Segment", "when": rule}, STATIC, cases=(case,)))

    assert failures(report) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("expect: {}", "line 1: expect is needed: say what the persona must see"),
        ("[]", 'line 1: must hold "persona", "context" and "expect"'),
        ("expect:\n  slot: {}", 'line 2: expect.slot is not known here: is "slots" meant?'),
        ("person: {}\nexpect: {language: en}", 'line 1: person is not known here: is "persona" meant?'),
        ("expect:\n  slots:\n    hero: {tier: statc}",
         """line 3: expect.slots.hero.tier 'statc' is not known: is "static" meant?"""),
        ("expect:\n  slots:\n    hero: {block: Zzz}",
         "line 3: expect.slots.hero.block 'Zzz' is not known in slot hero: use Austrian, Everybody"),
        ("expect:\n  slots:\n    footer: {tier: static}",
         "line 3: expect.slots.footer is no slot of this template's arrangement: it has hero"),
        ("expect: {text: {contains: ['']}}", "line 1: expect.text.contains must be texts, none of them empty"),
        ("persona: {a: {b: 1}}\nexpect: {language: en}",
         "line 1: persona.a must be a text, a number, true, false, or a list of them"),
        ("context:\n  orders:\n    - {days_ago: -1}\nexpect: {language: en}",
         "line 3: context.orders[1].days_ago must be a number from 0 to 36500, and is -1"),
        ("context: {as_of: yesterday}\nexpect: {language: en}",
         "line 1: context.as_of must be a date such as 2026-03-01, or a time with its zone such as 2026-03-01T08:00Z"),
        ("context: {lists: {shop: 25}}\nexpect: {language: en}",
         "line 1: context.lists.shop must be a whole number from 0 to 24, and is 25"),
        ("context: {lists: {shop: [{price: 3}]}}\nexpect: {language: en}",
         "line 1: context.lists.shop[1].title is needed: a text"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_case_is_told_with_line_key_and_mend(text: str, problem: str) -> None:
    assert f"x.case.yaml, {problem}" in case_problems(text, arrangement_of({"hero": [AUSTRIA, STATIC]}))


@pytest.mark.parametrize(
    ("tier", "problem"),
    [
        ({"tier": "static"}, "slots.hero[1].block is needed: name the block that this tier shows"),
        ({"tier": "some", "block": "B"}, "slots.hero[1].tier 'some' is not known: use personal"),
        ({"tier": "static", "block": "B", "wen": {}}, 'slots.hero[1].wen is not known here: is "when" meant?'),
        ({"tier": "segment", "block": "B", "when": {"al": []}}, "slots.hero[1].when The rule must have one of"),
        ({"tier": "site", "block": "B", "source": "shop", "count": 13}, "slots.hero[1].count must be a whole number"),
    ],
)
def test_what_is_wrong_with_an_arrangement_is_told(tier: dict[str, object], problem: str) -> None:
    _, problems = arrangement_read(Reading({"slots": {"hero": [tier]}}, "template.yaml"))

    assert str(problems[0]).startswith(f"template.yaml: {problem}")


@pytest.mark.parametrize(
    ("tiers", "problem"),
    [
        ([AUSTRIA], "slot hero: must end in a static tier, which can always be shown"),
        ([STATIC, STATIC], "slot hero: static a static tier has no condition and stands last"),
        ([{"tier": "site", "block": "Everybody", "source": "shop"}, STATIC],
         "slot hero: site asks for products, but block 2 shows none"),
    ],
)  # fmt: skip
def test_an_arrangement_must_be_one_that_a_playbook_could_pin(tiers: list[dict[str, object]], problem: str) -> None:
    report = suite_run(plain_suite(*tiers))

    assert [str(one) for one in report.publish_problems()] == [problem]


def test_a_slot_without_tiers_and_a_block_that_is_gone_are_told() -> None:
    suite = plain_suite(STATIC)

    bare = suite_run(replace(suite, arrangement=arrangement_of({})))
    gone = suite_run(replace(suite, blocks={}))

    assert [str(one) for one in bare.problems] == ["slot hero: must end in a static tier, which can always be shown"]
    assert [str(one) for one in gone.problems] == ["slot hero: Everybody is no block that there is"]


def test_starting_cases_cover_what_no_case_covers_and_pass() -> None:
    suite = replace(sample_suite(), cases=[])

    cases, problems = cases_start(suite)
    report = suite_run(replace(suite, cases=cases))

    assert problems == []
    assert report.publish_problems() == []
    assert [case.name for case in cases][:2] == ["nobody", "hero-best-customers"]
    again, _ = start_apart(replace(suite, cases=cases))
    assert list(again) == []
    assert list(start_apart(suite)[0]) == cases


def starts_at(*rules: dict[str, Any]) -> tuple[Suite, list[str]]:
    tiers = [{"tier": "segment", "name": str(n), "block": f"B{n}", "when": rule} for n, rule in enumerate(rules)]
    suite = plain_suite(*tiers, STATIC)
    cases, problems = cases_start(suite)
    suite = replace(suite, cases=cases)
    return suite, [str(problem) for problem in problems]


@pytest.mark.parametrize(
    "rule",
    [
        {"not": {"attribute": "country", "in": ["AT", "DE"]}},
        {"all": [{"orders": {"at_least": 2}}, {"orders": {"exactly": 0, "within_days": 180}}]},
        {"any": [{"event": "Opened", "at_least": 3, "since": "2026-05-01"}, {"attribute": "a", "known": True}]},
        {"all": [{"attribute": "points", "gte": 10}, {"not": {"attribute": "vip", "is": True}},
                 {"consent": "marketing", "channel": "email", "is": True}]},
        {"attribute": "tags", "contains": "tea"},
        {"all": [{"interest": "kitchen"}, {"interest": "garden", "is": False}]},
        {"attribute": "country", "is_not": "AT"},
    ],
)  # fmt: skip
def test_starting_cases_turn_rules_round(rule: dict[str, object]) -> None:
    first = {"attribute": "level", "is": "gold"}

    suite, problems = starts_at(first, rule)

    report = suite_run(suite)
    assert failures(report) == []
    reached = {(cover.slot, cover.index) for cover in report.tiers if cover.cases}
    assert {("hero", 0), ("hero", 1)} <= reached
    assert all("static" in problem for problem in problems)


def test_a_tier_that_nobody_can_reach_is_told_not_made_up() -> None:
    _, problems = starts_at({"all": []}, {"attribute": "country", "is": "AT"})

    assert problems == [
        "slot hero: 1 could not be reached by a made-up person: write this case by hand",
        "slot hero: static could not be reached by a made-up person: write this case by hand",
    ]


def test_cases_and_arrangements_are_written_and_read_back() -> None:
    suite = sample_suite()

    data = yaml_read(yaml_write(arrangement_data(suite.arrangement)), "a")
    assert arrangement_read(data) == (suite.arrangement, [])
    for case in suite.cases:
        assert case_read(yaml_read(yaml_write(case_data(case)), "c"), case.name, suite.arrangement) == (case, [])
