"""Live pages: a change reaches every open stream, also after Redis was away."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest
import redis
from django.conf import settings

from apps.foundation.core import live
from apps.foundation.core.live import Hub, live_publish

T = TypeVar("T")


def played(scene: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """What a scene gives; in a thread of its own, since the browser tests' event loop may run in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, scene()).result(30)


async def next_change(stream: AsyncIterator[bytes], seconds: float = 5) -> bytes:
    return await asyncio.wait_for(anext(stream), seconds)


def test_a_change_reaches_the_streams_of_its_channel_only() -> None:
    async def scene() -> tuple[bytes, bool]:
        hub = Hub()
        mine, others = hub.stream("run-1"), hub.stream("run-2")
        await next_change(mine), await next_change(others)
        await asyncio.sleep(0.5)  # the subscription stands, and told them once more
        await next_change(mine), await next_change(others)

        live_publish("run-1")

        told = await next_change(mine)
        try:
            await next_change(others, 0.6)
        except TimeoutError:
            return told, False
        return told, True

    assert played(scene) == (b"event: changed\ndata:\n\n", False)


def test_streams_go_on_after_redis_dropped_the_subscription() -> None:
    async def scene() -> bytes:
        hub = Hub()
        stream = hub.stream("run-1")
        await next_change(stream)
        await next_change(stream)

        redis.Redis.from_url(settings.REDIS_URL).client_kill_filter(_type="pubsub")

        return await next_change(stream, 10)

    assert played(scene) == b"event: changed\ndata:\n\n"


def test_a_closed_stream_is_forgotten() -> None:
    async def scene() -> int:
        hub = Hub()
        stream = hub.stream("run-1")
        await next_change(stream)
        await stream.aclose()  # type: ignore[attr-defined]  # an async generator
        return len(hub._waiting)

    assert played(scene) == 0


def test_publishing_without_redis_raises_nothing(caplog: pytest.LogCaptureFixture) -> None:

    broken, live._publisher = live._publisher, redis.Redis(port=1, socket_connect_timeout=1)
    try:
        live_publish("run-1")
    finally:
        live._publisher = broken

    assert "live pages of run-1 were not told" in caplog.text
