"""Limits of contact at the gate: exact across playbooks and channels, whoever sends at once; the important first."""

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from environs import EnvError
from pytest_django import Settings

from apps.data.consent.models import Purpose
from apps.decisioning.decisions.limits import Counted, item_digest
from apps.decisioning.decisions.models import Decision, ItemShown
from apps.decisioning.decisions.registry import contact_counters
from apps.decisioning.playbooks.models import Run
from apps.delivery.sending.caps import contacts_count, items_count
from apps.delivery.sending.models import Dispatch, Message
from apps.delivery.sending.services import dispatch_take_up
from apps.delivery.sending.windows import messages_send
from apps.foundation.core.clock import now
from config.limits import ContactLimit, contact_limits_read
from tests.delivery.makers import make_compiled, make_decisions, make_people, make_run
from tests.delivery.relay import Relay

pytestmark = pytest.mark.usefixtures("ledger")


def _queued(people: list[int], *, purpose: str = "marketing", priority: int = 5, **terms: object) -> int:
    """A run taken up for these people; its dispatch."""
    run = make_run(purpose=purpose, **terms)  # type: ignore[arg-type]
    make_decisions(run, people, make_compiled())
    dispatch_take_up(run_id=run.pk)
    Dispatch.objects.filter(run_id=run.pk).update(priority=priority)
    return Dispatch.objects.get(run_id=run.pk).pk


def _together(*work: Callable[[], object]) -> None:
    """Each on a database connection of its own, at once."""

    def run(one: Callable[[], object]) -> None:
        try:
            one()
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _reasons() -> Counter[tuple[str, str]]:
    return Counter(Message.objects.values_list("state", "reason"))


def test_a_limit_is_exact_across_runs_and_senders(relay: Relay, settings: Settings) -> None:
    # given five runs of different playbooks to the same people, and at most two messages a week of all
    settings.SEND_WINDOW, settings.SEND_CLAIM = 7, 30
    settings.CONTACT_LIMITS = (ContactLimit(2, 7),)
    people = make_people(40)
    for number in range(5):
        _queued(people, cap=(4, 7) if number % 2 else None)
    # when three senders work at once
    _together(*[messages_send] * 3)
    messages_send()
    # then everybody got two, and what was too much says why
    assert set(relay.recipients().values()) == {2}
    assert _reasons() == {("sent", ""): 80, ("withheld", "contact_limit"): 120}


def test_what_a_contract_asks_for_is_neither_limited_nor_counted(relay: Relay, settings: Settings) -> None:
    settings.CONTACT_LIMITS = (ContactLimit(1, 7),)
    people = make_people(2)
    _queued(people, purpose="transactional")
    messages_send()
    _queued(people)
    _queued(people, purpose="transactional")
    messages_send()
    assert _reasons() == {("sent", ""): 6}
    _queued(people)
    messages_send()
    assert _reasons() == {("sent", ""): 6, ("withheld", "contact_limit"): 2}
    settings.CONTACT_LIMITS = (ContactLimit(2, 7, purpose="transactional"),)  # by name it can be
    _queued(people, purpose="transactional")
    messages_send()
    assert _reasons()["withheld", "contact_limit"] == 4


def test_each_limit_counts_what_it_is_for(relay: Relay, settings: Settings) -> None:
    people = make_people(1)
    _queued(people)
    messages_send()
    Message.objects.update(channel="sms")
    settings.CONTACT_LIMITS = (ContactLimit(1, 7, channel="email"),)
    _queued(people)
    messages_send()
    assert _reasons() == {("sent", ""): 2}
    Message.objects.update(sending_at=now() - timedelta(days=8))
    settings.CONTACT_LIMITS = (ContactLimit(1, 7), ContactLimit(3, 30))
    for _ in range(2):
        _queued(people)
        messages_send()
    assert _reasons() == {("sent", ""): 3, ("withheld", "contact_limit"): 1}


@pytest.mark.parametrize("at_once", [True, False])
def test_the_more_important_goes_first_where_one_may(relay: Relay, settings: Settings, at_once: bool) -> None:
    # given a cap for one, and of two messages the less important taken up first
    settings.CONTACT_LIMITS = (ContactLimit(1, 7),)
    if not at_once:
        settings.SEND_WINDOW = settings.SEND_CLAIM = 1
    people = make_people(3)
    low, high = _queued(people, priority=3), _queued(people, priority=8)
    messages_send()
    sent = Counter(Message.objects.filter(state="sent").values_list("dispatch_id", flat=True))
    assert sent == {high: 3}
    assert set(Message.objects.filter(dispatch_id=low).values_list("reason", flat=True)) <= {
        "contact_limit",
        "outranked",
    }


