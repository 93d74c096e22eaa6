"""Rankers behind one interface, and what editors pick."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from apps.data.catalog.models import Item
from apps.data.events.models import Order, OrderLine
from apps.decisioning.decisions.models import Decision
from apps.decisioning.decisions.replay import decision_replay
from apps.decisioning.decisions.services import run_decide
from apps.decisioning.playbooks.rules import SOURCES
from apps.decisioning.playbooks.services import run_plan, run_start
from apps.decisioning.recommendations.contracts import PersonTaste, ShownAt
from apps.decisioning.recommendations.models import BestSeller, EditorialPicks, RecommendationSet
from apps.decisioning.recommendations.rankers import RANKERS
from apps.decisioning.recommendations.selectors import recommendations_for
from apps.decisioning.recommendations.services import picks_create, picks_update, recommendation_set_refresh
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid, NotAllowed
from apps.foundation.governance.models import AuditEntry
from tests.factories import kept_by, make_brand, make_profile, make_published, make_user

pytestmark = pytest.mark.django_db


def make_items(*skus: str, category: str = "Tea") -> list[Item]:
    return [Item.objects.create(sku=sku, title=f"The {sku}", category=category) for sku in skus]


def picked(taste: PersonTaste, shown_at: ShownAt, *, count: int = 6) -> list[str]:
    found = recommendations_for(set_id=None, people={1: taste}, sources=["editorial"], count=count, shown_at=shown_at)
    return [card["sku"] for card in found[1]["editorial"]]


def test_every_ranker_is_a_source_of_tiers_and_says_whether_a_model_chose() -> None:
    assert list(RANKERS) == ["neighbours", "category", "country", "editorial", "shop"]
    assert {name: SOURCES[name] for name in RANKERS} == {name: one.words for name, one in RANKERS.items()}
    assert {name for name, one in RANKERS.items() if one.by_model} == {"neighbours", "category"}


def test_best_sellers_are_what_the_plain_formula_says() -> None:
    # given orders of the last half year, some of items that hardly sell
    chance, moment = random.Random(7), now()
    items = make_items(*(f"t{number}" for number in range(12)))
    profile = make_profile(country="DE")
    sold: list[tuple[float, set[int]]] = []
    for number in range(80):
        days = chance.expovariate(1 / 20)
        bought = {item.pk for item in chance.sample(items, chance.randint(1, 4))}
        order = Order.objects.create(
            source="test",
            external_id=f"o{number}",
            profile=profile,
            status="purchase",
            placed_at=moment - timedelta(days=days),
            country="DE",
        )
        OrderLine.objects.bulk_create(
            OrderLine(order=order, number=at, item_id=item, quantity=9, unit_price=1, is_purchase=True)
            for at, item in enumerate(bought)
        )
        sold.append((days, bought))

    made = recommendation_set_refresh(as_of=moment)

    # then each order counts half for every seven days before the newest
    newest = min(days for days, _ in sold)
    plain = {item.pk: sum(0.5 ** ((days - newest) / 7) for days, bought in sold if item.pk in bought) for item in items}
    places = list(BestSeller.objects.filter(set=made, scope="shop").order_by("rank"))
    assert [one.item_id for one in places] == sorted(plain, key=lambda pk: -plain[pk])
    assert {one.item_id: one.score for one in places} == pytest.approx(plain, abs=1e-6)
    assert made.half_life_days == 7.0


def test_picks_come_for_the_place_first_in_their_order_and_only_while_they_hold() -> None:
    # given picks for everybody, for a place, for a brand, for tea lovers; one that is over and one that comes
    _, b, c, *_rest = make_items("a", "b", "c", "d", "e", "f")
    editor, brand, at = make_user("publisher"), make_brand(), now()
    hour = timedelta(hours=1)
    picks_create(by=editor, name="everybody", items=["c", "a"])
    picks_create(by=editor, name="home", items=["b"], placement="home-hero")
    picks_create(by=editor, name="brand", items=["d"], brand=brand)
    picks_create(by=editor, name="tea", items=["e", "c"], category="Tea")
    picks_create(by=editor, name="over", items=["f"], valid_until=at - hour)
    picks_create(by=editor, name="to come", items=["f"], valid_from=at + hour)
    home = ShownAt(brand.code, "home-hero", at)

    # then the nearest comes first, nothing twice, nothing that they have
    assert picked(PersonTaste(), home) == ["b", "d", "c", "a"]
    assert picked(PersonTaste(top_category="Tea"), home) == ["e", "c", "b", "d", "a"]
    assert picked(PersonTaste(top_category="Lamps", recent_items=(b.pk, c.pk)), home) == ["d", "a"]
    assert picked(PersonTaste(), ShownAt("another", "", at)) == ["c", "a"]
    assert picked(PersonTaste(), ShownAt("another", "", at + 2 * hour)) == ["f", "c", "a"]
    assert picked(PersonTaste(), ShownAt("another", "", at - 2 * hour)) == ["c", "a", "f"]
    Item.objects.filter(sku="c").update(in_stock=False)
    assert picked(PersonTaste(), ShownAt("another", "", at)) == ["a"]


def test_without_a_set_only_what_needs_none_gives_something() -> None:
    make_items("a")
    picks_create(by=make_user("publisher"), name="everybody", items=["a"])
    found = recommendations_for(set_id=None, people={1: PersonTaste(country="DE")}, sources=list(RANKERS), count=1)
    assert {source: len(cards) for source, cards in found[1].items()} == {
        "neighbours": 0,
        "category": 0,
        "country": 0,
        "editorial": 1,
        "shop": 0,
    }


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"name": " ", "items": ["a"]}, "is needed"),
        ({"items": []}, "need one number of an item at least"),
        ({"items": ["a", "b", "a"]}, "a stands there twice"),
        ({"items": ["a", "zz"]}, "zz is no item of the catalog"),
        ({"items": ["a"] * 51}, "are 51, and 50 are allowed"),
        ({"items": ["a"], "category": "Spoons"}, "Spoons is the category of no item"),
        ({"items": ["a"], "valid_from": now(), "valid_until": now() - timedelta(days=1)}, "must be later"),
        ({"items": ["a"], "owner": None}, "Can't be set: owner"),
    ],
)
def test_what_are_no_picks_is_refused(values: dict[str, Any], told: str) -> None:
    make_items("a", "b")
    with pytest.raises(Invalid) as error:
        picks_create(by=make_user("engineer"), **{"name": "Picks", **values})
    assert told in error.value.message
    assert not EditorialPicks.objects.exists()


def test_changes_are_audited_and_only_some_may_make_them() -> None:
    make_items("a", "b")
    editor, analyst = make_user("publisher"), make_user("analyst")
    picks = picks_create(by=editor, name=" Autumn ", items=["a"])
    picks_update(picks_id=picks.pk, by=editor, items=["b", "a"])
    with pytest.raises(NotAllowed):
        picks_update(picks_id=picks.pk, by=analyst, items=["a"])
    with pytest.raises(NotAllowed):
        picks_create(by=analyst, name="Mine", items=["a"])
    with pytest.raises(Conflict):
        picks_create(by=editor, name="Autumn", items=["a"])

    [kept] = EditorialPicks.objects.all()
    assert (kept.name, kept.items, kept.owner) == ("Autumn", ["b", "a"], editor)
    entries = AuditEntry.objects.filter(action__startswith="recommendations.picks").order_by("pk")
    assert [(one.action, one.actor_id) for one in entries] == [
        ("recommendations.picks.created", editor.pk),
        ("recommendations.picks.changed", editor.pk),
    ]


def test_a_message_shows_picks_says_no_model_chose_and_is_decided_the_same_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("apps.decisioning.playbooks.receivers.enqueue_on_commit", lambda *args: None)
    monkeypatch.setattr("apps.decisioning.decisions.receivers.enqueue_on_commit", lambda *args: None)
    monkeypatch.setattr("apps.delivery.sending.receivers.dispatch_take_up", lambda **kwargs: 0)
    monkeypatch.setattr("tests.factories._TIERS", [("site", "editorial")])
    # given no set, picks, and a playbook whose products are picked
    make_items("a", "b", "c", "d")
    editor = make_user("publisher")
    picks = picks_create(by=editor, name="everybody", items=["d", "c", "b", "a"])
    person = make_profile(consent=("marketing",))
    playbook = make_published()
    version = playbook.versions.get()
    [tier, _] = version.spec["slots"]["products"]
    assert (tier["source"], "chosen" in tier) == ("editorial", False)

    # when it is decided, and the picks are others afterwards
    run = run_start(playbook_id=playbook.pk, occasion_key="autumn", trigger="hand")
    run_plan(run_id=run.pk)
    run_decide(run_id=run.pk)
    picks_update(picks_id=picks.pk, by=editor, items=["a"])

    # then it showed them in their order, and comes out the same again
    decision = Decision.objects.get(profile=person)
    assert decision.outcome == "send"
    assert [item["sku"] for item in kept_by(decision).inputs["slots"]["products"]["items"]] == ["d", "c", "b"]
    assert not RecommendationSet.objects.exists()
    assert decision_replay(decision.pk).state == "same"


def test_the_list_teaches_while_there_is_none_and_the_form_makes_one(client: Client) -> None:
    make_items("a", "b")
    client.force_login(make_user("publisher"))
    page = client.get("/admin/recommendations/editorialpicks/").content.decode()
    assert "No editorial picks yet" in page

    answer = client.post(
        "/admin/recommendations/editorialpicks/add/",
        {"name": "Autumn", "items": "b\n a \n\n", "placement": "", "category": "Tea", "valid_from": "2026-11-01T10:00"},
    )

    assert answer.status_code == 302
    picks = EditorialPicks.objects.get()
    assert (picks.items, picks.category) == (["b", "a"], "Tea")
    assert picks.valid_from == datetime(2026, 11, 1, 10, tzinfo=UTC)
    page = client.get("/admin/recommendations/editorialpicks/").content.decode()
    assert "No editorial picks yet" not in page
    assert "buys most of Tea" in page
    refused = client.post(
        f"/admin/recommendations/editorialpicks/{picks.pk}/change/", {"name": "Autumn", "items": "zz"}
    )
    assert "zz is no item of the catalog" in refused.content.decode()
