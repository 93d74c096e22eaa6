"""Rules in plain language: «at least 2 orders and no order since 11 Oct 2011»."""

import re
from datetime import datetime

from .contracts import (
    All,
    AnyOf,
    AskedAgain,
    Attribute,
    Consent,
    Count,
    FeatureIs,
    FeatureScalar,
    InAudience,
    Interest,
    Leaf,
    Not,
    Rule,
    Window,
)

_CHANNEL_WORDS = {"email": "e-mail", "sms": "SMS", "push": "push", "web": "the web"}
_SHOWN_VALUES = 8


def rule_reading(rule: Rule) -> str:
    """What a rule says, as a phrase that fits behind «people with» or «those of whom»."""
    if isinstance(rule, All):
        if not rule.rules:
            return "everybody"
        return " and ".join(_grouped(child, AnyOf) for child in rule.rules)
    if isinstance(rule, AnyOf):
        return " or ".join(_grouped(child, All) for child in rule.rules)
    if isinstance(rule, Not):
        if isinstance(rule.rule, All | AnyOf | Not):
            return f"not ({rule_reading(rule.rule)})"
        return leaf_reading(rule.rule, negated=True)
    return leaf_reading(rule)


def _grouped(rule: Rule, other: type[All] | type[AnyOf]) -> str:
    """In brackets, if «and» and «or» would stand side by side."""
    text = rule_reading(rule)
    return f"({text})" if isinstance(rule, other) and len(rule.rules) > 1 else text


def leaf_reading(leaf: Leaf, *, negated: bool = False) -> str:
    """One leaf, or its opposite, with what it is about."""
    if isinstance(leaf, Attribute):
        return f"{_value(leaf.name)} {leaf_wanted(leaf, negated=negated)}"
    if isinstance(leaf, FeatureIs):
        return f"{leaf.feature.replace('_', ' ')} {leaf_wanted(leaf, negated=negated)}"
    return leaf_wanted(leaf, negated=negated)


def leaf_wanted(leaf: Leaf, *, negated: bool = False) -> str:
    """What a leaf, or its opposite, wants; for an attribute or a feature, without its name."""
    if isinstance(leaf, Attribute | FeatureIs):
        return _compared_wanted(leaf, negated)
    if isinstance(leaf, InAudience):
        words = "in" if leaf.inside != negated else "not in"
        return f"{words} the audience {_value(leaf.audience)}"
    if isinstance(leaf, Consent):
        words = "consent" if leaf.granted != negated else "no consent"
        return f"{words} to {_value(leaf.purpose)} by {_CHANNEL_WORDS[leaf.channel]}"
    if isinstance(leaf, AskedAgain):
        words = "must be asked again" if leaf.asked != negated else "need not be asked again"
        return f"{words} about {_value(leaf.purpose)} by {_CHANNEL_WORDS[leaf.channel]}"
    if isinstance(leaf, Interest):
        words = "is interested in" if leaf.chosen != negated else "is not interested in"
        return f"{words} {_value(leaf.code)}"
    text = _count_wanted(leaf)
    return f"not {text}" if negated else text


def _compared_wanted(leaf: Attribute | FeatureIs, negated: bool) -> str:
    if leaf.op == "known":
        return "is known" if (leaf.values[0] is True) != negated else "is not known"
    if leaf.op in ("is", "is_not", "in"):
        shown = [_value(value) for value in leaf.values[:_SHOWN_VALUES]]
        if len(leaf.values) > _SHOWN_VALUES:
            text = ", ".join(shown) + f" or one of {len(leaf.values) - _SHOWN_VALUES} more"
        else:
            text = " or ".join(part for part in (", ".join(shown[:-1]), shown[-1]) if part)
        return f"is {text}" if (leaf.op != "is_not") != negated else f"is not {text}"
    words, opposite = {
        "contains": ("contains", "does not contain"),
        "gte": ("is at least", "is not at least"),
        "lte": ("is at most", "is not at most"),
    }[leaf.op]
    return f"{opposite if negated else words} {_value(leaf.values[0])}"


def _count_wanted(leaf: Count) -> str:
    low, high = leaf.low, leaf.high
    if high == 0:
        number, many = "no", False
    elif high is None:
        number, many = f"at least {low}", low != 1
    elif low == high:
        number, many = f"exactly {low}", low != 1
    elif low == 0:
        number, many = f"at most {high}", high != 1
    else:
        number, many = f"{low} to {high}", True
    what = leaf.what
    noun = ("event" if what.kind == "event" else "order") + ("s" if many else "")
    name = ""
    if what.kind == "event":
        name = f" “{what.name}”"
    elif what.name:
        name = f" in the category {_value(what.name)}"
    return f"{number} {noun}{name}{_window_words(what.window)}"


def _window_words(window: Window) -> str:
    text = ""
    if window.within_days is not None:
        text += f" in the last {window.within_days} days" if window.within_days > 1 else " in the last day"
    if window.since is not None:
        text += f" since {_moment(window.since)}"
    if window.before is not None:
        text += f" before {_moment(window.before)}"
    return text


def _moment(moment: datetime) -> str:
    day = f"{moment.day} {moment:%b} {moment.year}"
    return day if (moment.hour, moment.minute, moment.second) == (0, 0, 0) else f"{day} {moment:%H:%M} UTC"


def _value(value: FeatureScalar) -> str:
    if isinstance(value, datetime):
        return _moment(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value if re.fullmatch(r"\w[\w.@+-]*", value) else f"“{value}”"
    return str(value)
