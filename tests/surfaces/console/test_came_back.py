"""What came back of messages, on the pages of a run and of a message, and in the admin."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from apps.delivery.sending.contracts import CameBack
from apps.delivery.sending.models import Message, MessageEvent
from apps.delivery.sending.selectors import came_back
from apps.foundation.core.clock import now
from tests.factories import make_user
from tests.surfaces.ledger import make_dispatch, make_message, make_run

pytestmark = pytest.mark.django_db


def reader() -> Client:
    client = Client()
    client.force_login(make_user("analyst"))
    return client


def heard(message: Message, kind: str, **more: object) -> MessageEvent:
    return MessageEvent.objects.create(
        message=message, kind=kind, occurred_at=now(), source=f"test:{uuid4()}", applied_at=now(), **more
    )


def make_sent(size: int) -> list[Message]:
    """Messages of one run that went out, half of them to people who agreed to be followed."""
    run = make_run(people=size)
    make_dispatch(run)
    messages = [make_message(run=run) for _ in range(size)]
    for message in messages[: size // 2]:
        Message.objects.filter(pk=message.pk).update(tracked=True)
    return messages


def test_a_run_counts_people_and_not_machines_nor_looks() -> None:
    one, two, three, four = make_sent(4)
    run_id = one.dispatch.run_id
    assert came_back(run_id) == CameBack(0, 0, 0, 2, 0, 0)

    Message.objects.filter(pk=one.pk).update(state="delivered")
    Message.objects.filter(pk=three.pk).update(state="bounced")
    Message.objects.filter(pk=four.pk).update(state="complained")
    heard(one, "opened")
    heard(one, "opened")
    heard(one, "clicked", link=1)
    heard(two, "opened", machine="proxy")
    heard(two, "clicked", link=0, machine="honeypot")
    heard(three, "clicked", link=1)  # of somebody who did not agree; there is none such, and it would not count

    assert came_back(run_id) == CameBack(delivered=2, bounced=1, complained=1, tracked=2, opened=1, clicked=1)
    page = reader().get(reverse("console:run", args=[run_id])).content.decode()
    assert "Opened, of those who agreed" in page
    assert "2 of 4 people agreed that their opens and clicks are followed" in page


def test_a_run_of_which_nothing_went_out_has_nothing_to_come_back() -> None:
    run = make_run()

    assert (
        "What came back" not in reader().get(reverse("console:run", args=[run.pk])).content.decode().split("<main")[1]
    )


def test_a_message_tells_what_came_back_in_words() -> None:
    (message,) = make_sent(1)
    heard(message, "bounced", bounce="hard", reason="no_such_user", code="5.1.1", response="<•••>: no <b>such</b> user")
    heard(message, "clicked", link=3, machine="burst")

    page = reader().get(reverse("console:message", args=[message.pk])).content.decode()
    assert "Bounced" in page
    assert "for good: the address is suppressed · no such user · 5.1.1" in page
    assert "no &lt;b&gt;such&lt;/b&gt; user" in page
    assert "link 3 · faster than a hand, not counted" in page


def test_the_admin_lists_what_was_heard_by_message() -> None:
    first, second = make_sent(2)
    heard(first, "complained")
    heard(second, "bounced", bounce="soft")
    client = reader()

    both = client.get("/admin/sending/messageevent/").content.decode()
    assert (both.count(str(first.pk)), both.count(str(second.pk))) == (1, 1)
    one = client.get(f"/admin/sending/messageevent/?q={first.pk}").content.decode()
    assert (one.count(f"/{first.pk}/"), one.count(f"/{second.pk}/")) == (1, 0)
    event = MessageEvent.objects.get(message=first)
    shown = client.get(f"/admin/sending/messageevent/{event.pk}/change/")
    assert shown.status_code == 200
    assert client.post(f"/admin/sending/messageevent/{event.pk}/change/", {"kind": "opened"}).status_code == 403
    assert now() - MessageEvent.objects.get(pk=event.pk).occurred_at < timedelta(minutes=5)
