"""Support tickets: open or closed, in whatever order they are told of, and who has one open."""

from datetime import timedelta

import pytest

from apps.data.events.models import Ticket
from apps.data.events.tickets import ticket_put, tickets_forget, tickets_open
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Invalid, NotFound
from tests.factories import make_profile

pytestmark = pytest.mark.django_db


def test_a_ticket_is_opened_closed_and_opened_again() -> None:
    ada, bob, at = make_profile(), make_profile(), now() - timedelta(hours=5)
    ticket, new = ticket_put(source="desk", number="1", profile_id=ada.pk, is_open=True, changed_at=at)
    assert new
    assert tickets_open([ada.pk, bob.pk]) == {ada.pk}

    again, new = ticket_put(
        source="desk", number="1", profile_id=ada.pk, is_open=False, changed_at=at + timedelta(hours=1)
    )
    assert (again.pk, new) == (ticket.pk, False)
    assert tickets_open([ada.pk, bob.pk]) == set()
    assert tickets_open([ada.pk], at=at + timedelta(minutes=30)) == {ada.pk}
    assert tickets_open([ada.pk], at=at - timedelta(minutes=30)) == set()
    ticket_put(source="desk", number="1", profile_id=ada.pk, is_open=True, changed_at=at + timedelta(hours=2))
    assert tickets_open([ada.pk]) == {ada.pk}


def test_what_is_older_than_what_is_known_changes_nothing() -> None:
    ada, at = make_profile(), now() - timedelta(hours=5)
    ticket_put(source="desk", number="1", profile_id=ada.pk, is_open=False, changed_at=at)

    ticket_put(source="desk", number="1", profile_id=ada.pk, is_open=True, changed_at=at - timedelta(hours=1))
    assert tickets_open([ada.pk]) == set()


def test_two_desks_may_have_the_same_number() -> None:
    ada, bob = make_profile(), make_profile()
    ticket_put(source="desk", number="1", profile_id=ada.pk, is_open=True)
    ticket_put(source="other", number="1", profile_id=bob.pk, is_open=False)

    assert tickets_open([ada.pk, bob.pk]) == {ada.pk}


def test_a_ticket_that_cant_be_is_refused() -> None:
    ada = make_profile()
    for number in ("", " ", "x" * 81):
        with pytest.raises(Invalid):
            ticket_put(source="desk", number=number, profile_id=ada.pk, is_open=True)
    with pytest.raises(Invalid):
        ticket_put(source="desk", number="1", profile_id=ada.pk, is_open=True, changed_at=now() + timedelta(hours=1))
    erased = make_profile(email=None, erased_at=now())
    for nobody in (erased.pk, 10**15):
        with pytest.raises(NotFound):
            ticket_put(source="desk", number="1", profile_id=nobody, is_open=True)
    assert not Ticket.objects.exists()


def test_closed_ones_are_forgotten_and_open_ones_stay() -> None:
    ada, at = make_profile(), now() - timedelta(days=400)
    for number, is_open in (("1", False), ("2", True)):
        ticket_put(source="desk", number=number, profile_id=ada.pk, is_open=is_open, changed_at=at)

    assert tickets_forget(now() - timedelta(days=365), 10) == 1
    assert list(Ticket.objects.values_list("number", flat=True)) == ["2"]
