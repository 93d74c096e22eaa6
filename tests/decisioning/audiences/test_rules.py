"""A rule asked of one person: answers, reasons, and readings."""

import json
from decimal import Decimal
from typing import Any

import pytest

from apps.decisioning.audiences.contracts import Counted, PersonFacts, Window
from apps.decisioning.audiences.rules import rule_matches, rule_parse, rule_reading


def facts(attributes: dict[str, Any] | None = None, orders: int = 0, *, agreed: bool = False) -> PersonFacts:
    return PersonFacts(
        attributes=attributes or {},
        counts={Counted("orders", "", Window()): orders},
        consents={("marketing", "email"): agreed},
    )


@pytest.mark.parametrize(
    ("rule", "value", "holds"),
    [
        ({"is": "DE"}, "DE", True),
        ({"is": "DE"}, "de", False),
        ({"is": "DE"}, None, False),
        ({"is": "5"}, 5, False),
        ({"is": 5}, "5", True),
        ({"is": 5}, "5.00", True),
        ({"is": 5}, " 5", False),
        ({"is": 5}, "5\n", False),
        ({"is": 5}, "٥", False),
        ({"is": 1}, True, False),
        ({"is": True}, True, True),
        ({"is": True}, "true", False),
        ({"is": 0.1}, Decimal("0.1"), True),
        ({"is_not": "DE"}, None, True),
        ({"is_not": "DE"}, "DE", False),
        ({"in": ["DE", 5]}, "5", True),
        ({"contains": "a"}, "Tea", True),
        ({"contains": "tea"}, ["tea", "cake"], True),
        ({"contains": "te"}, ["tea", "cake"], False),
        ({"contains": "5"}, 5, False),
        ({"gte": 18}, "17.9", False),
        ({"gte": 18}, 18, True),
        ({"gte": 18}, [18], False),
        ({"gte": "2011-10-11"}, "2011-10-12", True),
        ({"lte": "z"}, "", False),
        ({"lte": "z"}, "Z", True),
        ({"lte": "z"}, 5, False),
        ({"known": True}, "", False),
        ({"known": True}, 0, True),
        ({"known": True}, [], True),
        ({"known": False}, None, True),
    ],
)
def test_an_attribute_is_compared(rule: dict[str, Any], value: Any, holds: bool) -> None:
    match = rule_matches(rule_parse({"attribute": "x", **rule}), facts({"x": value}))
    assert match.matched is holds


def test_what_settled_it_is_told() -> None:
    rule = rule_parse({"all": [{"attribute": "country", "in": ["DE", "AT", "CH"]}, {"orders": {"at_least": 2}}]})

    both = rule_matches(rule, facts({"country": "DE"}, 3))
    assert both.matched is True
    assert both.because == [
        {"field": "country", "is": "DE", "wanted": "is DE, AT or CH", "holds": True},
        {"field": "orders", "is": 3, "wanted": "at least 2 orders", "holds": True},
    ]

    one = rule_matches(rule, facts({"country": "FR"}, 3))
    assert one.matched is False
    assert one.because == [{"field": "country", "is": "FR", "wanted": "is DE, AT or CH", "holds": False}]


def test_a_negation_tells_what_it_wanted() -> None:
    rule = rule_parse(
        {"not": {"any": [{"attribute": "country", "is": "DE"}, {"consent": "marketing", "channel": "email"}]}}
    )

    stranger = rule_matches(rule, facts({"country": "FR"}))
    assert stranger.matched is True
    assert stranger.because == [
        {"field": "country", "is": "FR", "wanted": "is not DE", "holds": True},
        {"field": "consent marketing email", "is": False, "wanted": "no consent to marketing by e-mail", "holds": True},
    ]

    agreed = rule_matches(rule, facts({"country": "FR"}, agreed=True))
    assert agreed.matched is False
    assert agreed.because == [
        {"field": "consent marketing email", "is": True, "wanted": "no consent to marketing by e-mail", "holds": False}
    ]


def test_everybody_needs_no_reason() -> None:
    match = rule_matches(rule_parse({"all": []}), facts())
    assert (match.matched, match.because) == (True, [])


@pytest.mark.parametrize("value", ["x" * 5000, Decimal(10) ** 400, ["x"] * 500, {"a": Decimal("1.5")}, Decimal("0.5")])
def test_reasons_are_small_and_go_into_json(value: Any) -> None:
    match = rule_matches(rule_parse({"attribute": "x", "known": True}), facts({"x": value}))
    assert len(json.dumps(match.because, ensure_ascii=False)) < 250


def test_facts_that_were_not_loaded_are_a_fault_not_a_no() -> None:
    with pytest.raises(KeyError):
        rule_matches(rule_parse({"attribute": "country", "is": "DE"}), facts())
    with pytest.raises(KeyError):
        rule_matches(rule_parse({"interest": "kitchen", "is": False}), facts())
    with pytest.raises(KeyError):
        rule_matches(rule_parse({"orders": {"within_days": 5}}), facts())


@pytest.mark.parametrize(
    ("rule", "reading"),
    [
        ({"all": []}, "everybody"),
        (
            {"all": [{"orders": {"at_least": 2}}, {"orders": {"exactly": 0, "since": "2011-10-11T00:00Z"}}]},
            "at least 2 orders and no order since 11 Oct 2011",
        ),
        (
            {
                "any": [
                    {"attribute": "country", "in": ["DE", "AT", "CH"]},
                    {"all": [{"orders": {}}, {"orders": {"at_most": 1}}]},
                ]
            },
            "country is DE, AT or CH or (at least 1 order and at most 1 order)",
        ),
        ({"not": {"any": [{"orders": {}}, {"event": "Left"}]}}, "not (at least 1 order or at least 1 event “Left”)"),
        ({"not": {"attribute": "home town", "contains": "New York"}}, "“home town” does not contain “New York”"),
        ({"consent": "marketing", "channel": "sms", "is": False}, "no consent to marketing by SMS"),
        ({"asked_again": "marketing", "channel": "email"}, "must be asked again about marketing by e-mail"),
        ({"interest": "kitchen"}, "is interested in kitchen"),
        ({"not": {"interest": "kitchen"}}, "is not interested in kitchen"),
        ({"interest": "kitchen", "is": False}, "is not interested in kitchen"),
        (
            {"orders": {"exactly": 2, "within_days": 90, "category": "Lamps"}},
            "exactly 2 orders in the category Lamps in the last 90 days",
        ),
        (
            {"event": "Product Viewed", "at_least": 2, "at_most": 4, "before": "2011-10-11T14:30Z"},
            "2 to 4 events “Product Viewed” before 11 Oct 2011 14:30 UTC",
        ),
        ({"attribute": "plan", "in": list("abcdefghij")}, "plan is a, b, c, d, e, f, g, h or one of 2 more"),
        ({"attribute": "vip", "is_not": True}, "vip is not true"),
        ({"attribute": "plan", "known": False}, "plan is not known"),
    ],
)
def test_a_rule_is_read_in_plain_language(rule: dict[str, Any], reading: str) -> None:
    assert rule_reading(rule_parse(rule)) == reading
