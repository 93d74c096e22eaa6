"""What all brokers have in common: a delivery is confirmed only once the stream has it, and counts once."""

from io import StringIO

import orjson
import pytest
import redis
from django.core.management import CommandError, call_command
from environs import EnvError
from pytest_django import Settings

from apps.data.events.brokers import Delivery, Intake, origin_of
from apps.data.events.consuming import Consumer
from apps.data.events.management.commands import events_source
from apps.data.events.models import DeadLetter, Event
from apps.data.events.stream import stream_look
from apps.foundation.accounts.api_clients import key_revoke
from apps.foundation.accounts.api_keys import keys_forget
from apps.foundation.accounts.models import User
from apps.foundation.core.errors import Invalid
from config.brokers import kafka_properties_read
from tests.surfaces.api.makers import Asker, make_asker

from .conftest import Take

pytestmark = pytest.mark.django_db


@pytest.fixture
def asker(stream: "redis.Redis") -> Asker:
    keys_forget()
    return make_asker(kind="event_source")


def never() -> bool:
    return False


def nothing() -> None:
    pass


def delivery(number: int, **event: object) -> Delivery:
    body = {"name": "Tea Brewed", "user_id": "u", **event}
    return Delivery(orjson.dumps(body), origin_of("test", number))


def test_what_is_delivered_again_counts_once_also_without_an_id(asker: Asker, take: Take) -> None:
    intake = Intake(key=asker.key, shape="own")
    first = [delivery(1), delivery(2), delivery(3, id="own"), delivery(4)]
    again = [delivery(4), delivery(5, id="own"), delivery(2)]

    assert intake.take(first, stopping=never, meanwhile=nothing)
    assert intake.take(again, stopping=never, meanwhile=nothing)
    came = take()

    assert (came.events, came.duplicates, came.dead) == (4, 3, 0)
    assert sorted(Event.objects.values_list("message_id", flat=True)) == ["own", "test/1:0", "test/2:0", "test/4:0"]
    assert set(Event.objects.values_list("source", flat=True)) == {asker.client_source}


def test_an_event_of_one_delivery_is_told_by_its_place(asker: Asker, take: Take) -> None:
    body = orjson.dumps({"events": [{"name": "A"}, {"name": "A"}]})
    for _ in range(2):
        Intake(key=asker.key, shape="own").take([Delivery(body, "x")], stopping=never, meanwhile=nothing)

    assert take().events == 2
    assert sorted(Event.objects.values_list("message_id", flat=True)) == ["x:0", "x:1"]


def test_a_long_origin_still_makes_an_id() -> None:
    one, other = origin_of("kafka", "t" * 200, 0, 1), origin_of("kafka", "t" * 200, 0, 2)
    assert (len(one), len(other), one == other) == (64, 64, False)


def test_a_full_stream_makes_deliveries_wait_and_loses_none(asker: Asker, settings: Settings) -> None:
    settings.EVENT_STREAM_LIMIT = 2
    consumer, waited = Consumer(seconds=0.0), []

    def meanwhile() -> None:
        waited.append(stream_look().events)
        consumer.turn()

    intake = Intake(key=asker.key, shape="own")
    assert intake.take([delivery(n) for n in range(5)], stopping=never, meanwhile=meanwhile)
    consumer.turn()

    assert waited == [2, 2]
    assert (consumer.done.events, consumer.done.duplicates) == (5, 0)


def test_told_to_stop_while_it_waits_it_confirms_nothing(asker: Asker, settings: Settings) -> None:
    settings.EVENT_STREAM_LIMIT = 2
    intake = Intake(key=asker.key, shape="own")

    assert not intake.take([delivery(n) for n in range(5)], stopping=lambda: True, meanwhile=nothing)
    assert stream_look().events == 2


def test_without_redis_they_wait(asker: Asker, settings: Settings) -> None:
    intake = Intake(key=asker.key, shape="own")
    settings.EVENT_REDIS_URL = "redis://127.0.0.1:1/0"

    assert not intake.take([delivery(1)], stopping=lambda: True, meanwhile=nothing)


def test_what_is_no_events_becomes_a_dead_letter_once_with_its_reason(
    asker: Asker, take: Take, settings: Settings
) -> None:
    settings.EVENT_BODY_LIMIT = 40_000
    wrong = [
        Delivery(b"\xffno json", "1"),
        Delivery(b"", "2"),
        Delivery(b"[]", "3"),
        Delivery(b"[" + b",".join([b'{"name":"A"}'] * 1_001) + b"]", "4"),
        Delivery(b'{"name":"' + b"a" * 40_000 + b'"}', "5"),
        Delivery(b"7", "6"),
        Delivery(b'{"name":"A","colour":"red"}', "7"),
        Delivery(b'[{"name":"A"},{"name":7}]', "8"),
    ]
    intake = Intake(key=asker.key, shape="own")
    for _ in range(2):
        intake.take(wrong, stopping=never, meanwhile=nothing)
    came = take()

    assert (came.events, came.dead) == (1, 8)
    assert dict(DeadLetter.objects.values_list("message_id", "reason")) == {
        "1:0": "json_invalid",
        "2:0": "json_invalid",
        "3:0": "batch_empty",
        "4:0": "batch_too_large",
        "5:0": "body_too_large",
        "6:0": "no_object",
        "7:0": "event_invalid",
        "8:1": "event_invalid",
    }


def test_a_key_must_open_and_may_be_revoked_any_time(asker: Asker) -> None:
    for key, code in (("", "key_refused"), (make_asker("items:read").key, "scope_missing")):
        with pytest.raises(Invalid) as refused:
            Intake(key=key, shape="own")
        assert refused.value.code == code
    intake = Intake(key=asker.key, shape="own")
    key_revoke(key_id=asker.client.keys.get().pk, by=User.objects.get(pk=asker.client.owner_id))
    keys_forget()

    assert not intake.take([delivery(1)], stopping=lambda: True, meanwhile=nothing)
    assert stream_look().events == 0


@pytest.mark.parametrize(
    "given",
    [[], {"group.id": "g"}, {"bootstrap.servers": ["k"]}, {"bootstrap.servers": "k", "enable.auto.commit": True}],
)
def test_properties_of_kafka_that_cant_be_meant_are_refused(given: object) -> None:
    with pytest.raises(EnvError, match="EVENT_KAFKA"):
        kafka_properties_read(given)


def test_the_command_says_what_it_lacks(asker: Asker, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def said(*words: str) -> str:
        with pytest.raises(CommandError) as error:
            call_command("events_source", *words, stdout=StringIO())
        return str(error.value)

    assert "EVENT_BROKER_KEY" in said("rabbitmq", "events")
    settings.EVENT_BROKER_KEY = asker.key
    assert "EVENT_RABBITMQ_URL" in said("rabbitmq", "events")
    assert "EVENT_KAFKA" in said("kafka", "events")
    settings.EVENT_RABBITMQ_URL = "amqp://127.0.0.1"
    assert "one for each" in said("rabbitmq", "events", "more")
    settings.EVENT_KAFKA = {"bootstrap.servers": "127.0.0.1:1"}
    monkeypatch.setattr(events_source, "KafkaSource", None)
    assert "requirements-kafka.txt" in said("kafka", "events")
