"""Limits hold exactly, whoever claims; and what is transactional waits for none of them, and behind no campaign."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import pytest
from django.db import connection
from environs import EnvError
from pytest_django import Settings

from apps.data.consent.models import Channel
from apps.delivery.sending.claims import messages_claim, messages_waiting
from apps.delivery.sending.limits import BURST_SECONDS, Bucket
from apps.delivery.sending.models import Allowance, Dispatch, Message
from apps.delivery.sending.sender import SenderProcess
from apps.delivery.sending.services import dispatch_take_up, dispatch_throttle
from apps.delivery.sending.windows import messages_send
from apps.foundation.core.errors import Invalid
from config.pace import SendLimit, send_limits_read
from tests.delivery.makers import make_compiled, make_decisions, make_people, make_run
from tests.delivery.relay import Relay
from tests.delivery.sending.test_windows import states

State = Message.State
PER_MINUTE = 120
BURST = int(PER_MINUTE * BURST_SECONDS / 60)
NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)


def make_queued(size: int, purpose: str = "marketing") -> Dispatch:
    """A run taken up."""
    run = make_run(purpose=purpose)
    make_decisions(run, make_people(size), make_compiled())
    assert dispatch_take_up(run_id=run.pk) == size
    return Dispatch.objects.get(run_id=run.pk)


def claim(count: int = 500, provider: str = "smtp") -> Sequence[UUID]:
    """Claim, by a sender of its own that is not there any more."""
    with SenderProcess() as sender:
        claimed = messages_claim(sender_id=sender.id, channel=Channel.EMAIL, count=count, provider=provider)
    return [one.id for one in claimed]


def minutes_pass(minutes: float) -> None:
    """As if the time of all limits were over."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE sending_allowance SET filled_at = filled_at - gone, held_until = held_until - gone,"
            " turn_at = turn_at - gone FROM make_interval(secs => %s) AS gone",
            [minutes * 60],
        )
        cursor.execute("UPDATE sending_message SET not_before = not_before - make_interval(secs => %s)", [minutes * 60])


@pytest.mark.usefixtures("ledger")
def test_several_workers_together_take_what_a_run_may_and_no_more() -> None:
    # given a run that may send 120 a minute
    dispatch = make_queued(200)
    dispatch_throttle(dispatch_id=dispatch.pk, per_minute=PER_MINUTE)

    def worker(_: int) -> int:
        try:
            return len(claim(25))
        finally:
            connection.close()

    # when eight workers claim at once, again and again
    begun = time.monotonic()
    with ThreadPoolExecutor(8) as workers:
        taken = sum(workers.map(worker, range(24)))
    # then they have what the bucket held, with what came into it meanwhile; the rest is queued, in order
    assert BURST <= taken <= BURST + (time.monotonic() - begun) * PER_MINUTE / 60
    assert states() == {State.CLAIMED: taken, State.QUEUED: 200 - taken}
    assert not messages_waiting(channel=Channel.EMAIL, provider="smtp")
    # and when time has passed, it goes on
    minutes_pass(1)
    assert len(claim()) == BURST


@pytest.mark.usefixtures("ledger")
def test_a_domain_has_turns_of_its_own_and_the_others_go_on(settings: Settings) -> None:
    # given 100 messages to example.com, which may get 120 a minute, and one run that has no limit
    settings.SEND_LIMITS = {"domain:example.com": SendLimit(per_minute=PER_MINUTE)}
    make_queued(100)
    first = claim()
    assert BURST <= len(first) <= BURST + 4
    # then the others wait, each for another moment, half a second after the one before
    turns = sorted(Message.objects.filter(state=State.QUEUED).values_list("not_before", flat=True))
    assert len(set(turns)) == len(turns) == 100 - len(first)
    assert {round((later - one).total_seconds(), 3) for one, later in pairwise(turns)} == {0.5}
    assert not messages_waiting(channel=Channel.EMAIL, provider="smtp")
    # and nobody else's domain waits with them
    settings.SEND_LIMITS = {"domain:example.net": SendLimit(per_minute=1)}
    minutes_pass(2)
    assert len(claim()) == 100 - len(first)
    assert not Allowance.objects.filter(key="domain:example.net").exists()


