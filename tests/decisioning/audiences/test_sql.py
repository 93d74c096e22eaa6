"""SQL over everybody and the predicate over one person agree, on real PostgreSQL, whatever the rule and the people."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings as django_settings
from django.db import transaction
from django.test import override_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.data.catalog.models import Item
from apps.data.consent.models import Action, ConsentRecord, ConsentState, Preference
from apps.data.events.models import Event, Order, OrderLine
from apps.data.features.definitions import FEATURES
from apps.data.features.engine import Bought, Happened, State
from apps.data.features.engine import values as features_replayed
from apps.data.features.services import people_refold
from apps.data.profiles.attributes import attributes_put
from apps.data.profiles.models import AttributeDefinition, Profile
from apps.decisioning.audiences.contracts import (
    FEATURE_OPS,
    PROFILE_COLUMNS,
    Attribute,
    Consent,
    Count,
    Counted,
    FeatureIs,
    InAudience,
    Interest,
    PersonFacts,
    Rule,
    rule_leaves,
)
from apps.decisioning.audiences.models import Audience
from apps.decisioning.audiences.rules import rule_matches, rule_parse, rule_to_json
from apps.decisioning.audiences.selectors import audience_count, audience_ids, audience_sample, facts_load, rule_admit
from apps.foundation.core.errors import Invalid
from tests.examples import tries
from tests.factories import make_profile, make_user

AS_OF = datetime(2011, 12, 10, tzinfo=UTC)
_number = count(1)
REVENUE = Decimal("12.34")

NAMES = [
    "country",
    "first_name",
    "plan",
    "age",
    "",
    "ключ 🗝",
    "100%s",
    "x'); DROP TABLE profiles_profile; --",
    "attributes",
]
TEXTS = [
    *[
        "DE",
        "de",
        "d",
        "Zoë",
        "Zoe\u0308",
        "z",
        "Z",
        "é",
        "\uffff",
        "🎉",
        "a%b",
        "%s",
        "'",
        '"',
        "\\",
        "{}",
        "null",
        "true",
    ],
    *["5", "5.0", " 5", "5\n", "-0", "0", "1e3", "٥", "1.50", "99999999999999999999", "12345678901.123", "."],
]
NUMBERS = [0, 5, -5, 5.0, 1.5, 0.1, 1e3, 10**15, -(10**15), 12345678901.123]
CATEGORIES = ["Lamps", "Tea"]
INTERESTS = ["kitchen", "Kitchen", "kitchen-2"]
EVENTS = ["Viewed", "viewed", "It's", "Product Viewed", "Email Delivered", "Email Link Clicked"]
NESTED = {
    "regulars": {"orders": {"at_least": 2}},
    "inner": {"not": {"audience": "regulars"}},
    "outer": {"any": [{"audience": "inner", "is": True}, {"attribute": "country", "is": "DE"}]},
}

scalars = st.sampled_from(TEXTS) | st.sampled_from(NUMBERS) | st.booleans()
known = scalars | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=4) | st.none()
odd = st.sampled_from([[], {}, [[]], ["5", 5, None], 10**40, 1e-30, [True], {"a": "DE"}, ["DE", "Zoë"], "", [""]])
moments = st.sampled_from(
    [AS_OF - timedelta(days=days, seconds=shift) for days in (0, 1, 30, 90) for shift in (-1, 0, 1)]
)


@dataclass
class Person:
    columns: dict[str, str]
    attributes: Any
    orders: list[tuple[str, datetime, list[tuple[str, bool]]]] = field(default_factory=list)
    events: list[tuple[str, datetime]] = field(default_factory=list)
    consents: dict[tuple[str, str], bool] = field(default_factory=dict)
    interests: list[str] | None = None


lines = st.lists(st.tuples(st.sampled_from(CATEGORIES), st.booleans()), max_size=2)
people = st.builds(
    Person,
    columns=st.fixed_dictionaries(
        {}, optional={"country": st.sampled_from(["DE", "de", "5"]), "first_name": st.sampled_from(TEXTS)}
    ),
    attributes=st.dictionaries(st.sampled_from(NAMES), known | odd, max_size=5)
    | st.sampled_from([[], "DE", 5, ["age"]]),
    orders=st.lists(st.tuples(st.sampled_from(["purchase", "purchase", "cancelled"]), moments, lines), max_size=3),
    events=st.lists(st.tuples(st.sampled_from(EVENTS), moments), max_size=4),
    consents=st.dictionaries(
        st.tuples(st.sampled_from(["marketing"]), st.sampled_from(["email", "sms"])), st.booleans(), max_size=2
    ),
    interests=st.none() | st.lists(st.sampled_from(INTERESTS), unique=True, max_size=3),
)

texts = st.sampled_from([text for text in TEXTS if text])
values = texts | st.sampled_from(NUMBERS) | st.booleans()
comparisons = st.one_of(
    st.fixed_dictionaries({"is": values}),
    st.fixed_dictionaries({"is_not": values}),
    st.fixed_dictionaries({"in": st.lists(values, min_size=1, max_size=4)}),
    st.fixed_dictionaries({"contains": texts}),
    st.fixed_dictionaries({"gte": texts | st.sampled_from(NUMBERS)}),
    st.fixed_dictionaries({"lte": texts | st.sampled_from(NUMBERS)}),
    st.fixed_dictionaries({"known": st.booleans()}),
)
bounds = st.sampled_from(  # with none: at least 1
    [
        {},
        {"at_least": 0},
        {"at_least": 2},
        {"at_most": 1},
        {"exactly": 0},
        {"exactly": 1},
        {"at_least": 1, "at_most": 2},
    ]
)
windows = st.fixed_dictionaries(
    {},
    optional={
        "since": st.sampled_from(["2011-09-11", "2011-11-10T00:00Z", "2011-12-10T00:00Z"]),
        "before": st.sampled_from(["2011-12-11", "2011-12-10T00:00:01Z"]),
        "within_days": st.sampled_from([1, 30, 90]),
    },
)
FEATURE_VALUES: dict[str, list[Any]] = {
    "number": [-1, -0.5, 0, 0.5, 1, 2, 29.5, 30, 90, 10**9],
    "amount": [0, 0.5, 1, 12.34, 24.68],
    "moment": ["2011-11-10", "2011-12-09T23:59:59Z", "2011-12-10T00:00Z"],
    "text": ["Lamps", "Tea", "new", "lapsed"],
    "flag": [True, False],
    "items": [1, 10**9],
}


def _of_feature(name: str) -> Any:
    kind = FEATURES[name].kind
    value = st.sampled_from(FEATURE_VALUES[kind])
    asked = {
        "in": st.lists(value, min_size=1, max_size=3),
        "known": st.booleans(),
    }
    return st.one_of(
        [
            st.builds(lambda op, one: {"feature": name, op: one}, st.just(op), asked.get(op, value))
            for op in FEATURE_OPS[kind]
        ]
    )


leaves = st.one_of(
    st.sampled_from(list(FEATURES)).flatmap(_of_feature),
    st.builds(lambda code, inside: {"audience": code, "is": inside}, st.sampled_from(list(NESTED)), st.booleans()),
    st.builds(lambda name, asked: {"attribute": name, **asked}, st.sampled_from([n for n in NAMES if n]), comparisons),
    st.builds(
        lambda number, window, category: {"orders": {**number, **window, **category}},
        bounds,
        windows,
        st.sampled_from([{}, *({"category": name} for name in CATEGORIES)]),
    ),
    st.builds(
        lambda name, number, window: {"event": name, **number, **window}, st.sampled_from(EVENTS), bounds, windows
    ),
    st.builds(
        lambda channel, granted: {"consent": "marketing", "channel": channel, "is": granted},
        st.sampled_from(["email", "sms"]),
        st.booleans(),
    ),
    st.builds(lambda code, chosen: {"interest": code, "is": chosen}, st.sampled_from(INTERESTS), st.booleans()),
)
rules = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda all_: {"all": all_}, st.lists(inner, max_size=3)),
        st.builds(lambda any_: {"any": any_}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda one: {"not": one}, inner),
    ),
    max_leaves=6,
)


@contextmanager
def kept_apart() -> Iterator[None]:
    """What one example writes is gone for the next."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def stored(person: Person) -> int:
    profile = Profile.objects.create(attributes=person.attributes, **person.columns)
    for status, placed_at, order_lines in person.orders:
        order = Order.objects.create(
            source="test",
            external_id=str(next(_number)),
            profile=profile,
            status=status,
            placed_at=placed_at,
            revenue=REVENUE,
        )
        for number, (category, bought) in enumerate(order_lines, 1):
            item, _ = Item.objects.get_or_create(sku=category, category=category)
            OrderLine.objects.create(
                order=order, number=number, item=item, quantity=1, unit_price=1, is_purchase=bought
            )
    Event.objects.bulk_create(
        Event(profile=profile, name=name, occurred_at=moment, message_id=str(next(_number)))
        for name, moment in person.events
    )
    people_refold(profile_ids=[profile.pk])
    for (purpose, channel), granted in person.consents.items():
        record = ConsentRecord.objects.create(
            profile=profile,
            purpose_id=purpose,
            channel=channel,
            action=Action.GRANT if granted else Action.WITHDRAW,
            method="api",
            source="test",
            occurred_at=AS_OF,
        )
        ConsentState.objects.create(
            profile=profile, purpose_id=purpose, channel=channel, granted=granted, record=record, changed_at=AS_OF
        )
    if person.interests is not None:
        Preference.objects.create(profile=profile, interests=person.interests)
    return profile.pk


