"""What tests of events share."""

import os
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import orjson
import pytest
import redis
from pytest_django import Settings

from apps.data.events.accepting import body_accept
from apps.data.events.consuming import Consumer
from apps.data.events.contracts import EventSource
from apps.data.events.recording import Recorded, schemas
from apps.data.events.stream import group_ensure

WEB = EventSource("api:web", "shop")

Send = Callable[..., int]
Take = Callable[[], Recorded]


@pytest.fixture
def stream(clean_redis: "redis.Redis") -> "redis.Redis":
    """An empty stream."""
    group_ensure()
    schemas.forget()
    return clean_redis


@pytest.fixture
def send(stream: "redis.Redis") -> Send:
    """Bring calls as Segment's libraries do."""

    def bring(*calls: dict[str, Any], source: EventSource = WEB, **more: Any) -> int:
        body = orjson.dumps({"batch": list(calls), **more})
        return body_accept(source=source, shape="segment", body=body).events

    return bring


@pytest.fixture
def take(stream: "redis.Redis") -> Take:
    """Write down what waits."""
    consumer = Consumer(seconds=0.0)

    def turn() -> Recorded:
        return consumer.turn()

    return turn


@pytest.fixture
def way_settings(own_database: str, settings: Settings) -> dict[str, str]:
    """Environment variables for processes that take events in or write them down: this test's database and Redis."""
    url = urlsplit(os.environ["DATABASE_URL"])
    return {
        "DATABASE_URL": urlunsplit(url._replace(path=f"/{own_database}")),
        "REDIS_URL": settings.REDIS_URL,
        "EVENT_REDIS_URL": settings.EVENT_REDIS_URL,
        "LOG_LEVEL": "ERROR",
    }
