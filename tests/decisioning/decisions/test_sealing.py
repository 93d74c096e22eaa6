"""What a decision keeps is readable with the person's key alone, and gone with it."""

from importlib import import_module
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from apps.data.profiles.models import Profile
from apps.data.profiles.vault import Erased, Tampered, key_destroy, vault_open
from apps.decisioning.decisions import services
from apps.decisioning.decisions.models import Decision
from apps.decisioning.decisions.sealing import Kept, decisions_open, inputs_open
from apps.decisioning.decisions.selectors import ERASED, TAMPERED, decision_explain
from apps.decisioning.decisions.services import run_decide
from apps.decisioning.playbooks.models import Run
from apps.decisioning.playbooks.services import run_plan, run_start
from apps.foundation.core.clock import now
from tests.delivery.makers import make_run
from tests.factories import kept_by, make_profile, make_published, put_sealed

CANARY = "Zephyrine-canary"


@pytest.fixture
def undelivered(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is decided is not taken up."""
    monkeypatch.setattr("apps.delivery.sending.receivers.dispatch_take_up", lambda **kwargs: 0)


def _run() -> Run:
    playbook = make_published()
    run = run_start(playbook_id=playbook.pk, occasion_key="once", trigger="hand")
    run_plan(run_id=run.pk)
    return run


def _decided(person: Profile) -> Decision:
    run_decide(run_id=_run().pk)
    return Decision.objects.get(profile=person)


def _row(decision_id: UUID) -> str:
    """All that the row holds, as the database prints it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT decision::text FROM decisions_decision AS decision WHERE id = %s", [decision_id])
        return str(cursor.fetchone()[0])


@pytest.mark.django_db
def test_a_decision_can_be_explained_until_its_person_is_erased(undelivered: None) -> None:
    # given somebody who was decided about
    person = make_profile(consent=("marketing",), first_name=CANARY, country="FR")
    decision = _decided(person)
    assert kept_by(decision).inputs["profile"] == {"first_name": CANARY}
    assert decision_explain(decision.pk).values == {"first_name": CANARY}
    assert decision_explain(decision.pk).gone == ""
    assert CANARY.encode().hex() not in _row(decision.pk)
    # when their key is destroyed
    key_destroy(person.pk)
    # then what is left is what was decided, not of what
    explained = decision_explain(decision.pk)
    assert (explained.outcome, explained.tier, explained.gone) == ("send", "static", ERASED)
    assert (explained.values, explained.slots, explained.language) == ({}, (), "")
    assert explained.summary == "Decided to send; answered by the static tier."
    assert decisions_open([decision]) == {decision.pk: None}


@pytest.mark.django_db
def test_the_inputs_alone_are_those_of_the_whole_however_they_are_kept(undelivered: None) -> None:
    person = make_profile(consent=("marketing",), first_name=CANARY, country="FR")
    parted = _decided(person)
    by_itself = Decision(run=parted.run, profile=make_profile(), outcome="send", decided_at=now())
    [whole] = put_sealed([(by_itself, Kept({"profile": {"n": 1}}))])
    for decision in (parted, whole):
        read: dict[str, Any] = {"profile_id": decision.profile_id, "sealed": bytes(decision.sealed)}
        vault = vault_open([decision.profile_id])
        assert inputs_open(vault, decision_id=str(decision.pk), **read) == kept_by(decision).inputs
        with pytest.raises(Tampered):
            inputs_open(vault, decision_id=str(UUID(int=1)), **read)
        with pytest.raises(Erased):
            inputs_open(vault_open([]), decision_id=str(decision.pk), **read)


@pytest.mark.django_db
def test_a_row_that_somebody_changed_or_moved_says_so() -> None:
    run, people = make_run(), [make_profile(), make_profile()]
    mine, other = put_sealed(
        (Decision(run=run, profile=person, outcome="send", decided_at=now()), Kept({"profile": {"n": 1}}))
        for person in people
    )
    assert decisions_open([mine, other])[other.pk] == Kept({"profile": {"n": 1}})
    for changed in (b"", bytes(other.sealed), bytes(mine.sealed)[:-1] + b"\0"):
        mine.sealed = changed
        with pytest.raises(Tampered):
            decisions_open([mine])


@pytest.mark.django_db
def test_an_emptied_row_of_somebody_known_is_no_erasure(undelivered: None) -> None:
    decision = _decided(make_profile(consent=("marketing",)))
    Decision.objects.filter(pk=decision.pk).update(sealed=b"")
    assert decision_explain(decision.pk).gone == TAMPERED


@pytest.mark.django_db
def test_of_who_is_erased_while_they_are_decided_about_nothing_can_be_opened(
    monkeypatch: pytest.MonkeyPatch, undelivered: None
) -> None:
    person, other = make_profile(consent=("marketing",)), make_profile(consent=("marketing",))
    decide = services.people_decide

    def erased_meanwhile(*args: Any, **kwargs: Any) -> Any:
        decided = decide(*args, **kwargs)
        key_destroy(person.pk)
        return decided

    monkeypatch.setattr(services, "people_decide", erased_meanwhile)
    run_decide(run_id=_run().pk)
    decision = Decision.objects.get(profile=person)
    assert person.pk not in vault_open([person.pk])
    assert decision_explain(decision.pk).gone == ERASED
    assert Decision.objects.get(profile=other).outcome == "send"


@pytest.mark.slow  # the tables go back to where they were long ago, and come forward again
def test_decisions_of_before_are_sealed_and_emptied_and_it_goes_on_after_a_stop(
    own_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given decisions of the time when they stood in clear, one of somebody without a key
    people = [make_profile() for _ in range(4)]
    run = make_run()
    MigrationExecutor(connection).migrate([("decisions", "0002_decision_sealed")])
    inputs = f'{{"profile": {{"first_name": "{CANARY}"}}, "slots": {{}}}}'
    with connection.cursor() as cursor:
        for person in people:
            cursor.execute(
                "INSERT INTO decisions_decision (id, run_id, profile_id, outcome, tier, inputs, reasons, sealed,"
                " decided_at) VALUES (gen_random_uuid(), %s, %s, 'send', 'site', %s, '{\"set\": 3}', '', now())",
                [run.pk, person.pk, inputs],
            )
    key_destroy(people[0].pk)
    sealing = import_module("apps.decisioning.decisions.migrations.0003_decisions_seal")
    # when it is stopped after the first two, and run again
    monkeypatch.setattr(sealing, "_CHUNK", 2)
    sealing._some_seal("default", "00000000-0000-0000-0000-000000000000")
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM decisions_decision WHERE inputs <> '{}'")
        assert cursor.fetchone() == (2,)
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes("decisions"))
    # then all say what they said, sealed, but for the one of whom nothing may be kept
    kept = {row.profile_id: decisions_open([row])[row.pk] for row in Decision.objects.all()}
    same = Kept({"profile": {"first_name": CANARY}, "slots": {}}, {"set": 3})
    assert kept == {people[0].pk: None, **dict.fromkeys([person.pk for person in people[1:]], same)}
    assert not any(CANARY in _row(row.pk) for row in Decision.objects.all())
