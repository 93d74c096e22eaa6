"""What to recommend to the people of a batch, by rankers and out of one set."""

from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from itertools import islice
from threading import Lock
from typing import Any, Final

import orjson

from apps.data.catalog.models import Item
from apps.data.inbound.live import LiveSaid, live_items
from apps.foundation.core.caches import Cache
from apps.foundation.core.errors import Invalid, NotFound
from apps.foundation.core.money import price_text
from apps.foundation.core.text import is_blank

from .contracts import ANYWHERE, NOT_OFFERED, OUT_OF_STOCK, Candidate, ItemCard, PersonTaste, ShownAt
from .models import BestSeller, RecommendationSet
from .rankers import RANKERS, Asked, Picks, SetInMemory

_SETS_IN_MEMORY = 3
_SPARE = 4  # candidates kept for each place: some are out of stock

_sets: OrderedDict[int, SetInMemory] = OrderedDict()
_sets_lock = Lock()

_newest: Final = Cache[str, int | None]("recommendations", "recommendations", "CACHE_RECOMMENDATIONS_SECONDS")
_items: Final = Cache[tuple[int, str], Candidate]("catalog", "catalog", "CACHE_CATALOG_SECONDS", most=50_000)

_NOTHING: Final[Mapping[str, Any]] = {}


def latest_set() -> RecommendationSet | None:
    """The newest set that is whole, or None before the first."""
    return RecommendationSet.objects.filter(ready=True).order_by("-pk").first()


def set_newest(stamps: Mapping[str, str]) -> int | None:
    """The id of that set, kept in this process. stamps: as they were read before."""
    return _newest.get("", stamps, lambda: getattr(latest_set(), "pk", None))


def candidates_for(
    *,
    set_id: int | None,
    people: Mapping[int, PersonTaste],
    sources: Sequence[str],
    count: int,
    currency: str = "",
    live_seconds: float = 0.0,
    shown_at: ShownAt = ANYWHERE,
    stamps: Mapping[str, str] | None = None,
    picks: Picks | None = None,
) -> dict[int, dict[str, list[Candidate]]]:
    """For each person and source, the items that could be shown, best first: some times `count` of them.

    sources: names of rankers (`rankers.RANKERS`); set_id: None where there is no set yet, and then only those give
    anything that need none; shown_at: where and when. Nothing in `recent_items` is given again. Those that can't be
    shown now (sold out, not to be recommended, without a title) say so; a few are spare, for whoever may not show all.
    `currency` is that of items that have none of their own; live_seconds: how long the live source may take to say what
    items cost and whether they are there, 0 not to ask it; stamps: as they were read before, None not to go by what is
    kept of items in this process; picks: what editors picked, where that was read already (`rankers.picks_read`).
    The hot path: one statement for the items of a batch, and one for each ranker that has to look something up.

    Raises Invalid for a source that does not exist, NotFound for a set that does not (any more).
    """
    unknown = [source for source in sources if source not in RANKERS]
    if unknown:
        raise Invalid("source_unknown", f"There is no source {unknown[0]!r}: there are {', '.join(RANKERS)}")
    asked = Asked(people, shown_at, None if set_id is None else _set_load(set_id), picks)
    rank = {source: RANKERS[source].open(asked) for source in sources}
    size = count * _SPARE
    ranked = {
        profile_id: {source: list(islice(rank[source](taste), size)) for source in sources}
        for profile_id, taste in people.items()
    }
    # in their order, so that the live source is asked of those first that are likely to be shown
    wanted = dict.fromkeys(item for by_source in ranked.values() for items in by_source.values() for item in items)
    known = _candidates_load(list(wanted), currency, live_seconds, stamps)
    return {
        profile_id: {source: [known[item] for item in items if item in known] for source, items in by_source.items()}
        for profile_id, by_source in ranked.items()
    }


def recommendations_for(
    *,
    set_id: int | None,
    people: Mapping[int, PersonTaste],
    sources: Sequence[str],
    count: int,
    currency: str = "",
    shown_at: ShownAt = ANYWHERE,
) -> dict[int, dict[str, list[ItemCard]]]:
    """For each person and source, at most `count` items that can be shown now, best first: see `candidates_for`."""
    found = candidates_for(
        set_id=set_id, people=people, sources=sources, count=count, currency=currency, shown_at=shown_at
    )
    return {
        profile_id: {
            source: [one.card for one in candidates if not one.gone][:count] for source, candidates in by_source.items()
        }
        for profile_id, by_source in found.items()
    }


def _set_load(set_id: int) -> SetInMemory:
    with _sets_lock:
        if set_id in _sets:
            _sets.move_to_end(set_id)
            return _sets[set_id]
    if not RecommendationSet.objects.filter(pk=set_id, ready=True).exists():
        raise NotFound("recommendation_set_gone", f"Recommendation set {set_id} does not exist: take the latest")
    lists: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    rows = BestSeller.objects.filter(set_id=set_id).order_by("scope", "key", "rank")
    for scope, key, item in rows.values_list("scope", "key", "item_id"):
        lists[scope, key].append(item)
    kept = SetInMemory(set_id, dict(lists))
    with _sets_lock:
        _sets[set_id] = kept
        while len(_sets) > _SETS_IN_MEMORY:
            _sets.popitem(last=False)
    return kept


def candidates_known(items: Sequence[int], stamps: Mapping[str, str]) -> dict[int, Candidate]:
    """What the catalog says of items that could be shown, by id; without those that are not there. stamps: as they were
    read before."""
    return _candidates_load(items, "", 0.0, stamps)


def _candidates_load(
    items: Sequence[int], currency: str, live_seconds: float, stamps: Mapping[str, str] | None
) -> dict[int, Candidate]:
    if live_seconds or stamps is None:
        return _candidates_read(items, currency, live_seconds)
    found = _items.many(
        [(item, currency) for item in items],
        stamps,
        lambda missing: {
            (item, currency): one for item, one in _candidates_read([key[0] for key in missing], currency, 0.0).items()
        },
    )
    return {item: one for (item, _), one in found.items()}


def _candidates_read(items: Sequence[int], currency: str, live_seconds: float) -> dict[int, Candidate]:
    found = Item.objects.filter(pk__in=items).values_list(
        "pk", "sku", "title", "price", "currency", "url", "image_url", "category", "in_stock", "recommendable"
    )
    rows = {row[0]: row for row in found}
    live: Mapping[str, LiveSaid] = {}
    if live_seconds:
        live = live_items([rows[item][1] for item in items if item in rows], seconds=live_seconds)
    candidates: dict[int, Candidate] = {}
    for pk, sku, title, price, own, url, image_url, category, in_stock, recommendable in rows.values():
        said = live[sku].fields if sku in live else _NOTHING
        shown = price_text(said.get("price", price), own or currency)
        card = ItemCard(sku=sku, title=title, price=shown, url=url, image_url=image_url)
        gone = _gone(title, said.get("in_stock", in_stock), recommendable)
        mark = blake2b(orjson.dumps([pk, card, category, gone]), digest_size=16).digest()
        candidates[pk] = Candidate(card, category, gone, pk, mark)
    return candidates


def _gone(title: str, in_stock: bool, recommendable: bool) -> str:
    if not recommendable or is_blank(title):
        return NOT_OFFERED
    return "" if in_stock else OUT_OF_STOCK
