"""Live pages: «something changed», over Redis, to every open page of every web process.

A page opens a stream on a channel and fetches its fragment anew at each event, so a stream carries no data.
One subscription for each process, with a queue for each stream behind it (redis-py's pools end at 100
connections). Redis gone: pages stop moving until it is back; the subscription is made again by itself.

A stream ends by itself after some minutes, and the browser takes it up again: so a right that was taken away, or a
link that holds no more, ends with it.
"""

import asyncio
import logging
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable

import redis
import redis.asyncio
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.db import connections
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse

logger = logging.getLogger(__name__)

_TOPIC = "live"
_TOGETHER = 500
"""How many channels one message to the hubs names, at most, a line each."""
_HEARTBEAT_SECONDS = 15
_LIFE_SECONDS = 600
"""How long a stream lives, at most; at least half of it, so that those that began together don't end together."""
_GUEST_STREAMS = 6
"""Streams that one guest may have in a process: their tabs."""
_CHANGED = b"event: changed\ndata:\n\n"
_FIRST = b"retry: 2000\n" + _CHANGED
_AT_ONCE = b"retry: 100\n\n"
_LATER = b"retry: 30000\n\n"
"""`retry`: milliseconds after which a browser comes again when its stream has ended."""
_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex, nofollow"}
_publisher: "redis.Redis | None" = None


def live_publish(*channels: str) -> None:
    """Tell the open pages of these channels that something changed. Never raises: a page behind is no failure."""
    global _publisher
    if _publisher is None:
        _publisher = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1)
    try:
        with _publisher.pipeline(transaction=False) as pipeline:
            for start in range(0, len(channels), _TOGETHER):  # an import tells of people by the thousand
                pipeline.publish(_TOPIC, "\n".join(channels[start : start + _TOGETHER]))
            pipeline.execute()
    except redis.RedisError:
        logger.warning("live pages of %s were not told", ", ".join(channels[:3]))


class Hub:
    """The streams of one process and their one subscription."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._listener: asyncio.Task[None] | None = None
        self._guests: Counter[str] = Counter()

    async def stream(self, channel: str, *, guest: str = "", life: float = _LIFE_SECONDS) -> AsyncIterator[bytes]:
        """Server-sent events of a channel: `changed` at once, then at each change; a comment as heartbeat.

        guest: the stranger that a stream is for, "" for staff. A guest has few, and all guests of a process together
        at most `LIVE_STREAMS`; one more is told to come again in half a minute. life: seconds, at most.
        """
        if guest and (self._guests[guest] >= _GUEST_STREAMS or self._guests.total() >= settings.LIVE_STREAMS):
            yield _LATER
            return
        changed = asyncio.Event()
        changed.set()
        self._waiting[channel].add(changed)
        self._guests[guest] += bool(guest)
        if self._listener is None or self._listener.done():
            self._listener = asyncio.create_task(self._listen())
        clock = asyncio.get_running_loop()
        end = clock.time() + life * random.uniform(0.5, 1)  # noqa: S311  # no secret
        event = _FIRST
        try:
            while (left := end - clock.time()) > 0:
                try:
                    await asyncio.wait_for(changed.wait(), min(_HEARTBEAT_SECONDS, left))
                except TimeoutError:
                    yield b": still here\n\n"
                    continue
                changed.clear()
                yield event
                event = _CHANGED
                await asyncio.sleep(0.25)  # several changes in a row make one
            yield _AT_ONCE
        finally:
            self._waiting[channel].discard(changed)
            if not self._waiting[channel]:
                del self._waiting[channel]
            self._guests[guest] -= bool(guest)
            if not self._guests[guest]:
                del self._guests[guest]

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
                            for channel in message["data"].decode().split("\n"):
                                for event in self._waiting.get(channel, ()):
                                    event.set()
            except (redis.RedisError, OSError):
                logger.warning("live streams lost Redis; trying again")
            finally:
                await client.aclose()
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5)


hub = Hub()


async def stream_answer(
    request: HttpRequest, channel: str, *, allowed: Callable[[], bool], refused: int = 403, guest: str = ""
) -> HttpResponseBase:
    """The answer to a page that asks for the stream of a channel; `refused`, a status, where `allowed()` says no.

    Only an ASGI server can hold a stream open: under WSGI the answer is 204, by which the browser stops asking and the
    page polls instead. guest: see `Hub.stream`.
    """
    if request.method != "GET":
        return HttpResponse(status=405, headers={**_HEADERS, "Allow": "GET"})
    holds_open = isinstance(request, ASGIRequest)
    if not await sync_to_async(_ask)(allowed, then_close=holds_open):
        return HttpResponse(status=refused, headers=_HEADERS)
    if not holds_open:
        return HttpResponse(status=204, headers=_HEADERS)
    return StreamingHttpResponse(
        hub.stream(channel, guest=guest),
        content_type="text/event-stream",
        headers={**_HEADERS, "X-Accel-Buffering": "no"},
    )


def _ask(allowed: Callable[[], bool], *, then_close: bool) -> bool:
    """Each request has a thread of its own, which lives as long as its stream: it must not keep a connection."""
    try:
        return allowed()
    finally:
        if then_close:
            connections.close_all()
