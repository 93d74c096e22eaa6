"""Choices that are kept for whoever is alike: the same is decided with them and without, whatever changes."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import Sum
from hypothesis import HealthCheck, example, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pytest_django import Settings

from apps.data.catalog.models import Item
from apps.data.events.models import Order, OrderLine
from apps.data.features.online import copies_void
from apps.data.profiles.models import Profile
from apps.data.profiles.vault import Place, vault_open
from apps.decisioning.content.choosing import Validity
from apps.decisioning.decisions import choices, reading
from apps.decisioning.decisions.engine import Plan
from apps.decisioning.decisions.keeping import person_pack, wanted_of
from apps.decisioning.decisions.limits import item_digest
from apps.decisioning.decisions.models import Decision
from apps.decisioning.decisions.registry import item_counters
from apps.decisioning.decisions.replay import decisions_replay
from apps.decisioning.decisions.sealing import COLUMN, TABLE, Kept, decision_open
from apps.decisioning.decisions.services import Decided, people_decide, run_decide, verdict_seal, version_plan
from apps.decisioning.playbooks.models import Playbook, Run
from apps.decisioning.playbooks.services import run_plan, run_start
from apps.decisioning.recommendations.models import EditorialPicks
from apps.decisioning.recommendations.services import recommendation_set_refresh
from apps.foundation.accounts.models import User
from apps.foundation.core.caches import Cache
from apps.foundation.core.clock import now
from apps.foundation.core.ids import uuid7
from config.limits import ContactLimit
from tests.examples import tries
from tests.factories import make_profile, make_published, make_user

pytestmark = pytest.mark.django_db

_TIERS = [("personal", "neighbours"), ("category", "category"), ("country", "country"), ("site", "editorial")]
_RULE = {"attribute": "points", "is": 1}  # nothing that lists go by, so that each is noticed by itself
ITEMS = 8
_nothing = Cache[bytes, Any]("choices of a test", "catalog", "CACHE_RECOMMENDATIONS_SECONDS")


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is woken, delivery takes nothing up, and nothing is kept from before."""
    monkeypatch.setattr("apps.decisioning.playbooks.receivers.enqueue_on_commit", lambda *args: None)
    monkeypatch.setattr("apps.decisioning.decisions.receivers.enqueue_on_commit", lambda *args: None)
    monkeypatch.setattr("apps.delivery.sending.receivers.dispatch_take_up", lambda **kwargs: 0)
    choices._choices.clear()
    yield
    choices._choices.clear()


def _shop() -> list[Item]:
    items = [
        Item.objects.create(sku=f"T{number}", title=f"Tea {number}", category=f"tea {number % 2}", price=Decimal(4))
        for number in range(ITEMS)
    ]
    for number in range(3):
        buyer = Profile.objects.create(country="FR")
        _buy(buyer.pk, items[number:], f"S{number}")
    recommendation_set_refresh()
    return items


def _buy(profile_id: int, items: list[Item], number: str) -> None:
    order = Order.objects.create(
        source="test",
        external_id=number,
        profile_id=profile_id,
        status="purchase",
        placed_at=now() - timedelta(days=1),
        country="FR",
    )
    OrderLine.objects.bulk_create(
        OrderLine(order=order, number=at, item=item, quantity=1, unit_price=4, is_purchase=True)
        for at, item in enumerate(items, 1)
    )
    copies_void(profile_ids=[profile_id])


def _plan(playbook: Playbook) -> Plan:
    version = playbook.published
    assert version is not None
    return version_plan(version.pk, version.digest, "")


def _decide(plan: Plan, ids: list[int], at: datetime | None = None) -> Decided:
    moment = at or now()
    with connection.cursor() as cursor:
        return people_decide(
            cursor, plan=plan, purpose="marketing", channel="email", profile_ids=ids, as_of=now(), at=moment
        )


