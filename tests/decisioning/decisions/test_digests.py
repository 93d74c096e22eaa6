"""Digests: what is collected is shown once at most, never by itself, and asked anew at its moment."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from hypothesis import HealthCheck, example, given
from hypothesis import settings as tried
from hypothesis import strategies as st
from pytest_django import Settings

from apps.data.consent.models import Channel, ConsentRecord, PreferenceChange, Topic
from apps.data.consent.preferences import preference_change, preference_undo
from apps.data.consent.services import consent_withdraw
from apps.data.profiles.models import Profile
from apps.data.profiles.vault import key_destroy, vault_open
from apps.decisioning.content.models import BlockVersion
from apps.decisioning.content.rendering import render
from apps.decisioning.content.selectors import compiled_load
from apps.decisioning.decisions.digests import digest_moment, digest_told, digests_forget, digests_want
from apps.decisioning.decisions.models import Decision, DigestPiece
from apps.decisioning.decisions.sealing import Kept, decision_seal
from apps.decisioning.decisions.selectors import decision_explain
from apps.decisioning.decisions.services import run_decide
from apps.decisioning.playbooks.carrying import mails_carry
from apps.decisioning.playbooks.errors import PlaybookInvalid
from apps.decisioning.playbooks.models import MailWant, Playbook, PlaybookVersion, Run
from apps.decisioning.playbooks.services import (
    playbook_update,
    playbook_withdraw,
    run_cancel,
    run_plan,
    run_start,
)
from apps.delivery.sending.claims import messages_claim
from apps.delivery.sending.gate import gate_pass
from apps.delivery.sending.models import Dispatch, Message
from apps.delivery.sending.rendering import messages_prepare
from apps.delivery.sending.services import dispatch_pause, dispatch_take_up
from apps.foundation.core.clock import now
from tests.examples import tries
from tests.factories import kept_by, make_digest, make_profile, make_published

pytestmark = pytest.mark.django_db
Kind = PreferenceChange.Kind


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is woken: each test says itself what happens."""
    monkeypatch.setattr("apps.decisioning.playbooks.receivers.enqueue_on_commit", lambda *args: None)
    monkeypatch.setattr("apps.decisioning.decisions.receivers.enqueue_on_commit", lambda *args: None)


@dataclass
class Shop:
    """A published digest, and two playbooks of marketing, one of them with a topic."""

    digest: Playbook
    plain: Playbook
    teas: Playbook


@pytest.fixture(scope="module")
def made(django_db_setup: None, django_db_blocker: Any) -> Iterator[Shop]:
    """The shop, made once; each test runs in a savepoint behind it."""
    with django_db_blocker.unblock(), transaction.atomic():
        compiled_load.cache_clear()  # rows of other tests had the same ids
        topic = Topic.objects.create(code="teas", name="Teas")
        yield Shop(make_digest(), make_published(), make_published(topic=topic))
        transaction.set_rollback(True)


@pytest.fixture
def shop(made: Shop, db: None) -> Shop:
    """The shop, as a test may change it."""
    return made


def choose(profile: Profile, kind: PreferenceChange.Kind, value: Any, subject: str = "") -> PreferenceChange | None:
    return preference_change(
        profile_id=profile.pk,
        kind=kind,
        value=value,
        subject=subject,
        method=ConsentRecord.Method.PREFERENCES,
        source="test",
    )


def somebody(frequency: str = "weekly", **fields: Any) -> Profile:
    profile = make_profile(consent=("marketing",), **fields)
    choose(profile, Kind.FREQUENCY, frequency)
    return profile


def decide(playbook: Playbook, occasion: str = "autumn") -> Run:
    run = run_start(playbook_id=playbook.pk, occasion_key=occasion, trigger="hand")
    run_plan(run_id=run.pk)
    run_decide(run_id=run.pk)
    dispatch_take_up(run_id=run.pk)
    return run


def outcomes(run: Run) -> dict[int, str]:
    return dict(Decision.objects.filter(run=run).values_list("profile_id", "outcome"))


def moment_comes() -> None:
    """The moment of all that is kept, and the digest is decided and taken up."""
    DigestPiece.objects.filter(state="kept").update(due_at=now() - timedelta(seconds=1))
    digests_go()


def digests_go() -> None:
    digests_want()
    mails_carry()
    for run in Run.objects.filter(trigger="system").order_by("pk"):
        run_decide(run_id=run.pk)
        dispatch_take_up(run_id=run.pk)