@pytest.mark.usefixtures("ledger")
def test_a_provider_warms_up_day_by_day(settings: Settings) -> None:
    today = datetime.now(UTC).date()
    settings.SEND_LIMITS = {"provider:smtp": SendLimit(warm_from=today - timedelta(days=1), warm_first=5, warm_grows=2)}
    make_queued(40)
    # the second day of its warm-up: ten; and no more that day, also for who asks again
    assert [len(claim()) for _ in range(3)] == [10, 0, 0]
    # nor ten minutes later, when it is looked at again
    assert not messages_waiting(channel=Channel.EMAIL, provider="smtp")
    Allowance.objects.update(held_until=None)
    assert claim() == []
    # another provider has no limit
    assert len(claim(10, provider="postmark")) == 10
    # and a limit that is taken away holds nothing
    settings.SEND_LIMITS = {}
    assert len(claim()) == 20


@pytest.mark.usefixtures("ledger")
def test_transactional_mail_is_counted_and_never_held(settings: Settings) -> None:
    settings.SEND_LIMITS = {"provider:smtp": SendLimit(per_day=3), "domain:example.com": SendLimit(per_minute=4)}
    make_queued(5)
    urgent = make_queued(6, "transactional")
    claimed = claim()
    assert Message.objects.filter(pk__in=claimed, dispatch=urgent).count() == len(claimed) == 6
    assert Allowance.objects.get(key="provider:smtp").day_count == 6
    # nor when what is left was held before it came
    more = make_queued(2, "transactional")
    assert set(Message.objects.filter(pk__in=claim()).values_list("dispatch_id", flat=True)) == {more.pk}


@pytest.mark.usefixtures("ledger")
def test_transactional_mail_waits_behind_no_campaign(relay: Relay) -> None:
    # given a big campaign, all of whose next messages are in the hands of senders that are slow
    make_queued(600)
    for _ in range(2):
        claim(200)
    urgent = make_queued(3, "transactional")
    # when only what is urgent is sent, as by the worker for short work
    assert messages_send(urgent=True) is False
    # then it is out, and nothing of the campaign
    assert states() == {State.CLAIMED: 400, State.QUEUED: 200, State.SENT: 3}
    assert set(urgent.messages.values_list("state", flat=True)) == {State.SENT}


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize("wrong", [0, -1, 1_000_001])
def test_a_pace_is_a_number_that_can_be_meant(wrong: int) -> None:
    dispatch = make_queued(1)
    with pytest.raises(Invalid):
        dispatch_throttle(dispatch_id=dispatch.pk, per_minute=wrong)
    assert Dispatch.objects.get().per_minute is None


def test_a_day_that_is_used_up_ends_with_the_day() -> None:
    limit = SendLimit(per_minute=60, per_day=100)
    full = Bucket("x", limit, NOON, 10.0, NOON, 100, None, None)
    assert not full.free()
    assert full.free_at() == datetime(2026, 12, 2, tzinfo=UTC)
    assert full.turn() - full.free_at() == timedelta(seconds=864)  # the next day's hundred, spread over it


def test_a_bucket_fills_by_time_and_not_above_its_room() -> None:
    limit = SendLimit(per_minute=60)
    bucket = Bucket("x", limit, NOON + timedelta(seconds=4), -2.0, NOON, 0, None, None)
    bucket.fill()
    assert bucket.tokens == 2.0
    bucket.at += timedelta(hours=1)
    bucket.fill()
    assert bucket.tokens == BURST_SECONDS


def test_a_warm_up_grows_to_what_a_day_may_have() -> None:
    limit = SendLimit(per_day=1000, warm_from=date(2026, 12, 1), warm_first=100, warm_grows=2)
    days = [limit.of_day(date(2026, 11, 30) + timedelta(days=number)) for number in range(7)]
    assert days == [100, 100, 200, 400, 800, 1000, 1000]
    assert limit.of_day(date(2027, 12, 1)) == 1000
    assert SendLimit(warm_from=date(2026, 12, 1), warm_first=1).of_day(date(2027, 12, 1)) is None


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        {"provider": {}},
        {"providers": {"smtp": {}}},
        {"providers": {"smtp": {"per_minute": 0}}},
        {"providers": {"smtp": {"per_minute": True}}},
        {"domains": {"x": {"per_hour": 4}}},
        {"domains": {"x": {"warm_up": {"from": "2026-12-01"}}}},
        {"domains": {"x": {"warm_up": {"from": "soon", "first": 1, "grows": 2}}}},
        {"domains": {"x": {"warm_up": {"from": "2026-12-01", "first": 1, "grows": 0.5}}}},
    ],
)
def test_limits_that_cannot_be_meant_are_refused(wrong: object) -> None:
    with pytest.raises(EnvError):
        send_limits_read(wrong)
    assert send_limits_read({"domains": {"GMail.com": {"per_minute": 5}}}) == {"domain:gmail.com": SendLimit(5)}
