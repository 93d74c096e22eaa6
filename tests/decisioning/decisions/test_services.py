"""Deciding a batch: on the real tables, once, whatever happens in between."""

import os
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from pytest_django import Settings

from apps.data.catalog.models import Item
from apps.data.consent.models import ConsentRecord, PreferenceChange, Suppression, Topic
from apps.data.consent.preferences import preference_change
from apps.data.consent.selectors import gate_read, gate_read_followed, granted_read
from apps.data.consent.services import consent_withdraw
from apps.data.events.models import Order, OrderLine
from apps.data.profiles.models import Profile
from apps.decisioning.content.rendering import render
from apps.decisioning.content.selectors import compiled_load
from apps.decisioning.decisions import reading
from apps.decisioning.decisions.limits import item_digest
from apps.decisioning.decisions.models import Decision, ItemShown
from apps.decisioning.decisions.registry import message_counters
from apps.decisioning.decisions.replay import decision_replay
from apps.decisioning.decisions.selectors import decision_explain, dispatch_terms
from apps.decisioning.decisions.services import batch_decide, run_decide
from apps.decisioning.decisions.signals import decisions_made, run_stopped
from apps.decisioning.decisions.tasks import decisions_sweep
from apps.decisioning.playbooks.models import PlaybookVersion, Run, RunBatch
from apps.decisioning.playbooks.services import run_cancel, run_plan, run_start
from apps.decisioning.recommendations.services import recommendation_set_refresh
from apps.delivery.sending.models import Dispatch, Message
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict
from apps.foundation.core.signing import address_digest
from config.limits import ContactLimit
from tests.factories import kept_by, make_profile, make_published
from tests.preloaded import run as in_another_process

pytestmark = pytest.mark.django_db(transaction=True)

Kind = PreferenceChange.Kind


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is woken: each test says itself what happens, and delivery doesn't take up what was decided."""
    monkeypatch.setattr("apps.decisioning.playbooks.services.BATCH", 4)
    monkeypatch.setattr("apps.decisioning.playbooks.receivers.enqueue_on_commit", lambda *args: None)
    monkeypatch.setattr("apps.decisioning.decisions.receivers.enqueue_on_commit", lambda *args: None)
    monkeypatch.setattr("apps.delivery.sending.receivers.dispatch_take_up", lambda **kwargs: 0)


@pytest.fixture
def made() -> Iterator[list[dict[str, Any]]]:
    """What was told of decisions."""
    told: list[dict[str, Any]] = []

    def note(run_id: int, first_id: Any, **kwargs: object) -> None:
        told.append({"run_id": run_id, "first_id": first_id})

    decisions_made.connect(note)
    yield told
    decisions_made.disconnect(note)


def _shop() -> list[Item]:
    """Six teas and four cups that sell, most to France."""
    items = [
        Item.objects.create(sku=f"T{number}", title=f"Tea {number}", category="tea", price=Decimal(4))
        for number in range(6)
    ] + [
        Item.objects.create(sku=f"C{number}", title=f"Cup {number}", category="cup", price=None) for number in range(2)
    ]
    buyers = [Profile.objects.create(country="FR") for _ in range(3)]
    for number, buyer in enumerate(buyers):
        _buy(buyer, items, f"S{number}")
    recommendation_set_refresh()
    return items


def _buy(profile: Profile, items: Sequence[Item], number: str) -> None:
    order = Order.objects.create(
        source="test",
        external_id=number,
        profile=profile,
        status="purchase",
        placed_at=now() - timedelta(days=1),
        country=profile.country,
    )
    OrderLine.objects.bulk_create(
        OrderLine(order=order, number=position, item=item, quantity=1, unit_price=4, is_purchase=True)
        for position, item in enumerate(items, 1)
    )


def _run(**fields: Any) -> Run:
    playbook = make_published(**fields)
    run = run_start(playbook_id=playbook.pk, occasion_key="autumn", trigger="hand")
    run_plan(run_id=run.pk)
    run.refresh_from_db()
    return run


def _decided(run: Run) -> dict[int, Decision]:
    run_decide(run_id=run.pk)
    return {decision.profile_id: decision for decision in Decision.objects.filter(run=run)}


