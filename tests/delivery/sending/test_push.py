"""A message to a browser, from the page on which it is let in to the day it is gone."""

import json
from collections.abc import Iterator
from uuid import uuid4

import pytest
from django.test import Client
from pytest_django import Settings

from apps.data.consent.links import preferences_url
from apps.data.consent.models import Channel, ConsentRecord, ConsentState
from apps.data.consent.wordings import wording_shown
from apps.data.profiles.models import Identifier, Profile
from apps.delivery.channels import push
from apps.delivery.sending.models import Message
from apps.delivery.sending.rendering import message_again
from apps.delivery.sending.services import dispatch_take_up
from apps.delivery.sending.windows import messages_send
from apps.foundation.core.clock import now
from tests.delivery.channels.test_push import INSIDE, KEY, Browser
from tests.delivery.makers import make_compiled, make_decision, make_run

pytestmark = pytest.mark.usefixtures("ledger")


@pytest.fixture
def device(settings: Settings) -> Iterator[Browser]:
    settings.PUSH_KEY = KEY
    settings.WEBHOOK_INSIDE_HOSTS = list(INSIDE)
    push._breakers.clear()
    one = Browser()
    yield one
    one.server.shutdown()
    one.server.server_close()


def page_of(person: Profile) -> str:
    url = preferences_url(profile_id=person.pk, message_id=uuid4())
    return f"/p/{url.rpartition('/')[2]}/push"


def let_in(client: Client, person: Profile, device: Browser, **more: object) -> int:
    shown = wording_shown(purpose="marketing", channel=Channel.PUSH, locale="en").digest
    said = {
        "subscription": json.loads(device.subscription),
        "agree": [{"purpose": "marketing", "shown": shown}, {"purpose": "nonsense", "shown": ""}],
        **more,
    }
    return client.post(page_of(person), json.dumps(said), content_type="application/json").status_code


def make_queued(person: Profile) -> Message:
    run = make_run()
    run.version.spec["channel"] = "push"
    run.version.save()
    make_decision(run, person, compiled=make_compiled(text="Hello {{ profile.first_name | fallback('you') }}!"))
    dispatch_take_up(run_id=run.pk)
    return Message.objects.get(dispatch__run_id=run.pk)


def again(message: Message) -> str:
    Message.objects.filter(pk=message.pk, state="retry").update(not_before=now())
    messages_send(kind=Channel.PUSH)
    message.refresh_from_db()
    return message.state


def test_a_browser_is_let_in_and_gets_a_message(device: Browser, client: Client) -> None:
    person = Profile.objects.create(first_name="Zoë")
    html = client.get(page_of(person)).content.decode()
    assert 'name="purpose" value="marketing"' in html
    assert client.get("/push/worker.js")["Content-Type"] == "text/javascript; charset=utf-8"
    assert [let_in(client, person, device) for _ in range(2)] == [204, 204]

    held = Identifier.objects.get()
    assert (held.kind, held.main, held.verified) == ("push", True, True)
    assert device.origin.encode() not in bytes(held.sealed)
    record = ConsentRecord.objects.get()
    assert (record.channel, record.action, record.purpose_id, len(record.wording_digest)) == (
        "push", "grant", "marketing", 64,
    )  # fmt: skip
    message = make_queued(person)
    assert again(message) == "sent"
    assert device.shown == [{"title": "News for Zoë", "body": "Hello Zoë!", "url": "", "tag": str(message.pk)}]
    assert json.loads(message_again(message.pk)) == device.shown[0]


def test_a_browser_that_is_gone_is_let_go_of_and_the_message_goes_to_the_other(device: Browser, client: Client) -> None:
    person = Profile.objects.create(first_name="Zoë")
    other = Browser()
    for one in (other, device):
        assert let_in(client, person, one) == 204
    device.status = 410
    message = make_queued(person)

    assert again(message) == "retry"
    assert Identifier.objects.filter(kind="push").count() == 1
    assert again(message) == "sent"
    assert (len(other.shown), len(device.heads)) == (1, 1)
    other.status = 404
    last = make_queued(person)
    assert (again(last), again(last)) == ("retry", "withheld")
    assert (last.reason, Identifier.objects.count()) == ("invalid_address", 0)
    other.server.shutdown()
    other.server.server_close()


def test_a_browser_is_let_go_on_its_page_and_strangers_can_do_nothing(device: Browser, client: Client) -> None:
    person = Profile.objects.create()
    assert let_in(client, person, device) == 204
    assert client.post("/p/k1.nonsense/push", "{}", content_type="application/json").status_code == 404
    for wrong in ("", "[]", "{}", '{"subscription": {"endpoint": "https://10.0.0.1/", "keys": {}}}'):
        assert client.post(page_of(person), wrong, content_type="application/json").status_code == 400
    assert Identifier.objects.count() == 1

    assert let_in(client, person, device, leave=True) == 204
    assert Identifier.objects.count() == 0
    # leaving a browser takes nothing back that was agreed to, and grants nothing
    assert ConsentState.objects.filter(granted=True).count() == 1


def test_without_a_key_nobody_is_let_in(device: Browser, client: Client, settings: Settings) -> None:
    settings.PUSH_KEY = ""
    person = Profile.objects.create()
    assert "nothing is sent to devices here" in client.get(page_of(person)).content.decode()
    assert let_in(client, person, device) == 409
    assert Identifier.objects.count() == 0