def _kept(plan: Plan, decided: Decided, at: datetime) -> dict[int, tuple[Kept, bytes]]:
    """What opens again of what decisions keep, and the bytes that were sealed."""
    vault, wanted = vault_open(decided.people), wanted_of(plan)
    found = {}
    for profile_id, verdict in decided.verdicts:
        seen = person_pack(plan, wanted, decided.people[profile_id], verdict.choice)
        place: dict[str, Any] = {"decision_id": uuid7(), "profile_id": profile_id}
        sealed = verdict_seal(vault, verdict, seen, version="v", set_id=decided.set_id, at=at, **place)
        plain = vault.open(profile_id, Place(TABLE, COLUMN, str(place["decision_id"])), sealed)
        found[profile_id] = decision_open(vault, sealed=sealed, **place), plain
    return found


_who, _item = st.integers(0, 3), st.integers(0, ITEMS - 1)
_CHANGES = st.tuples(
    st.tuples(st.just("country"), _who, st.sampled_from(["DE", ""])),
    st.tuples(st.just("language"), _who, st.sampled_from(["de", "de-AT", "fr"])),
    st.tuples(st.just("points"), _who, st.sampled_from([1, 1.0, True, "1", None, [1]])),
    st.tuples(st.just("name"), _who, st.sampled_from(["Ada", "x" * 300, ""])),
    st.tuples(st.just("buys"), _who, _item),
    st.tuples(st.just("buys"), _who, _item),
    st.tuples(st.just("shown"), _who, _item),
    st.tuples(st.just("stock"), _item, st.just(value=False)),
    st.tuples(st.just("title"), _item, st.sampled_from(["Tea", "A sharp knife", ""])),
    st.tuples(st.just("picks"), st.sampled_from(["", "tea 0"]), st.lists(_item, min_size=3, max_size=4, unique=True)),
    st.tuples(st.just("set"), st.none(), st.none()),
    st.tuples(st.just("moment"), st.integers(0, 2), st.none()),
).flatmap(st.permutations)
"""One of each kind, in any order."""


@examples(max_examples=tries(12), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=_CHANGES)
@example(changes=[("country", 1, "DE"), ("picks", "", [0, 1, 2])])
def _same_in_both_ways(
    base: Plan, items: list[Item], editor: User, off: pytest.MonkeyPatch, changes: list[Any]
) -> None:
    moment, shown = now(), dict[tuple[int, bytes], int]()

    def counter(*, profile_ids: Any) -> dict[tuple[int, bytes], int]:
        return {pair: count for pair, count in shown.items() if pair[0] in profile_ids}

    item_counters.append(counter)
    try:
        with transaction.atomic():
            people = [make_profile(consent=("marketing",), country="FR", first_name="Ada") for _ in range(4)]
            ids = [one.pk for one in people]
            at = moment
            for number, (what, one, other) in enumerate([("moment", 0, None), *changes]):
                if what in ("country", "language"):
                    Profile.objects.filter(pk=ids[one]).update(**{what: other})
                elif what == "points":
                    Profile.objects.filter(pk=ids[one]).update(attributes={"points": other, "first_name": "Ada"})
                elif what == "name":
                    Profile.objects.filter(pk=ids[one]).update(attributes={"first_name": other})
                elif what == "buys":
                    _buy(ids[one], [items[other]], f"{ids[one]}-{number}")
                elif what == "shown":
                    shown[ids[one], item_digest(items[other].sku)] = 1
                elif what == "stock":
                    Item.objects.filter(pk=items[one].pk).update(in_stock=other)
                elif what == "title":
                    Item.objects.filter(pk=items[one].pk).update(title=other)
                elif what == "picks":
                    skus = [items[place].sku for place in other]
                    EditorialPicks.objects.create(name=f"P{number}", category=one, items=skus, owner=editor)
                elif what == "set":
                    recommendation_set_refresh(force=True)
                else:
                    at = moment + timedelta(hours=one)
                found, again = _decide(base, ids, at), _decide(base, ids, at)
                with off.context() as without:
                    without.setattr(reading, "scene_of", lambda *args, **kwargs: b"")
                    plain = _decide(base, ids, at)
                with off.context() as empty:
                    _nothing.clear()
                    empty.setattr(choices, "_choices", _nothing)
                    anew = _decide(base, ids, at)
                assert (again.ready, plain.ready) == (4, 0)
                assert found.verdicts == again.verdicts == anew.verdicts == plain.verdicts
                wanted = {pk: kept for pk, (kept, _) in _kept(base, plain, at).items()}
                sealed = {pk: plain for pk, (_, plain) in _kept(base, anew, at).items()}
                for decided in (found, again):
                    for pk, told in _kept(base, decided, at).items():
                        assert told == (wanted[pk], sealed[pk])
            transaction.set_rollback(True)
    finally:
        item_counters.remove(counter)


