"""Rules as SQL over all profiles. Client text is only ever a parameter; names in the SQL are our own.

Every condition is true or false, never unknown (`IS TRUE` at each leaf), so that `NOT` means exactly the others
and the predicate in `rules.py` answers the same.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from apps.data.consent.asking import ASKED
from apps.data.profiles.attributes import digests_of
from apps.data.profiles.contracts import AttributeShape

from .contracts import (
    PROFILE_COLUMNS,
    SENSITIVE_OPS,
    All,
    AnyOf,
    AskedAgain,
    Attribute,
    Consent,
    Count,
    Counted,
    Interest,
    Not,
    Rule,
    Scalar,
    rule_leaves,
)
from .rules import NUMBER_IN_TEXT

_CHOSEN = "EXISTS (SELECT FROM consent_preference c WHERE c.profile_id = p.id AND c.interests @> ARRAY[%s]::varchar[])"
_SOURCES = {"orders": ("events_order", "placed_at"), "event": ("events_event", "occurred_at")}


@dataclass(frozen=True)
class Sql:
    """A piece of SQL with `%s` placeholders, and their values in order."""

    text: str
    params: tuple[Any, ...] = ()


def audience_from(rule: Rule, as_of: datetime, sensitive: Mapping[str, AttributeShape]) -> Sql:
    """`FROM profiles_profile p … WHERE …` for the people of a rule: put a SELECT before it.

    sensitive: the attributes that are found by their digests. Raises ValueError for what no digest tells.

    Each table that the rule needs is joined once, grouped by profile, whatever the number of leaves: so a set is
    found by a few scans and hash joins, and never by a look-up for each person.
    """
    return _Compiler(rule, as_of, sensitive).sql()


def counts_select(counted: Sequence[Counted], as_of: datetime, profile_ids: Sequence[int] | None = None) -> Sql:
    """SELECT profile_id, c0, c1, …: the counts asked for (all of one kind), for those who have any row."""
    table, moment = _SOURCES[counted[0].kind]
    columns: list[str] = []
    params: list[Any] = []
    for number, what in enumerate(counted):
        condition = _counted_condition(what, as_of, moment)
        columns.append(f"count(*) FILTER (WHERE {condition.text}) AS c{number}")
        params += condition.params
    where = ["t.profile_id IS NOT NULL", f"t.{moment} <= %s"]
    params.append(as_of)
    if counted[0].kind == "orders":
        where.append("t.status = 'purchase'")
    else:
        where.append("t.name = ANY(%s)")
        params.append(sorted({what.name for what in counted}))
    starts = [_start(what, as_of) for what in counted]
    if None not in starts:  # nothing older is looked at by any of them
        where.append(f"t.{moment} >= %s")
        params.append(min(start for start in starts if start is not None))
    if profile_ids is not None:
        where.append("t.profile_id = ANY(%s)")
        params.append(list(profile_ids))
    text = f"SELECT t.profile_id, {', '.join(columns)} FROM {table} t WHERE {' AND '.join(where)} GROUP BY t.profile_id"  # noqa: S608  # our own names
    return Sql(text, tuple(params))


def _start(what: Counted, as_of: datetime) -> datetime | None:
    window = what.window
    starts = [window.since, as_of - timedelta(days=window.within_days) if window.within_days is not None else None]
    return max((start for start in starts if start is not None), default=None)


def _counted_condition(what: Counted, as_of: datetime, moment: str) -> Sql:
    parts = ["TRUE"]
    params: list[Any] = []
    start = _start(what, as_of)
    if start is not None:
        parts.append(f"t.{moment} >= %s")
        params.append(start)
    if what.window.before is not None:
        parts.append(f"t.{moment} < %s")
        params.append(what.window.before)
    if what.kind == "event":
        parts.append("t.name = %s")
        params.append(what.name)
    elif what.name:
        parts.append(
            "EXISTS (SELECT 1 FROM events_orderline l JOIN catalog_item i ON i.id = l.item_id"
            " WHERE l.order_id = t.id AND l.is_purchase AND i.category = %s)"
        )
        params.append(what.name)
    return Sql(" AND ".join(parts), tuple(params))


@dataclass
class _Compiler:
    rule: Rule
    as_of: datetime
    sensitive: Mapping[str, AttributeShape]
    _joins: list[Sql] = field(default_factory=list)
    _counts: dict[Counted, str] = field(default_factory=dict)
    _attributes: dict[str, str] = field(default_factory=dict)
    _consents: dict[tuple[str, str], str] = field(default_factory=dict)

    def sql(self) -> Sql:
        leaves = rule_leaves(self.rule)
        for kind, alias in (("orders", "o"), ("event", "e")):
            counted = list(dict.fromkeys(x.what for x in leaves if isinstance(x, Count) and x.what.kind == kind))
            if counted:
                inner = counts_select(counted, self.as_of)
                self._joins.append(Sql(f"LEFT JOIN ({inner.text}) {alias} ON {alias}.profile_id = p.id", inner.params))
                self._counts |= {what: f"{alias}.c{number}" for number, what in enumerate(counted)}
        for leaf in leaves:
            if isinstance(leaf, Attribute):
                self._attribute_join(leaf.name)
            elif isinstance(leaf, Consent):
                self._consent_join(leaf.purpose, leaf.channel)
        where = self._condition(self.rule)
        joins = " ".join(join.text for join in self._joins)
        params = [value for join in self._joins for value in join.params]
        return Sql(f"FROM profiles_profile p {joins} WHERE {where.text}", (*params, *where.params))

    def _attribute_join(self, name: str) -> None:
        if name in self._attributes:
            return
        alias = f"a{len(self._attributes)}"
        self._attributes[name] = alias
        if name in self.sensitive:
            on = f"{alias}.profile_id = p.id AND {alias}.definition_id = %s"
            self._joins.append(Sql(f"LEFT JOIN profiles_sealedattribute {alias} ON {on}", (self.sensitive[name].id,)))
            if self.sensitive[name].moving:
                value = Sql(f"CROSS JOIN LATERAL (SELECT p.attributes -> %s::text AS v) {alias}c", (name,))
                self._joins.append(value)
        elif name not in PROFILE_COLUMNS:
            value = Sql(f"CROSS JOIN LATERAL (SELECT p.attributes -> %s::text AS v) {alias}", (name,))
            self._joins.append(value)

    def _consent_join(self, purpose: str, channel: str) -> None:
        if (purpose, channel) in self._consents:
            return
        alias = f"s{len(self._consents)}"
        self._consents[purpose, channel] = alias
        self._joins.append(
            Sql(
                f"LEFT JOIN consent_consentstate {alias} ON {alias}.profile_id = p.id"
                f" AND {alias}.purpose_id = %s AND {alias}.channel = %s",
                (purpose, channel),
            )
        )

    def _condition(self, rule: Rule) -> Sql:
        if isinstance(rule, All | AnyOf):
            if not rule.rules:
                return Sql("TRUE" if isinstance(rule, All) else "FALSE")
            word = " AND " if isinstance(rule, All) else " OR "
            return _joined([self._condition(child) for child in rule.rules], word)
        if isinstance(rule, Not):
            inner = self._condition(rule.rule)
            return Sql(f"(NOT {inner.text})", inner.params)
        if isinstance(rule, Count):
            return self._count_condition(rule)
        if isinstance(rule, Consent):
            state = f"{self._consents[rule.purpose, rule.channel]}.granted"
            return Sql(f"({state} IS TRUE)" if rule.granted else f"({state} IS NOT TRUE)")
        if isinstance(rule, AskedAgain):
            asked = f"EXISTS ({ASKED} AND state.profile_id = p.id AND state.purpose_id = %s AND state.channel = %s)"
            return Sql(asked if rule.asked else f"(NOT {asked})", (rule.purpose, rule.channel))
        if isinstance(rule, Interest):
            return Sql(_CHOSEN if rule.chosen else f"(NOT {_CHOSEN})", (rule.code,))
        return self._attribute_condition(rule)

    def _count_condition(self, rule: Count) -> Sql:
        column = self._counts[rule.what]
        parts: list[Sql] = []
        if rule.low > 0:
            parts.append(Sql(f"({column} >= %s) IS TRUE", (rule.low,)))
        if rule.high is not None:
            parts.append(Sql(f"COALESCE({column}, 0) <= %s", (rule.high,)))
        return _joined(parts, " AND ") if parts else Sql("TRUE")

    def _attribute_condition(self, rule: Attribute) -> Sql:
        if rule.name in self.sensitive:
            return self._sensitive_condition(rule)
        column = rule.name in PROFILE_COLUMNS
        value = _Column(f"p.{rule.name}") if column else _Json(f"{self._attributes[rule.name]}.v")
        wanted = rule.values[0]
        if rule.op == "known":
            return Sql(value.known if wanted is True else f"(NOT {value.known})")
        if rule.op in ("is", "is_not", "in"):
            equal = value.equal_any(rule.values)
            return Sql(f"(NOT {equal.text})", equal.params) if rule.op == "is_not" else equal
        if rule.op == "contains":
            return value.contains(str(wanted))
        sign = ">=" if rule.op == "gte" else "<="
        if isinstance(wanted, str):  # by code point, as Python orders text, whatever the database's locale
            text = f'({value.text} <> \'\' AND {value.text} COLLATE "C" {sign} %s COLLATE "C") IS TRUE'
            return Sql(f"({text})", (wanted,))
        return Sql(f"(({value.number} {sign} %s) IS TRUE)", (wanted,))

    def _sensitive_condition(self, rule: Attribute) -> Sql:
        """By digest; and as long as values are on their way, what is still clear by the same strict equality."""
        if rule.op not in SENSITIVE_OPS:
            raise ValueError(f"{rule.op} can't be asked of a sensitive attribute")
        alias, moving = self._attributes[rule.name], self.sensitive[rule.name].moving
        clear = f"{alias}c.v"
        if rule.op == "known":
            known = f"({alias}.id IS NOT NULL)"
            if moving:
                known = f"({known} OR {_Json(clear).known})"
            return Sql(known if rule.values[0] is True else f"(NOT {known})")
        digests = [digest for value in rule.values for digest in digests_of(rule.name, value)]
        equal = Sql(f"(({alias}.digest = ANY(%s::bytea[])) IS TRUE)", (digests,))
        if moving:
            jsons = [str(value) if _is_number(value) else json.dumps(value) for value in rule.values]
            still = Sql(f"({alias}.id IS NULL AND ({clear} = ANY(%s::jsonb[])) IS TRUE)", (jsons,))
            equal = _joined([equal, still], " OR ")
        return Sql(f"(NOT {equal.text})", equal.params) if rule.op == "is_not" else equal


def _is_number(value: Scalar) -> bool:
    return not isinstance(value, str | bool)


def _joined(parts: Sequence[Sql], word: str) -> Sql:
    return Sql(f"({word.join(part.text for part in parts)})", tuple(value for part in parts for value in part.params))


def _number_in(text: str) -> str:
    return f"WHEN {text} ~ '^{NUMBER_IN_TEXT}$' THEN ({text})::numeric"


class _Column:
    """A profile's column: text, empty where not known."""

    def __init__(self, sql: str) -> None:
        self.text = sql
        self.known = f"({sql} <> '')"
        self.number = f"(CASE {_number_in(sql)} END)"

    def contains(self, wanted: str) -> Sql:
        return Sql(f"(strpos({self.text}, %s) > 0)", (wanted,))

    def truth(self, wanted: Sequence[bool]) -> Sql:
        return Sql("FALSE")

    def equal_any(self, values: Sequence[Any]) -> Sql:
        """Equal to one of the values; a bool is no number."""
        texts = [value for value in values if isinstance(value, str)]
        truths = [value for value in values if isinstance(value, bool)]
        numbers = [value for value in values if not isinstance(value, str | bool)]
        parts: list[Sql] = []
        if texts:
            parts.append(Sql(f"({self.text} = ANY(%s::text[])) IS TRUE", (texts,)))
        if numbers:
            parts.append(Sql(f"({self.number} = ANY(%s::numeric[])) IS TRUE", (numbers,)))
        if truths:
            parts.append(self.truth(truths))
        return _joined(parts, " OR ")


class _Json(_Column):
    """A free attribute: any JSON, NULL where the person has none of that name."""

    def __init__(self, sql: str) -> None:
        super().__init__(sql)
        self.json = sql
        as_text = f"({sql} #>> '{{}}')"
        self.text = f"(CASE jsonb_typeof({sql}) WHEN 'string' THEN {as_text} END)"
        self.known = f"((jsonb_typeof({sql}) <> 'null' AND {sql} <> '\"\"'::jsonb) IS TRUE)"
        self.number = (
            f"(CASE WHEN jsonb_typeof({sql}) = 'number' THEN {as_text}::numeric"
            f" WHEN jsonb_typeof({sql}) = 'string' THEN CASE {_number_in(as_text)} END END)"
        )

    def contains(self, wanted: str) -> Sql:
        listed = f"(jsonb_typeof({self.json}) = 'array' AND {self.json} @> to_jsonb(%s::text))"
        return Sql(f"((strpos({self.text}, %s) > 0 OR {listed}) IS TRUE)", (wanted, wanted))

    def truth(self, wanted: Sequence[bool]) -> Sql:
        parts = [Sql(f"({self.json} = '{'true' if value else 'false'}'::jsonb) IS TRUE") for value in wanted]
        return _joined(parts, " OR ")
