"""Making sets of what rankers compute ahead; writes about what editors pick."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import Max

from apps.data.catalog.models import Item
from apps.data.events.models import Order
from apps.decisioning.content.contracts import Problem, problems_refuse
from apps.decisioning.content.services.rows import assign, created, known, locked, saved
from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import right_require
from apps.foundation.core.clock import now
from apps.foundation.core.text import is_blank

from .making import HALF_LIFE_DAYS
from .models import BestSeller, EditorialPicks, Neighbour, RecommendationSet
from .rankers import RANKERS
from .selectors import latest_set

SETS_KEPT = 3
UNCHANGED_FOR = timedelta(hours=24)
"""Without new orders a set is computed again after so long: categories and titles may have changed."""

_LOCK = 5_208_001  # of pg_advisory_xact_lock: one refresh at a time

MOST_PICKS: Final = 50
"""Items of one list of picks."""
_PICKS_FIELDS: Final = frozenset({"name", "brand", "placement", "category", "items", "valid_from", "valid_until"})


def recommendation_set_refresh(*, as_of: datetime | None = None, force: bool = False) -> RecommendationSet:
    """Compute a set over the orders up to `as_of` (now), and drop all but the last few.

    Without new orders since the last set, that one is given back, unless `force` is set or it is a day old. One
    transaction: a set is seen whole or not at all, and never changes afterwards. Two refreshes wait for each other.
    """
    as_of = as_of or now()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        purchases = Order.objects.filter(status=Order.Status.PURCHASE, placed_at__lte=as_of)
        orders = purchases.count()
        last = latest_set()
        if last is not None and not force and _is_fresh(last, orders, purchases.aggregate(at=Max("recorded_at"))["at"]):
            return last
        made = RecommendationSet.objects.create(as_of=as_of, half_life_days=HALF_LIFE_DAYS, orders=orders)
        cursor.execute("SELECT set_config('work_mem', '128MB', TRUE)")  # for this transaction: pairs are hashed
        # Just after a large import the tables' figures are old, and a nested loop planned by them takes minutes;
        # hashing is right at any size here.
        cursor.execute("SELECT set_config('enable_nestloop', 'off', TRUE)")
        terms = {"set_id": made.pk, "as_of": as_of}
        for make in dict.fromkeys(one.make for one in RANKERS.values() if one.make is not None):
            make(cursor, terms)
        cursor.execute("SELECT set_config('enable_nestloop', 'on', TRUE)")
        made.ready = True
        made.save(update_fields=["ready"])
        kept = RecommendationSet.objects.order_by("-pk").values("pk")[:SETS_KEPT]
        old = RecommendationSet.objects.exclude(pk__in=list(kept.values_list("pk", flat=True)))
        for model in (BestSeller, Neighbour):
            model.objects.filter(set__in=old).delete()
        old.delete()
    return made


def _is_fresh(last: RecommendationSet, orders: int, recorded_at: datetime | None) -> bool:
    """No order came, went, or was recorded since; the count sees those that committed late."""
    if now() - last.created_at >= UNCHANGED_FOR or last.orders != orders:
        return False
    return recorded_at is None or recorded_at < last.created_at


# --- what editors pick ---


def picks_create(*, by: User, **values: Any) -> EditorialPicks:
    """A list of picks. values: name, brand, placement, category, items (numbers, best first), valid_from, valid_until.

    Raises Invalid, Conflict for a name in use, NotAllowed.
    """
    right_require(by, "add", EditorialPicks, what="pick items")
    picks = EditorialPicks(owner=by, **_picks_tidy(known(values, _PICKS_FIELDS)))
    _picks_check(picks)
    return created(picks, by, "recommendations.picks.created", "There are picks of this name already: choose another")


def picks_update(*, picks_id: int, by: User, why: str = "", **values: Any) -> EditorialPicks:
    """Change a list of picks: it holds from the next decision on. Raises Invalid, Conflict, NotFound, NotAllowed."""
    with transaction.atomic():
        picks = locked(EditorialPicks, picks_id)
        right_require(by, "change", picks, what="change these picks")
        changed = assign(picks, _picks_tidy(known(values, _PICKS_FIELDS)))
        _picks_check(picks)
        return saved(picks, changed, by, "recommendations.picks.changed", why)


def _picks_tidy(values: dict[str, Any]) -> dict[str, Any]:
    """Values without white space around them."""
    return {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}


def _picks_check(picks: EditorialPicks) -> None:
    """See that picks name items of the catalog, each once, and that they hold for a while. Raises Invalid."""
    problems: list[Problem] = []
    if is_blank(picks.name):
        problems.append(Problem("name", 0, "", "is needed"))
    items = picks.items
    if not isinstance(items, list) or not items or not all(isinstance(sku, str) for sku in items):
        problems.append(Problem("items", 0, "", "need one number of an item at least, one a line"))
    elif len(items) > MOST_PICKS:
        problems.append(Problem("items", 0, "", f"are {len(items)}, and {MOST_PICKS} are allowed"))
    else:
        twice = sorted({sku for sku in items if items.count(sku) > 1})
        there = set(Item.objects.filter(sku__in=items).values_list("sku", flat=True))
        missing = [sku for sku in dict.fromkeys(items) if sku not in there]
        problems += [Problem("items", 0, sku, "stands there twice") for sku in twice]
        problems += [Problem("items", 0, sku, "is no item of the catalog") for sku in missing]
    if picks.category and not Item.objects.filter(category=picks.category).exists():
        problems.append(Problem("category", 0, picks.category, "is the category of no item"))
    if picks.valid_from and picks.valid_until and picks.valid_from >= picks.valid_until:
        problems.append(Problem("valid_until", 0, "", "must be later than the beginning"))
    problems_refuse("picks_refused", problems, "The picks can't be saved")


def picks_revert(picks: EditorialPicks, values: Mapping[str, Any], by: User, why: str) -> str:
    """Bring back what picks said before, as a change like any other."""
    own = {name: values[name] for name in _PICKS_FIELDS - {"brand"}}
    picks_update(picks_id=picks.pk, by=by, why=why, **own)
    return f"{picks} are as they were, for the brand that they have now."
