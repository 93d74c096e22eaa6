"""Events from a queue of RabbitMQ: confirmed once they are in the stream.

What RabbitMQ delivers again (its consumer died, its connection broke) has no number of its own there. So the origin of
a delivery is the `message_id` that its publisher gave, else a digest of all that came with it; see ADR 176.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

import orjson
from kombu import Connection, Consumer, Queue

from .brokers import AT_ONCE, GATHER_SECONDS, Delivery, Intake, origin_of

logger = logging.getLogger(__name__)

_HEARTBEAT: Final = 20
_CONNECT_SECONDS: Final = 5
_LISTEN_SECONDS: Final = 1.0
_PAUSE_MOST: Final = 5.0
_OF_BROKER: Final = ("x-delivery-count", "x-death")
"""Headers that RabbitMQ itself changes from one delivery to the next."""


@dataclass(slots=True)
class RabbitSource:
    """One consumer of a queue. url: `amqp://user:password@host:5672/vhost`; taken: deliveries confirmed so far."""

    url: str
    queue: str
    intake: Intake
    taken: int = 0
    _came: list[Any] = field(default_factory=list)

    def run(self, stopping: Callable[[], bool]) -> None:
        """Go on until told to stop. RabbitMQ away: wait and try again; what was not confirmed is delivered again."""
        pause = 0.1
        while not stopping():
            with Connection(self.url, heartbeat=_HEARTBEAT, connect_timeout=_CONNECT_SECONDS) as connection:
                broken = (*connection.connection_errors, *connection.channel_errors)
                try:
                    self._listen(connection, stopping)
                    pause = 0.1
                except broken as error:
                    logger.warning(
                        "RabbitMQ can't be read just now, is it there and has it a queue %s? %s",
                        self.queue,
                        type(error).__name__,
                    )
                    time.sleep(pause)
                    pause = min(pause * 2, _PAUSE_MOST)

    def _listen(self, connection: Connection, stopping: Callable[[], bool]) -> None:
        self._came = []
        queue = Queue(self.queue, no_declare=True)
        with Consumer(
            connection.channel(), [queue], on_message=self._came.append, prefetch_count=AT_ONCE, auto_declare=False
        ):
            while not stopping():
                self._gather(connection)
                if self._came and not self._confirm(connection, stopping):
                    return  # the connection closes, and all that is not confirmed goes back into the queue

    def _gather(self, connection: Connection) -> None:
        """What comes until nothing more does for a moment, or there is enough."""
        until = None
        while len(self._came) < AT_ONCE:
            left = _LISTEN_SECONDS if until is None else until - time.monotonic()
            if left <= 0:
                return
            try:
                connection.drain_events(timeout=left)
            except TimeoutError:
                connection.heartbeat_check()
                return
            if until is None:
                until = time.monotonic() + GATHER_SECONDS

    def _confirm(self, connection: Connection, stopping: Callable[[], bool]) -> bool:
        deliveries = [delivery_of(self.queue, message) for message in self._came]
        if not self.intake.take(deliveries, stopping=stopping, meanwhile=connection.heartbeat_check):
            return False
        self._came[-1].ack(multiple=True)
        self.taken += len(self._came)
        self._came.clear()
        return True


def delivery_of(queue: str, message: Any) -> Delivery:
    """What a message of kombu brings."""
    body = message.body if isinstance(message.body, bytes) else str(message.body).encode()
    said = message.properties
    at = said.get("timestamp")
    moment = at if isinstance(at, datetime) else datetime.fromtimestamp(at, UTC) if isinstance(at, int) else None
    if moment is not None and moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if given := said.get("message_id"):
        return Delivery(body, origin_of("rabbitmq", queue, said.get("app_id", ""), given), moment)
    headers = {name: value for name, value in (message.headers or {}).items() if name not in _OF_BROKER}
    plain = {name: value for name, value in said.items() if name != "application_headers"}
    where = [message.delivery_info.get(name) for name in ("exchange", "routing_key")]
    more = orjson.dumps([where, headers, plain], default=str, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    return Delivery(body, origin_of("rabbitmq", queue, sha256(more + b"\0" + body).hexdigest()), moment)
