"""Takes events from a broker, until it is stopped."""

import signal
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.data.events.brokers import Intake
from apps.data.events.rabbitmq import RabbitSource
from apps.foundation.core.errors import Invalid

try:
    from apps.data.events.kafka import KafkaSource
except ImportError:  # only who reads Kafka has its library
    KafkaSource = None  # type: ignore[assignment, misc]


class Command(BaseCommand):
    help = (
        "Take events from a queue of RabbitMQ or from topics of Kafka into the stream, from which events_consume "
        "writes them down, until SIGTERM or Ctrl-C. A message is confirmed once the stream has it for good; kill "
        "-9 loses nothing, and what is delivered again counts once. Messages are JSON: one event, a list, or an "
        "object with `events` or `batch`, as over HTTP. What is none becomes a dead letter. While too much waits, "
        "messages stay at the broker. The events are those of a client of the API, whose key with the scope "
        "events:write stands in EVENT_BROKER_KEY. RabbitMQ is at EVENT_RABBITMQ_URL; EVENT_KAFKA has librdkafka's "
        'properties as JSON, such as {"bootstrap.servers": "kafka:9092", "group.id": "tessera"}. Run several: '
        "each has its own messages."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("broker", choices=("rabbitmq", "kafka"))
        parser.add_argument(
            "name", nargs="+", help="the queue of RabbitMQ (one, which is there already), or topics of Kafka"
        )
        parser.add_argument(
            "--shape",
            choices=("own", "segment"),
            default="own",
            help="how messages tell of events: as POST /api/v1/events (default), or as Segment's libraries do",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        asked: list[int] = []

        def stop(number: int, frame: FrameType | None) -> None:
            asked.append(number)

        try:
            intake = Intake(key=settings.EVENT_BROKER_KEY, shape=options["shape"])
        except Invalid as error:
            raise CommandError(error.message) from None
        make = _rabbitmq if options["broker"] == "rabbitmq" else _kafka
        source = make(options["name"], intake)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        source.run(lambda: bool(asked))
        self.stdout.write(f"{source.taken} messages taken")


def _rabbitmq(names: list[str], intake: Intake) -> RabbitSource:
    if not settings.EVENT_RABBITMQ_URL:
        raise CommandError("Say where RabbitMQ is: EVENT_RABBITMQ_URL=amqp://user:password@host:5672/vhost")
    if len(names) != 1:
        raise CommandError("One process reads one queue of RabbitMQ: run one for each")
    return RabbitSource(settings.EVENT_RABBITMQ_URL, names[0], intake)


def _kafka(names: list[str], intake: Intake) -> Any:
    if not settings.EVENT_KAFKA:
        raise CommandError('Say where Kafka is: EVENT_KAFKA={"bootstrap.servers": "kafka:9092"}')
    if KafkaSource is None:
        raise CommandError("Events from Kafka need its library: pip install -r requirements-kafka.txt")
    return KafkaSource(settings.EVENT_KAFKA, names, intake)