def test_no_place_is_kept_for_what_is_held_or_late(relay: Relay, settings: Settings) -> None:
    settings.CONTACT_LIMITS = (ContactLimit(1, 7),)
    people = make_people(1)
    paused, late = _queued(people, priority=9), _queued(people, priority=9)
    Dispatch.objects.filter(pk=paused).update(state="paused")
    Dispatch.objects.filter(pk=late).update(not_after=now() - timedelta(hours=1))
    low = _queued(people, priority=1)
    messages_send()
    assert Message.objects.get(dispatch_id=low).state == "sent"


def test_a_message_waits_for_its_days_and_hours(relay: Relay) -> None:
    people = make_people(1)
    dispatch = _queued(people, hours=24 * 14)
    today, week = now(), ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    tomorrow = week[(today.weekday() + 1) % 7]
    Dispatch.objects.filter(pk=dispatch).update(hours={"quiet": None, "days": [tomorrow], "zone": "UTC"})
    messages_send()
    message = Message.objects.get()
    assert (message.state, message.not_before.hour, message.not_before.weekday()) == (
        "queued",
        0,
        (today.weekday() + 1) % 7,
    )
    quiet = {"start": f"{today.hour:02}:00", "end": f"{(today.hour + 2) % 24:02}:00"}
    Message.objects.update(not_before=today)
    Dispatch.objects.filter(pk=dispatch).update(hours={"quiet": quiet, "days": [], "zone": "UTC"})
    messages_send()
    message.refresh_from_db()
    assert (message.state, message.not_before.hour) == ("queued", (today.hour + 2) % 24)
    Message.objects.update(not_before=today)
    Dispatch.objects.filter(pk=dispatch).update(hours=None)
    messages_send()
    assert relay.recipients().total() == 1


def test_deciding_counts_what_waits_too(relay: Relay) -> None:
    people = make_people(2)
    _queued(people[:1])
    codes = tuple(Purpose.objects.values_list("code", flat=True))
    counted = [Counted(codes, "", 7), Counted(codes, "sms", 7), Counted(("transactional",), "", 7)]
    assert contacts_count in contact_counters
    assert contacts_count(profile_ids=people, counted=counted) == {people[0]: (1, 0, 0)}


@pytest.mark.parametrize(
    "data",
    [
        {"count": 1, "days": 1},
        [{"count": 1}],
        [{"count": 0, "days": 1}],
        [{"count": 1, "days": 400}],
        [{"count": True, "days": 1}],
        [{"count": 1, "days": 1, "channel": "fax"}],
        [{"count": 1, "days": 1, "per": "week"}],
    ],
)
def test_a_limit_that_says_nothing_clear_stops_the_start(data: object) -> None:
    with pytest.raises(EnvError, match="CONTACT_LIMITS"):
        contact_limits_read(data)


def _showing(people: list[int], *skus: str) -> Run:
    """A run taken up whose decisions show these items."""
    run = make_run()
    make_decisions(run, people, make_compiled())
    ItemShown.objects.bulk_create(
        ItemShown(decision_id=pk, profile_id=person, item=item_digest(sku), shown_at=now())
        for pk, person in Decision.objects.filter(run=run).values_list("pk", "profile_id")
        for sku in skus
    )
    dispatch_take_up(run_id=run.pk)
    return run


def test_one_item_is_shown_to_one_person_so_often_and_no_more(relay: Relay, settings: Settings) -> None:
    # given five runs that show the same item beside one of their own, and at most two times in thirty days
    settings.ITEM_LIMIT = ContactLimit(2, 30)
    settings.SEND_WINDOW, settings.SEND_CLAIM = 7, 30
    people = make_people(30)
    for number in range(5):
        _showing(people, "tea", f"cup {number}")
    # when three senders work at once
    _together(*[messages_send] * 3)
    messages_send()
    # then everybody got two of them
    assert set(relay.recipients().values()) == {2}
    assert _reasons() == {("sent", ""): 60, ("withheld", "item_limit"): 90}
    counted = items_count(profile_ids=people[:1])
    assert counted[people[0], item_digest("tea")] == 2
    # and what went out long ago counts no more
    Message.objects.filter(state="sent").update(sending_at=now() - timedelta(days=31))
    _showing(people, "tea")
    messages_send()
    assert _reasons()["sent", ""] == 90
