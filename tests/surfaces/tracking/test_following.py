"""From a tracked message to the events of its person: links lead, machines and who does not agree count for nothing."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from email import message_from_bytes, policy
from typing import Any

import psycopg2
import pytest
import redis
from django.conf import settings as settings_read
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings

from apps.data.consent.models import Channel, ConsentRecord
from apps.data.consent.services import consent_grant, consent_withdraw
from apps.data.events.models import Event
from apps.data.profiles.vault import key_destroy
from apps.delivery.sending.models import Message, MessageEvent
from apps.delivery.sending.rendering import message_again
from apps.delivery.sending.services import dispatch_take_up
from apps.delivery.sending.traces import trace_read
from apps.delivery.sending.windows import messages_send
from apps.foundation.core.clock import now
from apps.surfaces.tracking import following, stream
from apps.surfaces.tracking.services import events_pass_on, seen_take
from tests.delivery.makers import HTML, make_compiled, make_decision, make_run
from tests.delivery.relay import Relay
from tests.factories import make_profile, make_purposes

pytestmark = pytest.mark.usefixtures("ledger")

BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0"}
ITEM = {"sku": "T1", "title": "Tea", "url": "https://shop.example/tea", "price": "1", "image_url": ""}
LINKED = HTML.replace(
    "<p>News</p>",
    '<a href="https://shop.example/new?a=1&amp;b=2">New</a><a href="https://shop.example/sale">Sale</a>'
    '{% for item in slots.products.items %}<a href="{{ item.url }}">{{ item.title }}</a>{% endfor %}',
)


@pytest.fixture(autouse=True)
def fresh(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing seen yet, nothing remembered, nothing to wait for, and patience with a machine that has much to do."""
    settings.TRACKING_SETTLE_SECONDS = 0.0
    monkeypatch.setattr(following, "PATIENCE", 60.0)
    monkeypatch.setattr(stream, "_WAIT_SECONDS", 60.0)
    stream._client.cache_clear()
    redis.Redis.from_url(settings.REDIS_URL).delete(stream.KEY)
    cache.clear()
    following._kept.cache_clear()
    following._database.worked()
    following._stream.worked()


def tracking(profile_id: int, *, granted: bool) -> None:
    common: Any = {"profile_id": profile_id, "purpose": "tracking", "channel": Channel.EMAIL, "source": "test"}
    method = ConsentRecord.Method.PREFERENCES
    if granted:
        consent_grant(**common, method=method)
    else:
        consent_withdraw(**common, method=method)


def make_sent(*, tracked: bool = True, agrees: bool = True, **inputs: Any) -> Message:
    """A message that was sent to somebody, decided with their agreement to be followed."""
    make_purposes()
    person = make_profile(consent=("marketing",), first_name="Zoë")
    if agrees:
        tracking(person.pk, granted=True)
    run = make_run()
    slots = {"products": {"block": "1", "items": [ITEM]}}
    said: dict[str, Any] = {"profile": {"first_name": "Zoë"}, "slots": slots, **inputs}
    if tracked:
        said["tracked"] = True
    make_decision(run, person, compiled=make_compiled(html=LINKED), inputs=said)
    dispatch_take_up(run_id=run.pk)
    messages_send()
    message = Message.objects.get(profile=person)
    assert message.state == "sent"
    # it has been there for a while
    Message.objects.filter(pk=message.pk).update(sending_at=now() - timedelta(minutes=5))
    return message


def html_of(relay: Relay) -> str:
    body = message_from_bytes(relay.accepted[-1].content, policy=policy.default).get_body(("html",))
    assert body is not None
    return str(body.get_content())


def path_of(relay: Relay) -> str:
    """The path of the message's trace."""
    found = re.search(r"/l/[^/\"]+", html_of(relay))
    assert found is not None
    return found[0]


