"""What is put into Redis ahead of a send: found then, void when its person changes, and never needed."""

import socket
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from typing import cast

import pytest
import redis
from django.conf import settings
from django.core.management import CommandError, call_command

from apps.data.catalog.models import Item
from apps.data.consent.models import ConsentRecord
from apps.data.consent.services import consent_withdraw
from apps.data.events.models import Order, OrderLine
from apps.data.profiles.models import Profile
from apps.decisioning.decisions import choices, prepared
from apps.decisioning.decisions.ahead import Ahead, audience_precompute, scheduled_precompute
from apps.decisioning.decisions.models import Decision
from apps.decisioning.decisions.replay import decisions_replay
from apps.decisioning.decisions.services import run_decide
from apps.decisioning.playbooks.models import Playbook, Preparation, Run
from apps.decisioning.playbooks.selectors import next_instant
from apps.decisioning.playbooks.services import run_plan, run_start
from apps.decisioning.recommendations.services import recommendation_set_refresh
from apps.foundation.core.clock import now
from tests.factories import kept_by, make_playbook, make_profile, make_published

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Iterator["redis.Redis"]:
    found = redis.Redis.from_url(settings.REDIS_URL)
    found.delete(*found.keys("features:[0-9]*"), *found.keys("choice:*"), "nothing")
    choices._choices.clear()
    yield found
    found.delete(*found.keys("features:[0-9]*"), *found.keys("choice:*"), "nothing")
    choices._choices.clear()


def copied(client: "redis.Redis", people: list[Profile]) -> list[bool]:
    return [(client.get(f"features:{one.pk}") or b"")[:1] == b"C" for one in people]


def test_everybody_in_the_audience_has_theirs_and_it_ends_by_itself(client: "redis.Redis") -> None:
    playbook = make_published()
    people = [make_profile() for _ in range(3)]
    assert copied(client, people) == [False] * 3
    told: list[Ahead] = []

    came = audience_precompute(playbook=playbook.code, told=told.append)

    assert (came, told) == (Ahead(3, 3, 0, done=True), [Ahead(3, 3, 0, done=False)])  # nobody agreed to anything
    assert copied(client, people) == [True] * 3
    assert 4 * 3600 <= client.ttl(f"features:{people[0].pk}") <= 24 * 3600


