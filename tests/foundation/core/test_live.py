"""Live pages: a change reaches every open stream, also after Redis was away."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest
import redis
from django.conf import settings as own_settings
from pytest_django import Settings

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

        redis.Redis.from_url(own_settings.REDIS_URL).client_kill_filter(_type="pubsub")

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


def test_a_guest_has_few_streams_and_gets_the_next_when_one_was_closed() -> None:
    async def scene() -> tuple[bytes, bytes, bytes]:
        hub = Hub()
        tabs = [hub.stream("profile-1", guest="profile-1") for _ in range(6)]
        for tab in tabs:
            await next_change(tab)
        refused = await next_change(hub.stream("profile-1", guest="profile-1"))
        staff = await next_change(hub.stream("profile-1"))
        await tabs[0].aclose()  # type: ignore[attr-defined]  # an async generator
        return refused, staff, await next_change(hub.stream("profile-1", guest="profile-1"))

    later, first = b"retry: 30000\n\n", b"retry: 2000\nevent: changed\ndata:\n\n"
    assert played(scene) == (later, first, first)


def test_a_process_has_room_for_so_many_guests(settings: Settings) -> None:
    settings.LIVE_STREAMS = 2

    async def scene() -> list[bytes]:
        hub = Hub()
        streams = [hub.stream(f"profile-{number}", guest=f"profile-{number}") for number in range(3)]
        return [await next_change(stream) for stream in streams]

    assert [told.startswith(b"retry: 30000") for told in played(scene)] == [False, False, True]


def test_a_stream_ends_and_has_the_browser_come_again_at_once() -> None:
    async def scene() -> tuple[list[bytes], int]:
        hub = Hub()
        told = [event async for event in hub.stream("run-1", life=0.1)]
        return told, len(hub._waiting)

    told, left = played(scene)

    assert told[0].startswith(b"retry: 2000\nevent: changed")
    assert (told[-1], left) == (b"retry: 100\n\n", 0)


def test_thousands_are_told_at_once() -> None:
    async def scene() -> list[bytes]:
        hub = Hub()
        streams = [hub.stream(f"profile-{number}") for number in (0, 499, 500, 1_999)]
        for stream in streams:
            await next_change(stream)
        await asyncio.sleep(0.5)  # the subscription stands, and told those who were there once more
        for waiting in hub._waiting.values():
            for told in waiting:
                told.clear()

        live_publish(*(f"profile-{number}" for number in range(2_000)))

        return [await next_change(stream) for stream in streams]

    assert all(told.endswith(b"event: changed\ndata:\n\n") for told in played(scene))


def test_publishing_without_redis_raises_nothing(caplog: pytest.LogCaptureFixture) -> None:

    broken, live._publisher = live._publisher, redis.Redis(port=1, socket_connect_timeout=1)
    try:
        live_publish("run-1")
    finally:
        live._publisher = broken

    assert "live pages of run-1 were not told" in caplog.text
