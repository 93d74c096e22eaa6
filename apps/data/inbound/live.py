"""What a shop's own system says of an item this moment: its price, and whether it is there. Never waited for long.

A source is asked over HTTP within a time that is set, once more where that may help and time is left, and not at all
for a while after it failed. What it said is kept in Redis, sealed: fresh it spares the question, older it is what is
known while the source is away. Whoever decides for many people at once does not come here: they go by the catalog.
"""

import logging
import random
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from threading import Lock
from typing import Any, Final, cast
from urllib.parse import quote

import orjson
import redis
from django.conf import settings
from django.db import Error as AnyDatabaseError
from django.db import close_old_connections
from django.db.models import F

from apps.data.events.sealing import EventSealer
from apps.data.profiles.errors import MasterKeyMissing
from apps.foundation.core.clock import now
from apps.foundation.core.crypto import Tampered
from apps.foundation.core.errors import Invalid
from apps.foundation.core.outward import OutwardFault, outward_get
from apps.foundation.core.signing import address_digest

from .bodies import item_fields
from .models import InboundSystem

logger = logging.getLogger(__name__)

MOST: Final = 256 * 1024
_PAUSE_FIRST, _PAUSE_MOST = 2.0, 60.0
_FAULTS: Final = 3
"""So many in a row, and the source is left alone."""
_TELL_SECONDS: Final = 5.0
_REDIS_SECONDS: Final = 0.05
_asking = ThreadPoolExecutor(max_workers=16, thread_name_prefix="live")
_sealer = EventSealer("live source")
_lock = Lock()


@dataclass(frozen=True, slots=True)
class LiveItem:
    """What is known of an item. fields: `price` and `in_stock`, those that the source names; how: `live`, `fresh` (kept
    from a moment ago) or `last` (kept, since the source did not answer); age: seconds."""

    fields: Mapping[str, Any]
    how: str
    age: float


@dataclass(slots=True)
class _Standing:
    """What this process knows of a source. told_at: when it was last written down."""

    faults: int = 0
    pause: float = 0.0
    open_until: float = 0.0
    stopped: bool = False
    told_at: float = 0.0
    answered: int = 0
    problem: str = ""


_standings: dict[str, _Standing] = {}


def live_items(skus: Sequence[str], *, seconds: float) -> dict[str, LiveItem]:
    """What the live source says of these items, within `seconds`; without those of which nothing is known.

    Never raises for what is wrong with a source, with Redis or with the database: then less is known.
    """
    found = next(((code, terms) for code, terms in settings.INBOUND_SYSTEMS.items() if terms["kind"] == "live"), None)
    if found is None or not skus:
        return {}
    ends = time.monotonic() + seconds
    code, terms = found
    kept = _kept(code, skus)
    known = {
        sku: LiveItem(fields, "fresh" if age <= terms["fresh_seconds"] else "last", age)
        for sku, (fields, age) in kept.items()
    }
    wanted = [sku for sku in dict.fromkeys(skus) if sku not in known or known[sku].how == "last"]
    standing = _standings.setdefault(code, _Standing())
    if not wanted or standing.stopped or time.monotonic() < standing.open_until:
        return known
    asked: dict[Future[Mapping[str, Any] | None], str] = {
        _asking.submit(_ask, code, terms, sku, ends): sku for sku in wanted[: terms["most"]]
    }
    done, _late = wait(asked, timeout=max(0.0, ends - time.monotonic()))
    news = {asked[one]: answer for one in done if (answer := one.result()) is not None}
    if news:
        _keep(code, terms, news)
    return known | {sku: LiveItem(fields, "live", 0.0) for sku, fields in news.items()}


