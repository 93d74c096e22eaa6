"""Who is in an audience, how many, and the facts that rules look at."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db import connection, transaction

from apps.data.consent.asking import asked_people
from apps.data.consent.models import Interest as Offer
from apps.data.consent.models import Purpose
from apps.data.events.models import EventSchema
from apps.data.features.definitions import FEATURES
from apps.data.features.selectors import features_read
from apps.data.profiles.attribute_values import is_known, token_of
from apps.data.profiles.attributes import (
    attributes_held,
    digests_of,
    json_read,
    shapes_known,
    shapes_read,
    values_read,
)
from apps.data.profiles.contracts import AttributeShape, AttributesHeld
from apps.data.profiles.estimates import SAMPLE, Estimate, people_about, people_drawn
from apps.data.profiles.models import AttributeDefinition
from apps.foundation.core.errors import Invalid
from apps.foundation.core.postgres import within

from .contracts import (
    FEATURE_OPS,
    PROFILE_COLUMNS,
    SENSITIVE_OPS,
    AskedAgain,
    Attribute,
    Consent,
    Count,
    Counted,
    FeatureIs,
    InAudience,
    Interest,
    Leaf,
    PersonFacts,
    Rule,
    Sensitive,
    rule_leaves,
)
from .membership import names_check, names_of, rule_expand, rules_expand
from .models import Audience
from .parsing import rule_parse
from .rules import rule_matches
from .sql import Sql, audience_from, counts_select

_ROOM = "SELECT set_config('work_mem', '64MB', TRUE)"
"""For this transaction: a hash of a million people fits, where the planner would else walk an index in their order."""


def rule_admit(data: object, *, own: str = "") -> Rule:
    """The rule that JSON describes, at the door where somebody writes it: the interests and audiences that it names
    exist, and no audience is a part of itself.

    One that was kept is read by `rule_parse`: it stays good when an interest is taken away later.
    own: the code of the audience whose rule it becomes, in the transaction that writes it.
    Raises Invalid: `rule_invalid`, also for what can't be asked of a sensitive attribute, `rule_interest_unknown`
    with the known ones in its message, `rule_audience_unknown`, `rule_audience_circle`, or `rule_too_deep` and
    `rule_too_long` for what it is with the audiences that it names.
    """
    rule = rule_parse(data)
    if sensitive := sensitive_read([rule]):
        rule = rule_parse(data, sensitive=sensitive)
    named = {leaf.code for leaf in rule_leaves(rule) if isinstance(leaf, Interest)}
    if named:
        known = list(Offer.objects.order_by("code").values_list("code", flat=True))
        if unknown := sorted(named.difference(known)):
            shown = f"Known are: {', '.join(known)}" if known else "There are none yet: add some under Interests"
            raise Invalid("rule_interest_unknown", f'There is no interest "{unknown[0]}". {shown}')
    if own or names_of(rule):
        names_check(rule, own=own)
    return rule


def sensitive_read(rules: Iterable[Rule]) -> dict[str, AttributeShape]:
    """The sensitive ones of the attributes that rules ask for."""
    names = {leaf.name for rule in rules for leaf in rule_leaves(rule) if isinstance(leaf, Attribute)}
    if not (names := names.difference(PROFILE_COLUMNS)):
        return {}
    return {name: shape for name, shape in shapes_read(names).items() if shape.sensitive}


def audience_sql(rule: Rule, as_of: datetime, profile_ids: Sequence[int] | None = None) -> Sql:
    """`audience_from` with what is sensitive now, and with the audiences that the rule names.

    Raises Invalid for what can't be asked of a sensitive attribute, and for an audience that is not there.
    """
    rule = rule_expand(rule)
    sensitive = sensitive_read([rule])
    _answerable(rule_leaves(rule), sensitive)
    return audience_from(rule, as_of, sensitive, profile_ids)


def _answerable(leaves: Iterable[Leaf], sensitive: Mapping[str, AttributeShape]) -> None:
    for leaf in leaves:
        if isinstance(leaf, Attribute) and leaf.name in sensitive and leaf.op not in SENSITIVE_OPS:
            raise Invalid(
                "rule_attribute_sensitive",
                f"“{leaf.name}” became sensitive: a rule can ask by is, is_not, in and known alone. Change the rule",
            )


def audience_ids(*, rule: Rule, as_of: datetime, batch: int = 1000) -> Iterator[list[int]]:
    """The ids of the people in an audience, ascending, in lists of `batch` (the last may be shorter).

    One statement, so one snapshot; read through a server-side cursor, so memory stays flat on both sides. Inside
    a transaction, read it to the end before that ends.
    """
    people = audience_sql(rule, as_of)
    with connection.chunked_cursor() as cursor:
        cursor.execute(f"SELECT p.id {people.text} ORDER BY p.id", people.params)
        while rows := cursor.fetchmany(batch):
            yield [profile_id for (profile_id,) in rows]


def audience_count(*, rule: Rule, as_of: datetime) -> int:
    """How many people are in an audience."""
    people = audience_sql(rule, as_of)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_ROOM)
        cursor.execute(f"SELECT count(*) {people.text}", people.params)
        return int(cursor.fetchone()[0])


def audience_estimate(*, rule: Rule, as_of: datetime, sample: int = SAMPLE) -> Estimate:
    """About how many people are in an audience, from so many people drawn by lot: the same ones each time.

    They alone are looked up, so it takes as long among millions. For fewer than some ten thousand, count.
    """
    drawn = people_drawn(size=sample)
    people = audience_sql(rule, as_of, drawn.ids)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) {people.text}", people.params)
        return drawn.estimate(cursor.fetchone()[0])


def audience_sample(*, rule: Rule, as_of: datetime, size: int) -> list[int]:
    """Some profile ids of an audience, spread over all of it; the same ones each time."""
    people = audience_sql(rule, as_of)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT p.id {people.text} ORDER BY md5(p.id::text) LIMIT %s", (*people.params, size))
        return sorted(profile_id for (profile_id,) in cursor.fetchall())


def audience_draw(*, rule: Rule, as_of: datetime, size: int) -> tuple[int, list[int]]:
    """How many people are in an audience, and the ids of at most `size` of them in an order drawn by lot.

    So the first of them, however few, stand for all. The same lot each time.
    """
    people = audience_sql(rule, as_of)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT p.id {people.text} ORDER BY md5(p.id::text), p.id LIMIT %s", (*people.params, size + 1))
        ids = [profile_id for (profile_id,) in cursor.fetchall()]
    if len(ids) <= size:
        return len(ids), ids
    return max(audience_count(rule=rule, as_of=as_of), len(ids)), ids[:size]


@dataclass(frozen=True, slots=True)
class Glance:
    """What a look at an audience tells: its size, everybody's number, and some ids."""

    count: int
    everybody: int
    sample: list[int]


