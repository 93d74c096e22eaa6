"""Events from topics of Kafka: an offset is committed once all before it is in the stream.

Needs confluent-kafka (`pip install -r requirements-kafka.txt`), which nothing else does.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Consumer, KafkaException, Message

from .brokers import AT_ONCE, GATHER_SECONDS, Delivery, Intake, origin_of

logger = logging.getLogger(__name__)

_LISTEN_SECONDS: Final = 1.0
_OURS: Final = {"enable.auto.commit": False, "enable.auto.offset.store": False}
"""Properties that hold the promise, and are not to be set otherwise."""
_DEFAULTS: Final = {"auto.offset.reset": "earliest", "group.id": "tessera", "client.id": "tessera"}


@dataclass(slots=True)
class KafkaSource:
    """One consumer of topics. properties: librdkafka's own; taken: deliveries committed so far."""

    properties: Mapping[str, Any]
    topics: list[str]
    intake: Intake
    taken: int = 0
    _came: list[Message] = field(default_factory=list)

    def run(self, stopping: Callable[[], bool]) -> None:
        """Go on until told to stop. Kafka away: librdkafka connects again by itself."""
        consumer = Consumer({**_DEFAULTS, **self.properties, **_OURS}, logger=logger)
        try:
            consumer.subscribe(self.topics)
            while not stopping():
                if (first := consumer.poll(_LISTEN_SECONDS)) is not None:
                    self._came += _good([first, *consumer.consume(AT_ONCE - 1, GATHER_SECONDS)])
                if self._came:
                    self._confirm(consumer, stopping)
        finally:
            consumer.close()

    def _confirm(self, consumer: Consumer, stopping: Callable[[], bool]) -> None:
        def meanwhile() -> None:
            """Stay in the group without taking more: what comes all the same, of partitions just assigned, is kept."""
            consumer.pause(consumer.assignment())
            if (message := consumer.poll(0)) is not None:
                self._came += _good([message])

        some = list(self._came)
        if not self.intake.take([delivery_of(one) for one in some], stopping=stopping, meanwhile=meanwhile):
            return
        del self._came[: len(some)]
        try:
            for one in some:
                consumer.store_offsets(one)
            consumer.commit(asynchronous=False)
        except KafkaException as error:  # a partition went to somebody else: it comes again there, and is known
            logger.warning("offsets are not committed: %s", error.args[0].name())
        self.taken += len(some)
        consumer.resume(consumer.assignment())


def delivery_of(message: Message) -> Delivery:
    """What a message brings. Its coordinates name it; its moment beside them, as a topic may be made anew."""
    kind, milliseconds = message.timestamp()
    known = kind != TIMESTAMP_NOT_AVAILABLE and milliseconds > 0
    at = datetime.fromtimestamp(milliseconds / 1000, UTC) if known else None
    where = message.topic(), message.partition(), message.offset(), milliseconds
    return Delivery(message.value() or b"", origin_of("kafka", *where), at)


def _good(messages: list[Message]) -> list[Message]:
    """Those that bring something; what went wrong is said."""
    for one in messages:
        if (error := one.error()) is not None:
            logger.warning("Kafka: %s", error.name())
    return [one for one in messages if one.error() is None]
