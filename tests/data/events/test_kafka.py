"""Events from topics of Kafka: librdkafka's mock cluster, with what is not committed delivered again."""

from typing import Any
from uuid import uuid4

import orjson
import pytest
import redis
from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import Producer, TopicPartition
from pytest_django import Settings

from apps.data.events.brokers import Intake
from apps.data.events.consuming import Consumer
from apps.data.events.kafka import KafkaSource
from apps.data.events.models import DeadLetter, Event
from apps.data.events.stream import stream_look
from apps.foundation.accounts.api_keys import keys_forget
from tests.flows.conftest import wait_for
from tests.surfaces.api.makers import Asker, make_asker

from .killing import source_kill, source_start, written_down


class Cluster:
    """A cluster of one broker within the library, and a topic of its own."""

    def __init__(self) -> None:
        self.producer = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1})
        self.topic = f"events-{uuid4().hex[:8]}"
        [broker] = self.producer.list_topics(timeout=30).brokers.values()
        # A member that was killed is missed after six seconds; a new one waits three for others, as the mock has it.
        self.properties: dict[str, Any] = {
            "bootstrap.servers": f"{broker.host}:{broker.port}",
            "session.timeout.ms": 6_000,
            "heartbeat.interval.ms": 500,
        }

    def publish(self, bodies: list[bytes]) -> None:
        for body in bodies:
            self.producer.produce(self.topic, body)
        assert self.producer.flush(30) == 0

    def committed(self) -> int:
        """How many messages are committed, over all partitions."""
        asking = KafkaConsumer({**self.properties, "group.id": "tessera"})
        try:
            found = asking.list_topics(self.topic, timeout=30).topics[self.topic].partitions
            offsets = asking.committed([TopicPartition(self.topic, one) for one in found], timeout=30)
            return sum(max(one.offset, 0) for one in offsets)
        finally:
            asking.close()


@pytest.fixture
def cluster(stream: "redis.Redis") -> Cluster:
    keys_forget()
    return Cluster()


def body(number: int, **more: Any) -> bytes:
    return orjson.dumps({"name": "Tea Brewed", "user_id": "u", "properties": {"number": number}, **more})


def source(cluster: Cluster, asker: Asker) -> KafkaSource:
    return KafkaSource(cluster.properties, [cluster.topic], Intake(key=asker.key, shape="own"))


@pytest.mark.django_db
def test_what_was_taken_and_not_committed_comes_again_and_counts_once(cluster: Cluster, settings: Settings) -> None:
    asker = make_asker(kind="event_source")
    cluster.publish([body(number, id=f"own-{number}") for number in range(20)])
    cluster.publish([body(number) for number in range(20, 60)])
    cluster.publish([body(60)] * 2)  # told apart by their places
    settings.EVENT_STREAM_LIMIT = 50
    first = source(cluster, asker)
    first.run(lambda: stream_look().events == 50)
    in_stream, before = stream_look().events, first.taken
    assert (in_stream, cluster.committed()) == (50, before)

    settings.EVENT_STREAM_LIMIT = 1_000
    again = source(cluster, asker)
    again.run(lambda: again.taken == 62 - before)
    done = written_down()

    assert (done.events, done.duplicates, done.dead) == (62, 50 - before, 0)
    numbers = sorted(one["number"] for one in Event.objects.values_list("properties", flat=True))
    assert numbers == [*range(60), 60, 60]
    assert cluster.committed() == 62


@pytest.mark.django_db
def test_poison_does_not_hold_a_partition_up(cluster: Cluster) -> None:
    asker = make_asker(kind="event_source")
    cluster.publish([b"no json", body(1), b'{"name": 7}', b""])
    one = source(cluster, asker)
    one.run(lambda: one.taken == 4)

    assert written_down().events == 1
    assert sorted(DeadLetter.objects.values_list("reason", flat=True)) == [
        "event_invalid",
        "json_invalid",
        "json_invalid",
    ]
    assert cluster.committed() == 4


@pytest.mark.slow
def test_the_command_is_killed_again_and_again(
    own_database: str, way_settings: dict[str, str], cluster: Cluster
) -> None:
    asker = make_asker(kind="event_source")
    kafka = orjson.dumps(cluster.properties).decode()
    more = {"EVENT_BROKER_KEY": asker.key, "EVENT_KAFKA": kafka, **way_settings}
    running = source_start(more, "kafka", cluster.topic)
    consumer = Consumer()
    for start in range(0, 20_000, 2_000):
        cluster.publish([body(number) for number in range(start, start + 2_000)])
        wait_for(lambda: consumer.turn().events > 0, seconds=60, what="some are taken")
        running = source_kill(running, more, "kafka", cluster.topic)

    def all_there() -> bool:
        consumer.turn()
        return Event.objects.count() >= 20_000

    wait_for(all_there, seconds=120, what="all are written down")
    wait_for(lambda: cluster.committed() == 20_000, seconds=60, what="all are committed")
    running.terminate()
    running.wait(20)
    written_down()
    numbers = sorted(one["number"] for one in Event.objects.values_list("properties", flat=True))
    assert numbers == list(range(20_000))