def facts_by_hand(person: Person, rule: Rule) -> PersonFacts:
    """What the database should say, said without it."""
    named = {code: rule_parse(NESTED[code]) for code in ("regulars", "inner", "outer")}
    asked = [leaf for one in (rule, *named.values()) for leaf in rule_leaves(one)]
    features = [leaf.feature for leaf in asked if isinstance(leaf, FeatureIs)]
    facts = _facts_by_hand(person, asked, features_replayed(lived(person), features, AS_OF))
    if any(isinstance(leaf, InAudience) for leaf in asked):
        inside: dict[str, bool] = {}
        for code, one in named.items():  # each names those before it
            inside[code] = rule_matches(one, replace(facts, audiences=inside)).matched
        return replace(facts, audiences=inside)
    return facts


def lived(person: Person) -> State:
    """What the person did and bought, for the engine of features."""
    state = State()
    state.add(Happened(name, moment) for name, moment in person.events)
    state.add(
        Bought(number, moment, REVENUE, tuple((Item.objects.get(sku=sku).pk, sku) for sku, real in bought if real))
        for number, (status, moment, bought) in enumerate(person.orders)
        if status == "purchase"
    )
    return state


def _facts_by_hand(person: Person, asked: list[Any], features: dict[str, Any]) -> PersonFacts:
    free = person.attributes if isinstance(person.attributes, dict) else {}
    return PersonFacts(
        attributes={
            leaf.name: (person.columns.get(leaf.name) if leaf.name in PROFILE_COLUMNS else free.get(leaf.name))
            for leaf in asked
            if isinstance(leaf, Attribute)
        },
        counts={leaf.what: counted_by_hand(person, leaf.what) for leaf in asked if isinstance(leaf, Count)},
        consents={
            (leaf.purpose, leaf.channel): person.consents.get((leaf.purpose, leaf.channel), False)
            for leaf in asked
            if isinstance(leaf, Consent)
        },
        interests={leaf.code: leaf.code in (person.interests or ()) for leaf in asked if isinstance(leaf, Interest)},
        features=features,
    )