def audience_glance(*, rule: Rule, as_of: datetime, size: int, milliseconds: int) -> Glance | None:
    """Count and sample of an audience within a time limit of each statement; None if the rule takes longer."""
    return within(
        milliseconds,
        lambda: Glance(
            count=audience_count(rule=rule, as_of=as_of),
            everybody=people_about(),
            sample=audience_sample(rule=rule, as_of=as_of, size=size),
        ),
    )


def audience_guess(*, rule: Rule, as_of: datetime, milliseconds: int) -> Estimate | None:
    """`audience_estimate` within a time limit of each statement; None if even that takes longer."""
    return within(milliseconds, lambda: audience_estimate(rule=rule, as_of=as_of))


def rule_catalog(*, but: str = "") -> dict[str, Any]:
    """What rules can name, for the form: features with what can be asked of them, audiences (all but one, by code),
    events, attributes, purposes and interests."""
    free = AttributeDefinition.objects.order_by("name").values_list("name", flat=True)
    return {
        "features": [[one.name, one.description, FEATURE_OPS[one.kind], one.kind] for one in FEATURES.values()],
        "audiences": list(Audience.objects.exclude(code=but).order_by("name").values_list("code", "name")),
        "events": list(EventSchema.objects.order_by("name").values_list("name", flat=True)),
        "attributes": [*PROFILE_COLUMNS, *free],
        "purposes": list(Purpose.objects.values_list("code", "name")),
        "interests": list(Offer.objects.order_by("code").values_list("code", "name")),
    }


