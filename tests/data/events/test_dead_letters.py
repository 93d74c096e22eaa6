"""Dead letters: tried again once, kept when they fail again, gone with their person."""

from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from apps.data.events.models import DeadLetter, Event, EventSchema
from apps.data.events.privacy import letters_forget
from apps.data.events.replaying import letters_replay
from apps.data.privacy.erasing import erasure_ask, erasure_run
from apps.data.privacy.registry import Person, erase_steps
from apps.foundation.core.clock import now
from apps.foundation.core.errors import NotAllowed
from apps.foundation.governance.models import AuditEntry
from tests.factories import known_by, make_user

from .conftest import Send, Take

BAD = {"type": "track", "event": "Order Completed", "properties": {"revenue": "much"}, "userId": "u", "messageId": "m"}


@pytest.fixture
def letter(send: Send, take: Take) -> DeadLetter:
    """An order whose revenue is no number, set aside."""
    EventSchema.objects.filter(name="Order Completed").update(on_fault="set_aside")
    send({**BAD, "anonymousId": "phone-1"})
    take()
    return DeadLetter.objects.get()


@pytest.mark.django_db
def test_what_fits_after_its_schema_was_mended_becomes_an_event_once(
    letter: DeadLetter, send: Send, take: Take
) -> None:
    EventSchema.objects.filter(name="Order Completed").update(on_fault="keep", updated_at=now())
    from apps.data.events.recording import schemas

    schemas.forget()

    done = letters_replay(letter_ids=[letter.pk, letter.pk, uuid4()], by=make_user("engineer"))
    send(BAD)
    again = take()

    event = Event.objects.get()
    assert (done.written, done.known, done.again, again.duplicates) == (1, 0, 0, 1)
    assert (event.message_id, event.properties, DeadLetter.objects.count()) == ("m", {"revenue": "much"}, 0)
    assert AuditEntry.objects.get(action="events.letters.replayed").data == {"written": 1, "known": 0, "again": 0}


@pytest.mark.django_db
def test_what_fails_again_is_a_letter_with_one_try_more(letter: DeadLetter) -> None:
    call_command("events_replay", "--reason", "does_not_fit")

    kept = DeadLetter.objects.get()
    assert (kept.tries, kept.reason, kept.message_id, kept.received_at) == (2, "does_not_fit", "m", letter.received_at)
    assert Event.objects.count() == 0


@pytest.mark.django_db
def test_who_may_not_change_letters_may_not_try_them(letter: DeadLetter) -> None:
    with pytest.raises(NotAllowed):
        letters_replay(letter_ids=[letter.pk], by=make_user("analyst"))
    assert DeadLetter.objects.get().tries == 1


@pytest.mark.django_db
def test_staff_see_why_and_try_again_but_never_what_was_in_it(letter: DeadLetter, client: Client) -> None:
    client.force_login(make_user("engineer"))
    page = reverse("admin:events_deadletter_changelist")

    seen = (
        client.get(page).content.decode()
        + client.get(reverse("admin:events_deadletter_change", args=[letter.pk])).content.decode()
    )
    assert "revenue: does not fit" in seen
    assert "much" not in seen
    answer = client.post(page, {"action": "try_again", "_selected_action": [str(letter.pk)]}, follow=True)

    assert "1 set aside again" in answer.content.decode()
    assert DeadLetter.objects.get().tries == 2


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("identifiers", "left"),
    [([("external_id", "shop:u")], 0), ([("external_id", "shop:other"), ("email", "u")], 1)],
)
def test_erasing_somebody_takes_the_letters_about_them(
    letter: DeadLetter, identifiers: list[tuple[str, str]], left: int
) -> None:
    step = next(step for step in erase_steps() if step.name == "letters")

    forgotten = step.erase(Person(0, identifiers))

    assert (forgotten.count, DeadLetter.objects.count()) == (1 - left, left)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "ids",
    [
        {"userId": "u-7"},
        {"user_id": "shop:u-7"},
        {"anonymousId": "phone-7"},
        {"previousId": "phone-7"},
        {"traits": {"email": "U7@Example.com"}},
        {"traits": {"phone": "+43 660 1234567"}},
    ],
)
def test_erasing_somebody_takes_what_could_not_even_be_read(send: Send, take: Take, ids: dict[str, Any]) -> None:
    traits = {"email": "u7@example.com", "phone": "+436601234567"}
    send({"type": "identify", "userId": "u-7", "anonymousId": "phone-7", "traits": traits})
    send({"type": "no call", **ids}, {"type": "no call", "userId": "u-8"}, {"type": "no call"})
    assert take().dead + take().dead == 3

    person = known_by("external_id", "shop:u-7")
    erasure_run(request_id=erasure_ask(profile_id=person.pk, shown_by="a fresh link", sure=True).pk)

    left = sorted(len(letter.digests) for letter in DeadLetter.objects.all())
    assert left == [0, 1], "that of somebody else, and one that names nobody, stay"


@pytest.mark.django_db
def test_old_letters_are_forgotten(letter: DeadLetter) -> None:
    assert letters_forget(letter.failed_at, 10) == 0
    assert letters_forget(now(), 10) == 1
