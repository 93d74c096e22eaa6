"""Decisions computed again: the same, whatever happened since; and never the same once a stored value was changed."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from apps.data.catalog.models import Item
from apps.data.consent.models import ConsentRecord, PreferenceChange
from apps.data.consent.preferences import preference_change
from apps.data.consent.services import consent_withdraw
from apps.data.events.models import Order, OrderLine
from apps.data.events.tickets import ticket_put
from apps.data.profiles.models import Profile
from apps.data.profiles.vault import key_destroy
from apps.decisioning.audiences.models import Audience
from apps.decisioning.decisions.engine import Verdict
from apps.decisioning.decisions.keeping import MARK, answer_mark
from apps.decisioning.decisions.models import Decision
from apps.decisioning.decisions.replay import decisions_replay, recorded_of, recorded_replay
from apps.decisioning.decisions.sealing import Kept
from apps.decisioning.decisions.services import run_decide, version_plan
from apps.decisioning.playbooks.models import Playbook, Run
from apps.decisioning.playbooks.services import playbook_publish, playbook_submit, playbook_update, run_plan, run_start
from apps.decisioning.recommendations.services import recommendation_set_refresh
from apps.foundation.core.clock import now
from tests.factories import approve, kept_by, make_profile, make_published, make_user

pytestmark = pytest.mark.django_db

Method = ConsentRecord.Method
Decided = tuple[Run, dict[int, str]]
_RULE = {
    "any": [
        {"attribute": "country", "is": "DE"},
        {"attribute": "points", "gte": "2.5"},
        {"orders": {"at_least": 1}},
        {"consent": "tracking", "channel": "email", "is": True},
    ]
}


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is woken, and delivery takes nothing up."""
    monkeypatch.setattr("apps.decisioning.playbooks.receivers.enqueue_on_commit", lambda *args: None)
    monkeypatch.setattr("apps.decisioning.decisions.receivers.enqueue_on_commit", lambda *args: None)
    monkeypatch.setattr("apps.delivery.sending.receivers.dispatch_take_up", lambda **kwargs: 0)


def _shop() -> None:
    items = [
        Item.objects.create(sku=f"T{number}", title=f"Tea {number}", category="tea", price=Decimal(4))
        for number in range(8)
    ]
    for number in range(2):
        order = Order.objects.create(
            source="test",
            external_id=f"S{number}",
            profile=Profile.objects.create(country="FR"),
            status="purchase",
            placed_at=now() - timedelta(days=1),
            country="FR",
        )
        OrderLine.objects.bulk_create(
            OrderLine(order=order, number=at, item=item, quantity=1, unit_price=4, is_purchase=True)
            for at, item in enumerate(items, 1)
        )
    recommendation_set_refresh()


def _rich() -> Iterator[tuple[str, Profile]]:
    """People of all kinds, by what is to come of them."""
    yield "no_consent", make_profile()
    yield "send", make_profile(consent=("marketing",), country="DE", language="de", first_name="Ada")
    yield "send", make_profile(consent=("marketing", "tracking"), country="FR", attributes={"points": 3.5})
    yield "send", make_profile(consent=("marketing",), attributes={"points": "much", "first_name": "x" * 900})
    helped = make_profile(consent=("marketing",))
    ticket_put(source="desk", number="1", profile_id=helped.pk, is_open=True)
    yield "open_ticket", helped
    asleep = make_profile(consent=("marketing",))
    hours = {"start": f"{now().hour:02}:00", "end": f"{(now().hour + 3) % 24:02}:00"}
    preference_change(
        profile_id=asleep.pk,
        kind=PreferenceChange.Kind.QUIET,
        value=hours,
        method=Method.PREFERENCES,
        source="test",
    )
    yield "quiet_hours", asleep


@pytest.fixture
def decided(monkeypatch: pytest.MonkeyPatch) -> Decided:
    """A run of a playbook with rules of all kinds, and what was to come of each person."""
    _shop()
    people = {profile.pk: outcome for outcome, profile in _rich()}
    monkeypatch.setattr("tests.factories._GERMAN", _RULE)
    playbook = make_published(heeds_tickets=True, cap_count=3, cap_days=7, send_within_hours=1)
    run = run_start(playbook_id=playbook.pk, occasion_key="autumn", trigger="hand")
    run_plan(run_id=run.pk)
    run_decide(run_id=run.pk)
    return run, people


def _rows(run: Run) -> list[Decision]:
    return list(Decision.objects.select_related("run__version").filter(run=run).order_by("pk"))


def test_decisions_come_out_the_same_whatever_happened_since(
    decided: Decided,
) -> None:
    # given a run with people of all kinds
    run, people = decided
    outcomes = {row.profile_id: row.outcome for row in _rows(run)}
    assert {pk: outcome for pk, outcome in outcomes.items() if pk in people} == people

    # when all that it was decided from changes
    Item.objects.update(title="Sold", price=9, in_stock=False)
    Profile.objects.update(country="IT", language="it", attributes={"points": 0})
    for pk in people:
        consent_withdraw(profile_id=pk, purpose="marketing", channel="email", method=Method.STAFF, source="test")
    Order.objects.all().delete()
    recommendation_set_refresh(force=True)
    playbook = Playbook.objects.get(pk=run.playbook_id)
    playbook_update(playbook_id=playbook.pk, by=playbook.owner, cap_count=1, name="Another")
    version = approve(playbook_submit(playbook_id=playbook.pk, by=playbook.owner))
    playbook_publish(version_id=version.pk, by=playbook.owner)

    # then each comes out the same, by the command too
    replays = decisions_replay(_rows(run))
    assert {(one.state, one.why) for one in replays} == {("same", "")}
    assert [one.now for one in replays] == [row.outcome for row in _rows(run)]
    told = StringIO()
    call_command("decision_replay", "--run", str(run.pk), stdout=told)
    assert told.getvalue() == f"{len(replays)} same\n"
    sealed = [len(row.sealed) for row in _rows(run)]
    assert sum(sealed) / len(sealed) < 1024