def gate() -> set[Any]:
    """Everything that waits comes to the gate. Returns the ids of what passed it."""
    sender = uuid4()
    claimed = messages_claim(sender_id=sender, channel=Channel.EMAIL, count=500)
    dispatches = Dispatch.objects.in_bulk({one.dispatch_id for one in claimed})
    prepared, faults = messages_prepare(claimed, dispatches, at=now())
    assert not faults
    passed = gate_pass(sender_id=sender, items=prepared) if prepared else []
    return {one.prepared.claimed.id for one in passed}


def digests() -> list[Decision]:
    return list(Decision.objects.filter(run__trigger="system").order_by("pk"))


def pieces() -> dict[Any, tuple[str, str]]:
    return {pk: (state, reason) for pk, state, reason in DigestPiece.objects.values_list("pk", "state", "reason")}


def test_what_is_collected_comes_in_one_message_and_is_explained(shop: Shop) -> None:
    playbook = shop.plain
    weekly, each = somebody(first_name="Carla"), make_profile(consent=("marketing",))

    first, second = decide(playbook), decide(playbook, "winter")
    assert outcomes(first) == {weekly.pk: "digest", each.pk: "send"}
    assert Message.objects.filter(profile=weekly).count() == 0, "nothing by itself"
    kept = Decision.objects.get(run=first, profile=weekly)
    told = decision_explain(kept.pk)
    assert told.summary == "Kept for the digest that they chose."
    assert told.slots, "its content is decided, and explained"

    moment_comes()

    (digest,) = digests()
    assert (digest.profile_id, digest.outcome) == (weekly.pk, "send")
    shown = [piece.decision_id for piece in digest_told(digest.pk).pieces]
    assert shown == [Decision.objects.get(run=second, profile=weekly).pk, kept.pk], "the newest first"
    assert kept_by(digest).reasons["digest"] == {"shown": [str(pk) for pk in shown], "left": []}
    inputs = kept_by(digest).inputs
    assert digest.compiled_id is not None
    links = {"unsubscribe": "https://x.example/u", "preferences": "https://x.example/p"}
    made = render(compiled_load(digest.compiled_id), {**inputs, "links": links})
    titles = [item["title"] for item in inputs["slots"]["hero"]["items"]]
    assert len(titles) == 2
    assert all(title in made.text for title in titles), (titles, made.text)
    assert digest_told(kept.pk).digest == digest.pk
    assert gate() == {digest.pk, Decision.objects.get(run=first, profile=each).pk} | {
        Decision.objects.get(run=second, profile=each).pk
    }
    moment_comes()
    assert digests() == [digest], "there is nothing more to show, so no other is wanted"


def test_without_a_published_digest_nothing_is_collected(shop: Shop) -> None:
    weekly = somebody()
    assert outcomes(decide(shop.plain)) == {weekly.pk: "digest"}
    playbook_withdraw(playbook_id=shop.digest.pk, by=shop.digest.owner)

    assert outcomes(decide(shop.plain, "winter")) == {weekly.pk: "send"}
    assert len(gate()) == 1
    moment_comes()
    assert (digests(), set(pieces().values())) == ([], {("kept", "")}), "it waits for a digest, until it is over"
    DigestPiece.objects.update(good_until=now() - timedelta(seconds=1))
    digests_want()
    assert set(pieces().values()) == {("left_out", "too_late")}


def test_what_waits_to_be_sent_when_somebody_chooses_a_digest_goes_into_it(shop: Shop) -> None:
    profile = make_profile(consent=("marketing",))
    run = decide(shop.plain)
    assert outcomes(run) == {profile.pk: "send"}

    change = choose(profile, Kind.FREQUENCY, "daily")

    assert gate() == set()
    message = Message.objects.get()
    assert (message.state, message.reason) == ("withheld", "digest")
    assert pieces() == {message.pk: ("kept", "")}
    # and back again: what was collected comes at once, in a last digest
    assert change is not None
    preference_undo(profile_id=profile.pk, change_id=change.pk, method=ConsentRecord.Method.PREFERENCES, source="test")
    digests_go()
    assert pieces() == {message.pk: ("shown", "")}
    assert gate() == {digests()[0].pk}


