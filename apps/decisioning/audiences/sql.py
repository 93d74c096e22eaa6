"""Rules as SQL over all profiles. Client text is only ever a parameter; names in the SQL are our own.

Every condition is true or false, never unknown (`IS TRUE` at each leaf), so that `NOT` means exactly the others
and the predicate in `rules.py` answers the same.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from apps.data.consent.asking import ASKED
from apps.data.features.definitions import FEATURES
from apps.data.features.engine import day_of
from apps.data.features.sql import GROUPED, FeatureSql, Piece, name_id
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
    FeatureIs,
    InAudience,
    Interest,
    Not,
    Rule,
    Scalar,
    rule_leaves,
)
from .rules import NUMBER_IN_TEXT

_CHOSEN = "EXISTS (SELECT FROM consent_preference c WHERE c.profile_id = p.id AND c.interests @> ARRAY[%s]::varchar[])"
# A day's tally that lies within the window counts whole, one beyond it not at all. One on both sides of a bound (of
# somebody who did the same before and after it on that day) is counted from its events.
_OF_DAY = """CASE WHEN t.first_at >= {start} AND t.last_at <= {end} THEN t.number
     WHEN t.last_at < {start} OR t.first_at > {end} THEN 0
     ELSE (SELECT count(*)::int FROM events_event e WHERE e.profile_id = t.profile_id AND e.name = {name}
           AND e.occurred_at BETWEEN {start} AND {end} AND (e.occurred_at AT TIME ZONE 'UTC')::date = t.day) END"""
_EVER = """CASE WHEN t.last_at <= {end} THEN t.number WHEN t.first_at > {end} THEN 0
     ELSE features_counted_until(t.profile_id, {name}, {end}) END"""
_KINDS = {"number": "numeric", "amount": "numeric", "moment": "timestamptz", "text": "text", "flag": "boolean"}


_LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Sql:
    """A piece of SQL with `%s` placeholders, and their values in order."""

    text: str
    params: tuple[Any, ...] = ()


def audience_from(
    rule: Rule, as_of: datetime, sensitive: Mapping[str, AttributeShape], profile_ids: Sequence[int] | None = None
) -> Sql:
    """`FROM profiles_profile p … WHERE (…)` for the people of a rule: put a SELECT before it, and AND behind at need.

    The rule names no audiences any more (`membership.rule_expand`). sensitive: the attributes that are found by their
    digests; profile_ids: of whom alone, None for all. Raises ValueError for what no digest tells.

    Each table that the rule needs is joined once, grouped by profile, whatever the number of leaves: so a set is
    found by a few scans and hash joins, and never by a look-up for each person.
    """
    return _Compiler(rule, as_of, sensitive, profile_ids).sql()


def counts_select(counted: Sequence[Counted], as_of: datetime, profile_ids: Sequence[int] | None = None) -> Sql:
    """SELECT profile_id, c0, c1, …: the counts asked for (all of one kind), for those who have any row.

    Orders are counted from their rows, events from their tallies, to the same number as from theirs.
    """
    if counted[0].kind == "event":
        return _events_select(counted, as_of, profile_ids)
    columns: list[str] = []
    params: list[Any] = []
    for number, what in enumerate(counted):
        condition = _order_condition(what, as_of)
        columns.append(f"count(*) FILTER (WHERE {condition.text}) AS c{number}")
        params += condition.params
    where = ["t.profile_id IS NOT NULL", "t.placed_at <= %s", "t.status = 'purchase'"]
    params.append(as_of)
    starts = [_start(what, as_of) for what in counted]
    if None not in starts:  # nothing older is looked at by any of them
        where.append("t.placed_at >= %s")
        params.append(min(start for start in starts if start is not None))
    return _grouped("events_order", columns, params, where, profile_ids)


def _grouped(
    table: str,
    columns: list[str],
    params: list[Any],
    where: list[str],
    profile_ids: Sequence[int] | None,
    *,
    once: bool = False,
) -> Sql:
    """once: there is one row for a person already."""
    if profile_ids is not None:
        where = [*where, "t.profile_id = ANY(%s)"]
        params = [*params, list(profile_ids)]
    person = "t.profile_id" if once else GROUPED
    text = f"SELECT {person} AS profile_id, {', '.join(columns)} FROM {table} t WHERE {' AND '.join(where)}"  # noqa: S608  # our own names
    return Sql(text if once else f"{text} GROUP BY {GROUPED}", tuple(params))


def _events_select(counted: Sequence[Counted], as_of: datetime, profile_ids: Sequence[int] | None) -> Sql:
    """From the tallies ever where no count has a window, else from those by day, which then hold all of them."""
    names = sorted({name_id(what.name) for what in counted})
    windows = [_bounds(what, as_of) for what in counted]
    ever = all(start is None and end == as_of for start, end in windows)
    columns: list[str] = []
    params: list[Any] = []
    for number, (what, (start, end)) in enumerate(zip(counted, windows, strict=True)):
        named = {"start": "%(s)s::timestamptz", "end": "%(e)s::timestamptz", "name": "%(n)s"}
        values = {"%(s)s": start or _LONG_AGO, "%(e)s": end, "%(n)s": what.name}
        of_each, used = _numbered((_EVER if ever else _OF_DAY).format(**named), values)
        if len(counted) == 1:  # the rows are those of its name alone: of the tallies ever, one for each person
            columns.append(f"{of_each} AS c0" if ever else f"sum({of_each}) AS c0")
            params += used
        else:
            columns.append(f"COALESCE(sum({of_each}) FILTER (WHERE t.name_id = %s), 0) AS c{number}")
            params += [*used, name_id(what.name)]
    where = ["t.name_id = ANY(%s)"]
    params.append(names)
    if not ever:
        where.append("t.day <= %s")
        params.append(day_of(max(end for _, end in windows)))
        starts = [start for start, _ in windows]
        if None not in starts:
            where.append("t.day >= %s")
            params.append(day_of(min(start for start in starts if start is not None)))
    table = "features_eventtally" if ever else "features_eventday"
    return _grouped(table, columns, params, where, profile_ids, once=ever and len(counted) == 1)


def _numbered(text: str, values: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """Named placeholders made `%s`, with their values in the order in which they stand."""
    used = [values[name] for name in re.findall(r"%\([a-z]\)s", text)]
    return re.sub(r"%\([a-z]\)s", "%s", text), used


def _bounds(what: Counted, as_of: datetime) -> tuple[datetime | None, datetime]:
    """The first and the last moment that count, both inclusive: moments have microseconds."""
    end = as_of
    if what.window.before is not None:
        end = min(as_of, what.window.before - timedelta(microseconds=1))
    return _start(what, as_of), end


def _start(what: Counted, as_of: datetime) -> datetime | None:
    window = what.window
    starts = [window.since, as_of - timedelta(days=window.within_days) if window.within_days is not None else None]
    return max((start for start in starts if start is not None), default=None)


def _order_condition(what: Counted, as_of: datetime) -> Sql:
    parts = ["TRUE"]
    params: list[Any] = []
    start = _start(what, as_of)
    if start is not None:
        parts.append("t.placed_at >= %s")
        params.append(start)
    if what.window.before is not None:
        parts.append("t.placed_at < %s")
        params.append(what.window.before)
    if what.name:
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
    profile_ids: Sequence[int] | None = None
    _features: dict[FeatureIs, Piece] = field(default_factory=dict)
    _joins: list[Sql] = field(default_factory=list)
    _counts: dict[Counted, str] = field(default_factory=dict)
    _attributes: dict[str, str] = field(default_factory=dict)
    _consents: dict[tuple[str, str], str] = field(default_factory=dict)

    def sql(self) -> Sql:
        leaves = rule_leaves(self.rule)
        counted = list(dict.fromkeys(leaf.what for leaf in leaves if isinstance(leaf, Count)))
        self._count_join([what for what in counted if what.kind == "orders"], "o")
        for number, what in enumerate(what for what in counted if what.kind == "event"):
            self._count_join([what], f"e{number}")  # each along the index of its name, and summed by itself
        self._feature_joins([leaf for leaf in leaves if isinstance(leaf, FeatureIs)])
        for leaf in leaves:
            if isinstance(leaf, Attribute):
                self._attribute_join(leaf.name)
            elif isinstance(leaf, Consent):
                self._consent_join(leaf.purpose, leaf.channel)
        where = _joined([Sql("p.merged_into_id IS NULL", ()), self._condition(self.rule)], " AND ")
        joins = " ".join(join.text for join in self._joins)
        params = [value for join in self._joins for value in join.params]
        if self.profile_ids is not None:
            some = Sql("p.id = ANY(%s)", (list(self.profile_ids),))
            where = _joined([some, where], " AND ")
        return Sql(f"FROM profiles_profile p {joins} WHERE ({where.text})", (*params, *where.params))

    def _count_join(self, counted: Sequence[Counted], alias: str) -> None:
        if counted:
            inner = counts_select(counted, self.as_of, self.profile_ids)
            self._joins.append(Sql(f"LEFT JOIN ({inner.text}) {alias} ON {alias}.profile_id = p.id", inner.params))
            self._counts |= {what: f"{alias}.c{number}" for number, what in enumerate(counted)}

    def _feature_joins(self, leaves: Sequence[FeatureIs]) -> None:
        of = FeatureSql(self.as_of, "p.id", self.profile_ids)
        for leaf in leaves:
            if leaf.op in ("gte", "lte"):
                self._features[leaf] = of.compared(leaf.feature, leaf.op, leaf.values[0])
            else:
                self._features[leaf] = of.column(leaf.feature)
        self._joins += [Sql(piece.text, piece.params) for piece in of.joins()]

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
        if isinstance(rule, FeatureIs):
            return self._feature_condition(rule)
        if isinstance(rule, InAudience):
            raise ValueError("the audiences that a rule names are put in their places first")
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

    def _feature_condition(self, rule: FeatureIs) -> Sql:
        column, kind = self._features[rule], FEATURES[rule.feature].kind
        wanted = rule.values[0]
        if rule.op == "known":
            there = {"text": f"{column.text} <> ''", "items": f"cardinality({column.text}) > 0"}
            known = Sql(f"(({there.get(kind, f'{column.text} IS NOT NULL')}) IS TRUE)", column.params)
            return known if wanted is True else Sql(f"(NOT {known.text})", known.params)
        if rule.op == "contains":
            return Sql(f"((%s = ANY({column.text})) IS TRUE)", (wanted, *column.params))
        if rule.op in ("gte", "lte"):
            return Sql(f"({column.text} IS TRUE)", column.params)
        equal = Sql(f"(({column.text} = ANY(%s::{_KINDS[kind]}[])) IS TRUE)", (*column.params, list(rule.values)))
        return Sql(f"(NOT {equal.text})", equal.params) if rule.op == "is_not" else equal

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
