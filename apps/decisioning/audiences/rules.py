"""A rule asked of one person. Pure: what it looks at is given to it. `sql.py` asks the same of everybody."""

import json
import re
from datetime import datetime
from decimal import Decimal
from typing import Any

from apps.data.profiles.attribute_values import token_of
from apps.foundation.core.masking import MASK

from .contracts import (
    SENSITIVE_OPS,
    All,
    AnyOf,
    AskedAgain,
    Attribute,
    Consent,
    FeatureIs,
    InAudience,
    Interest,
    Leaf,
    Match,
    Not,
    PersonFacts,
    Rule,
    Scalar,
    Sensitive,
)
from .parsing import MAX_NUMBER, rule_parse, rule_to_json
from .reading import leaf_wanted, rule_reading

__all__ = ["Match", "PersonFacts", "Rule", "rule_matches", "rule_parse", "rule_reading", "rule_to_json"]

NUMBER_IN_TEXT = r"-?[0-9]{1,15}(\.[0-9]{1,10})?"
"""A text that counts as a number where the rule wants one: files bring numbers as texts."""

_number_in_text = re.compile(NUMBER_IN_TEXT)
_LONGEST_SHOWN = 120


def rule_matches(rule: Rule, facts: PersonFacts) -> Match:
    """Whether the rule holds for the person, with the leaves that settled it.

    Raises KeyError if `facts` were loaded for other rules.
    """
    matched, because = _asked(rule, facts, negated=False)
    return Match(matched, because)


def _asked(rule: Rule, facts: PersonFacts, *, negated: bool) -> tuple[bool, list[dict[str, Any]]]:
    """The rule, or its opposite. Of several rules, those speak whose answer is the outcome."""
    if isinstance(rule, Not):
        return _asked(rule.rule, facts, negated=not negated)
    if isinstance(rule, All | AnyOf):
        every = isinstance(rule, All) != negated  # not all is any not, and the other way round
        answers = [_asked(child, facts, negated=negated) for child in rule.rules]
        outcome = all(holds for holds, _ in answers) if every else any(holds for holds, _ in answers)
        return outcome, [reason for holds, reasons in answers if holds is outcome for reason in reasons]
    holds, looked_at = _leaf_asked(rule, facts)
    holds = holds != negated
    wanted = leaf_wanted(rule, negated=negated)
    return holds, [{"field": _field(rule), "is": _shown(looked_at), "wanted": wanted, "holds": holds}]


def _leaf_asked(leaf: Leaf, facts: PersonFacts) -> tuple[bool, Any]:
    if isinstance(leaf, Attribute):
        value = facts.attributes[leaf.name]
        return attribute_holds(leaf, value), value
    if isinstance(leaf, FeatureIs):
        value = facts.features[leaf.feature]
        return feature_holds(leaf, value), value
    if isinstance(leaf, InAudience):
        inside = facts.audiences[leaf.audience]
        return inside is leaf.inside, inside
    if isinstance(leaf, Consent):
        granted = facts.consents[leaf.purpose, leaf.channel]
        return granted is leaf.granted, granted
    if isinstance(leaf, AskedAgain):
        asked = facts.asked[leaf.purpose, leaf.channel]
        return asked is leaf.asked, asked
    if isinstance(leaf, Interest):
        chosen = facts.interests[leaf.code]
        return chosen is leaf.chosen, chosen
    count = facts.counts[leaf.what]
    return leaf.low <= count and (leaf.high is None or count <= leaf.high), count


def attribute_holds(leaf: Attribute, value: Any) -> bool:
    """The comparison of one attribute; `value` as JSON has it, None where nothing is known.

    Raises ValueError where a sensitive one is asked for more than its digest tells: whoever loads facts refuses that.
    """
    if isinstance(value, Sensitive):
        return _sensitive_holds(leaf, value)
    if leaf.op == "known":
        return (value is not None and value != "") is leaf.values[0]
    if leaf.op == "is_not":
        return not _equal(value, leaf.values[0])
    if leaf.op in ("is", "in"):
        return any(_equal(value, wanted) for wanted in leaf.values)
    wanted: Any = leaf.values[0]
    if leaf.op == "contains":
        if isinstance(value, list):
            return wanted in [one for one in value if isinstance(one, str)]
        return isinstance(value, str) and wanted in value
    if isinstance(wanted, str):
        if not isinstance(value, str) or not value:
            return False
        return value >= wanted if leaf.op == "gte" else value <= wanted
    number = _number(value)
    return number is not None and (number >= wanted if leaf.op == "gte" else number <= wanted)


def feature_holds(leaf: FeatureIs, value: Any) -> bool:
    """The comparison of one feature; `value` as `features_read` has it, None or empty where there is none."""
    is_there = value is not None and value != "" and value != []
    wanted: Any = leaf.values[0]
    if leaf.op == "known":
        return is_there is wanted
    if not is_there:
        return leaf.op == "is_not"
    if leaf.op == "contains":
        return wanted in value
    if leaf.op in ("gte", "lte"):
        return bool(value >= wanted if leaf.op == "gte" else value <= wanted)
    return (value in leaf.values) is not (leaf.op == "is_not")


def asks_more_than_digests(data: object, name: str) -> bool:
    """Whether a rule as JSON, or anything with rules in it, asks of an attribute what no sensitive one answers."""
    if isinstance(data, list):
        return any(asks_more_than_digests(one, name) for one in data)
    if not isinstance(data, dict):
        return False
    if data.get("attribute") == name:
        return not any(op in data for op in SENSITIVE_OPS)
    return any(asks_more_than_digests(one, name) for one in data.values())


def _sensitive_holds(leaf: Attribute, value: Sensitive) -> bool:
    if leaf.op not in SENSITIVE_OPS:
        raise ValueError(f"{leaf.op} can't be asked of a sensitive attribute")
    if leaf.op == "known":
        return leaf.values[0] is True
    equal = any(token_of(wanted) in value.tokens for wanted in leaf.values)
    return equal is not (leaf.op == "is_not")


def _equal(value: Any, wanted: Scalar) -> bool:
    if isinstance(wanted, bool):
        return value is wanted
    if isinstance(wanted, str):
        return isinstance(value, str) and value == wanted
    return _number(value) == wanted


def _number(value: Any) -> int | Decimal | None:
    """The number that a value is, or that its text spells."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | Decimal):
        return value
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, str) and _number_in_text.fullmatch(value):
        return Decimal(value)
    return None


def _field(leaf: Leaf) -> str:
    if isinstance(leaf, Attribute):
        return leaf.name
    if isinstance(leaf, FeatureIs):
        return f"feature {leaf.feature}"
    if isinstance(leaf, InAudience):
        return f"audience {leaf.audience}"
    if isinstance(leaf, Consent):
        return f"consent {leaf.purpose} {leaf.channel}"
    if isinstance(leaf, AskedAgain):
        return f"asked again {leaf.purpose} {leaf.channel}"
    if isinstance(leaf, Interest):
        return f"interest {leaf.code}"
    if leaf.what.kind == "event":
        return f"event {leaf.what.name}"
    return "orders"


def _shown(value: Any) -> str | int | bool | float | None:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Sensitive):
        return MASK
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, int | Decimal) and -MAX_NUMBER <= value <= MAX_NUMBER:
        return int(value) if value == int(value) else float(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"
