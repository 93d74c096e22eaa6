"""Rankers behind one interface: each gives the items of one list, best first, for the people of a batch.

A tier names a ranker as its source. To add one, write a class with what `Ranker` asks for and put it into `RANKERS`:
editors, deciding, its reasons and replay know it by that; the engine is not touched. Whatever a ranker offers goes
through the same hard rules (stock, blocked items, brand safety) and may be too little, so that a lower tier answers.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final, Protocol

from django.db import connection
from django.db.backends.utils import CursorWrapper

from .contracts import PersonTaste, ShownAt
from .making import best_sellers_make, neighbours_make

SEEDS: Final = 5
"""Neighbours are looked up of a person's last so many items."""
_NEIGHBOURS_IN_MEMORY: Final = 20_000

Maker = Callable[[CursorWrapper, Mapping[str, Any]], None]
"""Computes its part of a set: takes a cursor, and `set_id` and `as_of`."""


@dataclass
class SetInMemory:
    """A set never changes, so that a process may keep what it read of it.

    lists: item ids of best sellers, by scope and key; neighbours: by item, each with its score in billionths: whole
    numbers add up to the same in any order.
    """

    set_id: int
    lists: dict[tuple[str, str], list[int]]
    neighbours: dict[int, list[tuple[int, int]]] = field(default_factory=dict)


Picks = Mapping[str, Sequence[int]]
"""Ids of what editors picked, by the category that it is for, "" for everybody."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a batch asks of rankers. held: the set, None where there is none yet; picks: None where they were not
    read."""

    people: Mapping[int, PersonTaste]
    shown_at: ShownAt
    held: SetInMemory | None
    picks: Picks | None = None


class Ranker(Protocol):
    """One list of items for a person.

    name: what a tier names it by; words: how it reads behind "3 items"; by_model: whether it chooses for the person
    from what they and others did, so that a message must say so; looks_at: features of people that it takes into
    account; make: what computes its part of a set ahead, None where it needs none.
    """

    name: str
    words: str
    by_model: bool
    looks_at: tuple[str, ...]
    make: Maker | None

    def open(self, asked: Asked) -> Callable[[PersonTaste], Iterable[int]]:
        """Look up what the batch needs, in one statement at most; then what ranks one person: item ids, best first,
        nothing that they have already, in the same order for the same set, person and moment."""


@dataclass(slots=True)
class _BestSellers:
    """Best sellers with a half-life (ADR 32). Of a country or the shop they are the same for everybody there: nothing
    was chosen for anyone; by their top category it was."""

    name: str
    words: str
    by_model: bool
    looks_at: tuple[str, ...]
    key: Callable[[PersonTaste], str] | None
    make: Maker | None = best_sellers_make

    def open(self, asked: Asked) -> Callable[[PersonTaste], Iterable[int]]:
        lists = asked.held.lists if asked.held is not None else {}

        def rank(taste: PersonTaste) -> Iterable[int]:
            key = self.key(taste) if self.key is not None else ""
            if self.key is not None and not key:
                return ()
            return _without(lists.get((self.name, key), ()), taste.recent_items)

        return rank


@dataclass(slots=True)
class _Neighbours:
    """What is bought by the same people as what they bought last: scores of their last items added up."""

    name: str = "neighbours"
    words: str = "bought together with what they bought"
    by_model: bool = True
    looks_at: tuple[str, ...] = ()
    make: Maker | None = neighbours_make

    def open(self, asked: Asked) -> Callable[[PersonTaste], Iterable[int]]:
        held = asked.held
        if held is None:
            return lambda taste: ()
        _neighbours_load(held, {item for taste in asked.people.values() for item in taste.recent_items[:SEEDS]})

        def rank(taste: PersonTaste) -> Iterable[int]:
            has, scores = set(taste.recent_items), dict[int, int]()
            for seed in taste.recent_items[:SEEDS]:
                for item, score in held.neighbours.get(seed, ()):
                    if item not in has:
                        scores[item] = scores.get(item, 0) - score
            return [item for _, item in sorted((score, item) for item, score in scores.items())]

        return rank