def attributes_asked(rules: Iterable[Rule]) -> tuple[list[str], list[str]]:
    """Of which columns of a profile and which other attributes rules say something themselves."""
    names = _asked_by(_Very(tuple(rules))).names
    return [name for name in PROFILE_COLUMNS if name in names], [name for name in names if name not in PROFILE_COLUMNS]


@dataclass(frozen=True, slots=True)
class _Looked:
    """What rules look at themselves, and the audiences that they name."""

    audiences: Sequence[str]
    wanted: Sequence[Attribute]
    names: Sequence[str]
    counts: Sequence[Counted]
    choices: Sequence[tuple[str, str]]
    again: Sequence[tuple[str, str]]
    interests: Sequence[str]
    features: Sequence[str]


@dataclass(frozen=True, slots=True, eq=False)
class _Very:
    """Rules that are the same if they are the very same objects: to compare what large ones say would take longer than
    to read them."""

    rules: tuple[Rule, ...]

    def __hash__(self) -> int:
        return hash(tuple(map(id, self.rules)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Very) and tuple(map(id, self.rules)) == tuple(map(id, other.rules))


@lru_cache(maxsize=256)
def _asked_by(very: _Very) -> _Looked:
    """What rules look at: the same for each person and batch of a version, whose rules stay in memory."""
    return _looked(very.rules, sorted(set().union(*map(names_of, very.rules))))


def _looked(rules: Iterable[Rule], audiences: Sequence[str]) -> _Looked:
    leaves = [leaf for rule in rules for leaf in rule_leaves(rule)]
    return _Looked(
        audiences=audiences,
        wanted=[leaf for leaf in leaves if isinstance(leaf, Attribute)],
        names=sorted({leaf.name for leaf in leaves if isinstance(leaf, Attribute)}),
        counts=list(dict.fromkeys(leaf.what for leaf in leaves if isinstance(leaf, Count))),
        choices=sorted({(leaf.purpose, leaf.channel) for leaf in leaves if isinstance(leaf, Consent)}),
        again=sorted({(leaf.purpose, leaf.channel) for leaf in leaves if isinstance(leaf, AskedAgain)}),
        interests=sorted({leaf.code for leaf in leaves if isinstance(leaf, Interest)}),
        features=list(dict.fromkeys(leaf.feature for leaf in leaves if isinstance(leaf, FeatureIs))),
    )


def facts_load(
    *,
    rules: Iterable[Rule],
    profile_ids: Sequence[int],
    as_of: datetime,
    held: Mapping[int, AttributesHeld] | None = None,
    stamps: Mapping[str, str] | None = None,
) -> dict[int, PersonFacts]:
    """What the rules look at, for people of a batch who exist; at most eight statements, whatever their number, and
    one for each level of audiences that rules name.

    held, stamps: what was read of these people already, `attributes_asked` or more, and the stamps that were read with
    it; it is read here where the audiences that rules name ask for more.
    The hot path: rows into dicts, no object for a row but the facts themselves. Sensitive attributes stay sealed: their
    digests say which of the values asked for they are. Raises Invalid for what no digest tells.
    """
    rules = tuple(rules)
    looked = _asked_by(_Very(rules))
    inner: dict[str, Rule] = {}
    if looked.audiences:
        within = rules_expand(InAudience(code, inside=True) for code in looked.audiences)
        inner = dict(zip(looked.audiences, within, strict=True))
        looked = _looked((*rules, *inner.values()), looked.audiences)
    ids = list(profile_ids)
    if held is not None and not inner:
        attributes = _attributes_tell(
            looked.names, looked.wanted, {one: held[one] for one in ids if one in held}, stamps
        )
    else:
        attributes = _attributes_load(looked.names, looked.wanted, ids)
    counts = {profile_id: dict.fromkeys(looked.counts, 0) for profile_id in attributes}
    for kind in ("orders", "event"):
        _counts_load([what for what in looked.counts if what.kind == kind], ids, as_of, counts)
    choices, again, interests = looked.choices, looked.again, looked.interests
    granted = _granted_load(choices, ids)
    chosen = _interests_load(interests, ids)
    computed = looked.features
    features = features_read(profile_ids=list(attributes), names=computed, as_of=as_of) if computed else {}
    to_ask = asked_people(profile_ids=ids, purposes=sorted({code for code, _ in again})) if again else set()
    found = {
        profile_id: PersonFacts(
            attributes=known,
            counts=counts[profile_id],
            consents={choice: choice in granted[profile_id] for choice in choices},
            asked={choice: (profile_id, *choice) in to_ask for choice in again},
            interests={code: code in chosen.get(profile_id, ()) for code in interests},
            features=features.get(profile_id, {}),
        )
        for profile_id, known in attributes.items()
    }
    if not inner:
        return found
    return {
        profile_id: replace(facts, audiences={code: rule_matches(rule, facts).matched for code, rule in inner.items()})
        for profile_id, facts in found.items()
    }


def _attributes_load(
    names: Sequence[str], leaves: Sequence[Attribute], ids: Sequence[int]
) -> dict[int, dict[str, Any]]:
    free = [name for name in names if name not in PROFILE_COLUMNS]
    columns = [name for name in PROFILE_COLUMNS if name in names]
    return _attributes_tell(names, leaves, attributes_held(profile_ids=ids, names=free, columns=columns))


def _attributes_tell(
    names: Sequence[str],
    leaves: Sequence[Attribute],
    held: Mapping[int, AttributesHeld],
    stamps: Mapping[str, str] | None = None,
) -> dict[int, dict[str, Any]]:
    """What is held, as rules look at it. Definitions are those of now: one that was sealed by the time that the values
    were read is known to be sensitive."""
    free = {name for name in names if name not in PROFILE_COLUMNS}
    columns = [name for name in PROFILE_COLUMNS if name in names]
    sensitive = {name: shape for name, shape in shapes_known(free, stamps).items() if shape.sensitive} if free else {}
    _answerable(leaves, sensitive)
    asked = {
        digest: str(token_of(value))
        for leaf in leaves
        if leaf.name in sensitive and leaf.op != "known"
        for value in leaf.values
        for digest in digests_of(leaf.name, value)
    }
    clear = sorted(free - sensitive.keys())
    found: dict[int, dict[str, Any]] = {}
    opened: dict[int, dict[str, Any]] = {}
    if free and any(not one.sealed.keys() & free <= sensitive.keys() for one in held.values()):
        opened = values_read(profile_ids=list(held), names=clear, exact=True)  # some that were made clear just now
    for profile_id, one in held.items():
        known: dict[str, Any] = {name: one.columns[name] or None for name in columns}
        for name in clear:
            text = one.clear[name]
            known[name] = None if text is None else json_read(text, exact=True)
        known |= opened.get(profile_id, {})
        for name in sensitive:
            sealed, text = one.sealed.get(name), one.clear[name]
            if sealed is not None:
                token = asked.get(sealed.digest)
            elif sensitive[name].moving and text is not None and is_known(value := json_read(text, exact=True)):
                token = token_of(value)
            else:
                known[name] = None
                continue
            known[name] = Sensitive(frozenset() if token is None else frozenset([token]))
        found[profile_id] = known
    return found


def _counts_load(
    counted: Sequence[Counted], ids: Sequence[int], as_of: datetime, into: dict[int, dict[Counted, int]]
) -> None:
    if not counted:
        return
    statement = counts_select(counted, as_of, ids)
    with connection.cursor() as cursor:
        cursor.execute(statement.text, statement.params)
        for profile_id, *numbers in cursor.fetchall():
            if profile_id in into:
                into[profile_id].update(zip(counted, numbers, strict=True))


def _granted_load(choices: Sequence[tuple[str, str]], ids: Sequence[int]) -> dict[int, set[tuple[str, str]]]:
    granted: dict[int, set[tuple[str, str]]] = defaultdict(set)
    if choices:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT profile_id, purpose_id, channel FROM consent_consentstate"
                " WHERE profile_id = ANY(%s) AND purpose_id = ANY(%s) AND granted",
                (list(ids), sorted({purpose for purpose, _ in choices})),
            )
            for profile_id, purpose, channel in cursor.fetchall():
                granted[profile_id].add((purpose, channel))
    return granted


def _interests_load(codes: Sequence[str], ids: Sequence[int]) -> dict[int, list[str]]:
    if not codes:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT profile_id, interests FROM consent_preference"
            " WHERE profile_id = ANY(%s) AND interests && %s::varchar[]",
            (list(ids), list(codes)),
        )
        return dict(cursor.fetchall())
