"""Items in answers of the API: their links lead, and tell of who agreed to that, and of nobody else."""

import re
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings

from apps.data.catalog.models import Item
from apps.data.consent.models import Channel, ConsentRecord
from apps.data.consent.services import consent_grant, consent_withdraw
from apps.data.events.models import Event, Order, OrderLine
from apps.data.profiles.models import Profile
from apps.data.profiles.vault import key_destroy
from apps.decisioning.content.services import block_create, block_type_create
from apps.decisioning.decisions.asking import decision_make
from apps.decisioning.decisions.models import Answer
from apps.decisioning.recommendations.services import recommendation_set_refresh
from apps.foundation.accounts.models import User
from apps.foundation.core.clock import now
from apps.surfaces.tracking import following, stream
from apps.surfaces.tracking.services import seen_take
from tests.factories import make_profile, make_published
from tests.surfaces.tracking.test_following import BROWSER

pytestmark = pytest.mark.django_db

LINK = "https://tea.example/p/{}"


@pytest.fixture(autouse=True)
def fresh(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page with three items; nothing seen yet, nothing remembered, nothing to wait for."""
    settings.TRACKING_SETTLE_SECONDS = 0.0
    stream._client.cache_clear()
    redis.Redis.from_url(settings.REDIS_URL).delete(stream.KEY)
    cache.clear()
    following._kept.cache_clear()
    following._stream.worked()
    # asked in the test's own transaction, which another connection does not see
    monkeypatch.setattr(following, "_asked", lambda question: question())
    make_published(trigger="api", channel="web", placement="home-hero")
    order = Order.objects.create(
        source="test", external_id="1", profile=make_profile(), status="purchase", placed_at=now() - timedelta(days=1)
    )
    for number in range(4):
        item = Item.objects.create(sku=f"T{number}", title=f"Tea {number}", price=1, url=LINK.format(number))
        OrderLine.objects.create(
            order=order, number=number, item=item, quantity=9 - number, unit_price=1, is_purchase=True
        )
    recommendation_set_refresh(as_of=now())


def _consent(person: Profile, purpose: str) -> None:
    common: Any = {"profile_id": person.pk, "channel": Channel.WEB, "source": "test"}
    consent_grant(**common, purpose=purpose, method=ConsentRecord.Method.PREFERENCES)


def _person(*purposes: str) -> Profile:
    person = make_profile(country="GB")
    for purpose in purposes:
        _consent(person, purpose)
    return person


def _items(person: Profile) -> list[dict[str, Any]]:
    answer = decision_make(profile_id=person.pk, placement="home-hero")
    assert answer.outcome == "send"
    [items] = [slot["items"] for slot in answer.slots if "items" in slot]
    assert len(items) == 3
    return list(items)


def _path(item: dict[str, Any], settings: Settings) -> str:
    base, path = item["link"][: len(settings.BASE_URL)], item["link"][len(settings.BASE_URL) :]
    assert base == settings.BASE_URL
    return str(path)


def test_the_link_of_an_item_leads_there_and_becomes_an_event_of_the_person(client: Client, settings: Settings) -> None:
    person = _person("marketing", "tracking")
    items = _items(person)
    answer = Answer.objects.get()
    seen = client.get(_path(items[1], settings), headers=BROWSER)
    assert (seen.status_code, seen["Location"]) == (302, items[1]["url"])
    assert seen_take(at=now() + timedelta(seconds=1)) == 1
    client.head(_path(items[2], settings), headers=BROWSER)
    client.get(_path(items[2], settings), headers={**BROWSER, "Sec-GPC": "1"})
    client.get(_path(items[2], settings), headers={"User-Agent": "curl/8"})
    assert seen_take(at=now() + timedelta(seconds=1)) == 1  # of the program alone
    [event] = Event.objects.filter(name="Item Clicked")
    assert event.profile_id == person.pk
    assert event.properties == {
        "decision": str(answer.pk),
        "placement": "home-hero",
        "url": items[1]["url"],
        "sku": items[1]["sku"],
    }


def _banner() -> None:
    """A second place, whose block has a button and a story with links, in two languages."""
    root = User.objects.create_superuser("banner@staff.example", "a long enough password")
    kind = block_type_create(
        by=root,
        code="banner",
        name="Banner",
        fields=[
            {"name": "more", "label": "Button", "kind": "link"},
            {"name": "story", "label": "Story", "kind": "rich_text"},
        ],
        layout='<mj-section><mj-column><mj-text>[[ story ]]</mj-text><mj-button href="[[ more ]]">More</mj-button>'
        "</mj-column></mj-section>",
        text_layout="[[ story ]] [[ more ]]",
    )
    content = {
        language: {
            "more": f"https://tea.example/{language}/more?a=1&b=2",
            "story": f'<p>Hi {{{{ profile.first_name | fallback("you") }}}}, <a href="https://tea.example/{language}/a?x=1&amp;y=2">'
            f'here</a> or <a href="https://tea.example/{language}/b">there</a></p>',
        }
        for language in ("en", "de")
    }
    block = block_create(by=root, name="Banner", type_id=kind.pk, content=content).pk
    slots = {name: [{"tier": "static", "block": block}] for name in ("hero", "products")}
    make_published(trigger="api", channel="web", placement="home-banner", slots=slots)


def test_links_of_a_blocks_own_fields_lead_and_become_events_too(client: Client, settings: Settings) -> None:
    _banner()
    person = _person("marketing", "tracking")
    Profile.objects.filter(pk=person.pk).update(language="de", first_name="Ada")
    answer = decision_make(profile_id=person.pk, placement="home-banner")
    hero, products = answer.slots

    assert hero["fields"]["more"] == "https://tea.example/de/more?a=1&b=2"
    button = hero["links"].pop("more")
    assert hero["links"] == {}
    first, second = re.findall('href="([^"]*)"', hero["fields"]["story"])
    assert hero["fields"]["story"].startswith("<p>Hi Ada, ")
    assert len({button, first, second, products["links"]["more"]}) == 4
    leads = {button: "more?a=1&b=2", first: "a?x=1&y=2", second: "b", products["links"]["more"]: "more?a=1&b=2"}
    for link, there in leads.items():
        seen = client.get(_path({"link": link}, settings), headers=BROWSER)
        assert (seen.status_code, seen["Location"]) == (302, f"https://tea.example/de/{there}")
        assert seen_take(at=now() + timedelta(seconds=1)) == 1
    events = [event.properties for event in Event.objects.filter(name="Link Clicked", profile=person).order_by("pk")]
    assert events == [
        {
            "decision": answer.id,
            "placement": "home-banner",
            "slot": slot,
            "field": field,
            "url": f"https://tea.example/de/{leads[link]}",
        }
        for link, slot, field in (
            (button, "hero", "more"),
            (first, "hero", "story"),
            (second, "hero", "story"),
            (products["links"]["more"], "products", "more"),
        )
    ]
    token, _, number = _path({"link": button}, settings).rpartition("/")
    for wrong in (int(number) + 3, int(number) + 499, int(number) - 1, int(number) + 2000):
        assert client.get(f"{token}/{wrong}", headers=BROWSER).status_code == 404


def test_who_did_not_agree_has_nothing_that_can_be_followed() -> None:
    _banner()
    person = _person("marketing")
    assert [set(item) & {"link"} for item in _items(person)] == [set()] * 3
    for slot in decision_make(profile_id=person.pk, placement="home-banner").slots:
        assert "links" not in slot
        assert re.findall('href="([^"]*)"', slot["fields"]["story"]) == [
            "https://tea.example/en/a?x=1&amp;y=2",
            "https://tea.example/en/b",
        ]


def test_of_who_withdrew_or_was_erased_nothing_is_written_down(client: Client, settings: Settings) -> None:
    withdrew, erased = (_person("marketing", "tracking") for _ in range(2))
    first, second = _items(withdrew), _items(erased)
    consent_withdraw(
        profile_id=withdrew.pk, purpose="tracking", channel=Channel.WEB, method=ConsentRecord.Method.STAFF, source="t"
    )
    key_destroy(erased.pk)
    assert client.get(_path(first[0], settings), headers=BROWSER)["Location"] == first[0]["url"]
    to_shop = client.get(_path(second[0], settings), headers=BROWSER)
    assert to_shop.status_code == 302
    assert to_shop["Location"] != second[0]["url"]
    assert seen_take(at=now() + timedelta(seconds=1)) == 2
    assert not Event.objects.filter(name="Item Clicked").exists()


def test_a_link_that_was_changed_leads_nowhere(client: Client, settings: Settings) -> None:
    path = _path(_items(_person("marketing", "tracking"))[0], settings)
    token, _, number = path.rpartition("/")
    other = token.replace("/d/", "/l/")  # of messages
    for wrong in (f"{token[:-2]}AA/{number}", f"{token}/{int(number) + 500}", f"{token}/1", f"{other}/{number}"):
        assert client.get(wrong, headers=BROWSER).status_code == 404
    assert seen_take(at=now() + timedelta(seconds=1)) == 0