def _ask(code: str, terms: Mapping[str, Any], sku: str, ends: float) -> Mapping[str, Any] | None:
    """One answer; None where none came in time. Runs in a thread."""
    url = terms["url"].replace("{key}", quote(sku, safe=""))
    headers = {"Authorization": f"Bearer {terms['token']}"} if terms.get("token") else {}
    problem = "no time was left"
    for last in (False, True):
        left = min(terms["timeout_ms"] / 1000, ends - time.monotonic())
        if left <= 0.005:
            break
        try:
            body = outward_get(url, headers=headers, timeout=left, most=MOST, inside=settings.WEBHOOK_INSIDE_HOSTS)
            said = orjson.loads(body)
            if not isinstance(said, dict):
                raise ValueError("not an object")
            fields = item_fields(terms["mapping"], said)
        except OutwardFault as error:
            problem = error.code
            if error.status == 404:  # it answers well, and has no such item
                _stands(code, "")
                return None
            if last or not error.later:
                break
            time.sleep(random.uniform(0.005, 0.02))  # noqa: S311  # not all at the same moment
        except (ValueError, Invalid):
            problem = "not understood"
            break
        else:
            _stands(code, "")
            return fields
    _stands(code, problem)
    return None


def _stands(code: str, problem: str) -> None:
    """Take down how an answer went, open or close the breaker, and now and then tell the admin."""
    at = time.monotonic()
    with _lock:
        standing = _standings.setdefault(code, _Standing())
        if problem:
            standing.faults += 1
            standing.problem = problem
            if standing.faults >= _FAULTS and at >= standing.open_until:
                standing.pause = min(_PAUSE_MOST, standing.pause * 2 or _PAUSE_FIRST)
                standing.open_until = at + standing.pause
                logger.warning("live source %s is left alone for %.0f s (%s)", code, standing.pause, problem)
        else:
            standing.faults, standing.pause, standing.open_until, standing.problem = 0, 0.0, 0.0, ""
            standing.answered += 1
        if at - standing.told_at < _TELL_SECONDS:
            return
        standing.told_at = at
        answered, standing.answered = standing.answered, 0
        faults, said = standing.faults, standing.problem
    _tell(code, answered, faults, said)


def _tell(code: str, answered: int, faults: int, problem: str) -> None:
    """Write down how a source stands, and read whether staff have it stopped. Without the database, another time."""
    close_old_connections()
    try:
        InboundSystem.objects.get_or_create(code=code)
        InboundSystem.objects.filter(pk=code).update(
            taken=F("taken") + answered,
            faults=min(faults, 30_000),
            last_at=now(),
            last_problem=f"could not be asked: {problem}"[:300] if problem else "",
        )
        _standings.setdefault(code, _Standing()).stopped = InboundSystem.objects.filter(pk=code, stopped=True).exists()
    except AnyDatabaseError:
        logger.info("how %s stands is not written down now", code)
    finally:
        close_old_connections()


# --- what it said before ---


@lru_cache(maxsize=4)
def _client(url: str) -> "redis.Redis":
    return redis.Redis.from_url(url, socket_timeout=_REDIS_SECONDS, socket_connect_timeout=_REDIS_SECONDS)


def _place(code: str, sku: str) -> bytes:
    return b"live:" + address_digest("live", f"{code}:{sku}")


def _kept(code: str, skus: Sequence[str]) -> dict[str, tuple[Mapping[str, Any], float]]:
    places = [_place(code, sku) for sku in skus]
    try:
        rows = cast(list[bytes | None], _client(settings.REDIS_URL).mget(places))
    except redis.RedisError:
        return {}
    found: dict[str, tuple[Mapping[str, Any], float]] = {}
    for sku, place, sealed in zip(skus, places, rows, strict=True):
        if sealed is None:
            continue
        try:
            said = orjson.loads(_sealer.open(sealed, place))
        except (Tampered, MasterKeyMissing, ValueError):
            continue
        fields: dict[str, Any] = said["fields"]
        if "price" in fields:
            fields["price"] = Decimal(fields["price"])
        found[sku] = (fields, max(0.0, time.time() - said["at"]))
    return found


def _keep(code: str, terms: Mapping[str, Any], news: Mapping[str, Mapping[str, Any]]) -> None:
    try:
        with _client(settings.REDIS_URL).pipeline(transaction=False) as pipe:
            for sku, fields in news.items():
                place = _place(code, sku)
                raw = orjson.dumps({"at": time.time(), "fields": dict(fields)}, default=str)
                pipe.set(place, _sealer.seal(raw, place), ex=terms["keep_seconds"])
            pipe.execute()
    except redis.RedisError:
        logger.info("what %s said is not kept now", code)
