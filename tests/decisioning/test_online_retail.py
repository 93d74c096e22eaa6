"""Audiences, features and recommendations on the real orders. Loaded once for this file, and gone after it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import connection, transaction
from pytest_django.plugin import DjangoDbBlocker

from apps.data.events.models import Order, OrderLine
from apps.data.features.selectors import features_read
from apps.data.profiles.models import Profile
from apps.decisioning.audiences.rules import rule_matches, rule_parse
from apps.decisioning.audiences.selectors import audience_count, audience_ids, facts_load
from apps.decisioning.recommendations.contracts import SOURCES, PersonTaste
from apps.decisioning.recommendations.models import BestSeller, Neighbour
from apps.decisioning.recommendations.selectors import recommendations_for
from apps.decisioning.recommendations.services import recommendation_set_refresh
from apps.foundation.core.clock import now
from tests.online_retail import needs_online_retail, online_retail_load

pytestmark = needs_online_retail

AFTER = datetime(2011, 12, 10, tzinfo=UTC)
LAPSED = rule_parse({"all": [{"orders": {"at_least": 2}}, {"orders": {"exactly": 0, "since": "2011-10-11T00:00Z"}}]})


@pytest.fixture(scope="module", autouse=True)
def _loaded(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    with django_db_blocker.unblock():
        with transaction.atomic():
            online_retail_load()
            yield
            transaction.set_rollback(True)
        connection.close()


def test_the_data_is_whole() -> None:
    assert Profile.objects.count() == 4372
    assert Order.objects.filter(status="purchase").count() == 18_532
    assert OrderLine.objects.filter(is_purchase=True).count() == 397_884


@pytest.mark.parametrize("as_of", [AFTER, now()])
def test_the_lapsed_are_903(as_of: datetime) -> None:
    assert audience_count(rule=LAPSED, as_of=as_of) == 903
    ids = [profile_id for batch in audience_ids(rule=LAPSED, as_of=as_of, batch=100) for profile_id in batch]
    facts = facts_load(rules=[LAPSED], profile_ids=list(Profile.objects.values_list("pk", flat=True)), as_of=as_of)
    assert sorted(pk for pk, known in facts.items() if rule_matches(LAPSED, known).matched) == ids
    assert len(ids) == 903


def test_features_add_up() -> None:
    ids = list(Profile.objects.order_by("pk").values_list("pk", flat=True))
    read = features_read(profile_ids=ids, names=["orders_count", "lifetime_value", "recent_items"], as_of=AFTER)
    assert sum(values["orders_count"] for values in read.values()) == 18_532  # type: ignore[misc]  # an int
    assert sum(values["lifetime_value"] for values in read.values()) == Decimal("8911407.904")  # type: ignore[misc]
    assert sum(1 for values in read.values() if values["recent_items"]) == 4338


def test_recommendations_are_there_for_all() -> None:
    made = recommendation_set_refresh()
    assert made.orders == 18_532
    shop = BestSeller.objects.filter(set=made, scope="shop").order_by("rank")
    assert [place.rank for place in shop] == list(range(1, 51))
    assert shop[0].score > 100  # of 2011, and yet not 0: relative to the newest order
    assert shop[0].item.title == "RABBIT NIGHT LIGHT"
    assert BestSeller.objects.filter(set=made, item__recommendable=False).count() == 0
    assert Neighbour.objects.filter(set=made).values("item").distinct().count() > 2500

    ids = list(Profile.objects.order_by("pk").values_list("pk", flat=True)[:1000])
    read = features_read(profile_ids=ids, names=["recent_items"], as_of=AFTER)
    countries = dict(Profile.objects.filter(pk__in=ids).values_list("pk", "country"))
    people = {
        pk: PersonTaste(country=countries[pk], recent_items=tuple(values["recent_items"]))  # type: ignore[arg-type]
        for pk, values in read.items()
    }
    given = recommendations_for(set_id=made.pk, people=people, sources=SOURCES, count=3)
    assert all(len(given[pk]["shop"]) == 3 for pk in ids)
    at_home = [len(given[pk]["country"]) == 3 for pk in ids if countries[pk]]
    assert sum(at_home) > 0.99 * len(at_home)  # a wholesaler may have all that sells in a small country
    assert sum(len(given[pk]["neighbours"]) == 3 for pk in ids) > 980
    assert given == recommendations_for(set_id=made.pk, people=people, sources=SOURCES, count=3)