def test_what_was_left_meanwhile_is_not_in_it(shop: Shop) -> None:
    topic = Topic.objects.create(code="cups", name="Cups")
    playbooks = {"teas": shop.teas, "cups": make_published(topic=topic)}
    profile = somebody()
    runs = {name: decide(playbook) for name, playbook in playbooks.items()}
    ids = {name: Decision.objects.get(run=run).pk for name, run in runs.items()}
    choose(profile, Kind.TOPIC, False, "teas")

    moment_comes()

    assert pieces() == {ids["teas"]: ("left_out", "topic_off"), ids["cups"]: ("shown", "")}
    # and what is switched off while the digest is on its way takes it back; nothing of it is left, so none comes
    choose(profile, Kind.TOPIC, False, "cups")
    assert gate() == set()
    assert Message.objects.get().reason == "digest_changed"
    assert pieces()[ids["cups"]] == ("kept", "")
    digests_go()
    assert pieces()[ids["cups"]] == ("left_out", "topic_off")
    assert [one.outcome for one in digests()] == ["send", "digest_empty"]
    assert gate() == set()


def test_a_digest_that_was_taken_back_comes_again_without_what_was_left(shop: Shop) -> None:
    profile = somebody()
    decide(shop.teas)
    other = Decision.objects.get(run=decide(shop.plain)).pk
    moment_comes()
    choose(profile, Kind.TOPIC, False, "teas")
    assert gate() == set()

    digests_go()
    digests_go()

    assert pieces()[other] == ("shown", "")
    assert gate() == {digests()[1].pk}
    assert MailWant.objects.filter(kind="digest").count() == 2


@pytest.mark.parametrize(
    "spoil",
    ["withdrawn", "paused", "cancelled", "too_late", "out_of_date", "unreadable"],
)
def test_each_piece_is_asked_anew_at_its_moment(shop: Shop, spoil: str) -> None:
    profile = somebody()
    playbook = shop.plain
    run = decide(playbook)
    decision = Decision.objects.get(run=run)
    if spoil == "withdrawn":
        consent_withdraw(
            profile_id=profile.pk,
            purpose="marketing",
            channel="email",
            method=ConsentRecord.Method.PREFERENCES,
            source="test",
        )
    elif spoil == "paused":
        choose(profile, Kind.PAUSE, (now() + timedelta(days=3)).isoformat())
    elif spoil == "cancelled":
        run_cancel(run_id=run.pk, by=playbook.owner)
    elif spoil == "too_late":
        DigestPiece.objects.update(good_until=now() - timedelta(hours=1))
    elif spoil == "out_of_date":
        _blocks_end(run.version)
    else:
        key_destroy(profile.pk)

    moment_comes()

    assert pieces() == {decision.pk: ("left_out", spoil)}
    assert all(one.outcome != "send" for one in digests())
    assert gate() == set()


def _blocks_end(version: PlaybookVersion) -> None:
    """The blocks of a version are valid until a moment ago, as if they had been pinned so."""
    ended = (now() - timedelta(minutes=1)).astimezone(UTC).isoformat()
    spec: Any = version.spec
    for tiers in spec["slots"].values():
        for tier in tiers:
            tier["valid_until"] = ended
    PlaybookVersion.objects.filter(pk=version.pk).update(spec=spec)
    assert BlockVersion.objects.exists()


def test_a_paused_run_waits_for_the_next_digest(shop: Shop) -> None:
    somebody()
    run = decide(shop.plain)
    dispatch_take_up(run_id=run.pk)
    dispatch_pause(dispatch_id=Dispatch.objects.get(run_id=run.pk).pk)
    moment_comes()
    assert (set(pieces().values()), [one.outcome for one in digests()]) == ({("kept", "")}, ["digest_empty"])


def test_a_digest_shows_so_many_the_newest_and_says_so_of_the_others(shop: Shop, settings: Settings) -> None:
    settings.DIGEST_PIECES = 2
    somebody()
    ids = [Decision.objects.get(run=decide(shop.plain, f"occasion {number}")).pk for number in range(4)]
    moment_comes()
    assert [pieces()[pk] for pk in ids] == [("left_out", "digest_full")] * 2 + [("shown", "")] * 2


def test_what_was_chosen_by_what_they_did_is_not_shown_to_who_withdrew_that(shop: Shop) -> None:
    profile = somebody()
    decision = Decision.objects.get(run=decide(shop.plain))
    kept = kept_by(decision)
    slots = {name: {**slot, "tier": "personal"} for name, slot in kept.inputs["slots"].items()}
    put_sealed_anew(decision, Kept({**kept.inputs, "slots": slots}, kept.reasons))
    consent_withdraw(
        profile_id=profile.pk,
        purpose="personalisation",
        channel="email",
        method=ConsentRecord.Method.PREFERENCES,
        source="test",
    )
    moment_comes()
    assert pieces() == {decision.pk: ("left_out", "withdrawn")}
    assert [one.outcome for one in digests()] == ["digest_empty"]


