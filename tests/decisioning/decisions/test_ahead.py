"""What is put into Redis ahead of a send: found then, void when its person changes, and never needed."""

from collections.abc import Iterator
from datetime import timedelta
from io import StringIO

import pytest
import redis
from django.conf import settings
from django.core.management import CommandError, call_command

from apps.data.profiles.models import Profile
from apps.decisioning.decisions.ahead import Ahead, audience_precompute, scheduled_precompute
from apps.decisioning.playbooks.models import Playbook
from apps.decisioning.playbooks.selectors import next_instant
from apps.foundation.core.clock import now
from tests.factories import make_playbook, make_profile, make_published

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Iterator["redis.Redis"]:
    found = redis.Redis.from_url(settings.REDIS_URL)
    found.delete(*found.keys("features:[0-9]*"), "nothing")
    yield found
    found.delete(*found.keys("features:[0-9]*"), "nothing")


def copied(client: "redis.Redis", people: list[Profile]) -> list[bool]:
    return [(client.get(f"features:{one.pk}") or b"")[:1] == b"C" for one in people]


def test_everybody_in_the_audience_has_theirs_and_it_ends_by_itself(client: "redis.Redis") -> None:
    playbook = make_published()
    people = [make_profile() for _ in range(3)]
    assert copied(client, people) == [False] * 3
    told: list[Ahead] = []

    came = audience_precompute(playbook=playbook.code, told=told.append)

    assert (came, told) == (Ahead(3, 3, done=True), [Ahead(3, 3, done=False)])
    assert copied(client, people) == [True] * 3
    assert 4 * 3600 <= client.ttl(f"features:{people[0].pk}") <= 24 * 3600


def test_it_stops_when_it_is_told_and_says_so(client: "redis.Redis", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.decisioning.decisions.ahead.BATCH", 2)
    playbook = make_published()
    people = [make_profile() for _ in range(5)]
    told: list[Ahead] = []
    came = audience_precompute(playbook=playbook.code, told=told.append, stop=lambda: len(told) == 2)
    assert came == Ahead(4, 4, done=False)
    assert copied(client, people) == [True] * 4 + [False]


def test_only_what_comes_soon_is_precomputed_by_itself(client: "redis.Redis", monkeypatch: pytest.MonkeyPatch) -> None:
    playbook = make_published(trigger="schedule", schedule="0 9 * * *")
    make_published()  # by hand: nobody knows when
    people = [make_profile() for _ in range(2)]
    instant = next_instant(playbook=playbook, after=now())
    assert instant is not None
    assert scheduled_precompute(at=instant - timedelta(minutes=91)) == 0
    assert copied(client, people) == [False, False]
    assert scheduled_precompute(at=instant - timedelta(minutes=90)) == 2
    assert copied(client, people) == [True, True]
    monkeypatch.setattr(settings, "PRECOMPUTE_AHEAD_MINUTES", 0)
    assert scheduled_precompute(at=instant - timedelta(minutes=1)) == 0


def test_a_playbook_that_looks_at_no_features_needs_nothing(client: "redis.Redis") -> None:
    plain = make_playbook()
    slots = {name: [tiers[-1]] for name, tiers in plain.slots.items()}
    playbook = make_published(template=plain.template, slots=slots, brand=plain.brand)
    people = [make_profile()]
    assert audience_precompute(playbook=playbook.code) == Ahead(0, 0, done=True)
    assert copied(client, people) == [False]


def test_the_command_tells_how_far_it_came(client: "redis.Redis") -> None:
    playbook = make_published()
    make_profile()
    told = StringIO()
    call_command("precompute", playbook.code, stdout=told)
    assert told.getvalue() == "1 people\nDone: 1 people, 1 copies written.\n"
    with pytest.raises(CommandError, match="There is no playbook"):
        call_command("precompute", "nowhere")
    draft = make_playbook()
    with pytest.raises(CommandError, match="is not published"):
        call_command("precompute", draft.code)
    assert Playbook.objects.get(pk=draft.pk).published is None
