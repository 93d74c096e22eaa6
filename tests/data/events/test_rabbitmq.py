"""Events from a queue of RabbitMQ: Debian's own server, with what is not confirmed delivered again."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import orjson
import pytest
import redis
from kombu import Connection, Queue
from pytest_django import Settings

from apps.data.events.brokers import Intake
from apps.data.events.consuming import Consumer
from apps.data.events.models import DeadLetter, Event
from apps.data.events.rabbitmq import RabbitSource
from apps.data.events.stream import stream_look
from apps.foundation.accounts.api_keys import keys_forget
from bin.lib.servers import free_port
from tests.flows.conftest import wait_for
from tests.surfaces.api.makers import Asker, make_asker

from .killing import source_kill, source_start, written_down

SERVER = shutil.which("rabbitmq-server", path="/usr/lib/rabbitmq/bin:/usr/sbin:/usr/bin")
NAME = "events"
pytestmark = [
    pytest.mark.skipif(
        SERVER is None or shutil.which("epmd") is None, reason="Debian's rabbitmq-server is not installed"
    ),
]


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own: free ports, own folders and cookie, and its own epmd, which ends with it."""
    folder = tmp_path_factory.mktemp("rabbitmq")
    port, between, names = free_port(), free_port(), free_port()
    here = "127.0.0.1"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "ERL_EPMD_PORT": str(names),
        "ERL_EPMD_ADDRESS": here,
        "RABBITMQ_NODENAME": f"tests{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": here,
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(between),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_CONFIG_FILE": str(folder / "none"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_PLUGINS_EXPAND_DIR": str(folder / "expand"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
    }
    with (folder / "log").open("wb") as log:
        started = [subprocess.Popen(["epmd", "-port", str(names), "-address", here], env=environment, stdout=log)]
        started.append(subprocess.Popen([str(SERVER)], env=environment, stdout=log, stderr=log))

        def answers() -> bool:
            with closing(socket.socket()) as probe:
                return probe.connect_ex((here, port)) == 0

        try:
            wait_for(answers, seconds=120, what="RabbitMQ answers")
            yield f"amqp://guest:guest@{here}:{port}//"
        finally:
            for one in reversed(started):
                one.terminate()
                one.wait(60)


@pytest.fixture
def queue(db: None, rabbit: str, stream: "redis.Redis") -> Iterator[str]:
    """An empty queue; the URL of its server."""
    keys_forget()
    with Connection(rabbit) as connection, connection.channel() as channel:
        Queue(NAME, durable=True, channel=channel).declare()
        yield rabbit
        Queue(NAME, channel=channel).delete()


def publish(url: str, bodies: list[bytes], **properties: Any) -> None:
    with Connection(url) as connection, connection.Producer() as producer:
        for number, body in enumerate(bodies):
            said = {name: value(number) for name, value in properties.items()}
            producer.publish(body, routing_key=NAME, content_type="application/json", content_encoding="binary", **said)


def waiting_in(url: str) -> int:
    with Connection(url) as connection:
        channel: Any = connection.channel()
        return int(channel.queue_declare(NAME, passive=True).message_count)


def body(number: int, **more: Any) -> bytes:
    return orjson.dumps({"name": "Tea Brewed", "user_id": "u", "properties": {"number": number}, **more})


def source(url: str, asker: Asker) -> RabbitSource:
    return RabbitSource(url, NAME, Intake(key=asker.key, shape="own"))


def test_what_was_taken_and_not_confirmed_comes_again_and_counts_once(queue: str, settings: Settings) -> None:
    asker = make_asker(kind="event_source")
    publish(queue, [body(number, id=f"own-{number}") for number in range(20)])
    publish(queue, [body(number) for number in range(20, 40)], message_id=lambda number: f"m-{number}")
    publish(queue, [body(number) for number in range(40, 60)])
    settings.EVENT_STREAM_LIMIT = 50
    # As if it had died: 50 are in the stream, and none of the 60 is confirmed.
    source(queue, asker).run(lambda: stream_look().events == 50)
    assert stream_look().events == 50
    wait_for(lambda: waiting_in(queue) == 60, seconds=20, what="all are in the queue again")

    settings.EVENT_STREAM_LIMIT = 1_000
    again = source(queue, asker)
    again.run(lambda: again.taken == 60)
    done = written_down()

    assert (done.events, done.duplicates, done.dead) == (60, 50, 0)
    assert sorted(one["number"] for one in Event.objects.values_list("properties", flat=True)) == list(range(60))
    assert waiting_in(queue) == 0


def test_the_same_body_twice_is_two_messages_by_their_ids_or_moments(queue: str) -> None:
    asker = make_asker(kind="event_source")
    publish(queue, [body(1)] * 2, message_id=lambda number: f"m-{number}")
    publish(queue, [body(1)] * 2, timestamp=lambda number: 1_790_000_000 + number)
    publish(queue, [body(1)] * 2, headers=lambda number: {"sequence": number})
    publish(queue, [body(1)] * 2)  # nothing tells these two apart: they may be one that came twice
    one = source(queue, asker)
    one.run(lambda: one.taken == 8)

    assert (done := written_down()).events == 7
    assert done.duplicates == 1
    moments = {int(at.timestamp()) for at in Event.objects.values_list("occurred_at", flat=True)}
    assert {1_790_000_000, 1_790_000_001} <= moments  # what waited at the broker happened then


def test_poison_does_not_stay_in_the_queue(queue: str) -> None:
    asker = make_asker(kind="event_source")
    publish(queue, [b"no json", body(1), b'{"name": 7}'])
    one = source(queue, asker)
    one.run(lambda: one.taken == 3)

    assert written_down().events == 1
    assert sorted(DeadLetter.objects.values_list("reason", flat=True)) == ["event_invalid", "json_invalid"]
    assert waiting_in(queue) == 0


@pytest.mark.slow
def test_the_command_is_killed_again_and_again(
    own_database: str, rabbit: str, way_settings: dict[str, str], stream: "redis.Redis"
) -> None:
    asker = make_asker(kind="event_source")
    with Connection(rabbit) as connection, connection.channel() as channel:
        Queue(NAME, durable=True, channel=channel).declare()
    more = {"EVENT_BROKER_KEY": asker.key, "EVENT_RABBITMQ_URL": rabbit, **way_settings}
    running = source_start(more, "rabbitmq", NAME)
    consumer = Consumer()
    for start in range(0, 20_000, 2_000):
        publish(rabbit, [body(number) for number in range(start, start + 2_000)])
        wait_for(lambda: consumer.turn().events > 0, seconds=60, what="some are taken")
        running = source_kill(running, more, "rabbitmq", NAME)

    def all_there() -> bool:
        consumer.turn()
        return Event.objects.count() >= 20_000

    wait_for(all_there, seconds=120, what="all are written down")
    running.terminate()
    running.wait(20)
    written_down()
    numbers = sorted(one["number"] for one in Event.objects.values_list("properties", flat=True))
    assert numbers == list(range(20_000))
    assert waiting_in(rabbit) == 0