def choose(profile: Profile, kind: PreferenceChange.Kind, value: Any, subject: str = "") -> None:
    preference_change(
        profile_id=profile.pk,
        kind=kind,
        value=value,
        subject=subject,
        method=ConsentRecord.Method.PREFERENCES,
        source="test",
    )


def test_what_people_chose_is_an_outcome_and_a_language() -> None:
    topic = Topic.objects.create(code="offers", name="Offers")
    paused, not_this, not_here, german, other = (make_profile(consent=("marketing",)) for _ in range(5))
    choose(paused, Kind.PAUSE, (now() + timedelta(days=30)).isoformat())
    choose(not_this, Kind.TOPIC, False, "offers")
    choose(not_here, Kind.CHANNEL, False, "email")
    choose(german, Kind.LANGUAGE, "de")

    run = _run(topic=topic)
    decisions = _decided(run)

    assert {pk: decision.outcome for pk, decision in decisions.items()} == {
        paused.pk: "paused",
        not_this.pk: "topic_off",
        not_here.pk: "channel_off",
        german.pk: "send",
        other.pk: "send",
    }
    assert kept_by(decisions[german.pk]).inputs["language"] == "de"
    assert kept_by(decisions[other.pk]).inputs["language"] == "en"
    assert dispatch_terms(run_id=run.pk).topic == "offers"


def test_who_has_quiet_hours_is_decided_about_when_they_end() -> None:
    sleeps, wakes = (make_profile(consent=("marketing",)) for _ in range(2))
    hour = now().hour
    choose(sleeps, Kind.QUIET, {"start": f"{hour:02}:00", "end": f"{(hour + 2) % 24:02}:00"})

    run = _run()

    assert set(_decided(run)) == {wakes.pk}
    later = RunBatch.objects.get(run=run, decided_at=None)
    assert later.profile_ids == [sleeps.pk]
    assert later.not_before is not None
    assert later.not_before.hour == (hour + 2) % 24
    run_decide(run_id=run.pk, at=later.not_before)
    assert Decision.objects.get(run=run, profile=sleeps).outcome == "send"


def test_everybody_gets_an_outcome_with_its_exact_reason(made: list[dict[str, Any]]) -> None:
    agreed = make_profile(consent=("marketing",), first_name="Ada")
    never = make_profile()
    other_purpose = make_profile(consent=("tracking",))
    left = make_profile(consent=("marketing",))
    consent_withdraw(
        profile_id=left.pk, purpose="marketing", channel="email", method=ConsentRecord.Method.STAFF, source="test"
    )
    suppressed = make_profile(consent=("marketing",), email="gone@example.com")
    Suppression.objects.create(digest=address_digest("email", "gone@example.com"), reason="bounce")
    without = make_profile(consent=("marketing",), email=None)

    run = _run()
    decisions = _decided(run)
    assert {profile_id: decision.outcome for profile_id, decision in decisions.items()} == {
        agreed.pk: "send",
        never.pk: "no_consent",
        other_purpose.pk: "no_consent",
        left.pk: "withdrawn",
        suppressed.pk: "suppressed",
        without.pk: "invalid_address",
    }
    run.refresh_from_db()
    assert (run.state, run.people) == (Run.State.DECIDED, 6)
    assert run.decided_at is not None
    assert [told["run_id"] for told in made] == [run.pk, run.pk]
    assert {told["first_id"] for told in made} <= set(Decision.objects.values_list("pk", flat=True))
    assert [one.tier for one in decisions.values() if one.outcome == "send"] == ["static"]


def test_a_transactional_purpose_needs_no_consent_but_an_address() -> None:
    never, without = make_profile(), make_profile(email=None)
    decisions = _decided(_run(purpose="transactional"))
    assert decisions[never.pk].outcome == "send"
    assert decisions[without.pk].outcome == "invalid_address"


