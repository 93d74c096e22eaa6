"""Sets of recommendations, on orders small enough to reckon by hand."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from itertools import count

import pytest
from django.core.management import call_command

from apps.data.catalog.models import Item
from apps.data.events.models import Order, OrderLine
from apps.data.profiles.models import Profile
from apps.decisioning.recommendations import services
from apps.decisioning.recommendations.models import BestSeller, Neighbour, RecommendationSet
from apps.decisioning.recommendations.selectors import latest_set
from apps.decisioning.recommendations.services import recommendation_set_refresh
from apps.foundation.core.clock import now
from tests.factories import make_profile

NEWEST = datetime(2011, 12, 9, 12, tzinfo=UTC)
WEEK = timedelta(days=7)
_number = count(1)


def make_item(sku: str, category: str = "", **fields: object) -> Item:
    return Item.objects.create(sku=sku, category=category, **{"title": f"The {sku}", **fields})


def make_order(
    profile: Profile | None, placed_at: datetime, *items: Item, country: str = "", quantity: int = 1
) -> Order:
    order = Order.objects.create(
        source="test",
        external_id=str(next(_number)),
        profile=profile,
        placed_at=placed_at,
        status="purchase",
        country=country,
    )
    for number, item in enumerate(items, 1):
        OrderLine.objects.create(
            order=order, number=number, item=item, quantity=quantity, unit_price=1, is_purchase=True
        )
    return order


def best(made: RecommendationSet, scope: str, key: str = "") -> list[tuple[str, float]]:
    places = BestSeller.objects.filter(set=made, scope=scope, key=key).order_by("rank")
    return [(place.item.sku, place.score) for place in places.select_related("item")]


@pytest.mark.django_db
def test_best_sellers_halve_each_week_and_old_data_is_not_zero() -> None:
    lamp, tea, cup = make_item("lamp", "Lamps"), make_item("tea", "Tea"), make_item("cup", "Tea")
    german, french = make_profile(country="DE"), make_profile(country="FR")
    make_order(german, NEWEST - 2 * WEEK, lamp, tea)
    make_order(german, NEWEST - WEEK, lamp, quantity=80_995)  # one order, however large
    make_order(french, NEWEST - WEEK, tea, tea, cup, country="CH")  # sent there: its country counts
    make_order(french, NEWEST, tea)
    make_order(french, NEWEST + timedelta(seconds=1), cup)  # after the moment

    made = recommendation_set_refresh(as_of=NEWEST)

    assert made.orders == 4
    assert best(made, "shop") == [("tea", 1.75), ("lamp", 0.75), ("cup", 0.5)]
    assert best(made, "country", "DE") == [("lamp", 1.5), ("tea", 0.5)]  # relative to its own newest order
    assert best(made, "country", "CH") == [("tea", 1.0), ("cup", 1.0)]
    assert best(made, "country", "FR") == [("tea", 1.0)]
    assert best(made, "category", "Tea") == [("tea", 1.75), ("cup", 0.5)]
    assert best(made, "category", "Lamps") == [("lamp", 1.5)]
    assert BestSeller.objects.filter(set=made, scope__in=["country", "category"], key="").count() == 0


@pytest.mark.django_db
def test_ages_beyond_what_a_number_holds_are_no_error() -> None:
    lamp, tea = make_item("lamp"), make_item("tea")
    profile = make_profile()
    make_order(profile, datetime(1901, 1, 1, tzinfo=UTC), lamp)
    make_order(profile, NEWEST, tea)
    assert best(recommendation_set_refresh(), "shop") == [("tea", 1.0), ("lamp", 0.0)]


@pytest.mark.django_db
def test_neighbours_are_the_cosine_of_their_buyers() -> None:
    lamp, tea, cup, map_ = (make_item(sku) for sku in ("lamp", "tea", "cup", "map"))
    anna, bert, cleo = make_profile(), make_profile(), make_profile()
    make_order(anna, NEWEST, lamp, tea, cup)
    make_order(anna, NEWEST, tea)  # bought twice, one buyer
    make_order(bert, NEWEST - WEEK, lamp)
    make_order(bert, NEWEST, tea)
    make_order(cleo, NEWEST, tea, cup, map_)

    made = recommendation_set_refresh(as_of=NEWEST)

    rows = Neighbour.objects.filter(set=made).order_by("item__sku", "rank")
    assert [(row.item.sku, row.rank, row.neighbour.sku, row.score) for row in rows] == [
        ("cup", 1, "tea", 0.816496581),  # 2 / √(2·3)
        ("lamp", 1, "tea", 0.816496581),
        ("tea", 1, "lamp", 0.816496581),  # equal: the lower id first
        ("tea", 2, "cup", 0.816496581),
    ]


@pytest.mark.django_db
def test_what_may_not_be_shown_is_in_no_list() -> None:
    tea, postage, nameless = make_item("tea"), make_item("post", recommendable=False), make_item("x", title="")
    for profile in (make_profile(), make_profile()):
        make_order(profile, NEWEST, tea, postage, nameless)
    made = recommendation_set_refresh()
    assert best(made, "shop") == [("tea", 2.0)]
    assert Neighbour.objects.filter(set=made).count() == 0


@pytest.mark.django_db
def test_without_new_orders_the_last_set_stays() -> None:
    tea, profile = make_item("tea"), make_profile()
    order = make_order(profile, NEWEST, tea)
    first = recommendation_set_refresh()
    assert recommendation_set_refresh() == first

    assert recommendation_set_refresh(force=True) != first
    second = recommendation_set_refresh()

    late = make_order(profile, NEWEST - WEEK, tea)
    third = recommendation_set_refresh()
    assert third != second
    assert best(third, "shop") == [("tea", 1.5)]

    late.delete()  # the same as before `late`, but not the last set's
    assert recommendation_set_refresh().orders == 1

    RecommendationSet.objects.update(created_at=now() - services.UNCHANGED_FOR)
    old = latest_set()
    assert recommendation_set_refresh() != old
    assert order.lines.count() == 1


@pytest.mark.django_db
def test_the_last_three_sets_are_kept() -> None:
    make_order(make_profile(), NEWEST, make_item("tea"))
    made = [recommendation_set_refresh(force=True) for _ in range(5)]
    assert list(RecommendationSet.objects.order_by("pk")) == made[2:]
    assert BestSeller.objects.count() == 3
    assert latest_set() == made[4]


@pytest.mark.django_db
def test_a_shop_without_orders_has_an_empty_set() -> None:
    assert latest_set() is None
    made = recommendation_set_refresh()
    assert (made.ready, made.orders, BestSeller.objects.count()) == (True, 0, 0)


@pytest.mark.django_db
def test_the_command_says_what_it_made() -> None:
    make_order(make_profile(country="DE"), NEWEST, make_item("tea", "Tea"))
    said = StringIO()
    call_command("recommendations_refresh", "--as-of", "2011-12-10T00:00Z", stdout=said)
    made = latest_set()
    assert made is not None
    assert said.getvalue() == (
        f"Set {made.pk}, as of 2011-12-10 00:00: 1 orders, 3 places in lists of best sellers, 0 neighbours\n"
    )