def test_the_same_is_decided_and_kept_with_what_was_kept_and_without(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.ITEM_LIMIT = ContactLimit(1, 30)
    monkeypatch.setattr("tests.factories._TIERS", _TIERS)
    monkeypatch.setattr("tests.factories._GERMAN", _RULE)
    items = _shop()
    plan = _plan(make_published())
    valid = Validity(None, now() + timedelta(hours=1))
    hero = tuple(replace(tier, valid=valid) if tier.rule else tier for tier in dict(plan.slots)["hero"])
    plan = replace(plan, slots=tuple((name, hero if name == "hero" else tiers) for name, tiers in plan.slots))
    _same_in_both_ways(plan, items, make_user("publisher"), monkeypatch)


def _people(size: int, **fields: Any) -> list[int]:
    return [make_profile(consent=("marketing",), **fields).pk for _ in range(size)]


def test_who_is_alike_is_chosen_for_once_until_what_was_looked_at_changes() -> None:
    items = _shop()
    plan, ids = _plan(make_published()), _people(3, country="FR")
    assert [_decide(plan, ids).ready for _ in range(2)] == [2, 3]
    shown = dict(_decide(plan, ids[:1]).verdicts)[ids[0]].inputs["slots"]["products"]["items"]
    of_sku = {item.sku: item for item in items}

    # an item that nobody looked at changes nothing
    other = next(item for item in items if item.sku not in {card["sku"] for card in shown})
    Item.objects.filter(pk=other.pk).update(price=9)
    assert _decide(plan, ids).ready == 3

    # one that is shown is sold: nobody is shown it any more, and the engine is asked once
    sold = of_sku[shown[0]["sku"]]
    Item.objects.filter(pk=sold.pk).update(in_stock=False)
    after = _decide(plan, ids)
    assert after.ready == 2
    for _, verdict in after.verdicts:
        assert sold.sku not in {card["sku"] for card in verdict.inputs["slots"]["products"]["items"]}

    # it is there again
    Item.objects.filter(pk=sold.pk).update(in_stock=True)
    assert [card["sku"] for card in dict(_decide(plan, ids).verdicts)[ids[0]].inputs["slots"]["products"]["items"]] == [
        card["sku"] for card in shown
    ]


def test_a_batch_says_how_many_choices_were_there_and_its_decisions_come_out_again() -> None:
    _shop()
    _people(4, country="FR"), _people(3, country="DE"), make_profile()
    run = run_start(playbook_id=make_published().pk, occasion_key="autumn", trigger="hand")
    run_plan(run_id=run.pk)
    run_decide(run_id=run.pk)
    run = Run.objects.get(pk=run.pk)
    assert run.batches.aggregate(ready=Sum("ready"), chosen=Sum("chosen")) == {"ready": 4 + 3 - 2, "chosen": 7}
    rows = list(Decision.objects.select_related("run__version").filter(run=run, outcome="send"))
    assert len(rows) == 7
    assert {(one.state, one.why) for one in decisions_replay(rows)} == {("same", "")}


def test_nothing_is_kept_for_a_plan_that_is_no_versions() -> None:
    plan, ids = replace(_plan(make_published()), mark=""), _people(2)
    assert [_decide(plan, ids).ready for _ in range(2)] == [0, 0]