def test_tiers_answer_by_what_is_known_and_say_what_lost() -> None:
    items = _shop()
    tea = make_profile(consent=("marketing",), country="DE", language="de-AT", first_name="Ada")
    _buy(tea, items[:2], "A1")
    french = make_profile(consent=("marketing",), country="FR", first_name=" ")
    stranger = make_profile(consent=("marketing",), country="BR", language="pt-BR")

    run = _run()
    decisions = _decided(run)
    assert {pk: decision.tier for pk, decision in decisions.items() if decision.outcome == "send"} == {
        tea.pk: "category",
        french.pk: "country",
        stranger.pk: "site",
    }
    inputs = kept_by(decisions[tea.pk]).inputs
    assert inputs["language"] == "de"
    assert inputs["profile"] == {"first_name": "Ada"}
    shown = [card["title"] for card in inputs["slots"]["products"]["items"]]
    assert len(shown) == 3
    assert set(shown) <= {f"Tea {number}" for number in range(2, 6)}
    assert kept_by(decisions[french.pk]).inputs["profile"] == {}

    explained = decision_explain(decisions[stranger.pk].pk)
    hero, products = explained.slots
    assert explained.propensity == 1
    assert explained.language_note == "They speak pt-BR; the message comes in en, de."
    assert [(lost.name, lost.why) for lost in hero.passed_over] == [
        ("German speaking", "country is BR, wanted: is DE, AT or CH")
    ]
    assert hero.rule == "always"
    assert [lost.why for lost in products.passed_over] == [
        "category: only 0 of 3 items",
        "country: only 0 of 3 items",
    ]
    assert (products.tier, products.rule) == ("site-wide", "3 items best sellers of the shop")
    assert len(products.items) == 3
    assert explained.recommendation_set is not None
    assert decision_explain(decisions[tea.pk].pk).slots[0].why == "country is DE, wanted: is DE, AT or CH"

    for decision in (decisions[tea.pk], decisions[french.pk], decisions[stranger.pk]):
        assert decision.compiled_id is not None
        links = {"unsubscribe": "https://tea.example/u/x", "preferences": "https://tea.example/p/x"}
        rendered = render(compiled_load(decision.compiled_id), {**kept_by(decision).inputs, "links": links})
        assert "{{" not in rendered.html + rendered.text + rendered.subject
        assert "None" not in rendered.text


def test_who_withdrew_personalisation_gets_what_everybody_in_the_country_gets() -> None:
    items = _shop()
    people = [make_profile(consent=("marketing",), country="DE") for _ in range(2)]
    for number, person in enumerate(people):
        _buy(person, items[:2], f"P{number}")
    consent_withdraw(
        profile_id=people[1].pk,
        purpose="personalisation",
        channel="email",
        method=ConsentRecord.Method.PREFERENCES,
        source="test",
    )

    decisions = _decided(_run())

    assert decisions[people[0].pk].tier == "category"
    assert decisions[people[1].pk].tier in ("country", "site")
    explained = decision_explain(decisions[people[1].pk].pk)
    lost = next(slot for slot in explained.slots if slot.slot == "products").passed_over[0]
    assert lost.why == "they don't want what they are shown to be chosen by what they did"


def test_opens_and_clicks_are_followed_of_who_agrees_and_of_nobody_else() -> None:
    _shop()
    agrees, left, asked_again, restricted = (make_profile(consent=("marketing", "tracking")) for _ in range(4))
    never = make_profile(consent=("marketing",))
    withdrawal: dict[str, Any] = {"channel": "email", "method": ConsentRecord.Method.PREFERENCES, "source": "test"}
    consent_withdraw(profile_id=left.pk, purpose="tracking", **withdrawal)

    plan_before = granted_read(profile_ids=[agrees.pk, left.pk, never.pk], purpose="tracking", channel="email")
    assert plan_before == {agrees.pk}
    # on another channel is another consent
    assert granted_read(profile_ids=[agrees.pk], purpose="tracking", channel="web") == frozenset()
    Profile.objects.filter(pk=restricted.pk).update(restricted_at=now())
    assert granted_read(profile_ids=[restricted.pk, asked_again.pk], purpose="tracking", channel="email") == {
        asked_again.pk
    }
    everybody = [agrees.pk, left.pk, never.pk, asked_again.pk, restricted.pk]
    told = gate_read_followed(
        profile_ids=everybody, purpose="marketing", channel="email", needs_consent=True, topic=""
    )  # what the gate reads in one statement is what is read by itself
    assert {pk for pk, (_, followed) in told.items() if followed} == {agrees.pk, asked_again.pk}
    assert {pk: answer for pk, (answer, _) in told.items()} == gate_read(
        profile_ids=everybody, purpose="marketing", channel="email"
    )
    decisions = _decided(_run())

    tracked = {pk: kept_by(decisions[pk]).inputs.get("tracked") for pk in (agrees.pk, left.pk, never.pk)}
    assert tracked == {agrees.pk: True, left.pk: None, never.pk: None}


