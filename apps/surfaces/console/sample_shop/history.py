"""What the sample shop's customers did: orders, and what they looked at."""

from bisect import bisect
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from random import Random

from .chance import seeded
from .goods import CATEGORIES
from .people import COUNTRIES
from .rows import CURRENCY, Customer, Goods, Happening, Line, Sale, SampleShop

HISTORY_DAYS = 730
STYLES = 5
"""Items of one style sell together: what makes neighbours of them."""
_MONTHS = (0.8, 0.75, 0.9, 0.95, 1.0, 0.9, 0.75, 0.7, 0.95, 1.1, 1.7, 2.1)
_WEEKDAYS = (1.1, 1.0, 0.95, 1.0, 0.9, 1.05, 1.3)
_HOURS = (1, 1, 1, 1, 1, 1, 2, 4, 6, 7, 8, 8, 9, 8, 7, 7, 7, 8, 9, 12, 14, 13, 8, 3)


class _Calendar:
    """The days of the history, weighted by season and weekday."""

    def __init__(self, as_of: datetime) -> None:
        self.as_of = as_of
        self.first_day = as_of.replace(hour=0, minute=0, second=0) - timedelta(days=HISTORY_DAYS)
        weights = []
        for number in range(HISTORY_DAYS + 1):
            day = self.first_day + timedelta(days=number)
            weights.append(_MONTHS[day.month - 1] * _WEEKDAYS[day.weekday()] * (1 + number / HISTORY_DAYS / 2))
        self.sums = [0.0, *accumulate(weights)]

    def number(self, moment: datetime) -> int:
        """The day of a moment, counted from the first, within the history."""
        return min(max((moment - self.first_day).days, 0), HISTORY_DAYS)

    def moment(self, random: Random, start: int, end: int, offset: int) -> datetime:
        """A moment of the days from start to end, at an hour when people in that place are awake."""
        low, high = self.sums[start], self.sums[end + 1]
        day = min(bisect(self.sums, low + random.random() * (high - low)) - 1, end)
        hour = random.choices(range(24), _HOURS)[0] - offset
        at = self.first_day + timedelta(days=day, hours=hour, seconds=random.randrange(3600))
        return at if at < self.as_of else at - timedelta(days=1 + (at - self.as_of).days)


class _Taste:
    """Which items sell: by category, by style within it, and by country."""

    def __init__(self, goods: Sequence[Goods], seed: int) -> None:
        self.categories = list(CATEGORIES)
        random = seeded(seed, "taste")
        popularity = [1 / (1 + rank) ** 0.7 for rank in range(len(goods))]
        random.shuffle(popularity)
        self.by_category: dict[tuple[str, int], tuple[list[int], list[float]]] = {}
        for category in self.categories:
            numbers = [number for number, item in enumerate(goods) if item.category == category]
            for style in range(STYLES):
                weights = [popularity[number] * (6 if number % STYLES == style else 1) for number in numbers]
                self.by_category[category, style] = (numbers, list(accumulate(weights)))
        self.by_country = {code: [random.random() ** 2 + 0.1 for _ in self.categories] for code in COUNTRIES}

    def item(self, random: Random, favourites: Sequence[str], style: int) -> int:
        """The index of an item for somebody with these favourite categories and this style."""
        category = random.choice(favourites) if random.random() < 0.8 else random.choice(self.categories)
        numbers, sums = self.by_category[category, style]
        return random.choices(numbers, cum_weights=sums)[0]


