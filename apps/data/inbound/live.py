"""What others say this moment: a shop of an item's price and stock, a CRM of a person. Never waited for long.

A source is asked over HTTP within a time that is set, once more where that may help and time is left, and not at all
for a while after it failed. What it said is kept in Redis, sealed: fresh it spares the question, older it is what is
known while the source is away. Whoever decides for many people at once does not come here: they go by what is stored.
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
from django.db.models.functions import Coalesce

from apps.data.events.sealing import EventSealer
from apps.data.profiles.addresses import customer_numbers
from apps.data.profiles.errors import MasterKeyMissing
from apps.foundation.core.clock import now
from apps.foundation.core.crypto import Tampered
from apps.foundation.core.errors import Invalid
from apps.foundation.core.outward import OutwardFault, outward_get
from apps.foundation.core.signing import address_digest

from .bodies import item_fields, person_values
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
class LiveSaid:
    """What is known of an item or a person. fields: those that the source names; how: `live`, `fresh` (kept from a
    moment ago) or `last` (kept, since the source did not answer); age: seconds."""

    fields: Mapping[str, Any]
    how: str
    age: float


@dataclass(slots=True)
class _Standing:
    """What this process knows of a source. told_at: when it was last written down; opened: whether it is left alone;
    since then: answered, keys that were wanted, and those that what is kept spared the question."""

    faults: int = 0
    pause: float = 0.0
    open_until: float = 0.0
    stopped: bool = False
    told_at: float = 0.0
    opened: bool = False
    answered: int = 0
    wanted: int = 0
    spared: int = 0
    problem: str = ""


_standings: dict[str, _Standing] = {}


@dataclass(frozen=True, slots=True)
class _Told:
    """What became of asking a source. answered: how it went on record."""

    code: str
    answered: int
    wanted: int
    spared: int
    faults: int
    opened: bool
    problem: str


def live_items(skus: Sequence[str], *, seconds: float) -> dict[str, LiveSaid]:
    """What the live source of items says of these, within `seconds`; without those of which nothing is known.

    Never raises for what is wrong with a source, with Redis or with the database: then less is known.
    """
    return _said("items", skus, seconds)


def live_names() -> frozenset[str]:
    """The names of what the live source of people tells of them; none without a source."""
    found = _source("people")
    return frozenset() if found is None else frozenset(found[1]["mapping"])


def live_people(profile_ids: Sequence[int], *, seconds: float) -> dict[int, dict[str, Any]]:
    """What the live source of people says of these by `live_names`, within `seconds`; without those of whom nothing is
    known. It knows them by their customer number at `of`. Never raises, as `live_items`.
    """
    found = _source("people")
    if found is None or not profile_ids or seconds <= 0:
        return {}
    ends = time.monotonic() + seconds
    numbers = customer_numbers(profile_ids=profile_ids, of=found[1]["of"])
    said = _said("people", list(numbers.values()), ends - time.monotonic())
    return {person: dict(said[number].fields) for person, number in numbers.items() if number in said}


def _source(gives: str) -> tuple[str, Mapping[str, Any]] | None:
    for code, terms in settings.INBOUND_SYSTEMS.items():
        if terms["kind"] == "live" and terms["gives"] == gives:
            return code, terms
    return None


def _said(gives: str, keys: Sequence[str], seconds: float) -> dict[str, LiveSaid]:
    """What is known of these keys once `seconds` are over, from what is kept and by asking for the rest."""
    found = _source(gives)
    if found is None or not keys:
        return {}
    ends = time.monotonic() + seconds
    code, terms = found
    kept = _kept(code, keys)
    known = {
        key: LiveSaid(fields, "fresh" if age <= terms["fresh_seconds"] else "last", age)
        for key, (fields, age) in kept.items()
    }
    wanted = [key for key in dict.fromkeys(keys) if key not in known or known[key].how == "last"]
    standing = _standings.setdefault(code, _Standing())
    with _lock:
        standing.wanted += len(set(keys))
        standing.spared += len(set(keys)) - len(wanted)
    if not wanted or standing.stopped or time.monotonic() < standing.open_until:
        return known
    asked: dict[Future[Mapping[str, Any] | None], str] = {
        _asking.submit(_ask, code, terms, key, ends): key for key in wanted[: terms["most"]]
    }
    done, _late = wait(asked, timeout=max(0.0, ends - time.monotonic()))
    news = {asked[one]: answer for one in done if (answer := one.result()) is not None}
    if news:
        _keep(code, terms, news)
    return known | {key: LiveSaid(fields, "live", 0.0) for key, fields in news.items()}


def _ask(code: str, terms: Mapping[str, Any], key: str, ends: float) -> Mapping[str, Any] | None:
    """One answer; None where none came in time. Runs in a thread."""
    url = terms["url"].replace("{key}", quote(key, safe=""))
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
            fields = _READ[terms["gives"]](terms["mapping"], said)
        except OutwardFault as error:
            problem = error.code
            if error.status == 404:  # it answers well, and has none of that number
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


_READ: Final = {"items": item_fields, "people": person_values}


def _stands(code: str, problem: str) -> None:
    """Take down how an answer went, open or close the breaker, and now and then tell the admin."""
    at = time.monotonic()
    with _lock:
        standing = _standings.setdefault(code, _Standing())
        turned = False
        if problem:
            standing.faults += 1
            standing.problem = problem
            if standing.faults >= _FAULTS and at >= standing.open_until:
                standing.pause = min(_PAUSE_MOST, standing.pause * 2 or _PAUSE_FIRST)
                standing.open_until = at + standing.pause
                turned, standing.opened = not standing.opened, True
                logger.warning("live source %s is left alone for %.0f s (%s)", code, standing.pause, problem)
        else:
            turned, standing.opened = standing.opened, False
            standing.faults, standing.pause, standing.open_until, standing.problem = 0, 0.0, 0.0, ""
            standing.answered += 1
        if at - standing.told_at < _TELL_SECONDS and not turned:
            return
        standing.told_at = at
        told = _Told(
            code,
            standing.answered,
            standing.wanted,
            standing.spared,
            standing.faults,
            standing.opened,
            standing.problem,
        )
        standing.answered = standing.wanted = standing.spared = 0
    _tell(told)


def _tell(told: _Told) -> None:
    """Write down how a source stands, and read whether staff have it stopped. Without the database, another time."""
    close_old_connections()
    try:
        InboundSystem.objects.get_or_create(code=told.code)
        InboundSystem.objects.filter(pk=told.code).update(
            taken=F("taken") + told.answered,
            wanted=F("wanted") + told.wanted,
            spared=F("spared") + told.spared,
            faults=min(told.faults, 30_000),
            last_at=now(),
            good_at=now() if told.answered else F("good_at"),
            open_since=Coalesce(F("open_since"), now()) if told.opened else None,
            last_problem=f"could not be asked: {told.problem}"[:300] if told.problem else "",
        )
        stopped = InboundSystem.objects.filter(pk=told.code, stopped=True).exists()
        _standings.setdefault(told.code, _Standing()).stopped = stopped
    except AnyDatabaseError:
        logger.info("how %s stands is not written down now", told.code)
    finally:
        close_old_connections()


# --- what it said before ---


@lru_cache(maxsize=4)
def _client(url: str) -> "redis.Redis":
    return redis.Redis.from_url(url, socket_timeout=_REDIS_SECONDS, socket_connect_timeout=_REDIS_SECONDS)


def _place(code: str, key: str) -> bytes:
    return b"live:" + address_digest("live", f"{code}:{key}")


def _kept(code: str, keys: Sequence[str]) -> dict[str, tuple[Mapping[str, Any], float]]:
    places = [_place(code, key) for key in keys]
    try:
        rows = cast(list[bytes | None], _client(settings.REDIS_URL).mget(places))
    except redis.RedisError:
        return {}
    found: dict[str, tuple[Mapping[str, Any], float]] = {}
    for key, place, sealed in zip(keys, places, rows, strict=True):
        if sealed is None:
            continue
        try:
            said = orjson.loads(_sealer.open(sealed, place))
        except (Tampered, MasterKeyMissing, ValueError):
            continue
        fields: dict[str, Any] = said["fields"]
        for name in said["exact"]:
            fields[name] = Decimal(fields[name])
        found[key] = (fields, max(0.0, time.time() - said["at"]))
    return found


def _keep(code: str, terms: Mapping[str, Any], news: Mapping[str, Mapping[str, Any]]) -> None:
    try:
        with _client(settings.REDIS_URL).pipeline(transaction=False) as pipe:
            for key, fields in news.items():
                place = _place(code, key)
                exact = [name for name, value in fields.items() if isinstance(value, Decimal)]
                raw = orjson.dumps({"at": time.time(), "fields": dict(fields), "exact": exact}, default=str)
                pipe.set(place, _sealer.seal(raw, place), ex=terms["keep_seconds"])
            pipe.execute()
    except redis.RedisError:
        logger.info("what %s said is not kept now", code)
