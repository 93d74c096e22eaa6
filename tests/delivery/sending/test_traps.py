"""The gate and domains of spam traps: nothing to one enters `sending` after its listing has committed."""

import threading

import pytest
from django.db import transaction

from apps.data.consent.models import Suppression
from apps.data.consent.services import suppressions_add
from apps.data.consent.verdicts import traps_met
from apps.delivery.sending.contracts import Passed
from apps.delivery.sending.gate import gate_ask_again, gate_pass
from apps.delivery.sending.models import Message

from .test_gate import address_change, claim, in_thread, make_queued, person_of, sender_at_work, state_of

pytestmark = pytest.mark.usefixtures("ledger")

State = Message.State


def trap(*domains: str) -> None:
    """Staff list domains of spam traps."""
    suppressions_add(kind=Suppression.DOMAIN, values=domains, reason=Suppression.Reason.SPAM_TRAP)


@pytest.mark.parametrize("purpose", ["marketing", "transactional"])
def test_who_is_at_a_domain_of_traps_or_below_it_is_withheld_at_once(purpose: str) -> None:
    people = make_queued(5, purpose=purpose)
    addresses = ("a@trap.example", "b@deep.mail.trap.example", "c@nottrap.example", "d@trap.example.org")
    for profile_id, address in zip(people, addresses, strict=False):
        address_change(profile_id, address)
    with sender_at_work() as sender:
        items = claim(sender)
        address_change(people[4], "late@trap.example")  # what it is at the gate counts
        trap("trap.example")
        passed = gate_pass(sender_id=sender.id, items=items)
        assert {person_of(one) for one in passed} == {people[2], people[3]}
        for held in (people[0], people[1], people[4]):
            assert state_of(held) == (State.WITHHELD, "suppressed")
        # and what is in sending and not handed over is taken back
        trap("example.org")
        assert [person_of(one) for one in gate_ask_again(sender_id=sender.id, items=passed)] == [people[2]]
        assert state_of(people[3]) == (State.WITHHELD, "suppressed")


def test_an_address_lies_in_a_domain_of_traps_or_below_it() -> None:
    assert traps_met({1: "x@a.trap.example", 2: "x@example"}) == set()
    trap("trap.example")
    assert traps_met({1: "x@a.trap.example", 2: "x@trap.example", 3: "x@example"}) == {1, 2}
    assert traps_met({}) == set()
    suppressions_add(kind="email", values=["c@good.example"], reason=Suppression.Reason.SPAM_TRAP)
    assert traps_met({3: "c@good.example"}) == set(), "an address is no domain"
    trap("good.example")
    assert traps_met({2: "x@trap.example", 3: "c@good.example"}) == {2, 3}
    Suppression.objects.filter(kind=Suppression.DOMAIN).order_by("pk").first().delete()  # type: ignore[union-attr]
    assert traps_met({2: "x@trap.example", 3: "c@good.example"}) == {3}, "what is not listed any more is no trap"


def test_listing_a_domain_of_traps_waits_for_a_window_under_way() -> None:
    people = make_queued(2)
    for profile_id, local in zip(people, "ab", strict=True):
        address_change(profile_id, f"{local}@trap.example")
    with sender_at_work() as sender:
        first, second = ([item] for item in claim(sender))
        with transaction.atomic():
            assert len(gate_pass(sender_id=sender.id, items=first)) == 1
            lister = in_thread(lambda: trap("trap.example"))
            lister.join(0.3)
            assert lister.is_alive()
            assert not Suppression.objects.exists()
        lister.join()
        assert gate_pass(sender_id=sender.id, items=second) == []


def test_a_window_that_comes_while_a_domain_is_being_listed_waits_and_sees_it() -> None:
    [person] = make_queued(1)
    address_change(person, "a@trap.example")
    locked, go = threading.Event(), threading.Event()

    def list_slowly() -> None:
        with transaction.atomic():
            trap("trap.example")
            locked.set()
            go.wait(10)

    with sender_at_work() as sender:
        items = claim(sender)
        lister = in_thread(list_slowly)
        assert locked.wait(10)
        passed: list[Passed] = []
        passer = in_thread(lambda: passed.extend(gate_pass(sender_id=sender.id, items=items)))
        passer.join(0.3)
        assert passer.is_alive()
        go.set()
        lister.join()
        passer.join()
        assert passed == []
        assert state_of(person) == (State.WITHHELD, "suppressed")