def history_make(shop: SampleShop, seed: int, as_of: datetime) -> None:
    """Orders and events of two years, into `shop`, whose customers, items and consents are there already."""
    random = seeded(seed, "history")
    calendar, taste = _Calendar(as_of), _Taste(shop.goods, seed)
    # who may be measured, and since when
    tracked = {who: at for kind, people in shop.grants.items() if kind.purpose == "tracking" for who, at in people}
    left = {change.who: change.occurred_at for change in shop.changes if change.action == "withdraw"}
    sales: list[Sale] = []
    for who, customer in enumerate(shop.customers):
        favourites = random.choices(taste.categories, taste.by_country[customer.home], k=random.randint(1, 3))
        style = random.randrange(STYLES)
        joined, today = calendar.number(customer.created_at), HISTORY_DAYS
        by = customer.attributes["joined_by"]
        shop.happenings.append(Happening(customer.created_at, who, "Signed Up", {"by": by}))
        kind = random.random()
        orders = 0 if kind < 0.30 else 1 if kind < 0.55 else 1 + int(random.paretovariate(1.1))
        orders = min(orders, 2 + (today - joined) // 10)  # nobody buys more than every ten days
        end = today
        if random.random() < 0.45:  # gone since: nothing in the last half year
            end = max(joined, today - random.randint(185, 600)) if today - joined > 185 else today
        offset = COUNTRIES[customer.home].hours
        moments = sorted(max(calendar.moment(random, joined, end, offset), customer.created_at) for _ in range(orders))
        for at in moments:
            sale = _sale(shop, random, taste, who, customer, favourites, style, at)
            sales.append(sale)
            if random.random() < 0.25:
                _trail(shop, random, taste, sale, favourites, style, bought=True)
        for _ in range(random.choices((0, 1, 2, 5), (5, 3, 2, 1))[0]):
            at = max(calendar.moment(random, joined, end, offset), customer.created_at)
            sale = _sale(shop, random, taste, who, customer, favourites, style, at)
            _trail(shop, random, taste, sale, favourites, style, bought=False)
        if who in tracked:
            _opens(shop, random, calendar, who, tracked[who], min(left.get(who, as_of), as_of), end)
    for _ in range(len(shop.customers) // 12):  # guests, whom nobody knows
        code = random.choices(list(COUNTRIES), [land.weight for land in COUNTRIES.values()])[0]
        at = calendar.moment(random, 0, HISTORY_DAYS, COUNTRIES[code].hours)
        sales.append(_sale(shop, random, taste, None, None, taste.categories, 0, at)._replace(country=code))
    sales.sort(key=lambda sale: sale.placed_at)
    shop.sales.extend(sale._replace(number=f"{10_001 + number}") for number, sale in enumerate(sales))
    shop.happenings.sort(key=lambda happening: (happening.occurred_at, -1 if happening.who is None else happening.who))


def _sale(
    shop: SampleShop,
    random: Random,
    taste: _Taste,
    who: int | None,
    customer: Customer | None,
    favourites: Sequence[str],
    style: int,
    at: datetime,
) -> Sale:
    """An order of one to seven lines. A few are cancelled, a few are returns; a guest's is nobody's purchase."""
    fate = random.random()
    status = "cancelled" if fate < 0.03 else "other" if fate < 0.045 or who is None else "purchase"
    sign = -1 if status == "other" and who is not None else 1
    sale_price = 0.85 if at.month in (1, 7) else 1.0
    lines, seen = [], set()
    for _ in range(random.choices((1, 2, 3, 4, 7), (9, 8, 5, 2, 1))[0]):
        number = taste.item(random, favourites, style)
        if number in seen:
            continue
        seen.add(number)
        cents = int(shop.goods[number].cents * sale_price)
        quantity = random.choices((1, 2, 3, 6), (14, 4, 1, 1))[0] * sign
        lines.append(Line(number, quantity, cents, status == "purchase"))
    country = customer.country.upper() if customer and customer.country.upper() in COUNTRIES else ""
    return Sale("", who, status, at, country, lines)


def _trail(
    shop: SampleShop, random: Random, taste: _Taste, sale: Sale, favourites: Sequence[str], style: int, *, bought: bool
) -> None:
    """What was looked at before an order, or instead of one."""
    who, at = sale.who, sale.placed_at
    since = shop.customers[who].created_at if who is not None else at
    if random.random() < 0.05:
        who = None  # not signed in

    def happened(minutes: float, name: str, number: int) -> None:
        item = shop.goods[number]
        what = {"sku": item.sku, "category": item.category, "price": item.cents / 100, "currency": CURRENCY}
        moment = max(at - timedelta(seconds=int(minutes * 60)), since)
        shop.happenings.append(Happening(moment, who, name, what))
        if name == "Product Added":
            cart = {"value": item.cents / 100, "currency": CURRENCY}
            shop.happenings.append(Happening(moment, who, "Cart Updated", cart))

    minutes = random.uniform(4, 50)
    happened(minutes, "Product Viewed", taste.item(random, favourites, style))
    for line in sale.lines[:3]:
        happened(minutes * 0.7, "Product Viewed", line.goods)
        if bought or random.random() < 0.3:
            happened(minutes * 0.4, "Product Added", line.goods)
    if bought or random.random() < 0.15:
        happened(minutes * 0.1, "Checkout Started", sale.lines[0].goods)


def _opens(
    shop: SampleShop, random: Random, calendar: _Calendar, who: int, start: datetime, end: datetime, last_day: int
) -> None:
    """Opened newsletters: only of those who agreed to be measured, and only while they did."""
    first, last = calendar.number(start), min(calendar.number(end), last_day)
    if first > last:
        return
    for _ in range(random.choices((0, 1, 3, 9), (4, 3, 3, 2))[0]):
        at = calendar.moment(random, first, last, 0)
        if start <= at <= end:
            campaign = f"newsletter-{at:%Y-%m}"
            shop.happenings.append(Happening(at, who, "Email Opened", {"campaign": campaign}))
