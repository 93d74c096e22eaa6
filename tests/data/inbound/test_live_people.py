"""A live source of people: what a CRM says this moment stands in a transactional decision, and nowhere else."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.conf import settings as settings_read
from pytest_django import Settings

from apps.data.inbound import live
from apps.data.inbound.live import live_people
from apps.data.profiles.addresses import identifier_put
from apps.data.profiles.models import Profile
from apps.data.profiles.services import attribute_define
from apps.decisioning.content.services import template_create
from apps.decisioning.decisions.models import Decision
from apps.decisioning.decisions.services import run_decide
from apps.decisioning.playbooks.models import Playbook
from apps.decisioning.playbooks.services import playbook_publish, playbook_submit, run_plan, run_start
from apps.foundation.accounts.models import User
from config.inbound import inbound_systems_read
from tests import factories
from tests.factories import approve, kept_by, make_playbook, make_profile, make_user

from .test_asking import Server

HELLO = 'Hello {{ profile.first_name | fallback("friend") }}'
GREETING = (
    'Hello {{ profile.club | fallback("friend") }}, {{ profile.points | fallback("no") }} points,'
    ' {{ profile.diagnosis | fallback("well") }}'
)
MAPPING = {"club": "level", "points": "balance.points", "diagnosis": "secret"}
pytestmark = pytest.mark.django_db


@pytest.fixture
def crm(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    one = Server()
    terms = {"kind": "live", "gives": "people", "of": "shop", "url": one.url + "?number={key}", "timeout_ms": 400}
    settings.WEBHOOK_INSIDE_HOSTS = ["127.0.0.1"]
    settings.INBOUND_SYSTEMS = inbound_systems_read({"crm": {**terms, "mapping": MAPPING}})
    settings.LIVE_SECONDS = 30.0
    live._standings.clear()
    monkeypatch.setattr(live, "_tell", lambda told: None)  # by a connection of its own, which commits
    monkeypatch.setattr(live, "_REDIS_SECONDS", 30.0)
    live._client.cache_clear()
    store = redis.Redis.from_url(settings_read.REDIS_URL)
    for key in store.scan_iter("live:*"):
        store.delete(key)
    one.answer = lambda asked: {"level": "gold", "balance": {"points": 12.5}, "secret": "canary"}
    yield one
    one.server.shutdown()
    one.server.server_close()


def customer(number: str, **fields: Any) -> Profile:
    profile = make_profile(consent=("marketing",), **fields)
    identifier_put(profile_id=profile.pk, kind="external_id", value=f"shop:{number}")
    return profile


def decided(people: dict[str, Profile], **fields: Any) -> dict[str, tuple[dict[str, Any], str]]:
    """What the message prints of each, and the tier of its first slot."""
    root = User.objects.create_superuser(f"crm-{len(fields)}@staff.example", "a long enough password")
    mjml, text = (source.replace(HELLO, GREETING) for source in (factories._MJML, factories._TEXT))
    code = f"crm-{len(fields)}"
    template = template_create(by=root, code=code, name="CRM", subject="News", mjml=mjml, text=text)
    playbook = make_playbook(template=template, **fields)
    slots = playbook.slots
    slots["hero"][0]["when"] = {"attribute": "club", "in": ["gold"]}
    Playbook.objects.filter(pk=playbook.pk).update(slots=slots)
    playbook_publish(
        version_id=approve(playbook_submit(playbook_id=playbook.pk, by=playbook.owner)).pk, by=playbook.owner
    )
    run = run_start(playbook_id=playbook.pk, occasion_key="x", trigger="hand")
    run_plan(run_id=run.pk)
    run_decide(run_id=run.pk)
    kept = {one.profile_id: kept_by(one).inputs for one in Decision.objects.filter(run=run)}
    return {name: (kept[one.pk]["profile"], kept[one.pk]["slots"]["hero"]["tier"]) for name, one in people.items()}


def test_it_is_asked_by_the_customer_number_alone(crm: Server) -> None:
    known, stranger = customer("17/8"), make_profile()

    found = live_people([known.pk, stranger.pk], seconds=30)

    assert {one: {name: str(value) for name, value in said.items()} for one, said in found.items()} == {
        known.pk: {"club": "gold", "points": "12.5", "diagnosis": "canary"}
    }
    assert crm.asked == [{"number": "17/8"}]
    assert live_people([known.pk], seconds=30) == found, "kept, exact numbers too"
    assert len(crm.asked) == 1
    store: Any = redis.Redis.from_url(settings_read.REDIS_URL)
    [sealed] = [store.get(key) for key in store.scan_iter("live:*")]
    assert b"canary" not in sealed


def test_only_a_transactional_decision_asks_and_what_is_stored_stands_behind_it(
    crm: Server, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = make_user("administrator")
    attribute_define(name="club", by=keeper, kind="choice", allowed=["gold", "silver"])
    attribute_define(name="diagnosis", by=keeper, sensitive=True)
    people = {
        "gold": customer("1", attributes={"club": "silver"}),
        "odd": customer("2", attributes={"club": "silver"}),
        "away": customer("3", attributes={"club": "silver"}),
    }
    said = {"1": {"level": "gold", "secret": "canary"}, "2": {"level": "brass", "balance": {"points": 7}}, "3": 500}
    crm.answer = lambda asked: said[asked["number"]]

    bulk = decided(people)
    assert bulk == dict.fromkeys(people, ({"club": "silver"}, "static"))
    assert crm.asked == []

    assert decided(people, budget="transactional", purpose="transactional") == {
        "gold": ({"club": "gold", "diagnosis": "canary"}, "segment"),
        "odd": ({"club": "silver", "points": 7}, "static"),  # brass is no club: what does not fit says nothing
        "away": ({"club": "silver"}, "static"),
    }
    assert "canary" not in caplog.text
