"""Recommendations on the real orders, with all their lines: heavy, so behind `--slow`."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import cast

import pytest
from django.db import transaction
from pytest_django.plugin import DjangoDbBlocker

from apps.data.events.models import OrderLine
from apps.data.features.selectors import features_read
from apps.data.profiles.models import Profile
from apps.decisioning.recommendations.contracts import PersonTaste
from apps.decisioning.recommendations.models import BestSeller, Neighbour
from apps.decisioning.recommendations.rankers import RANKERS
from apps.decisioning.recommendations.selectors import recommendations_for
from apps.decisioning.recommendations.services import recommendation_set_refresh
from tests.online_retail import needs_online_retail, online_retail_load

SETS = [name for name, ranker in RANKERS.items() if ranker.make is not None]

pytestmark = [needs_online_retail, pytest.mark.django_db, pytest.mark.slow]

AFTER = datetime(2011, 12, 10, tzinfo=UTC)


@pytest.fixture(scope="module", autouse=True)
def _loaded(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    with django_db_blocker.unblock(), transaction.atomic():
        online_retail_load(with_lines=True)
        yield
        transaction.set_rollback(True)


def test_recommendations_are_there_for_all() -> None:
    assert OrderLine.objects.filter(is_purchase=True).count() == 397_884
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
        pk: PersonTaste(country=countries[pk], recent_items=tuple(cast(list[int], values["recent_items"])))
        for pk, values in read.items()
    }
    given = recommendations_for(set_id=made.pk, people=people, sources=SETS, count=3)
    assert all(len(given[pk]["shop"]) == 3 for pk in ids)
    at_home = [len(given[pk]["country"]) == 3 for pk in ids if countries[pk]]
    assert sum(at_home) / len(at_home) > 0.99  # a wholesaler may have all that sells in a small country
    assert sum(len(given[pk]["neighbours"]) == 3 for pk in ids) > 950
    assert given == recommendations_for(set_id=made.pk, people=people, sources=SETS, count=3)
