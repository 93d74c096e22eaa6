"""Rules from JSON: what is taken, and how a fault is told."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import jsonschema_rs
import pytest

from apps.data.consent.models import Channel
from apps.decisioning.audiences import parsing
from apps.decisioning.audiences.contracts import (
    All,
    AnyOf,
    AskedAgain,
    Attribute,
    Consent,
    Count,
    Counted,
    FeatureIs,
    InAudience,
    Interest,
    Not,
    Rule,
    Window,
)
from apps.decisioning.audiences.parsing import rule_parse, rule_to_json
from apps.decisioning.audiences.schema import rule_schema
from apps.foundation.core.errors import Invalid

_OCTOBER = datetime(2011, 10, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        ({"all": []}, All(())),
        ({"attribute": "country", "in": ["DE", "AT"]}, Attribute("country", "in", ("DE", "AT"))),
        ({"attribute": "age", "gte": 18.5}, Attribute("age", "gte", (Decimal("18.5"),))),
        ({"attribute": "age", "is": 18.0}, Attribute("age", "is", (18,))),
        ({"attribute": "vip", "is": True}, Attribute("vip", "is", (True,))),
        ({"attribute": "plan", "known": False}, Attribute("plan", "known", (False,))),
        ({"orders": {}}, Count(Counted("orders", "", Window()), 1, None)),
        ({"orders": {"at_most": 3}}, Count(Counted("orders", "", Window()), 0, 3)),
        (
            {"orders": {"exactly": 0, "since": "2011-10-11T00:00Z"}},
            Count(Counted("orders", "", Window(since=_OCTOBER)), 0, 0),
        ),
        (
            {"orders": {"at_least": 2, "before": "2011-10-11", "within_days": 90, "category": "Lamps"}},
            Count(Counted("orders", "Lamps", Window(before=_OCTOBER, within_days=90)), 2, None),
        ),
        (
            {"event": "Product Viewed", "at_least": 2, "at_most": 5, "since": "2011-10-11T02:00+02:00"},
            Count(Counted("event", "Product Viewed", Window(since=_OCTOBER)), 2, 5),
        ),
        ({"consent": "marketing", "channel": "email"}, Consent("marketing", "email", granted=True)),
        ({"asked_again": "marketing", "channel": "sms"}, AskedAgain("marketing", "sms", asked=True)),
        ({"interest": "kitchen"}, Interest("kitchen", chosen=True)),
        ({"interest": "kitchen", "is": False}, Interest("kitchen", chosen=False)),
        ({"feature": "lifetime_value", "gte": 99.5}, FeatureIs("lifetime_value", "gte", (Decimal("99.5"),))),
        ({"feature": "orders_count", "in": [1, 2]}, FeatureIs("orders_count", "in", (1, 2))),
        ({"feature": "last_order_at", "gte": "2011-10-11"}, FeatureIs("last_order_at", "gte", (_OCTOBER,))),
        ({"feature": "lifecycle_stage", "is_not": "lapsed"}, FeatureIs("lifecycle_stage", "is_not", ("lapsed",))),
        ({"feature": "is_power_user", "is": True}, FeatureIs("is_power_user", "is", (True,))),
        ({"feature": "recent_items", "contains": 7}, FeatureIs("recent_items", "contains", (7,))),
        ({"audience": "regulars"}, InAudience("regulars", inside=True)),
        (
            {"any": [{"not": {"attribute": "a", "is": "b"}}]},
            AnyOf((Not(Attribute("a", "is", ("b",))),)),
        ),
    ],
)
def test_a_rule_is_read_and_its_json_gives_it_again(data: Any, rule: Rule) -> None:
    assert rule_parse(data) == rule
    assert rule_parse(rule_to_json(rule)) == rule
    assert _fits(data)
    assert _fits(rule_to_json(rule))


_fits = jsonschema_rs.validator_for(rule_schema()).is_valid
_BEYOND_A_SCHEMA = ("later than", "leaves no room", "above at_most", "nested", "a date", "years", "NUL", "one too many")
_KINDS = "all, any, not, attribute, feature, orders, event, audience, consent, asked_again or interest"
_NUMBER_OPS = "is, is_not, in, gte, lte or known"
_MOST = 2**63 - 1
_ATTRIBUTE = {"attribute": "country", "is": "DE"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], 'The rule must be an object such as {"attribute": "country", "is": "DE"}, and is a list'),
        (
            {},
            f"The rule must have one of {_KINDS}",
        ),
        (
            {"order": {"at_least": 1}},
            f'The rule must have one of {_KINDS} (is "order" meant to be "orders"?)',
        ),
        (
            {"all": [], "any": []},
            'The rule has both "all" and "any": put each in an object of its own, inside "all"',
        ),
        ({"all": {}}, "all must be a list of rules, and is an object"),
        ({"any": []}, "any must list at least one rule"),
        (
            {"all": [_ATTRIBUTE, {"orders": {"at_least": "two"}}]},
            'all[1].orders.at_least must be a whole number from 0 to 1,000,000, and is "two"',
        ),
        ({"orders": {"at_least": True}}, "orders.at_least must be a whole number from 0 to 1,000,000, and is true"),
        ({"orders": {"at_least": 1.5}}, "orders.at_least must be a whole number from 0 to 1,000,000, and is 1.5"),
        ({"orders": {"exactly": -1}}, "orders.exactly must be a whole number from 0 to 1,000,000, and is -1"),
        (
            {"orders": {"exactly": 1, "at_least": 1}},
            "orders.exactly leaves no room for at_least or at_most: take one or the other",
        ),
        ({"orders": {"at_least": 3, "at_most": 2}}, "orders.at_least must not be above at_most, which is 2"),
        ({"orders": {"atleast": 2}}, 'orders.atleast is not known here: is "at_least" meant?'),
        ({"orders": [1]}, 'orders must be an object such as {"at_least": 2}, and is a list'),
        (
            {"not": {"any": [{"orders": {"since": "11.10.2011"}}]}},
            'not.any[0].orders.since must be a date such as "2011-10-11", or a time with its zone such as'
            ' "2011-10-11T08:00Z", and is "11.10.2011"',
        ),
        (
            {"orders": {"since": "2011-10-11T08:00"}},
            'orders.since must be a date such as "2011-10-11", or a time with its zone such as'
            ' "2011-10-11T08:00Z": its zone is missing',
        ),
        ({"orders": {"since": "0001-01-01T00:00+14:00"}}, "orders.since must be between the years 1901 and 2199"),
        ({"orders": {"since": "2011-10-11", "before": "2011-10-11"}}, "orders.before must be later than since"),
        (
            {"event": "Viewed", "within_days": 0},
            "within_days must be a whole number from 1 to 36,500, and is 0",
        ),
        ({"attribute": ""}, 'attribute must be a text, not empty, and is ""'),
        ({"attribute": "country"}, "The rule must have one of is, is_not, in, contains, gte, lte or known"),
        (
            {"attribute": "country", "is": "DE", "in": ["DE"]},
            "The rule must have one of is, is_not, in, contains, gte, lte or known, and has is and in",
        ),
        ({"attribute": "country", "in": []}, "in must be a list with at least one value, and is a list"),
        (
            {"attribute": "country", "in": ["DE", None]},
            "in[1] must be a text, a number, true or false, and is null",
        ),
        (
            {"attribute": "country", "is": ""},
            'is must not be empty: {"known": false} asks for those of whom it is not known',
        ),
        ({"attribute": "vip", "gte": True}, "gte must be a number or a text: true and false have no order"),
        (
            {"attribute": "age", "is": float("nan")},
            "is must be between -1,000,000,000,000,000 and 1,000,000,000,000,000",
        ),
        ({"attribute": "a\0", "is": "b"}, "attribute has a character that no text may have (NUL, or half of a pair)"),
        ({"attribute": "a", "is": "\ud800"}, "is has a character that no text may have (NUL, or half of a pair)"),
        ({"attribute": "a" * 301, "is": "b"}, "attribute may have 300 characters, and has 301"),
        (
            {"asked_again": "marketing", "channel": "pigeon"},
            'channel must be one of email, sms, push or web, and is "pigeon"',
        ),
        ({"consent": "marketing", "channel": "email", "is": "yes"}, 'is must be true or false, and is "yes"'),
        (
            {"interest": "kit chen"},
            'interest must be the code of an interest, such as "cooking", and is "kit chen"',
        ),
        (
            {"feature": "orders_counts", "gte": 1},
            'feature must name a feature, and is "orders_counts": is "orders_count" meant?',
        ),
        (
            {"feature": "lifecycle_stage", "gte": "new"},
            'gte can\'t be asked of "lifecycle_stage": is, is_not, in or known alone',
        ),
        ({"feature": "is_power_user", "is": 1}, "is must be true or false, and is 1"),
        ({"feature": "orders_count", "is": "1"}, 'is must be a number, and is "1"'),
        (
            {"feature": "orders_count", "is": 1, "gte": 1},
            f"The rule must have one of {_NUMBER_OPS}, and has is and gte",
        ),
        (
            {"feature": "recent_items", "contains": 0},
            f"contains must be a whole number from 1 to {_MOST:,}, and is 0",
        ),
        (
            {"audience": "Regular ones"},
            'audience must be the code of an audience, such as "regulars", and is "Regular ones"',
        ),
        ({"interest": ["a"]}, 'interest must be the code of an interest, such as "cooking", and is a list'),
        ({"interest": "a\n"}, 'interest must be the code of an interest, such as "cooking", and is "a\n"'),
        ({"interest": "kitchen", "is": "yes"}, 'is must be true or false, and is "yes"'),
        (
            {"interest": "kitchen", "channel": "email"},
            "channel is not known here: interest or is may be",
        ),
        (
            {"all": [{"not": {"not": 5}}]},
            'all[0].not.not must be an object such as {"attribute": "country", "is": "DE"}, and is 5',
        ),
    ],
)
def test_a_fault_is_told_with_its_place(data: Any, message: str) -> None:
    with pytest.raises(Invalid) as caught:
        rule_parse(data)
    assert caught.value.code == "rule_invalid"
    assert caught.value.message == message
    assert not _fits(data) or any(words in message for words in _BEYOND_A_SCHEMA)


def test_depth_is_limited() -> None:
    rule: dict[str, Any] = _ATTRIBUTE
    for _ in range(parsing.MAX_DEPTH - 1):
        rule = {"not": rule}
    assert rule_to_json(rule_parse(rule)) == rule
    with pytest.raises(Invalid, match="is nested too deep: 10 levels may be"):
        rule_parse({"not": rule})


def test_size_is_limited() -> None:
    rule_parse({"any": [_ATTRIBUTE] * (parsing.MAX_RULES - 1)})
    with pytest.raises(Invalid, match=r"any\[199\] is one too many: a rule may consist of 200 rules"):
        rule_parse({"any": [_ATTRIBUTE] * parsing.MAX_RULES})
    with pytest.raises(Invalid, match="in may have 1000 values, and has 1001"):
        rule_parse({"attribute": "a", "in": ["b"] * 1001})


def test_the_path_is_given_to_programs_too() -> None:
    with pytest.raises(Invalid) as caught:
        rule_parse({"all": [{"orders": {"at_least": "two"}}]})
    assert caught.value.extra == {"path": "all[0].orders.at_least"}


def test_channels_are_those_of_consent() -> None:
    assert set(parsing.CHANNELS) == set(Channel.values)