def test_it_stops_when_it_is_told_and_says_so(client: "redis.Redis", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.decisioning.decisions.ahead.BATCH", 2)
    playbook = make_published()
    people = [make_profile() for _ in range(5)]
    told: list[Ahead] = []
    came = audience_precompute(playbook=playbook.code, told=told.append, stop=lambda: len(told) == 2)
    assert came == Ahead(4, 4, 0, done=False)
    assert copied(client, people) == [True] * 4 + [False]


def test_only_what_comes_soon_is_precomputed_by_itself(client: "redis.Redis", monkeypatch: pytest.MonkeyPatch) -> None:
    playbook = make_published(trigger="schedule", schedule="0 9 * * *")
    make_published()  # by hand: nobody knows when
    people = [make_profile() for _ in range(2)]
    instant = next_instant(playbook=playbook, after=now())
    assert instant is not None
    assert scheduled_precompute(at=instant - timedelta(minutes=91)) == 0
    assert copied(client, people) == [False, False]
    assert scheduled_precompute(at=instant - timedelta(minutes=90)) == 2
    assert copied(client, people) == [True, True]
    monkeypatch.setattr(settings, "PRECOMPUTE_AHEAD_MINUTES", 0)
    assert scheduled_precompute(at=instant - timedelta(minutes=1)) == 0


def test_a_playbook_that_looks_at_no_features_needs_nothing(client: "redis.Redis") -> None:
    plain = make_playbook()
    slots = {name: [tiers[-1]] for name, tiers in plain.slots.items()}
    playbook = make_published(template=plain.template, slots=slots, brand=plain.brand)
    people = [make_profile()]
    assert audience_precompute(playbook=playbook.code) == Ahead(0, 0, 0, done=True)
    assert copied(client, people) == [False]


def test_the_command_tells_how_far_it_came(client: "redis.Redis") -> None:
    playbook = make_published()
    make_profile()
    told = StringIO()
    call_command("precompute", playbook.code, stdout=told)
    assert told.getvalue() == "1 people\nDone: 1 people, 1 copies of features, 0 choices.\n"
    with pytest.raises(CommandError, match="There is no playbook"):
        call_command("precompute", "nowhere")
    draft = make_playbook()
    with pytest.raises(CommandError, match="is not published"):
        call_command("precompute", draft.code)
    assert Playbook.objects.get(pk=draft.pk).published is None


# --- choices ---


@pytest.fixture
def shop(client: "redis.Redis", monkeypatch: pytest.MonkeyPatch) -> Playbook:
    """A playbook with items to show, and six people in two countries who agreed. Nothing is woken."""
    monkeypatch.setattr("apps.decisioning.playbooks.receivers.enqueue_on_commit", lambda *args: None)
    monkeypatch.setattr("apps.decisioning.decisions.receivers.enqueue_on_commit", lambda *args: None)
    monkeypatch.setattr("apps.delivery.sending.receivers.dispatch_take_up", lambda **kwargs: 0)
    items = [Item.objects.create(sku=f"T{n}", title=f"Tea {n}", category="tea", price=Decimal(4)) for n in range(6)]
    buyer = Profile.objects.create(country="FR")
    order = Order.objects.create(
        source="test", external_id="S", profile=buyer, status="purchase", placed_at=now() - timedelta(days=1),
        country="FR",
    )  # fmt: skip
    OrderLine.objects.bulk_create(
        OrderLine(order=order, number=at, item=item, quantity=1, unit_price=4, is_purchase=True)
        for at, item in enumerate(items, 1)
    )
    recommendation_set_refresh()
    for number in range(6):
        make_profile(consent=("marketing",), country="FR" if number < 4 else "DE", first_name=f"N{number}")
    return make_published()


def _sent(playbook: Playbook) -> tuple[Run, list[Decision]]:
    """A run of another process: it has nothing in its memory."""
    choices._choices.clear()
    run = run_start(playbook_id=playbook.pk, occasion_key=f"o{now().isoformat()}", trigger="hand")
    run_plan(run_id=run.pk)
    run_decide(run_id=run.pk)
    decisions = Decision.objects.select_related("run__version").filter(run=run, outcome="send").order_by("profile_id")
    return Run.objects.get(pk=run.pk), list(decisions)


def _ready(run: Run) -> tuple[int | None, int | None]:
    [found] = run.batches.values_list("chosen", "ready")
    return found


def _answers(rows: list[Decision]) -> list[object]:
    return [(row.compiled_id, row.tier, kept_by(row).inputs, kept_by(row).reasons) for row in rows]


def test_what_was_chosen_ahead_is_used_and_the_answer_is_the_same(client: "redis.Redis", shop: Playbook) -> None:
    without, plain = _sent(shop)
    assert _ready(without) == (6, 4)  # two kinds of people: the first of each is chosen for

    came = audience_precompute(playbook=shop.code)

    assert (came.people, came.choices, came.done) == (7, 2, True)
    keys = client.keys("choice:*")
    assert len(keys) == 2
    assert all(4 * 3600 <= client.ttl(key) <= 6 * 3600 for key in keys)
    assert not any(b"Tea" in cast(bytes, client.get(key)) for key in keys)
    made = Preparation.objects.get(playbook=shop)
    assert (made.version_id, made.people, made.choices, made.done) == (shop.published_id, 7, 2, True)
    run, rows = _sent(shop)
    assert _ready(run) == (6, 6)
    assert _answers(rows) == _answers(plain)
    assert [row.profile_id for row in rows] == [row.profile_id for row in plain]
    assert {(one.state, one.why) for one in decisions_replay(rows)} == {("same", "")}


def test_who_or_what_changed_meanwhile_is_chosen_for_anew(client: "redis.Redis", shop: Playbook) -> None:
    audience_precompute(playbook=shop.code)
    people = list(Profile.objects.filter(country="FR").exclude(orders__isnull=False).order_by("pk"))
    Profile.objects.filter(pk=people[0].pk).update(country="CH", language="de")
    withdrawn = people[1].pk
    consent_withdraw(
        profile_id=withdrawn, purpose="marketing", channel="email", method=ConsentRecord.Method.STAFF, source="test"
    )
    run, rows = _sent(shop)
    assert _ready(run) == (5, 4)
    assert withdrawn not in {row.profile_id for row in rows}
    assert kept_by(next(row for row in rows if row.profile_id == people[0].pk)).inputs["language"] == "de"

    # all that was to be shown is sold out
    Item.objects.filter(sku__in=["T0", "T1", "T2", "T3"]).update(in_stock=False)
    run, rows = _sent(shop)
    assert _ready(run) == (5, 2)
    assert {item["sku"] for row in rows for item in kept_by(row).inputs["slots"]["products"].get("items", ())} == set()


@pytest.mark.parametrize("harm", ["gone", "cut", "changed", "moved", "not ours", "other code"])
def test_what_is_not_whole_is_as_if_it_were_not_there(
    harm: str, client: "redis.Redis", shop: Playbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    audience_precompute(playbook=shop.code)
    keys = sorted(cast(list[bytes], client.keys("choice:*")))
    kept = [cast(bytes, client.get(key)) for key in keys]
    if harm == "gone":
        client.delete(*keys)
    elif harm == "cut":
        kept = [one[:-1] for one in kept]
    elif harm == "changed":
        kept = [one[:40] + bytes((one[40] ^ 1,)) + one[41:] for one in kept]
    elif harm == "moved":
        kept.reverse()
    elif harm == "not ours":
        kept = [b"" for _ in kept]
    else:
        monkeypatch.setattr(prepared, "_form", lambda: "another")
    for key, one in zip(keys, kept, strict=True):
        if harm != "gone":
            client.set(key, one)
    run, rows = _sent(shop)
    assert _ready(run) == (6, 4)
    assert len(rows) == 6


def test_without_redis_choices_are_made_anew(
    client: "redis.Redis", shop: Playbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    audience_precompute(playbook=shop.code)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setattr(settings, "REDIS_URL", f"redis://127.0.0.1:{nobody.getsockname()[1]}/0")
        run, rows = _sent(shop)
    assert (_ready(run), len(rows)) == ((6, 4), 6)
