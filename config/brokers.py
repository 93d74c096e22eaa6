"""Where brokers are from which events come, as the settings name it. Loud about what can't be meant."""

from collections.abc import Mapping
from typing import Any, Final

from environs import EnvError

_OURS: Final = {"enable.auto.commit", "enable.auto.offset.store"}
"""Set by us: an offset is committed once all before it is in the stream."""


def kafka_properties_read(given: object) -> dict[str, Any]:
    """EVENT_KAFKA: librdkafka's properties. Raises EnvError, never with a value in it, which may be a password."""
    if not isinstance(given, Mapping):
        raise EnvError('EVENT_KAFKA: give JSON such as {"bootstrap.servers": "kafka:9092"}')
    for name, value in given.items():
        if not isinstance(value, str | int | float):
            raise EnvError(f"EVENT_KAFKA: {name} must be a text, a number, true or false")
        if name in _OURS:
            raise EnvError(f"EVENT_KAFKA: {name} is not to be set: events would be lost or count twice")
    if given and "bootstrap.servers" not in given:
        raise EnvError("EVENT_KAFKA: say where it is: bootstrap.servers")
    return dict(given)
