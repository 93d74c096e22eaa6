"""What people of a batch are recommended."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.data.catalog.models import Item
from apps.data.inbound.live import LiveSaid
from apps.decisioning.recommendations.contracts import OUT_OF_STOCK, PersonTaste
from apps.decisioning.recommendations.models import BestSeller, Neighbour, RecommendationSet
from apps.decisioning.recommendations.rankers import RANKERS
from apps.decisioning.recommendations.selectors import (
    candidates_for,
    recommendations_for,
    set_newest,
)
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Invalid, NotFound
from apps.foundation.core.stamps import stamps_read

SETS = [name for name, ranker in RANKERS.items() if ranker.make is not None]


def make_items(*skus: str) -> list[Item]:
    return [Item.objects.create(sku=sku, title=f"The {sku}", price=Decimal("4.25"), currency="GBP") for sku in skus]


def make_set(lists: dict[tuple[str, str], list[Item]], neighbours: dict[Item, list[tuple[Item, float]]]) -> int:
    made = RecommendationSet.objects.create(as_of=now(), ready=True)
    for (scope, key), items in lists.items():
        for rank, item in enumerate(items, 1):
            BestSeller.objects.create(set=made, scope=scope, key=key, rank=rank, item=item, score=1 / rank)
    for item, others in neighbours.items():
        for rank, (other, score) in enumerate(others, 1):
            Neighbour.objects.create(set=made, item=item, rank=rank, neighbour=other, score=score)
    return made.pk


def skus(given: dict[int, dict[str, list[Any]]]) -> dict[int, dict[str, list[str]]]:
    return {pk: {source: [card["sku"] for card in cards] for source, cards in by.items()} for pk, by in given.items()}


@pytest.mark.django_db
def test_each_source_gives_its_own_best_first() -> None:
    a, b, c, d, e = make_items("a", "b", "c", "d", "e")
    set_id = make_set(
        {("shop", ""): [a, b, c, d], ("country", "DE"): [d, c, b], ("category", "Tea"): [c]},
        {a: [(b, 0.5), (c, 0.4), (d, 0.3)], e: [(d, 0.2), (c, 0.1), (a, 0.9)]},
    )
    people = {
        7: PersonTaste(country="DE", top_category="Tea", recent_items=(a.pk, e.pk)),
        8: PersonTaste(country="FR", top_category="Lamps"),
        9: PersonTaste(),
    }
    given = recommendations_for(set_id=set_id, people=people, sources=SETS, count=3)
    assert skus(given) == {
        7: {"neighbours": ["b", "c", "d"], "category": ["c"], "country": ["d", "c", "b"], "shop": ["b", "c", "d"]},
        8: {"neighbours": [], "category": [], "country": [], "shop": ["a", "b", "c"]},
        9: {"neighbours": [], "category": [], "country": [], "shop": ["a", "b", "c"]},
    }
    one = recommendations_for(set_id=set_id, people=people, sources=["shop"], count=1)
    assert one[8] == {
        "shop": [{"sku": "a", "title": "The a", "price": "£4.25", "url": "", "image_url": ""}],
    }


@pytest.mark.django_db(transaction=True)
def test_items_that_are_kept_in_memory_are_those_of_the_last_commit() -> None:
    first, second, third = make_items("a", "b", "c")
    set_id = make_set({("shop", ""): [first, second]}, {})

    def shown() -> dict[str, tuple[str, str]]:
        stamps = stamps_read()
        asked: dict[str, Any] = {"people": {1: PersonTaste()}, "sources": ["shop"], "count": 2, "stamps": stamps}
        given = candidates_for(set_id=set_newest(stamps), **asked)[1]["shop"]
        return {one.card["sku"]: (one.card["price"], one.gone) for one in given}

    def elsewhere(**values: Any) -> None:
        try:
            Item.objects.filter(sku="a").update(**values)
        finally:
            connection.close()

    assert shown() == {"a": ("£4.25", ""), "b": ("£4.25", "")}
    with CaptureQueriesContext(
        connection,
    ) as asked:
        shown()
    assert len(asked) == 1  # the stamps
    with ThreadPoolExecutor(1) as other:
        other.submit(elsewhere, in_stock=False).result(30)
        assert shown() == {"a": ("£4.25", OUT_OF_STOCK), "b": ("£4.25", "")}
        other.submit(elsewhere, in_stock=True, price=Decimal(5)).result(30)
        assert shown() == {"a": ("£5.00", ""), "b": ("£4.25", "")}
    newer = make_set({("shop", ""): [third]}, {})
    assert newer != set_id
    assert set(shown()) == {"c"}


@pytest.mark.django_db
def test_only_what_can_be_shown_now() -> None:
    items = make_items("a", "b", "c", "d", "e")
    set_id = make_set({("shop", ""): items}, {})
    recommendations_for(set_id=set_id, people={1: PersonTaste()}, sources=["shop"], count=2)  # in memory now
    Item.objects.filter(sku="a").update(in_stock=False)
    Item.objects.filter(sku="b").update(recommendable=False)
    Item.objects.filter(sku="c").update(title=" \u200b ")
    given = recommendations_for(set_id=set_id, people={1: PersonTaste()}, sources=["shop"], count=3)
    assert skus(given) == {1: {"shop": ["d", "e"]}}


@pytest.mark.django_db
def test_nothing_that_the_person_has() -> None:
    a, b, c = make_items("a", "b", "c")
    set_id = make_set({("shop", ""): [a, b, c]}, {a: [(b, 0.9), (c, 0.1)]})
    people = {1: PersonTaste(recent_items=(a.pk, b.pk))}
    given = recommendations_for(set_id=set_id, people=people, sources=["neighbours", "shop"], count=3)
    assert skus(given) == {1: {"neighbours": ["c"], "shop": ["c"]}}


@pytest.mark.django_db
def test_a_batch_takes_few_statements_whatever_its_size() -> None:
    items = make_items("a", "b", "c", "d")
    set_id = make_set({("shop", ""): items}, {items[0]: [(items[1], 0.5)]})
    people = {pk: PersonTaste(recent_items=(items[0].pk,)) for pk in range(1, 200)}
    with CaptureQueriesContext(connection) as queries:
        recommendations_for(set_id=set_id, people=people, sources=SETS, count=3)
    assert len(queries) == 4  # the set, its lists, neighbours, items
    with CaptureQueriesContext(connection) as queries:
        recommendations_for(set_id=set_id, people=people, sources=SETS, count=3)
    assert len(queries) == 1  # items: stock is never kept


@pytest.mark.django_db
def test_wrong_questions_are_refused() -> None:
    with pytest.raises(Invalid, match="There is no source 'stars'"):
        recommendations_for(set_id=1, people={}, sources=["stars"], count=3)
    unready = RecommendationSet.objects.create(as_of=now())
    with pytest.raises(NotFound, match="does not exist: take the latest"):
        recommendations_for(set_id=unready.pk, people={}, sources=["shop"], count=3)


@pytest.mark.django_db
def test_the_live_source_is_asked_where_it_may_be_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def live(skus: list[str], *, seconds: float) -> dict[str, LiveSaid]:
        asked.append(skus)
        return {
            "a": LiveSaid({"in_stock": False}, "live", 0.0),
            "b": LiveSaid({"price": Decimal("3.5"), "in_stock": True}, "last", 9.0),
        }

    monkeypatch.setattr("apps.decisioning.recommendations.selectors.live_items", live)
    items = make_items("a", "b", "c")
    Item.objects.filter(sku="b").update(in_stock=False)
    set_id = make_set({("shop", ""): items}, {})
    common: Any = {"set_id": set_id, "people": {1: PersonTaste()}, "sources": ["shop"], "count": 3}

    bulk = candidates_for(**common)[1]["shop"]
    assert (asked, [one.gone for one in bulk]) == ([], ["", "out_of_stock", ""])
    now_there = candidates_for(**common, live_seconds=0.1)[1]["shop"]
    assert asked == [["a", "b", "c"]]
    assert [(one.gone, one.card["price"]) for one in now_there] == [
        ("out_of_stock", "£4.25"),
        ("", "£3.50"),
        ("", "£4.25"),
    ]