def seen(*apart: int) -> list[tuple[str, int | None, str]]:
    """What is in the ledger of what was seen. apart: as if it had been seen so many ms after the first look each."""
    if apart:
        store: Any = redis.Redis.from_url(settings_read.REDIS_URL)
        entries = store.xrange(stream.KEY)
        store.delete(stream.KEY)
        first = int((now() - timedelta(minutes=2)).timestamp() * 1000)
        for (_, fields), later in zip(entries, apart, strict=True):
            store.xadd(stream.KEY, fields, id=f"{first + later}-0")
    seen_take()
    return list(MessageEvent.objects.order_by("pk").values_list("kind", "link", "machine"))


def test_a_link_leads_and_the_click_becomes_an_event_of_the_person(relay: Relay, client: Client) -> None:
    message = make_sent()
    path = path_of(relay)

    answer = client.get(f"{path}/1", headers=BROWSER)
    assert (answer.status_code, answer["Location"]) == (302, "https://shop.example/new?a=1&b=2")
    assert answer["Cache-Control"] == "no-store, private"
    assert not answer.cookies
    assert client.get(f"{path}/1000", headers=BROWSER)["Location"] == "https://shop.example/tea"
    picture = client.get(f"{path}/o.gif", headers=BROWSER)
    assert (picture.status_code, picture["Content-Type"]) == (200, "image/gif")

    # link 1 and the item within half a second: no hand does that
    assert seen(0, 400, 450) == [("clicked", 1, "burst"), ("clicked", 1000, "burst"), ("opened", None, "burst")]
    assert events_pass_on() == 0
    MessageEvent.objects.all().delete()
    client.get(f"{path}/1000", headers=BROWSER)
    assert seen() == [("clicked", 1000, "")]
    assert events_pass_on() == 1
    assert events_pass_on() == 0
    event = Event.objects.get()
    assert (event.profile_id, event.name) == (message.profile_id, "Email Clicked")
    assert event.properties == {
        "message": str(message.pk),
        "run": message.dispatch.run_id,
        "link": 1000,
        "url": "https://shop.example/tea",
        "sku": "T1",
    }
    message.refresh_from_db()
    assert message.state == "delivered"  # whoever follows its link has it


def test_who_did_not_agree_has_plain_links_and_no_picture(relay: Relay) -> None:
    for tracked, agrees in ((False, False), (False, True), (True, False)):
        message = make_sent(tracked=tracked, agrees=agrees)
        html = html_of(relay)
        assert "/l/" not in html
        assert "o.gif" not in html
        assert 'href="https://shop.example/new?a=1&amp;b=2"' in html
        assert 'href="https://shop.example/tea"' in html
        assert not message.tracked
        assert message_again(message.pk) == relay.accepted[-1].content


def test_a_tracked_message_is_the_same_again_after_the_person_changed_their_mind(relay: Relay) -> None:
    message = make_sent()
    tracking(message.profile_id, granted=False)

    assert message.tracked
    assert message_again(message.pk) == relay.accepted[-1].content


def test_what_is_seen_of_who_withdrew_is_not_written_down(relay: Relay, client: Client) -> None:
    message = make_sent()
    path = path_of(relay)
    tracking(message.profile_id, granted=False)

    assert client.get(f"{path}/1", headers=BROWSER)["Location"] == "https://shop.example/new?a=1&b=2"
    assert seen() == []
    # and what was written down before is not passed on
    tracking(message.profile_id, granted=True)
    client.get(f"{path}/2", headers=BROWSER)
    assert seen() == [("clicked", 2, "")]
    tracking(message.profile_id, granted=False)
    events_pass_on()
    assert Event.objects.count() == 0


def test_machines_are_marked_and_passed_on_to_nobody(relay: Relay, client: Client) -> None:
    make_sent()
    path = path_of(relay)

    client.get(f"{path}/1", headers={"User-Agent": "curl/8.5.0"})
    client.get(f"{path}/o.gif", headers={"User-Agent": "Mozilla/5.0 (via ggpht.com GoogleImageProxy)"})
    assert seen() == [("clicked", 1, "scanner"), ("opened", None, "proxy")]
    client.get(f"{path}/0", headers=BROWSER)
    client.get(f"{path}/2", headers=BROWSER)
    assert seen(0, 59_000)[2:] == [("clicked", 0, "honeypot"), ("clicked", 2, "honeypot")]
    events_pass_on()
    assert Event.objects.count() == 0