def test_without_any_recommendations_the_static_tier_answers() -> None:
    person = make_profile(consent=("marketing",))
    decision = _decided(_run())[person.pk]
    assert decision.tier == "static"
    assert "set" not in kept_by(decision).reasons


def test_caps_are_filtered_ahead_by_what_delivery_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    many, few = make_profile(consent=("marketing",)), make_profile(consent=("marketing",))
    asked: list[tuple[str, datetime]] = []

    def counter(*, profile_ids: Sequence[int], purpose: str, since: datetime) -> dict[int, int]:
        asked.append((purpose, since))
        return {many.pk: 2, few.pk: 1}

    monkeypatch.setattr(reading, "message_counters", [counter])
    decisions = _decided(_run(cap_count=2, cap_days=7))
    assert decisions[many.pk].outcome == "frequency_cap"
    assert kept_by(decisions[many.pk]).reasons == {"cap": {"got": 2, "count": 2, "days": 7}}
    assert decisions[few.pk].outcome == "send"
    assert asked[0][0] == "marketing"
    assert decision_explain(decisions[many.pk].pk).summary == (
        "Withheld: got 2 within 7 days already, and at most 2 are allowed."
    )


def test_delivery_counts_for_caps() -> None:
    assert [counter.__name__ for counter in message_counters] == ["messages_count"]  # type: ignore[attr-defined]


def test_a_gate_that_can_not_be_read_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    make_profile(consent=("marketing",))
    run = _run()

    def broken(*asked: object) -> dict[int, Any]:
        raise ConnectionError

    monkeypatch.setattr(reading, "people_select", broken)
    with pytest.raises(ConnectionError):
        run_decide(run_id=run.pk)
    assert Decision.objects.count() == 0
    assert RunBatch.objects.get().decided_at is None


def test_people_of_whom_the_gate_says_nothing_get_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    make_profile(consent=("marketing",))
    run = _run()
    monkeypatch.setattr(reading, "people_select", lambda *asked: {})
    assert _decided(run) == {}


def test_deciding_again_changes_nothing(made: list[dict[str, Any]]) -> None:
    for _ in range(5):
        make_profile(consent=("marketing",))
    run = _run()
    before = {pk: (decision.pk, decision.sealed) for pk, decision in _decided(run).items()}
    assert len(before) == 5
    for batch in RunBatch.objects.all():
        assert batch_decide(batch_id=batch.pk) is None
    assert {pk: (decision.pk, decision.sealed) for pk, decision in _decided(run).items()} == before
    assert len(made) == 2


def test_several_workers_share_a_run(made: list[dict[str, Any]]) -> None:
    for _ in range(30):
        make_profile(consent=("marketing",))
    run = _run()

    def work(_: int) -> int:
        try:
            return run_decide(run_id=run.pk)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(work, range(4))) == 30
    assert Decision.objects.filter(run=run).count() == 30
    run.refresh_from_db()
    assert run.state == Run.State.DECIDED
    assert len(made) == 8


def test_a_cancelled_run_decides_nothing_more() -> None:
    for _ in range(5):
        make_profile(consent=("marketing",))
    run = _run()
    first = RunBatch.objects.order_by("number").first()
    assert first is not None
    assert batch_decide(batch_id=first.pk) == 4
    stopped: list[int] = []

    def note(run_id: int, **kwargs: object) -> None:
        stopped.append(run_id)

    run_stopped.connect(note)
    run_cancel(run_id=run.pk, by=run.playbook.owner)
    run_stopped.disconnect(note)
    assert stopped == [run.pk]
    assert run_decide(run_id=run.pk) == 0
    assert Decision.objects.count() == 4
    assert dispatch_terms(run_id=run.pk).cancelled


def test_a_spec_changed_after_the_start_decides_nothing() -> None:
    make_profile(consent=("marketing",))
    run = _run()
    PlaybookVersion.objects.filter(pk=run.version_id).update(spec={**run.version.spec, "purpose": "transactional"})
    with pytest.raises(Conflict):
        run_decide(run_id=run.pk)
    assert Decision.objects.count() == 0


