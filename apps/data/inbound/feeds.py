"""A shop's product feed: all that it sells as one document, asked for again and again.

Unchanged, it is not sent (ETag, Last-Modified); sent, only items that differ from the last time are taken. What is not
in it any more is dealt with by the feed's rule. One that is much shorter than before is a fault of its, and nothing of
it is taken: a cut export must not sell the shop out.
"""

import random
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final

import orjson
from django.conf import settings
from django.db.models import F

from apps.data.catalog.models import Item
from apps.data.catalog.services import item_put
from apps.foundation.core.clock import now
from apps.foundation.core.outward import OutwardFault, outward_fetch

from .bodies import FETCHED, at, text_of
from .feed_forms import FormFault, things_read
from .models import FeedItem, InboundSystem
from .services import one_take

BODY_MOST: Final = 64 * 1024 * 1024
TIMEOUT_SECONDS: Final = 60.0
MOST: Final = 200_000
"""Items that a feed may have."""
LEAST: Final = 0.5
"""A feed with fewer than this share of the items known before is not taken…"""
_SMALL: Final = 20
"""…unless so few were known."""
_PORTION: Final = 500


class FeedFault(Exception):
    """A feed could not be taken. The text is a code."""


def feed_take(code: str, terms: Mapping[str, Any], cursor: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    """Ask for a feed and take what is new in it. Returns how many items were taken, and what to ask by the next time.

    Killed in the middle, the next go takes what is left: the feed counts as seen only at the end. Raises FeedFault.
    """
    fetched_at = now()
    headers = {"Authorization": f"Bearer {terms['token']}"} if terms.get("token") else {}
    if known := cursor.get("etag"):
        headers["If-None-Match"] = known
    if known := cursor.get("modified"):
        headers["If-Modified-Since"] = known
    answer = _fetch(terms["url"], headers)
    if answer is None:
        return 0, dict(cursor)
    body, etag, modified = answer
    things = _things(body, terms)
    before = dict(FeedItem.objects.filter(system=code).values_list("number", "content"))
    there = sum(content is not None for content in before.values())
    if there >= _SMALL and len(things) < there * LEAST:
        raise FeedFault("far fewer items than before")
    changed = [
        (number, thing, content) for number, (thing, content) in things.items() if _differs(before, number, content)
    ]
    for place in range(0, len(changed), _PORTION):
        _portion_take(code, changed[place : place + _PORTION], before, fetched_at)
        if InboundSystem.objects.filter(pk=code, stopped=True).exists():
            return place, dict(cursor)
    gone = [number for number, content in before.items() if content is not None and number not in things]
    _gone_settle(code, terms["vanished"], gone)
    return len(changed), {"etag": etag, "modified": modified}


def _fetch(url: str, headers: Mapping[str, str]) -> tuple[bytes, str, str] | None:
    """Body, ETag and Last-Modified; None where nothing changed. Asked twice where that may help. Raises FeedFault."""
    for last in (False, True):
        try:
            answer = outward_fetch(
                url,
                headers=headers,
                timeout=TIMEOUT_SECONDS,
                most=BODY_MOST,
                inside=settings.WEBHOOK_INSIDE_HOSTS,
                also=(304,),
            )
        except OutwardFault as error:
            if last or not error.later or error.status == 429:
                raise FeedFault(error.code) from None
            time.sleep(random.uniform(0.05, 0.25))  # noqa: S311  # not all at the same moment
        else:
            if answer.status == 304:
                return None
            return answer.body, answer.headers.get("etag", ""), answer.headers.get("last-modified", "")
    raise AssertionError("the loop above returns")


def _things(body: bytes, terms: Mapping[str, Any]) -> dict[str, tuple[dict[str, Any], bytes]]:
    """The items of a feed by their number, each with a digest of what it says. Raises FeedFault."""
    try:
        items = things_read(body, form=terms["form"], items=terms["items"], most=MOST)
    except FormFault as fault:
        raise FeedFault(str(fault)) from None
    found: dict[str, tuple[dict[str, Any], bytes]] = {}
    for thing in items:
        if number := text_of(at(thing, terms["mapping"]["number"]))[:80]:
            said_of_it = orjson.dumps([_said(thing, terms["mapping"]), terms["mapping"]], option=orjson.OPT_SORT_KEYS)
            found[number] = thing, blake2b(said_of_it, digest_size=16).digest()
    if items and not found:
        raise FeedFault("no numbers where number says")
    return found


def _said(thing: Mapping[str, Any], mapping: Mapping[str, Any]) -> list[Any]:
    return [at(thing, path) for name, path in sorted(mapping.items()) if name not in ("what", "at", "utc")]


def _differs(before: Mapping[str, Any], number: str, content: bytes) -> bool:
    known = before.get(number)
    return known is None or bytes(known) != content


def _portion_take(
    code: str,
    portion: Sequence[tuple[str, dict[str, Any], bytes]],
    before: Mapping[str, Any],
    fetched_at: datetime,
) -> None:
    back = [number for number, _, _ in portion if number in before and before[number] is None]
    for number, thing, _ in portion:
        one_take(code=code, topic="", told={**thing, FETCHED: fetched_at.isoformat()})
        if number in back and Item.objects.filter(sku=number, in_stock=False).exists() and not _names_stock(code):
            item_put(sku=number, fields={"in_stock": True})
    FeedItem.objects.bulk_create(
        [FeedItem(system_id=code, number=number, content=content) for number, _, content in portion],
        update_conflicts=True,
        unique_fields=["system", "number"],
        update_fields=["content"],
    )


def _names_stock(code: str) -> bool:
    return "in_stock" in settings.INBOUND_SYSTEMS[code]["mapping"]


def _gone_settle(code: str, vanished: str, gone: Sequence[str]) -> None:
    """What is not in the feed any more, by its rule: `sold_out`, or `keep`, where only a later news changes it."""
    for number in gone:
        if vanished == "sold_out" and Item.objects.filter(sku=number, in_stock=True).exists():
            item_put(sku=number, fields={"in_stock": False})
    if vanished == "sold_out":
        FeedItem.objects.filter(system=code, number__in=list(gone)).update(content=None)
        InboundSystem.objects.filter(pk=code).update(taken=F("taken") + len(gone))
    else:
        FeedItem.objects.filter(system=code, number__in=list(gone)).delete()
