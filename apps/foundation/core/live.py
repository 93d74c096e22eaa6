"""Live pages: «something changed», over Redis, to every open page of every web process.

A page opens a stream on a channel and fetches its fragment anew at each event, so a stream carries no data.
One subscription for each process, with a queue for each stream behind it (redis-py's pools end at 100
connections). Redis gone: pages stop moving until it is back; the subscription is made again by itself.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator

import redis
import redis.asyncio
from django.conf import settings

logger = logging.getLogger(__name__)

_TOPIC = "live"
_HEARTBEAT_SECONDS = 15
_publisher: "redis.Redis | None" = None


def live_publish(channel: str) -> None:
    """Tell the open pages of `channel` that something changed. Never raises: a page behind is no failure."""
    global _publisher
    if _publisher is None:
        _publisher = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1)
    try:
        _publisher.publish(_TOPIC, channel)
    except redis.RedisError:
        logger.warning("live pages of %s were not told", channel)


class Hub:
    """The streams of one process and their one subscription."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._listener: asyncio.Task[None] | None = None

    async def stream(self, channel: str) -> AsyncIterator[bytes]:
        """Server-sent events of a channel: `changed` at once, then at each change; a comment as heartbeat."""
        changed = asyncio.Event()
        changed.set()
        self._waiting[channel].add(changed)
        if self._listener is None or self._listener.done():
            self._listener = asyncio.create_task(self._listen())
        try:
            while True:
                try:
                    await asyncio.wait_for(changed.wait(), _HEARTBEAT_SECONDS)
                except TimeoutError:
                    yield b": still here\n\n"
                    continue
                changed.clear()
                yield b"event: changed\ndata:\n\n"
                await asyncio.sleep(0.25)  # several changes in a row make one
        finally:
            self._waiting[channel].discard(changed)
            if not self._waiting[channel]:
                del self._waiting[channel]

    async def _listen(self) -> None:
        pause = 0.2
        task = asyncio.current_task()
        stopped = task.cancelling if task else bool  # redis-py may swallow a cancellation while it connects
        while not stopped():
            client = redis.asyncio.Redis.from_url(settings.REDIS_URL, health_check_interval=10)
            try:
                async with client.pubsub(ignore_subscribe_messages=True) as pubsub:
                    await pubsub.subscribe(_TOPIC)
                    for events in self._waiting.values():  # what was missed while away
                        for event in events:
                            event.set()
                    pause = 0.2
                    while not stopped():
                        message = await pubsub.get_message(timeout=1)
                        if message is not None:
                            for event in self._waiting.get(message["data"].decode(), ()):
                                event.set()
            except (redis.RedisError, OSError):
                logger.warning("live streams lost Redis; trying again")
            finally:
                await client.aclose()
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5)


hub = Hub()