def test_nobody_looked(relay: Relay, client: Client) -> None:
    make_sent()
    path = path_of(relay)

    assert client.head(f"{path}/1", headers=BROWSER).status_code == 302
    assert client.get(f"{path}/1", headers={**BROWSER, "Sec-Purpose": "prefetch;prerender"}).status_code == 302
    assert client.get(f"{path}/1", headers={**BROWSER, "Sec-GPC": "1"}).status_code == 302
    assert client.post(f"{path}/1", headers=BROWSER).status_code == 405
    assert seen() == []


def test_what_was_written_but_not_taken_from_the_stream_is_not_written_twice(
    relay: Relay, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_sent()
    client.get(f"{path_of(relay)}/1", headers=BROWSER)

    with monkeypatch.context() as patch:
        patch.setattr("apps.surfaces.tracking.services.seen_taken", lambda seen: None)  # as if killed there
        assert seen_take() == 1
    assert seen_take() == 1
    assert seen_take() == 0
    assert MessageEvent.objects.count() == 1


def test_what_is_damaged_or_names_no_link_says_so(relay: Relay, client: Client) -> None:
    make_sent()
    path = path_of(relay)

    for broken in (f"{path}/77", f"{path}/5000", f"{path[:-3]}/1", f"{path[:-1]}{'A' if path[-1] != 'A' else 'B'}/1"):
        answer = client.get(broken, headers=BROWSER)
        assert answer.status_code == 404
        assert "This link does not work" in answer.content.decode()
    picture = client.get("/l/nonsense/o.gif", headers=BROWSER)
    assert (picture.status_code, picture["Content-Type"]) == (404, "image/gif")
    assert seen() == []


def test_a_trace_names_nobody(relay: Relay) -> None:
    message = make_sent()
    token = path_of(relay).removeprefix("/l/")

    assert trace_read(token) == (message.pk, message.compiled_id)
    assert "tracking:" not in token


def test_without_redis_links_lead_and_what_is_seen_is_written_at_once(
    relay: Relay, client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_sent()
    path = path_of(relay)
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    def followed(link: int) -> list[tuple[int | None, str]]:
        with ThreadPoolExecutor(max_workers=1) as pool, monkeypatch.context() as patch:
            patch.setattr(following, "_asking", pool)
            assert client.get(f"{path}/{link}", headers=BROWSER).status_code == 302
        # what was asked of the pool is done
        return list(MessageEvent.objects.order_by("pk").values_list("link", "machine"))

    assert followed(2) == [(2, "")]
    # the link that people don't see gives a machine away here too, and what it follows next
    MessageEvent.objects.all().delete()
    assert followed(0) == [(0, "honeypot")]
    assert followed(1) == [(0, "honeypot"), (1, "honeypot")]


def test_without_the_database_links_of_the_template_lead_and_items_lead_to_the_shop(
    relay: Relay, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_sent()
    path = path_of(relay)
    assert client.get(f"{path}/1", headers=BROWSER).status_code == 302

    def away(*_: object, **__: object) -> None:
        raise psycopg2.OperationalError("away")

    # another process, which never saw the template, and no database
    following._kept.cache_clear()
    monkeypatch.setattr("apps.surfaces.tracking.following._ask", away)
    assert client.get(f"{path}/2", headers=BROWSER)["Location"] == "https://shop.example/sale"
    assert client.get(f"{path}/1000", headers=BROWSER)["Location"] == "https://shop.example/"
    # with nothing at all it says so, and is asked again
    cache.clear()
    following._kept.cache_clear()
    answer = client.get(f"{path}/2", headers=BROWSER)
    assert (answer.status_code, answer["Retry-After"]) == (503, "10")
    assert "Please try again in a moment" in answer.content.decode()


def test_an_erased_persons_item_leads_to_the_shop(relay: Relay, client: Client) -> None:
    message = make_sent()
    path = path_of(relay)
    key_destroy(message.profile_id)

    assert client.get(f"{path}/1000", headers=BROWSER)["Location"] == "https://shop.example/"
    assert client.get(f"{path}/1", headers=BROWSER)["Location"] == "https://shop.example/new?a=1&b=2"
