"""Messages on the web: through the gate like all others, and shown by consent of the moment of fetching."""

from typing import Any

import pytest

from apps.data.consent.models import Channel, ConsentRecord
from apps.data.consent.services import consent_grant, consent_withdraw
from apps.data.profiles.models import Profile
from apps.decisioning.playbooks.models import Run
from apps.delivery.sending.models import Dispatch, Message
from apps.delivery.sending.services import dispatch_take_up
from apps.delivery.sending.waiting import waiting_read, waiting_shown
from apps.delivery.sending.windows import messages_send
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict
from tests.delivery.makers import make_compiled, make_decision, make_run
from tests.surfaces.api.makers import make_asker

pytestmark = pytest.mark.usefixtures("ledger")

_HOW: Any = {
    "purpose": "marketing",
    "channel": Channel.WEB,
    "method": ConsentRecord.Method.PREFERENCES,
    "source": "test",
}


def make_person(*, agrees: bool = True) -> Profile:
    """Somebody who is known by nothing: the web needs no address."""
    person = Profile.objects.create(first_name="Zoë")
    if agrees:
        consent_grant(profile_id=person.pk, **_HOW)
    return person


def make_web_run() -> Run:
    run = make_run()
    run.version.spec["channel"] = "web"
    run.version.save()
    return run


def make_waiting(*people: Profile) -> list[Message]:
    run, compiled = make_web_run(), make_compiled()
    for person in people:
        make_decision(run, person, compiled=compiled)
    dispatch_take_up(run_id=run.pk)
    messages_send(kind=Channel.WEB)
    return list(Message.objects.filter(dispatch__run_id=run.pk).order_by("profile_id"))


def titles(person: Profile) -> list[str]:
    return [one.title for one in waiting_read(Message.objects.all(), profile_id=person.pk)]


def test_messages_wait_for_those_who_agreed_and_no_address_is_needed() -> None:
    one, two, stranger = make_person(), make_person(), make_person(agrees=False)
    first, second, withheld = make_waiting(one, two, stranger)

    assert [first.state, second.state, withheld.state, withheld.reason] == ["sent", "sent", "withheld", "no_consent"]
    assert (first.address_digest, second.address_digest) == (None, None)
    [waiting] = waiting_read(Message.objects.all(), profile_id=one.pk)
    assert (waiting.id, waiting.title, waiting.purpose) == (first.pk, "News for Zoë", "marketing")
    assert "<h1>Hello Zoë</h1>" in waiting.html
    assert titles(stranger) == []


def test_who_leaves_is_shown_nothing_that_waited() -> None:
    person = make_person()
    make_waiting(person)
    assert titles(person) == ["News for Zoë"]
    consent_withdraw(profile_id=person.pk, **_HOW)
    assert titles(person) == []


def test_what_was_shown_is_cancelled_or_is_too_late_waits_no_more() -> None:
    person = make_person()
    shown, cancelled, late = (make_waiting(person)[0] for _ in range(3))
    assert len(titles(person)) == 3

    Dispatch.objects.filter(pk=cancelled.dispatch_id).update(state="cancelled")
    Dispatch.objects.filter(pk=late.dispatch_id).update(not_after=now())
    for _ in range(2):
        waiting_shown(Message.objects.get(pk=shown.pk))
    shown.refresh_from_db()
    assert (shown.state, titles(person)) == ("delivered", [])
    with pytest.raises(Conflict):
        waiting_shown(Message(channel="email", state="sent"))


def test_a_channel_fetches_and_says_what_it_showed() -> None:
    person, other = make_person(), make_person()
    message, _ = make_waiting(person, other)
    web = make_asker("messages:fetch", kind="channel")

    for _ in range(2):
        said = web.get(f"profiles/{person.pk}/waiting").json()["items"]
        assert [one["id"] for one in said] == [str(message.pk)]
    assert web.post(f"messages/{message.pk}/shown").status_code == 204
    assert web.get(f"profiles/{person.pk}/waiting").json() == {"items": []}
    assert web.get("profiles/999999/waiting").status_code == 404
    abroad = make_asker("messages:fetch", kind="channel", reach={"brands": []})
    assert len(abroad.get(f"profiles/{other.pk}/waiting").json()["items"]) == 1
    assert make_asker("profiles:read").get(f"profiles/{other.pk}/waiting").status_code == 403