def counted_by_hand(person: Person, what: Counted) -> int:
    if what.kind == "event":
        found = [moment for name, moment in person.events if name == what.name]
    else:
        found = [
            moment
            for status, moment, bought in person.orders
            if status == "purchase" and (not what.name or (what.name, True) in bought)
        ]
    window = what.window
    return sum(
        moment <= AS_OF
        and (window.since is None or moment >= window.since)
        and (window.before is None or moment < window.before)
        and (window.within_days is None or moment >= AS_OF - timedelta(days=window.within_days))
        for moment in found
    )


@pytest.mark.django_db
@settings(max_examples=tries(120), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(people, min_size=1, max_size=4), st.lists(rules, min_size=1, max_size=5))
def test_sql_and_predicate_agree(drawn: list[Person], asked: list[dict[str, Any]]) -> None:
    parsed = [rule_parse(data) for data in asked]
    with kept_apart():
        owner = make_user("publisher")
        for code, data in NESTED.items():
            Audience.objects.create(code=code, name=code, rule=data, owner=owner)
        by_id = {stored(person): person for person in drawn}
        loaded = facts_load(rules=parsed, profile_ids=list(by_id), as_of=AS_OF)
        assert set(loaded) == set(by_id)
        for rule in parsed:
            assert rule_parse(rule_to_json(rule)) == rule
            expected = sorted(
                profile_id
                for profile_id, person in by_id.items()
                if rule_matches(rule, facts_by_hand(person, rule)).matched
            )
            assert sorted(i for i in loaded if rule_matches(rule, loaded[i]).matched) == expected
            assert [i for ids in audience_ids(rule=rule, as_of=AS_OF, batch=2) for i in ids] == expected
            assert audience_count(rule=rule, as_of=AS_OF) == len(expected)
            assert audience_sample(rule=rule, as_of=AS_OF, size=9) == expected


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("feature", "names"),
    [
        ("days_since_last_click", ["Email Link Clicked"]),
        ("days_since_last_visit", ["Page Viewed", "Checkout Started", "Page Viewed"]),
    ],
)
def test_days_since_are_compared_to_the_microsecond(feature: str, names: list[str]) -> None:
    """Of one name and of several, ahead of the moment too, over a change of the clocks, and longer ago than there are
    moments."""
    as_of = datetime(2011, 11, 1, 9, 30, 0, 1, tzinfo=ZoneInfo("Europe/Vienna"))  # clocks changed two days before
    ago = [timedelta(days=days, microseconds=shift) for days in (-1, 0, 1, 2, 3, 30) for shift in (-1, 0, 1)]
    days: dict[int, int | None] = {make_profile(email=None).pk: None}
    for each in ago:
        profile_id = make_profile(email=None).pk
        moments_of = [as_of.astimezone(UTC) - each - number * timedelta(hours=5) for number in range(len(names))]
        Event.objects.bulk_create(
            Event(profile_id=profile_id, name=name, occurred_at=moment, message_id=str(next(_number)))
            for name, moment in zip(names, moments_of, strict=True)
        )
        people_refold(profile_ids=[profile_id])
        today = [moment for moment in moments_of if moment.date() <= as_of.astimezone(UTC).date()]
        days[profile_id] = max((as_of - max(today)) // timedelta(days=1), 0) if today else None
    for than in (-1, -0.5, 0, 0.5, 1, 1.5, 2, 3, 29, 30, 10**9, 10**15):
        for op in ("gte", "lte"):
            rule = rule_parse({"feature": feature, op: than})
            expected = {
                profile_id
                for profile_id, since in days.items()
                if since is not None and (since >= than if op == "gte" else since <= than)
            }
            found = {profile_id for ids in audience_ids(rule=rule, as_of=as_of) for profile_id in ids}
            assert found == expected, (op, than)
            loaded = facts_load(rules=[rule], profile_ids=list(days), as_of=as_of)
            assert {each for each in days if rule_matches(rule, loaded[each]).matched} == expected, (op, than)
    assert None in days.values()
    assert set(days.values()) >= {0, 1, 2, 30}


# --- sensitive attributes: sealed, and asked by their digests ---

KINDS = {"illness": "text", "score": "number", "member": "bool", "born": "date", "codes": "texts"}
SAID: dict[str, list[Any]] = {
    "illness": ["5", "true", "Zoë", "%s", "x'); DROP TABLE profiles_profile; --"],
    "score": [5, 5.0, -1.5, 0, 10**14],
    "member": [True, False],
    "born": ["2000-02-29", "1999-12-31"],
    "codes": [["a"], ["a", "5"]],
}
confided = st.fixed_dictionaries(
    {},
    optional={
        name: st.tuples(st.sampled_from(said), st.booleans())  # the value, and whether it is still clear
        for name, said in SAID.items()
    },
)


def _asked(name: str) -> Any:
    known = st.builds(lambda holds: {"attribute": name, "known": holds}, st.booleans())
    if KINDS[name] == "texts":
        return known
    value = st.sampled_from(SAID[name])
    return st.one_of(
        known,
        st.builds(lambda op, one: {"attribute": name, op: one}, st.sampled_from(["is", "is_not"]), value),
        st.builds(lambda many: {"attribute": name, "in": many}, st.lists(value, min_size=1, max_size=3)),
    )


sensitive_rules = st.recursive(
    st.one_of([_asked(name) for name in KINDS]),
    lambda inner: st.one_of(
        st.builds(lambda both: {"all": both}, st.lists(inner, max_size=3)),
        st.builds(lambda either: {"any": either}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda one: {"not": one}, inner),
    ),
    max_leaves=5,
)


@pytest.mark.django_db
@settings(max_examples=tries(60), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(confided, min_size=1, max_size=4),
    st.lists(sensitive_rules, min_size=1, max_size=4),
    st.booleans(),
    st.booleans(),
)
def test_they_agree_on_sensitive_attributes_too_also_while_values_are_sealed_and_keys_change(
    drawn: list[dict[str, tuple[Any, bool]]], asked: list[dict[str, Any]], moving: bool, new_key: bool
) -> None:
    with kept_apart(), ExitStack() as keys:
        owner = make_user("administrator")
        for name, kind in KINDS.items():
            AttributeDefinition.objects.create(
                name=name, kind=kind, sensitive=True, moving="sealing" if moving else "", owner=owner
            )
        known: dict[int, dict[str, Any]] = {}
        for told in drawn:
            clear = {name: value for name, (value, still) in told.items() if moving and still}
            profile = Profile.objects.create()
            attributes_put(
                profile_id=profile.pk, values={name: value for name, (value, _) in told.items() if name not in clear}
            )
            Profile.objects.filter(pk=profile.pk).update(attributes=clear)
            known[profile.pk] = {name: value for name, (value, _) in told.items()}
        if new_key:
            live = {2: b"second-lookup-key-0123456789", **django_settings.LOOKUP_KEYS}
            keys.enter_context(override_settings(LOOKUP_KEYS=live))
        parsed = [rule_admit(data) for data in asked]
        loaded = facts_load(rules=parsed, profile_ids=list(known), as_of=AS_OF)
        for rule in parsed:
            expected = sorted(
                profile_id
                for profile_id, told in known.items()
                if rule_matches(
                    rule,
                    PersonFacts({name: told.get(name) for name in KINDS}, {}, {}),
                ).matched
            )
            answers = {profile_id: rule_matches(rule, facts) for profile_id, facts in loaded.items()}
            assert sorted(profile_id for profile_id, answer in answers.items() if answer.matched) == expected
            assert [i for ids in audience_ids(rule=rule, as_of=AS_OF) for i in ids] == expected
            assert {line["is"] for answer in answers.values() for line in answer.because} <= {None, "•••"}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ({"attribute": "illness", "contains": "flu"},
         'contains can\'t be asked of "illness", which is sensitive: is, is_not, in and known alone'),
        ({"all": [{"attribute": "score", "gte": 5}]},
         'all[0].gte can\'t be asked of "score", which is sensitive: is, is_not, in and known alone'),
        ({"not": {"attribute": "score", "lte": 5}},
         'not.lte can\'t be asked of "score", which is sensitive: is, is_not, in and known alone'),
        ({"attribute": "score", "is": "five"}, "is must be a number such as 12.5"),
        ({"attribute": "score", "in": [5, "5"]}, "in[1] must be written as it is stored: 5"),
        ({"attribute": "member", "is": "ja"}, "is must be written as it is stored: true"),
        ({"attribute": "codes", "is": "a"}, 'is can\'t be asked of "codes", which is a sensitive list: known alone'),
    ],
)  # fmt: skip
def test_what_no_digest_tells_is_refused_where_it_is_written_and_where_it_would_run(
    rule: dict[str, Any], why: str
) -> None:
    parsed = rule_admit(rule)  # while they are not sensitive
    owner = make_user("administrator")
    for name, kind in KINDS.items():
        AttributeDefinition.objects.create(name=name, kind=kind, sensitive=True, owner=owner)

    with pytest.raises(Invalid) as fault:
        rule_admit(rule)

    assert fault.value.message == why
    if "alone" in why and "list" not in why:
        with pytest.raises(Invalid, match="became sensitive"):
            audience_count(rule=parsed, as_of=AS_OF)
        with pytest.raises(Invalid, match="became sensitive"):
            facts_load(rules=[parsed], profile_ids=[make_profile().pk], as_of=AS_OF)
