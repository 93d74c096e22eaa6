"""The rule tree, and what a person must be known by so that it can be asked. No Django, no I/O.

What each rule means, to the letter, is in docs/how-it-works/audiences.md; `sql.py` and `rules.py` both follow it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from apps.data.profiles.contracts import PROFILE_COLUMNS as PROFILE_COLUMNS

Scalar = str | bool | int | Decimal
"""What a rule may compare with. A bool is never a number here."""

Op = Literal["is", "is_not", "in", "contains", "gte", "lte", "known"]

FeatureScalar = str | bool | int | Decimal | datetime
"""What a feature may be compared with: a moment beside the others."""

FEATURE_OPS: Mapping[str, tuple[Op, ...]] = {
    "number": ("is", "is_not", "in", "gte", "lte", "known"),
    "amount": ("is", "is_not", "in", "gte", "lte", "known"),
    "moment": ("gte", "lte", "known"),
    "text": ("is", "is_not", "in", "known"),
    "flag": ("is",),
    "items": ("contains", "known"),
}
"""What can be asked of a feature, by the kind of its values."""


@dataclass(frozen=True, slots=True)
class All:
    """Each of them holds; without any, everybody."""

    rules: tuple["Rule", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of them holds."""

    rules: tuple["Rule", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """It does not hold. A rule holds or does not, there is no third: `Not` is exactly the others."""

    rule: "Rule"


@dataclass(frozen=True, slots=True)
class Attribute:
    """What is known of the person. values: one value, or several for `in`; True or False for `known`."""

    name: str
    op: Op
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """since ≤ moment < before, and moment ≥ as_of − within_days; always moment ≤ as_of."""

    since: datetime | None = None
    before: datetime | None = None
    within_days: int | None = None


@dataclass(frozen=True, slots=True)
class Counted:
    """What is counted: purchase orders (`kind` "orders"; of a category, if named), or events of one name."""

    kind: Literal["orders", "event"]
    name: str
    window: Window


@dataclass(frozen=True, slots=True)
class Count:
    """low ≤ count ≤ high; high None: no upper bound."""

    what: Counted
    low: int
    high: int | None


@dataclass(frozen=True, slots=True)
class FeatureIs:
    """A feature of the person compared. values: as of `Attribute`, of the feature's own kind; ids of items."""

    feature: str
    op: Op
    values: tuple[FeatureScalar, ...]


@dataclass(frozen=True, slots=True)
class InAudience:
    """Whether the person is in another audience, by its code."""

    audience: str
    inside: bool


@dataclass(frozen=True, slots=True)
class Consent:
    """Whether the person agreed to a purpose on a channel, and has not withdrawn it."""

    purpose: str
    channel: str
    granted: bool


@dataclass(frozen=True, slots=True)
class AskedAgain:
    """Whether the person agreed to a purpose on a channel by a text that says something else by now."""

    purpose: str
    channel: str
    asked: bool


@dataclass(frozen=True, slots=True)
class Interest:
    """Whether the person chose an interest of those that are offered, by its code."""

    code: str
    chosen: bool


SENSITIVE_OPS: tuple[Op, ...] = ("is", "is_not", "in", "known")
"""What can be asked of a sensitive attribute: it is looked up by its digest, and never read."""


@dataclass(frozen=True, slots=True)
class Sensitive:
    """A sensitive attribute that a person has, unread.

    tokens: of the values that rules ask for, the one that it is (`attribute_values.token_of`), if any.
    """

    tokens: frozenset[str]


Rule = All | AnyOf | Not | Attribute | FeatureIs | Count | InAudience | Consent | AskedAgain | Interest
Leaf = Attribute | FeatureIs | Count | InAudience | Consent | AskedAgain | Interest


@dataclass(slots=True)  # not frozen: it is made for each person of a batch, which takes a third so
class PersonFacts:
    """What rules look at, of one person. Nobody changes it.

    attributes: by name, None where nothing is known, as JSON has it with numbers as int or Decimal, or `Sensitive`;
    counts: by what is counted; consents, asked: by purpose and channel; interests: by code; features: by name;
    audiences: by code, whether in it. Asking for what was not loaded is a KeyError: it is a fault of the caller, and
    never "no".
    """

    attributes: Mapping[str, Any]
    counts: Mapping[Counted, int]
    consents: Mapping[tuple[str, str], bool]
    asked: Mapping[tuple[str, str], bool] = field(default_factory=dict)
    interests: Mapping[str, bool] = field(default_factory=dict)
    features: Mapping[str, Any] = field(default_factory=dict)
    audiences: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Match:
    """Whether a rule holds for a person, and why: the leaves that settled it.

    because: for each {"field", "is": the value looked at, "wanted": in words, "holds": bool}; it can go into JSON.
    """

    matched: bool
    because: list[dict[str, Any]]


def rule_leaves(rule: Rule) -> list[Leaf]:
    """The leaves of a rule, from left to right."""
    if isinstance(rule, All | AnyOf):
        return [leaf for child in rule.rules for leaf in rule_leaves(child)]
    if isinstance(rule, Not):
        return rule_leaves(rule.rule)
    return [rule]