def test_the_terms_for_delivery() -> None:
    run = _run(cap_count=2, cap_days=7, send_within_hours=5)
    terms = dispatch_terms(run_id=run.pk)
    assert terms.occasion == f"playbook:{run.playbook_id}:message:email:autumn"
    assert (terms.purpose, terms.needs_consent, terms.channel) == ("marketing", True, "email")
    assert (terms.cap_count, terms.cap_days) == (2, 7)
    assert terms.not_after == run.created_at + timedelta(hours=5)
    assert terms.link_hosts == ("tea.example",)
    assert not terms.cancelled


def test_the_sweep_wakes_what_was_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[tuple[str, int]] = []
    monkeypatch.setattr(
        "apps.decisioning.decisions.tasks.enqueue_on_commit", lambda task, run_id: woken.append((task.name, run_id))
    )
    make_profile(consent=("marketing",))
    playbook = make_published()
    unplanned = run_start(playbook_id=playbook.pk, occasion_key="a", trigger="hand")
    undecided = run_start(playbook_id=playbook.pk, occasion_key="b", trigger="hand")
    run_plan(run_id=undecided.pk)
    decisions_sweep()
    assert woken == []
    Run.objects.update(created_at=now() - timedelta(seconds=30))
    decisions_sweep()
    assert [(name.rpartition(".")[2], run_id) for name, run_id in woken] == [
        ("run_plan", unplanned.pk),
        ("run_decide", undecided.pk),
    ]


_VICTIM = """
import os, signal, sys
from apps.decisioning.decisions import services
real = services.copy_rows
left = [int(sys.argv[2])]
def dies(*args):
    done = real(*args)
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)  # the rows are written and not committed
    return done
services.copy_rows = dies
services.run_decide(run_id=int(sys.argv[1]))
"""


def test_a_worker_killed_in_the_middle_loses_and_doubles_nothing() -> None:
    for number in range(18):
        make_profile(consent=("marketing",) if number % 3 else ())
    run = _run()
    database = connection.settings_dict
    url = (
        f"postgres://{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
    )
    for batches in (2, 1):
        killed = in_another_process("-c", _VICTIM, str(run.pk), str(batches), env={**os.environ, "DATABASE_URL": url})
        assert killed.returncode == -signal.SIGKILL
        assert Decision.objects.count() == 4  # the first batch was committed, the one being written was not
    decisions = _decided(run)
    assert len(decisions) == 18
    assert Counter(decision.outcome for decision in decisions.values()) == {"send": 12, "no_consent": 6}
    run.refresh_from_db()
    assert run.state == Run.State.DECIDED


def test_what_was_shown_often_enough_makes_room_for_the_next(settings: Settings) -> None:
    settings.ITEM_LIMIT = ContactLimit(1, 30)
    _shop()
    person = make_profile(consent=("marketing",), country="FR")
    first = _decided(_run())[person.pk]
    shown = [item["sku"] for item in kept_by(first).inputs["slots"]["products"]["items"]]
    noted = {bytes(row.item) for row in ItemShown.objects.filter(decision=first)}
    assert noted == {item_digest(sku) for sku in shown}
    Message.objects.create(**_sent(first))
    second = _decided(_run())[person.pk]
    again = [item["sku"] for item in kept_by(second).inputs["slots"]["products"]["items"]]
    assert len(again) == 3
    assert not set(again) & set(shown)
    assert decision_replay(second.pk).state == "same"


def _sent(decision: Decision) -> dict[str, Any]:
    """The message of a decision, as the ledger has it once it went out."""
    terms = dispatch_terms(run_id=decision.run_id)
    dispatch = Dispatch.objects.create(
        run_id=terms.run_id,
        label="",
        occasion=terms.occasion,
        purpose="marketing",
        needs_consent=True,
        channel="email",
        from_name="",
        from_email="",
        not_after=now(),
    )
    sent = {"state": "sent", "sending_at": now(), "purpose": "marketing", "channel": "email"}
    return {"id": decision.pk, "dispatch": dispatch, "profile_id": decision.profile_id, **sent}