def put_sealed_anew(decision: Decision, kept: Kept) -> None:
    """As if it had been decided so."""
    sealed = decision_seal(
        vault_open([decision.profile_id]), decision_id=decision.pk, profile_id=decision.profile_id, kept=kept
    )
    Decision.objects.filter(pk=decision.pk).update(sealed=sealed)


def test_the_cap_of_a_playbook_holds_for_its_piece(shop: Shop) -> None:
    profile = make_profile(consent=("marketing",))
    playbook = make_published(cap_count=1, cap_days=7)
    decide(playbook)
    choose(profile, Kind.FREQUENCY, "daily")
    gate()
    (piece,) = pieces()
    choose(profile, Kind.FREQUENCY, "each")
    decide(shop.plain)
    assert len(gate()) == 1, "one message has gone out"
    digests_go()
    assert pieces() == {piece: ("left_out", "frequency_cap")}


def test_twice_run_and_killed_in_between_it_is_one_digest(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    somebody()
    decide(shop.plain)
    DigestPiece.objects.update(due_at=now() - timedelta(seconds=1))

    class Killed(BaseException):
        pass

    def killed(*args: object, **kwargs: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("apps.decisioning.decisions.digests.mail_want", killed)
        with pytest.raises(Killed):
            digests_want()
    assert (digests_want(), digests_want()) == (1, 0)
    mails_carry()
    run = Run.objects.get(trigger="system")
    with monkeypatch.context() as patch:
        patch.setattr("apps.decisioning.decisions.services.pieces_settle", killed)
        with pytest.raises(Killed):
            run_decide(run_id=run.pk)
    assert (digests(), set(pieces().values())) == ([], {("kept", "")})
    run_decide(run_id=run.pk)
    run_decide(run_id=run.pk)
    assert len(digests()) == 1


def test_system_mail_and_other_purposes_are_never_collected(shop: Shop) -> None:
    profile = somebody()
    assert outcomes(decide(make_published(purpose="transactional"))) == {profile.pk: "send"}
    assert len(gate()) == 1


def test_only_a_digest_may_show_what_was_collected(shop: Shop) -> None:
    digest, plain, slots = shop.digest, shop.plain, shop.digest.slots
    with pytest.raises(PlaybookInvalid, match="Only a digest"):
        playbook_update(playbook_id=plain.pk, by=plain.owner, template=digest.template, slots=slots)
    static = {name: tiers[-1:] for name, tiers in slots.items()}
    with pytest.raises(PlaybookInvalid, match="A digest shows"):
        playbook_update(playbook_id=digest.pk, by=digest.owner, slots=static)
    ruled = {**slots, "hero": [{**slots["hero"][0], "when": {"attribute": "country", "is": "FR"}}, slots["hero"][-1]]}
    personal = {**slots, "hero": [{**slots["hero"][0], "tier": "personal"}, slots["hero"][-1]]}
    for wrong in (ruled, personal):
        with pytest.raises(PlaybookInvalid, match="A digest shows"):
            playbook_update(playbook_id=digest.pk, by=digest.owner, slots=wrong)
    with pytest.raises(PlaybookInvalid, match="a purpose that people agree to"):
        playbook_update(playbook_id=digest.pk, by=digest.owner, purpose="transactional")


@pytest.mark.parametrize(
    ("frequency", "after", "expected"),
    [
        ("daily", "2026-11-28T07:59", "2026-11-28T08:00"),
        ("daily", "2026-11-28T08:00", "2026-11-29T08:00"),
        ("weekly", "2026-11-28T08:00", "2026-12-03T08:00"),
        ("weekly", "2026-03-26T08:00", "2026-04-02T07:00"),
        ("each", "2026-11-28T11:11", "2026-11-28T11:11"),
    ],
)
def test_the_moment_is_on_the_persons_wall(frequency: str, after: str, expected: str, settings: Settings) -> None:
    settings.DIGEST_HOUR, settings.DIGEST_WEEKDAY = 9, "thu"
    at = datetime.fromisoformat(after).replace(tzinfo=UTC)
    found = digest_moment(frequency, ZoneInfo("Europe/Vienna"), after=at)
    assert found == datetime.fromisoformat(expected).replace(tzinfo=UTC)


def test_another_time_zone_or_frequency_moves_what_is_collected(shop: Shop) -> None:
    profile = somebody("weekly", time_zone="Europe/Vienna")
    decide(shop.plain)
    before = DigestPiece.objects.get().due_at
    choose(profile, Kind.TIME_ZONE, "Pacific/Auckland")
    moved = DigestPiece.objects.get().due_at
    choose(profile, Kind.FREQUENCY, "daily")
    daily = DigestPiece.objects.get().due_at
    assert before != moved
    assert now() < daily <= now() + timedelta(days=1)
    assert daily <= moved


def test_what_is_over_is_forgotten_and_what_is_kept_stays(shop: Shop) -> None:
    somebody()
    decide(shop.plain)
    moment_comes()
    decide(shop.plain, "winter")
    DigestPiece.objects.filter(state="shown").update(settled_at=now() - timedelta(days=91))
    assert digests_forget(now() - timedelta(days=90), 10) == 1
    assert set(pieces().values()) == {("kept", "")}


_STEPS = st.lists(
    st.sampled_from(["message", "each", "daily", "weekly", "gate", "moment", "sweep", "topic off", "topic on"]),
    min_size=2,
    max_size=9,
)


def _order_holds(shop: Shop, steps: list[str]) -> None:
    """Take the steps. Each message is shown once at most, by itself or in a digest; by itself only while that is
    wanted; and in the end, when all is asked for by itself, nothing waits."""
    profile, wants = make_profile(consent=("marketing",)), "each"
    alone: set[Any] = set()
    for number, step in enumerate([*steps, "each", "gate", "sweep", "gate", "sweep", "gate"]):
        if step == "message":
            decide((shop.plain, shop.teas)[number % 2], f"occasion {number}")
        elif step in ("each", "daily", "weekly"):
            choose(profile, Kind.FREQUENCY, step)
            wants = step
        elif step.startswith("topic"):
            choose(profile, Kind.TOPIC, step == "topic on", "teas")
        elif step == "moment":
            moment_comes()
        elif step == "sweep":
            digests_go()
        else:
            passed = gate()
            singles = {one.pk for one in Decision.objects.filter(pk__in=passed).exclude(run__trigger="system")}
            assert wants == "each" or not singles, "nothing by itself while a digest is wanted"
            alone |= singles
    gone = Message.objects.filter(state="sending", dispatch__mail_kind="digest").values_list("pk", flat=True)
    in_digests = [piece for pk in gone for piece in kept_by(Decision.objects.get(pk=pk)).reasons["digest"]["shown"]]
    assert len(in_digests) == len(set(in_digests)), "each piece in one digest at most"
    assert not {str(pk) for pk in alone} & set(in_digests), "by itself or in a digest"
    assert not DigestPiece.objects.filter(state="kept").exists()
    decided = set(Decision.objects.exclude(run__trigger="system").values_list("pk", flat=True))
    left = set(DigestPiece.objects.filter(state="left_out").values_list("pk", flat=True))
    withheld = set(Message.objects.filter(state="withheld").exclude(reason="digest").values_list("pk", flat=True))
    not_sent = set(Decision.objects.exclude(outcome__in=["send", "digest"]).values_list("pk", flat=True))
    assert decided == alone | {one for one in decided if str(one) in set(in_digests)} | (
        decided & (left | withheld | not_sent)
    ), "nothing is lost: what did not come has its reason"


def _tried_and_undone(shop: Shop, steps: list[str]) -> None:
    with transaction.atomic():
        _order_holds(shop, steps)
        transaction.set_rollback(True)


@example(steps=["message", "weekly", "gate"])
@example(steps=["message", "daily", "gate", "moment", "gate", "each"])
@example(steps=["weekly", "message", "message", "moment", "topic off", "gate", "sweep", "gate"])
@example(steps=["weekly", "message", "moment", "moment", "gate", "each", "sweep"])
@tried(
    max_examples=tries(30), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
@given(steps=_STEPS)
def test_whatever_the_order_each_is_shown_once_and_none_by_itself(shop: Shop, steps: list[str]) -> None:
    _tried_and_undone(shop, steps)


@pytest.mark.slow
@tried(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_STEPS)
def test_whatever_the_order_at_length(shop: Shop, steps: list[str]) -> None:
    _tried_and_undone(shop, steps)
