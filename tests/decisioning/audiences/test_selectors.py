"""Sets of people: counts, batches, samples, and what a hostile rule can not do."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from apps.data.events.models import Order
from apps.data.profiles.models import Profile
from apps.decisioning.audiences.rules import rule_matches, rule_parse
from apps.decisioning.audiences.selectors import (
    audience_count,
    audience_draw,
    audience_estimate,
    audience_ids,
    audience_sample,
    facts_load,
)
from tests.factories import make_profile
from tests.wordings import agree, make_wording, next_version

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def make_order(profile: Profile, number: str, placed_at: datetime, status: str = "purchase") -> Order:
    return Order.objects.create(source="test", external_id=number, profile=profile, placed_at=placed_at, status=status)


@pytest.mark.django_db
def test_the_window_is_closed_at_since_and_as_of_and_open_at_before() -> None:
    profile = make_profile()
    make_order(profile, "1", NOON)

    def count(window: dict[str, object], as_of: datetime = NOON) -> int:
        return audience_count(rule=rule_parse({"orders": window}), as_of=as_of)

    assert count({"since": "2026-05-04T12:00Z"}) == 1
    assert count({"since": "2026-05-04T12:00:01Z"}) == 0
    assert count({"before": "2026-05-04T12:00:01Z"}) == 1
    assert count({"before": "2026-05-04T12:00Z"}) == 0
    assert count({}, NOON - timedelta(seconds=1)) == 0
    assert count({"within_days": 1}, NOON + timedelta(days=1)) == 1
    assert count({"within_days": 1}, NOON + timedelta(days=1, seconds=1)) == 0


@pytest.mark.django_db
def test_only_purchases_count() -> None:
    profile = make_profile()
    make_order(profile, "1", NOON, "cancelled")
    make_order(profile, "2", NOON, "other")
    assert audience_count(rule=rule_parse({"orders": {}}), as_of=NOON) == 0
    make_order(profile, "3", NOON)
    assert audience_count(rule=rule_parse({"orders": {}}), as_of=NOON) == 1


@pytest.mark.django_db
@pytest.mark.parametrize("in_transaction", [True, False])
def test_ids_come_ascending_in_batches(in_transaction: bool) -> None:
    Profile.objects.bulk_create(Profile(country="DE" if number % 3 else "FR") for number in range(30))
    expected = list(Profile.objects.filter(country="DE").order_by("pk").values_list("pk", flat=True))
    rule = rule_parse({"attribute": "country", "is": "DE"})
    if in_transaction:
        with transaction.atomic():
            batches = list(audience_ids(rule=rule, as_of=NOON, batch=7))
    else:
        batches = list(audience_ids(rule=rule, as_of=NOON, batch=7))
    assert [len(batch) for batch in batches] == [7, 7, 6]
    assert [profile_id for batch in batches for profile_id in batch] == expected
    assert audience_count(rule=rule, as_of=NOON) == 20


@pytest.mark.django_db(transaction=True)
def test_ids_are_one_snapshot_and_other_statements_may_run_meanwhile() -> None:
    Profile.objects.bulk_create(Profile() for _ in range(5))
    seen = []
    for batch in audience_ids(rule=rule_parse({"all": []}), as_of=NOON, batch=2):
        Profile.objects.create()
        seen += batch
    assert len(seen) == 5


@pytest.mark.django_db
def test_a_sample_is_the_same_each_time() -> None:
    Profile.objects.bulk_create(Profile() for _ in range(50))
    rule = rule_parse({"all": []})
    sample = audience_sample(rule=rule, as_of=NOON, size=5)
    assert len(sample) == 5
    assert sample == sorted(sample)
    assert audience_sample(rule=rule, as_of=NOON, size=5) == sample


@pytest.mark.django_db
def test_facts_take_five_statements_whatever_the_rules() -> None:
    profiles = [make_profile(country="DE", attributes={"age": "30"}, consent=("marketing",)) for _ in range(3)]
    make_order(profiles[0], "1", NOON)
    rules = [
        rule_parse({"attribute": "country", "is": "DE"}),
        rule_parse({"all": [{"attribute": "age", "gte": 18}, {"orders": {}}, {"orders": {"within_days": 3}}]}),
        rule_parse({"any": [{"event": "Viewed"}, {"event": "Left", "within_days": 2}]}),
        rule_parse(
            {"all": [{"consent": "marketing", "channel": "email"}, {"consent": "tracking", "channel": "email"}]}
        ),
    ]
    ids = [profile.pk for profile in profiles]
    with CaptureQueriesContext(
        connection,
    ) as queries:
        facts = facts_load(rules=rules, profile_ids=[*ids, 10**12], as_of=NOON)
    assert len(queries) == 5
    assert sorted(facts) == ids
    answers = [[rule_matches(rule, facts[profile_id]).matched for rule in rules] for profile_id in ids]
    assert answers == [[True, True, False, False], [True, False, False, False], [True, False, False, False]]
    assert facts_load(rules=iter(rules), profile_ids=ids, as_of=NOON) == facts, "the same objects again"


@pytest.mark.django_db
def test_an_audience_picks_out_who_must_be_asked_again() -> None:
    wording = make_wording()
    older, again, never = make_profile(), make_profile(), make_profile()
    for person in (older, again):
        agree(person)
    next_version(wording, material=True)
    agree(again)
    rules = [rule_parse({"asked_again": "marketing", "channel": "email", "is": wanted}) for wanted in (True, False)]

    facts = facts_load(rules=rules, profile_ids=[older.pk, again.pk, never.pk], as_of=NOON)

    assert audience_draw(rule=rules[0], as_of=NOON, size=9) == (1, [older.pk])
    assert [rule_matches(rules[0], facts[one.pk]).matched for one in (older, again, never)] == [True, False, False]
    assert [rule_matches(rules[1], facts[one.pk]).matched for one in (older, again, never)] == [False, True, True]


@pytest.mark.django_db
def test_client_text_never_enters_the_sql() -> None:
    hostile = "x' OR 1=1; DROP TABLE profiles_profile; -- %s %(a)s {0}"
    make_profile(attributes={hostile: hostile})
    make_profile()
    rule = rule_parse(
        {
            "all": [
                {"attribute": hostile, "is": hostile},
                {"not": {"event": hostile}},
                {"not": {"orders": {"category": hostile}}},
                {"consent": hostile, "channel": "email", "is": False},
            ]
        }
    )
    assert audience_count(rule=rule, as_of=NOON) == 1
    assert Profile.objects.count() == 2


@pytest.mark.django_db
def test_a_draw_is_the_same_each_time_and_begins_with_any_smaller_one() -> None:
    Profile.objects.bulk_create(Profile(country="DE" if number % 2 else "FR") for number in range(40))
    rule = rule_parse({"attribute": "country", "is": "DE"})
    everybody = set(Profile.objects.filter(country="DE").values_list("pk", flat=True))

    count, ids = audience_draw(rule=rule, as_of=NOON, size=100)
    of_some, some = audience_draw(rule=rule, as_of=NOON, size=7)

    assert (count, set(ids), len(ids)) == (20, everybody, 20)
    assert (of_some, some) == (20, ids[:7])
    assert ids != sorted(ids)
    assert audience_draw(rule=rule, as_of=NOON, size=20) == (20, ids)


@pytest.mark.django_db
def test_an_estimate_says_about_how_many_and_counts_those_it_looked_at() -> None:
    Profile.objects.bulk_create(Profile(country="DE" if number % 4 else "FR") for number in range(400))
    rule = rule_parse({"attribute": "country", "is": "DE"})
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE profiles_profile")  # the tests before may have left figures of people who are gone

    whole = audience_estimate(rule=rule, as_of=NOON, sample=5_000)  # nearly everybody is drawn
    some = audience_estimate(rule=rule, as_of=NOON, sample=100)
    nobody = audience_estimate(rule=rule_parse({"attribute": "country", "is": "IT"}), as_of=NOON)

    assert (whole.count, whole.everybody) == (300, 400)
    assert some == audience_estimate(rule=rule, as_of=NOON, sample=100)
    assert abs(some.count - 300) <= some.margin
    assert (nobody.count, nobody.everybody) == (0, 400)
    assert 0 < nobody.margin < 10
