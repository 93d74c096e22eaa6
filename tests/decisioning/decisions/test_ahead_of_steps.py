"""What is put into Redis ahead of the steps of a playbook: found by who comes to them, and by nobody else."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import redis
from django.conf import settings
from django.db import transaction
from django.db.models import Sum
from pytest_django import Settings

from apps.data.catalog.models import Item
from apps.data.consent.models import ConsentRecord
from apps.data.consent.services import consent_withdraw
from apps.data.events.models import Order, OrderLine
from apps.data.features.online import copies_void
from apps.data.profiles.models import Profile
from apps.decisioning.content.choosing import PERSONALISATION
from apps.decisioning.content.models import BlockVersion
from apps.decisioning.content.services import VersionFacts, block_version_create
from apps.decisioning.decisions import choices, reading
from apps.decisioning.decisions.ahead import audience_precompute, scheduled_precompute
from apps.decisioning.decisions.limits import item_digest
from apps.decisioning.decisions.models import Decision
from apps.decisioning.decisions.registry import item_counters
from apps.decisioning.decisions.replay import decisions_replay
from apps.decisioning.playbooks import coming, journeys
from apps.decisioning.playbooks.engine import messages_coming
from apps.decisioning.playbooks.models import Playbook, PlaybookVersion, Preparation, Run, RunBatch
from apps.decisioning.playbooks.selectors import next_instant
from apps.decisioning.playbooks.services import playbook_update, run_start
from apps.decisioning.playbooks.specs import version_digest
from apps.decisioning.playbooks.triggers import playbook_trigger
from apps.decisioning.recommendations.models import EditorialPicks
from apps.decisioning.recommendations.services import recommendation_set_refresh
from apps.foundation.accounts.models import User
from apps.foundation.core.clock import now
from config.limits import ContactLimit
from tests.decisioning.playbooks.travelling import MESSAGE, make_followed, make_steps, publish, tick
from tests.factories import kept_by, make_playbook, make_profile, make_user

pytestmark = pytest.mark.django_db

_TIERS = [("personal", "neighbours"), ("category", "category"), ("country", "country"), ("site", "editorial")]
_STEPS: list[dict[str, Any]] = [
    {**MESSAGE, "id": "hello", "name": "Hello"},
    {"kind": "wait", "for": {"hours": 1}},
    {
        "kind": "branch",
        "when": {"attribute": "country", "is": "FR"},
        "then": [{**MESSAGE, "id": "french", "name": "In France"}],
        "else": [{**MESSAGE, "id": "abroad", "name": "Abroad"}],
    },
]
OTHERS = 3
"""People in the audience who bought something and agreed to nothing: they are looked at, and nothing is chosen."""
Answers = dict[tuple[int, str], Any]


@pytest.fixture(autouse=True)
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator["redis.Redis"]:
    """Nothing is woken, delivery takes nothing up, and nothing is kept from before."""
    monkeypatch.setattr("apps.decisioning.playbooks.receivers.enqueue_on_commit", lambda *args: None)
    monkeypatch.setattr("apps.decisioning.decisions.receivers.enqueue_on_commit", lambda *args: None)
    monkeypatch.setattr("apps.delivery.sending.receivers.dispatch_take_up", lambda **kwargs: 0)
    found = redis.Redis.from_url(settings.REDIS_URL)

    def forget() -> None:
        found.delete(*found.keys("features:[0-9]*"), *found.keys("choice:*"), "nothing")
        choices._choices.clear()

    forget()
    yield found
    forget()


@pytest.fixture
def items() -> list[Item]:
    """Eight items, bought by OTHERS."""
    made = [
        Item.objects.create(sku=f"T{at}", title=f"Tea {at}", category=f"tea {at % 2}", price=Decimal(4))
        for at in range(8)
    ]
    for at in range(OTHERS):
        _buy(Profile.objects.create(country="FR").pk, made[at:], f"S{at}")
    recommendation_set_refresh()
    return made


def _buy(profile_id: int, items: list[Item], number: str) -> None:
    order = Order.objects.create(
        source="test", external_id=number, profile_id=profile_id, status="purchase",
        placed_at=now() - timedelta(days=1), country="FR",
    )  # fmt: skip
    OrderLine.objects.bulk_create(
        OrderLine(order=order, number=at, item=item, quantity=1, unit_price=4, is_purchase=True)
        for at, item in enumerate(items, 1)
    )
    copies_void(profile_ids=[profile_id])


def _people(size: int, **fields: Any) -> list[int]:
    return [make_profile(consent=("marketing",), **fields).pk for _ in range(size)]


def _begun(playbook: Playbook) -> datetime:
    """Have everybody begin half an hour ago. Returns when they go on."""
    began = now() - timedelta(minutes=30)
    run_start(playbook_id=playbook.pk, occasion_key="autumn", trigger="hand", at=began)
    tick(began)
    return began + timedelta(hours=1)


def _gone_on(at: datetime, since: int) -> tuple[dict[str, tuple[int, int]], Answers]:
    """What a process that has nothing in its memory decides when people are due: for how many it chose and found a
    choice, by step, and its answers. since: the last run before."""
    choices._choices.clear()
    tick(at)
    batches = RunBatch.objects.filter(run__pk__gt=since).values("run__step").annotate(Sum("chosen"), Sum("ready"))
    counts = {one["run__step"]: (one["chosen__sum"], one["ready__sum"]) for one in batches}
    rows = list(Decision.objects.select_related("run__version").filter(run__pk__gt=since).order_by("profile_id"))
    assert {(one.state, one.why) for one in decisions_replay(rows)} <= {("same", "")}
    answers: Answers = {}
    for row in rows:
        kept = kept_by(row)
        answers[row.profile_id, row.run.step] = (row.outcome, row.compiled_id, row.tier, kept.inputs, kept.reasons)
    return counts, answers


def _last_run() -> int:
    return Run.objects.order_by("-pk").values_list("pk", flat=True)[0]


def _told(playbook: Playbook) -> dict[tuple[int, str], tuple[int, int, bool]]:
    """What the rows say was made ahead, by version and step: for how many people, how many choices, whether all."""
    rows = Preparation.objects.filter(playbook=playbook).order_by("version", "step")
    return {(row.version_id, row.step): (row.people, row.choices, row.done) for row in rows}


def test_who_is_due_soon_finds_a_choice_at_the_step_they_come_to(items: list[Item], client: "redis.Redis") -> None:
    playbook = make_followed(_STEPS)
    version = playbook.published_id
    assert version is not None
    _people(4, country="FR"), _people(2, country="DE")
    due = _begun(playbook)

    # too early: nobody comes to a message within the horizon
    assert scheduled_precompute(at=due - timedelta(days=1)) == 0
    assert _told(playbook) == {}

    assert scheduled_precompute(at=now()) == 6 + OTHERS
    assert _told(playbook) == {(version, "abroad"): (2, 1, True), (version, "french"): (4 + OTHERS, 1, True)}
    assert len(client.keys("choice:*")) == 2

    last = _last_run()
    counts, found = _gone_on(due, last)
    assert counts == {"french": (4, 4), "abroad": (2, 2)}
    assert Counter(answer[0] for answer in found.values()) == {"send": 6, "no_consent": OTHERS}


def test_a_version_that_people_are_still_under_way_on_has_its_own(items: list[Item]) -> None:
    playbook = make_followed(_STEPS)
    older = playbook.published_id
    [person] = _people(1, country="FR")
    due = _begun(playbook)
    playbook_update(playbook_id=playbook.pk, by=playbook.owner, kpi="revenue")
    publish(playbook, now())

    assert scheduled_precompute(at=now()) == 1 + OTHERS
    assert _told(playbook) == {(older, "french"): (1 + OTHERS, 1, True)}
    assert _gone_on(due, _last_run())[0] == {"french": (1, 1)}
    assert Decision.objects.filter(profile=person, run__version=older).count() == 2


def test_who_would_begin_has_the_first_message_and_only_what_comes_soon(items: list[Item]) -> None:
    steps: list[dict[str, Any]] = [
        {**MESSAGE, "id": "hello"},
        {"kind": "wait", "for": {"hours": 1}},
        {**MESSAGE, "id": "soon"},
        {"kind": "wait", "for": {"days": 1}},
        {**MESSAGE, "id": "late"},
    ]
    playbook = make_followed(steps, trigger="schedule", schedule="0 9 * * *")
    version = playbook.published_id
    people = _people(2, country="FR")
    instant = next_instant(playbook=playbook, after=now())
    assert instant is not None
    assert scheduled_precompute(at=instant - timedelta(minutes=91)) == 0

    # by the command there is no moment but now
    came = audience_precompute(playbook=playbook.code)
    assert (came.people, came.choices, came.done) == (2 + OTHERS, 2, True)
    assert _told(playbook) == {(version, step): (2 + OTHERS, 1, True) for step in ("hello", "soon")}

    last = run_start(playbook_id=playbook.pk, occasion_key="o", trigger="hand", at=now()).pk
    assert _gone_on(now(), last)[0] == {"hello": (2, 2)}
    assert _gone_on(now() + timedelta(hours=1), _last_run())[0] == {"soon": (2, 2)}
    assert sorted(Decision.objects.filter(outcome="send").values_list("profile_id", flat=True)) == sorted(people * 2)


def test_one_message_that_is_asked_for_is_found_too(items: list[Item]) -> None:
    playbook = publish(make_playbook(trigger="api"), now() - timedelta(hours=1))
    [person, _] = _people(2, country="FR")
    came = audience_precompute(playbook=playbook.code)
    assert (came.people, came.choices) == (2 + OTHERS, 1)
    playbook_trigger(playbook_code=playbook.code, profile_id=person, key="order 7", by=playbook.owner)
    tick(now())
    assert list(RunBatch.objects.values_list("run__step", "chosen", "ready")) == [("message", 1, 1)]


def test_who_stands_still_or_makes_a_rule_fail_holds_up_nobody(
    items: list[Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    playbook = make_followed(_STEPS)
    ids = _people(3, country="FR")
    due = _begun(playbook)
    plain = messages_coming

    def fails(terms: Any, standing: Any, known: Any, **moments: Any) -> Any:
        if known.facts.attributes["country"] == "XX":
            raise TypeError("can't be compared")
        return plain(terms, standing, known, **moments)

    monkeypatch.setattr(coming, "messages_coming", fails)
    Profile.objects.filter(pk=ids[0]).update(country="XX")
    assert scheduled_precompute(at=now()) == 2 + OTHERS

    # a version that was changed behind the review is not followed, and so nothing is made for it
    version = PlaybookVersion.objects.get(playbook=playbook)
    PlaybookVersion.objects.filter(pk=version.pk).update(spec={**version.spec, "send_within_hours": 3})
    assert version_digest(PlaybookVersion.objects.get(pk=version.pk)) != version.digest
    journeys._followed.cache_clear()
    assert scheduled_precompute(at=now()) == 0
    assert due > now()


def test_whatever_changes_before_the_step_is_chosen_for_anew(
    items: list[Item], monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    """Each thing that a choice hangs on is changed alone: who it concerns is decided about as if nothing had been made
    ahead, and the others find theirs."""
    settings.ITEM_LIMIT = ContactLimit(1, 30)
    monkeypatch.setattr("tests.factories._TIERS", _TIERS)
    monkeypatch.setattr("tests.factories._GERMAN", {"attribute": "points", "is": 1})
    editor, shown = make_user("publisher"), dict[tuple[int, bytes], int]()

    def counter(*, profile_ids: Any) -> dict[tuple[int, bytes], int]:
        return {pair: count for pair, count in shown.items() if pair[0] in profile_ids}

    monkeypatch.setattr(reading, "item_counters", [*item_counters, counter])
    playbook = make_playbook()
    began = now() - timedelta(minutes=30)
    playbook_update(playbook_id=playbook.pk, by=playbook.owner, steps=make_steps(playbook, _STEPS))
    hero = BlockVersion.objects.filter(block=playbook.slots["hero"][0]["block"]).order_by("-number")[0]
    block_version_create(
        block_id=hero.block_id, content=hero.content, by=User.objects.filter(is_superuser=True)[0],
        facts=VersionFacts(valid_until=began + timedelta(hours=2)),
    )  # fmt: skip
    publish(playbook, began)
    ids = _people(3, country="FR", attributes={"points": 1})
    first = ids[0]
    _buy(first, items[:1], "own")
    _buy(ids[1], items[:1], "other")
    due = _begun(playbook)
    assert scheduled_precompute(at=now()) == 3 + OTHERS
    assert [row.choices for row in Preparation.objects.filter(step="french")] == [2]  # two bought the same
    last = _last_run()

    def profile(**fields: Any) -> Callable[[], object]:
        return lambda: Profile.objects.filter(pk=first).update(**fields)

    def often() -> None:
        shown[first, item_digest(items[2].sku)] = 1

    def impersonal() -> None:
        consent_withdraw(
            profile_id=first, purpose=PERSONALISATION, channel="email",
            method=ConsentRecord.Method.STAFF, source="test",
        )  # fmt: skip

    def picked() -> None:
        EditorialPicks.objects.create(name="P", category="", items=[item.sku for item in items[:3]], owner=editor)

    all_items = Item.objects.filter(pk__in=[item.pk for item in items])
    cases: list[tuple[str, Callable[[], object], dict[str, tuple[int, int]], timedelta]] = [
        ("nothing", lambda: None, {"french": (3, 3)}, timedelta()),
        ("language", profile(language="de"), {"french": (3, 2)}, timedelta()),
        ("what a rule asks", profile(attributes={"points": 2}), {"french": (3, 2)}, timedelta()),
        ("the way at a branch", profile(country="DE"), {"french": (2, 2), "abroad": (1, 0)}, timedelta()),
        ("what they bought", lambda: _buy(first, items[4:5], "more"), {"french": (3, 2)}, timedelta()),
        ("what they saw often", often, {"french": (3, 2)}, timedelta()),
        ("personalisation", impersonal, {"french": (3, 2)}, timedelta()),
        ("consent", lambda: consent_withdraw(
            profile_id=first, purpose="marketing", channel="email", method=ConsentRecord.Method.STAFF, source="test",
        ), {"french": (2, 2)}, timedelta()),
        ("stock", lambda: all_items.update(in_stock=False), {"french": (3, 1)}, timedelta()),
        ("titles", lambda: all_items.update(title="Another"), {"french": (3, 1)}, timedelta()),
        ("picks", picked, {"french": (3, 1)}, timedelta()),
        ("the set", lambda: recommendation_set_refresh(force=True), {"french": (3, 1)}, timedelta()),
        ("the moment", lambda: None, {"french": (3, 1)}, timedelta(hours=1)),
    ]  # fmt: skip
    for name, change, counts, later in cases:
        answers: list[Answers] = []
        with transaction.atomic():
            change()
            for off in (False, True):
                with transaction.atomic(), monkeypatch.context() as without:
                    if off:
                        without.setattr(reading, "scene_of", lambda *args, **kwargs: b"")
                    found, answer = _gone_on(due + later, last)
                    expected = {step: (chosen, 0) for step, (chosen, _) in counts.items()} if off else counts
                    assert (name, found) == (name, expected)
                    answers.append(answer)
                    transaction.set_rollback(True)
            transaction.set_rollback(True)
        shown.clear()
        copies_void(profile_ids=ids)
        assert answers[0] == answers[1], name