_PICKS: Final = """
SELECT picks.category, item.id
FROM recommendations_editorialpicks AS picks
LEFT JOIN content_brand AS brand ON brand.id = picks.brand_id
CROSS JOIN LATERAL jsonb_array_elements_text(picks.items) WITH ORDINALITY AS one (sku, place)
JOIN catalog_item AS item ON item.sku = one.sku
WHERE (picks.brand_id IS NULL OR brand.code = %(brand)s) AND picks.placement IN ('', %(placement)s)
  AND (%(at)s::timestamptz IS NULL OR (picks.valid_from IS NULL OR picks.valid_from <= %(at)s)
                                  AND (picks.valid_until IS NULL OR picks.valid_until > %(at)s))
ORDER BY (picks.placement <> '') DESC, (picks.brand_id IS NOT NULL) DESC, picks.valid_from DESC NULLS LAST, picks.id,
         one.place
"""


def picks_read(at: ShownAt) -> Picks:
    """What editors picked for a place and moment."""
    by_category: dict[str, list[int]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_PICKS, {"brand": at.brand, "placement": at.placement, "at": at.at})
        for category, item in cursor.fetchall():
            by_category.setdefault(category, []).append(item)
    return by_category


@dataclass(slots=True)
class _Editorial:
    """What staff picked, in their order: lists for the person's top category, then those for everybody; of these the
    ones made for this place and brand first, then the newest."""

    name: str = "editorial"
    words: str = "that the editors picked"
    by_model: bool = False
    looks_at: tuple[str, ...] = ("top_category",)
    make: Maker | None = None

    def open(self, asked: Asked) -> Callable[[PersonTaste], Iterable[int]]:
        by_category = picks_read(asked.shown_at) if asked.picks is None else asked.picks

        def rank(taste: PersonTaste) -> Iterable[int]:
            own = by_category.get(taste.top_category, ()) if taste.top_category else ()
            return _without(dict.fromkeys(chain(own, by_category.get("", ()))), taste.recent_items)

        return rank


def _without(items: Iterable[int], recent: Sequence[int]) -> Iterable[int]:
    has = set(recent)
    return (item for item in items if item not in has)


def _neighbours_load(held: SetInMemory, items: set[int]) -> None:
    """Read the neighbours of the items that this process does not hold yet."""
    missing = {item for item in items if item not in held.neighbours}  # not by `-`, which looks at all that is held
    if not missing:
        return
    found: dict[int, list[tuple[int, int]]] = {item: [] for item in missing}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT item_id, neighbour_id, score FROM recommendations_neighbour"
            " WHERE set_id = %s AND item_id = ANY(%s) ORDER BY item_id, rank",
            (held.set_id, list(missing)),
        )
        for item, neighbour, score in cursor.fetchall():
            found[item].append((neighbour, round(score * 1e9)))
    if len(held.neighbours) + len(found) > _NEIGHBOURS_IN_MEMORY:
        held.neighbours = {}
    held.neighbours.update(found)


_ALL: Final[tuple[Ranker, ...]] = (
    _Neighbours(),
    _BestSellers("category", "best sellers of their top category", True, ("top_category",), lambda it: it.top_category),
    _BestSellers("country", "best sellers of their country", False, (), lambda it: it.country),
    _Editorial(),
    _BestSellers("shop", "best sellers of the shop", False, (), None),
)

RANKERS: Final[Mapping[str, Ranker]] = {ranker.name: ranker for ranker in _ALL}
"""Every ranker by its name, the most personal first."""


def is_by_model(source: str | None) -> bool:
    """Whether a model chose for the person what this source gives."""
    return source is not None and source in RANKERS and RANKERS[source].by_model


def looks_at_picks(sources: Collection[str]) -> bool:
    """Whether any of these sources goes by what editors picked."""
    return any(isinstance(RANKERS[source], _Editorial) for source in sources)


def features_of(sources: Collection[str]) -> list[str]:
    """Features of people that these sources look at; what they bought last is never shown again."""
    return ["recent_items", *sorted({name for source in sources for name in RANKERS[source].looks_at})]


def needs_no_set(sources: Collection[str]) -> bool:
    """Whether any of these sources gives something before there is a set."""
    return any(RANKERS[source].make is None for source in sources)
