"""Segment's own libraries against Tessera, with nothing changed but the host."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import redis
from segment.analytics.client import Client as SegmentClient  # type: ignore[import-untyped]  # it has no types

from apps.data.events.consuming import Consumer
from apps.data.events.models import DeadLetter, Event
from apps.data.events.recording import schemas
from apps.data.events.stream import group_ensure
from apps.foundation.accounts.api_keys import keys_forget
from tests.data.events.test_path import PAYLOADS
from tests.factories import identifiers_of, known_by

from .makers import Asker, make_asker

NODE = Path(__file__).parent / "segment_node"
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def source(clean_redis: "redis.Redis", live_server: Any) -> Asker:
    """A source of events, whose key is a write key."""
    keys_forget()
    group_ensure()
    schemas.forget()
    return make_asker(kind="event_source")


def all_taken() -> int:
    """Write down what came; how many events that were."""
    consumer = Consumer(seconds=0.0)
    while (came := consumer.turn()).events or came.dead:
        pass
    return consumer.done.events


@pytest.mark.parametrize("packed", [False, True])
def test_pythons_library(source: Asker, live_server: Any, packed: bool) -> None:
    failed: list[Any] = []
    client = SegmentClient(
        source.key, host=live_server.url, gzip=packed, max_retries=0, on_error=lambda error, batch: failed.append(error)
    )
    client.track(anonymous_id="phone-1", event="Product Viewed", properties={"sku": "TEA-1"})
    client.page(anonymous_id="phone-1", name="Home")
    client.screen(anonymous_id="phone-1", name="Basket")
    client.identify(user_id="p-1", anonymous_id="phone-1", traits={"email": "paul@example.com", "plan": "pro"})
    client.group(user_id="p-1", group_id="company-1")
    client.alias(previous_id="p-1", user_id="p-2")
    client.shutdown()

    assert failed == []
    assert all_taken() == 6
    assert_known(source, "p", "paul@example.com")


def assert_known(source: Asker, letter: str, email: str) -> None:
    """The device's events became the person's, who has both numbers and the address."""
    shop = source.client.code
    person = known_by("external_id", f"{shop}:{letter}-1")
    assert set(Event.objects.values_list("profile_id", flat=True)) == {person.pk}
    assert sorted(Event.objects.values_list("name", flat=True)) == [
        "Group Joined", "Page Viewed", "Product Viewed", "Screen Viewed", "User Aliased", "User Identified",
    ]  # fmt: skip
    assert [one[:2] for one in identifiers_of(person)] == [
        ("email", email), ("external_id", f"{shop}:{letter}-1"), ("external_id", f"{shop}:{letter}-2"),
    ]  # fmt: skip
    assert person.attributes == {"plan": "pro"}


@pytest.mark.skipif(
    shutil.which("node") is None or not (NODE / "node_modules").is_dir(),
    reason="Node or its packages are not here: npm install in tests/surfaces/api/segment_node",
)
def test_nodes_library(source: Asker, live_server: Any) -> None:
    sent = subprocess.run(
        ["node", "send.mjs", live_server.url, source.key],
        cwd=NODE,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert json.loads(sent.stdout) == {"failed": []}
    assert all_taken() == 6
    assert_known(source, "n", "nora@example.com")


@pytest.mark.skipif(not PAYLOADS.is_file(), reason="../shared/data is not here")
def test_the_specification_by_its_addresses(source: Asker) -> None:
    told = [json.loads(line) for line in PAYLOADS.read_text().splitlines()]
    calls = [one["payload"] for one in told if one["kind"] == "message"]
    for one in calls:
        call = one.get("type") or one.get("action") or "track"
        assert source.ask("POST", f"/v1/{call}", one).status_code == 200, one

    consumer = Consumer(seconds=0.0)
    consumer.turn()
    done = consumer.done
    assert done.events + done.duplicates + done.dead == len(calls)
    assert [letter.reason for letter in DeadLetter.objects.all()] == ["no_name"]  # {"All": true, …} tells of nothing