def _changed(value: Any) -> Iterator[Any]:
    """Each way in which one value within something is another."""
    if isinstance(value, dict):
        for key, one in value.items():
            for other in _changed(one):
                yield {**value, key: other}
    elif isinstance(value, list):
        for at, one in enumerate(value):
            for other in _changed(one):
                yield [*value[:at], other, *value[at + 1 :]]
    else:
        yield (not value) if isinstance(value, bool) else value + 1 if isinstance(value, int | float) else f"{value}~"


def test_one_stored_value_changed_and_it_is_not_the_same(decided: Decided) -> None:
    run, _ = decided
    changes = 0
    for row in _rows(run):
        kept, recorded = kept_by(row), recorded_of(row)
        assert kept.seen is not None
        looked_at = {name: value for name, value in kept.seen.items() if name != MARK}
        versions = [
            *(Kept(kept.inputs, kept.reasons, {**seen, MARK: kept.seen[MARK]}) for seen in _changed(looked_at)),
            *(Kept(inputs, kept.reasons, kept.seen) for inputs in _changed(kept.inputs)),
            *(
                Kept(kept.inputs, reasons, kept.seen)
                for reasons in _changed({name: one for name, one in kept.reasons.items() if name != "set"})
            ),
        ]
        for other in versions:
            changes += 1
            assert recorded_replay(recorded, other).state == "differs"
        for clear in ({"outcome": "send~"}, {"tier": "x"}, {"compiled_id": 0}, {"decided_at": now()}):
            assert recorded_replay(replace(recorded, **clear), kept).state == "differs"
    assert changes > 60


def test_rules_about_features_and_audiences_come_out_the_same_too(monkeypatch: pytest.MonkeyPatch) -> None:
    _shop()
    buyer = make_profile(consent=("marketing",), country="FR")
    Order.objects.filter(external_id="S0").update(profile=buyer)
    make_profile(consent=("marketing",), country="DE")
    shoppers = Audience.objects.create(
        code="shoppers", name="Shoppers", rule={"orders": {"at_least": 1}}, owner=make_user("publisher")
    )
    rule = {
        "any": [
            {"feature": "lifetime_value", "gte": 20},
            {"feature": "last_order_at", "known": True},
            {"feature": "top_category", "is": "tea"},
            {"audience": shoppers.code, "is": True},
        ]
    }
    monkeypatch.setattr("tests.factories._GERMAN", rule)
    run = run_start(playbook_id=make_published().pk, occasion_key="autumn", trigger="hand")
    run_plan(run_id=run.pk)
    run_decide(run_id=run.pk)
    Order.objects.all().delete()
    rows = [row for row in _rows(run) if row.outcome == "send"]
    assert [(one.state, one.why) for one in decisions_replay(rows)] == [("same", ""), ("same", "")]
    assert len({str(kept_by(row).reasons) for row in rows}) == 2

    # one that was made before what was asked of them was kept says so
    kept = kept_by(rows[0])
    assert kept.seen is not None
    seen = {**kept.seen, "a": kept.seen["a"][:5]}
    then = Verdict("send", rows[0].compiled_id, rows[0].tier, kept.inputs, {"slots": kept.reasons["slots"]})
    seen[MARK] = answer_mark(seen, then, version=rows[0].run.version.digest, at=rows[0].decided_at)
    assert recorded_replay(recorded_of(rows[0]), Kept(kept.inputs, kept.reasons, seen)).state == "gone"


def test_an_answer_that_the_engine_gives_no_more_differs(decided: Decided, monkeypatch: pytest.MonkeyPatch) -> None:
    run, _ = decided
    [sent] = [row for row in _rows(run) if row.outcome == "send"][:1]
    monkeypatch.setattr("apps.decisioning.decisions.engine.language_choose", lambda *args: "de")
    monkeypatch.setattr("apps.decisioning.decisions.engine.item_fault", lambda *args: "blocked")
    [replay] = decisions_replay([sent])
    assert (replay.state, replay.why.partition(":")[0]) == ("differs", "another answer comes now")


def test_what_is_gone_or_was_changed_is_told(decided: Decided) -> None:
    run, _ = decided
    erased, moved, other = [row for row in _rows(run) if row.outcome == "send"][:3]
    key_destroy(erased.profile_id)
    moved.sealed = other.sealed
    found = decisions_replay([erased, moved, other])
    assert [one.state for one in found] == ["gone", "failed", "same"]
    assert "erased" in found[0].why
    told = StringIO()
    call_command("decision_replay", str(erased.pk), stdout=told)
    assert told.getvalue().startswith(f"{erased.pk} gone: the person was erased")
    with pytest.raises(CommandError, match="An id looks like"):
        call_command("decision_replay", "nonsense")
    with pytest.raises(CommandError, match="Name decisions"):
        call_command("decision_replay")


def test_a_version_that_was_changed_behind_the_review_fails(decided: Decided) -> None:
    run, _ = decided
    version = run.version
    version.spec = {**version.spec, "cap": {"count": 9, "days": 7}}
    version.save(update_fields=["spec"])
    version_plan.cache_clear()
    assert {one.state for one in decisions_replay(_rows(run))} == {"failed"}
    version_plan.cache_clear()
