"""Playbooks, runs, messages and decisions in the API; and what is beyond a client's brands is not there."""

from uuid import UUID

import pytest

from apps.decisioning.decisions.models import Decision
from apps.decisioning.decisions.sealing import Kept
from apps.decisioning.playbooks.models import Journey, Playbook, Run
from apps.decisioning.playbooks.services import run_start
from apps.delivery.sending.models import DeliveryAttempt, Dispatch, Message, MessageEvent
from apps.foundation.core.clock import now
from apps.foundation.core.ids import uuid7
from apps.foundation.governance.models import AuditEntry
from tests.factories import make_profile, make_published, make_user, put_sealed

from .makers import Asker, make_asker, problem

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is woken: each test says itself what happens."""
    for place in ("playbooks", "decisions"):
        monkeypatch.setattr(f"apps.decisioning.{place}.receivers.enqueue_on_commit", lambda *args: None)


def owned(playbook: Playbook, *scopes: str, **limits: list[str]) -> Asker:
    return make_asker(*scopes, owner=playbook.owner, reach=limits)


def make_message(run: Run) -> UUID:
    """A message of a run that was handed over and came back."""
    profile = make_profile(first_name="Ada")
    kept = Kept({"language": "en", "profile": {"first_name": "Ada"}, "slots": {}}, {"slots": {}})
    [made] = put_sealed(
        [(Decision(id=uuid7(), run=run, profile=profile, outcome="send", tier="static", decided_at=now()), kept)]
    )
    dispatch, _ = Dispatch.objects.get_or_create(
        run_id=run.pk,
        defaults={
            "label": "News", "occasion": f"run {run.pk}", "purpose": "marketing", "needs_consent": True,
            "channel": "email", "from_name": "Tea", "from_email": "hello@tea.example", "not_after": now(),
        },
    )  # fmt: skip
    message = Message.objects.create(
        id=made.pk,
        dispatch=dispatch,
        profile=profile,
        purpose="marketing",
        channel="email",
        state="bounced",
        attempts=1,
    )
    DeliveryAttempt.objects.create(
        message=message, number=1, started_at=now(), outcome="accepted", code="250", response="ada@example.com taken"
    )
    MessageEvent.objects.create(
        message=message, kind="bounced", occurred_at=now(), source=f"t:{made.pk}", bounce="hard"
    )
    return made.pk


def test_playbooks_are_read_with_what_runs() -> None:
    playbook = make_published()
    asker = owned(playbook, "playbooks:read")

    assert asker.get(f"playbooks?code={playbook.code}&published=true").json()["items"] == [
        asker.get(f"playbooks/{playbook.pk}").json()
    ]
    assert asker.get("playbooks?published=false").json()["items"] == []
    problem(asker.get("playbooks?trigger=magic"), 400, "parameter_wrong")
    [version] = asker.get(f"playbooks/{playbook.pk}/versions").json()["items"]
    assert version["state"] == "published"
    whole = asker.get(f"playbooks/{playbook.pk}/versions/{version['number']}").json()
    assert whole["spec"]["playbook"] == playbook.code
    problem(asker.get(f"playbooks/{playbook.pk}/versions/9"), 404, "not_found")


def test_one_occasion_is_one_run_whoever_asks_and_however_often() -> None:
    playbook = make_published()
    asker, other = owned(playbook), owned(playbook)
    wanted = {"playbook": playbook.code, "occasion": "2026-03-01"}

    first = asker.post("runs", wanted, Idempotency_Key="1")
    assert first.status_code == 201, first.content
    again = asker.post("runs", wanted, Idempotency_Key="1")
    assert (again.status_code, again["Idempotency-Replayed"]) == (201, "true")
    there = other.post("runs", wanted)
    assert (there.status_code, there.json()["id"]) == (200, first.json()["id"])
    run = Run.objects.get()
    assert (run.trigger, run.started_by) == ("api", playbook.owner)
    entry = AuditEntry.objects.get(action="playbooks.run.started")
    assert (entry.actor, entry.data["client"]) == (playbook.owner, asker.client.code)
    assert [one["id"] for one in asker.get(f"runs?playbook={playbook.pk}&state=planning").json()["items"]] == [run.pk]


def test_a_run_is_held_and_cancelled() -> None:
    playbook = make_published()
    asker = owned(playbook)
    run = run_start(playbook_id=playbook.pk, occasion_key="one", trigger="api", by=playbook.owner)

    problem(asker.post(f"runs/{run.pk}/pause"), 409, "nothing_to_send")
    make_message(run)
    assert asker.post(f"runs/{run.pk}/pause").json()["sending"] == "paused"
    assert asker.post(f"runs/{run.pk}/resume").json()["sending"] == "active"
    assert asker.post(f"runs/{run.pk}/pace", {"per_minute": 600}).json()["per_minute"] == 600
    problem(asker.post(f"runs/{run.pk}/pace", {"per_minute": 0}), 422, "per_minute")
    problem(asker.post(f"runs/{run.pk}/pace", {}), 422, "content_wrong")
    assert asker.get(f"runs/{run.pk}").json()["per_minute"] == Dispatch.objects.get().per_minute == 600
    assert asker.post(f"runs/{run.pk}/pace", {"per_minute": None}).json()["per_minute"] is None
    told = asker.post(f"runs/{run.pk}/cancel").json()
    assert (told["state"], told["sending"]) == ("cancelled", "cancelled")
    problem(asker.post(f"runs/{run.pk}/resume"), 409, "dispatch_cancelled")


def test_a_playbook_begins_for_one_person_once() -> None:
    playbook = make_published(trigger="api")
    asker, profile = owned(playbook), make_profile(consent=("marketing",))
    wanted = {"playbook": playbook.code, "profile": profile.pk, "occasion": "order-1007"}

    first, again = asker.post("journeys", wanted), asker.post("journeys", wanted)
    assert first.status_code == 201, first.content
    assert again.json() == first.json()
    assert Journey.objects.get().occasion_key == "api:order-1007"
    problem(asker.post("journeys", {**wanted, "profile": profile.pk + 1}), 404, "playbook_or_profile_unknown")


def test_who_may_not_run_a_playbook_starts_nothing() -> None:
    playbook = make_published()
    run = run_start(playbook_id=playbook.pk, occasion_key="one", trigger="api", by=playbook.owner)
    asker = make_asker(owner=make_user("publisher"))

    problem(asker.post("runs", {"playbook": playbook.code, "occasion": "two"}), 403, "right_missing")
    problem(asker.post(f"runs/{run.pk}/cancel"), 403, "right_missing")
    assert list(Run.objects.values_list("occasion_key", "state")) == [("one", "planning")]


def test_messages_and_decisions_are_told_without_addresses() -> None:
    playbook = make_published()
    asker = owned(playbook)
    run = run_start(playbook_id=playbook.pk, occasion_key="one", trigger="api", by=playbook.owner)
    pk = make_message(run)
    make_message(run)

    by_run = asker.get(f"messages?run={run.pk}&limit=1").json()
    assert [one["id"] for one in by_run["items"]] == [str(pk)]
    assert len(asker.get(f"messages?run={run.pk}&limit=1&cursor={by_run['next']}").json()["items"]) == 1
    whole = asker.get(f"messages/{pk}")
    assert [(one["outcome"], one["code"]) for one in whole.json()["tries"]] == [("accepted", "250")]
    assert b"example.com" not in whole.content
    assert asker.get(f"messages?profile={whole.json()['profile']}&state=bounced").json()["items"][0]["id"] == str(pk)
    problem(asker.get("messages?state=bounced"), 400, "parameter_wrong")
    [heard] = asker.get(f"messages/{pk}/events").json()["items"]
    assert (heard["kind"], heard["bounce"]) == ("bounced", "hard")

    assert str(pk) in [one["id"] for one in asker.get(f"decisions?run={run.pk}").json()["items"]]
    told = asker.get(f"decisions/{pk}").json()
    assert (told["outcome"], told["values"]) == ("send", {"first_name": "Ada"})
    problem(asker.get("decisions"), 400, "parameter_missing")


def test_what_is_beyond_its_brands_is_not_there() -> None:
    mine, others = make_published(), make_published()
    hidden = run_start(playbook_id=others.pk, occasion_key="one", trigger="api", by=others.owner)
    pk = make_message(hidden)
    others.owner = mine.owner
    others.save()
    asker = owned(mine, brands=[mine.brand.code])

    assert [one["id"] for one in asker.get("playbooks").json()["items"]] == [mine.pk]
    for lists in ("runs", "messages", f"messages?run={hidden.pk}", f"decisions?run={hidden.pk}"):
        assert asker.get(lists).json()["items"] == [], lists
    for address in (f"playbooks/{others.pk}", f"playbooks/{others.pk}/versions", f"playbooks/{others.pk}/versions/1",
                    f"runs/{hidden.pk}", f"messages/{pk}", f"messages/{pk}/events", f"decisions/{pk}"):  # fmt: skip
        problem(asker.get(address), 404, "not_found")
    for order in ("pause", "resume", "cancel"):
        problem(asker.post(f"runs/{hidden.pk}/{order}"), 404, "not_found")
    problem(asker.post(f"runs/{hidden.pk}/pace", {"per_minute": 1}), 404, "not_found")
    problem(asker.post("runs", {"playbook": others.code, "occasion": "two"}), 404, "playbook_unknown")
    wanted = {"playbook": others.code, "profile": make_profile().pk, "occasion": "x"}
    problem(asker.post("journeys", wanted), 404, "playbook_unknown")
    hidden.refresh_from_db()
    assert (hidden.state, Run.objects.count(), Journey.objects.count()) == ("planning", 1, 0)
