"""Makes the sample shop's data from a seed and a moment: pure, so that the same two give the same data."""

import unicodedata
from datetime import datetime, timedelta
from itertools import accumulate
from random import Random
from typing import Any

from .chance import between, pick, seeded
from .goods import CATEGORIES
from .history import history_make
from .people import (
    COMPANIES,
    COUNTRIES,
    EMOJI,
    GAPS,
    INVALID_EMAILS,
    INVISIBLE_NAMES,
    LONG_NAME,
    MAIL_HOSTS,
    ODD_LANGUAGES,
    PLACEHOLDER_NAMES,
    WRONG_COUNTRIES,
)
from .rows import SHOP_URL, Change, Contact, Customer, Goods, GrantKind, SampleShop, Suppressed

_IMPORT_SOURCE = "newsletter-subscribers.csv"
_IMPORT_EVIDENCE = (
    "Double opt-in of the former newsletter service: its confirmation log, with time and address, is kept by the shop."
)
_FORM_EVIDENCE = "Ticked the box of the shop's own form; the form's wording and the visit are kept by the shop."


def shop_generate(*, customers: int, seed: int, as_of: datetime) -> SampleShop:
    """The sample shop as it stands at `as_of` (aware, in UTC), with so many customers.

    Orders, events and consents reach two years back; nothing lies after `as_of`.
    """
    as_of = as_of.replace(microsecond=0)
    shop = SampleShop()
    _goods_make(shop, seeded(seed, "goods"))
    _customers_make(shop, seeded(seed, "customers"), customers, as_of)
    _consents_make(shop, seeded(seed, "consents"), as_of)
    history_make(shop, seed, as_of)
    return shop


# --- goods ---


def _goods_make(shop: SampleShop, random: Random) -> None:
    for category, (prefix, text) in CATEGORIES.items():
        for number, entry in enumerate(text.split(";"), 1):
            title, price = " ".join(entry.split()).rsplit(" ", 1)
            sku = f"{prefix}-{number:03d}"
            shop.goods.append(
                Goods(
                    sku=sku,
                    title=title,
                    category=category,
                    cents=int(price) * 100 - random.choice((0, 5, 10, 50)),
                    in_stock=random.random() > 0.07,
                    recommendable=True,
                    url=f"{SHOP_URL}/{_latin(category).replace(' ', '-')}/{sku.lower()}",
                )
            )


# --- customers ---


_LETTERS = {ord(letter): plain for letter, plain in zip("ßłŁıøæ", ("ss", "l", "L", "i", "o", "ae"), strict=True)}


def _latin(text: str) -> str:
    """Lower-case ASCII letters, digits and blanks of a text: what becomes part of an address."""
    swapped = text.translate(_LETTERS)
    plain = unicodedata.normalize("NFKD", swapped).encode("ascii", "ignore").decode().lower()
    return "".join(c for c in plain if c.isalnum() or c == " ").strip()


def _two_spellings(name: str) -> tuple[str, str]:
    own, _, latin = name.partition("/")
    return own, latin or own


def _customers_make(shop: SampleShop, random: Random, count: int, as_of: datetime) -> None:
    gaps = [gap for gap, _ in GAPS]
    gap_weights = list(accumulate(weight for _, weight in GAPS))
    codes = list(COUNTRIES)
    code_weights = list(accumulate(COUNTRIES[code].weight for code in codes))
    taken: set[str] = set()
    with_address: list[int] = []
    for who in range(count):
        home = codes[who] if who < len(codes) else random.choices(codes, cum_weights=code_weights)[0]
        # the first customers show each country and each gap once, however few are asked for
        first_gap = who - len(codes)
        gap = gaps[first_gap] if 0 <= first_gap < len(gaps) else random.choices(gaps, cum_weights=gap_weights)[0]
        land = COUNTRIES[home]
        first, first_latin = _two_spellings(random.choice(land.first))
        last, last_latin = _two_spellings(random.choice(land.last))
        city, postcode = random.choice(land.cities)
        attributes = {
            "city": city,
            "postcode": f"{postcode}{random.randint(10, 99)}",
            "street": f"{random.choice(land.streets)} {random.randint(1, 180)}",
            "loyalty": pick(random, (("none", 60), ("bronze", 24), ("silver", 11), ("gold", 5))),
            "joined_by": pick(random, (("checkout", 6), ("footer form", 3), ("in the shop", 1))),
        }
        # more of them lately: the shop grows
        created_at = as_of - timedelta(seconds=int(1100 * 86_400 * random.random() ** 1.15) + 3600)
        email = _address(random, first_latin, last_latin, taken)
        if gap == "shared_email" and with_address:
            email, last, attributes = _household(shop, random, with_address, attributes)
            if random.random() < 0.4:  # the same person twice, not a family
                first = shop.customers[with_address[-1]].first_name
        customer = Customer(
            first_name=first,
            last_name=last,
            country=home,
            language=pick(random, land.languages),
            time_zone=land.time_zone,
            attributes=attributes,
            created_at=created_at,
            home=home,
            email=email,
        )
        customer = _spoil(random, customer, gap, first_latin, last_latin)
        shop.customers.append(customer)
        if customer.email and gap != "shared_email":
            with_address.append(who)
        _contacts_make(shop, random, who, customer, gap, taken)


def _household(
    shop: SampleShop, random: Random, with_address: list[int], attributes: dict[str, str]
) -> tuple[str, str, dict[str, str]]:
    """Address, last name and home of somebody already there; that one is moved to the end of `with_address`."""
    place = random.randrange(len(with_address))
    with_address.append(with_address.pop(place))
    other = shop.customers[with_address[-1]]
    home = {name: other.attributes[name] for name in ("city", "postcode", "street")}
    return other.email, other.last_name, {**attributes, **home}


def _address(random: Random, first: str, last: str, taken: set[str]) -> str:
    """An address that nobody has yet."""
    given, family = _latin(first).replace(" ", "") or "kunde", _latin(last).replace(" ", "") or "shop"
    form = random.randrange(4)
    local = (f"{given}.{family}", f"{given[0]}.{family}", f"{given}{random.randint(50, 99)}", f"{family}.{given}")[form]
    host = pick(random, MAIL_HOSTS)
    email, number = f"{local}@{host}", 1
    while email in taken:
        number += random.randint(1, 9)
        email = f"{local}{number}@{host}"
    taken.add(email)
    return email


def _spoil(random: Random, customer: Customer, gap: str, first_latin: str, last_latin: str) -> Customer:
    """The customer with one thing wrong or missing, as real lists have it."""
    local = f"{_latin(first_latin).replace(' ', '')}.{_latin(last_latin).replace(' ', '')}"
    if gap == "no_first_name":
        return customer._replace(first_name="")
    if gap == "no_name":
        return customer._replace(first_name="", last_name="")
    if gap == "capitals":
        return customer._replace(first_name=customer.first_name.upper(), last_name=customer.last_name.upper())
    if gap == "lower_case":
        return customer._replace(first_name=customer.first_name.lower(), last_name=customer.last_name.lower())
    if gap == "trailing_blank":
        return customer._replace(first_name=f"{customer.first_name}  ", last_name=f" {customer.last_name}\t")
    if gap == "placeholder_name":
        return customer._replace(first_name=random.choice(PLACEHOLDER_NAMES), last_name="")
    if gap == "invisible_name":
        return customer._replace(first_name=random.choice(INVISIBLE_NAMES))
    if gap == "emoji_name":
        return customer._replace(first_name=f"{customer.first_name} {random.choice(EMOJI)}")
    if gap == "long_name":
        return customer._replace(first_name=LONG_NAME)
    if gap == "company_as_name":
        return customer._replace(first_name=random.choice(COMPANIES), last_name="")
    if gap == "no_country":
        return customer._replace(country="", time_zone="")
    if gap == "wrong_country":
        return customer._replace(country=random.choice(WRONG_COUNTRIES))
    if gap == "no_language":
        return customer._replace(language="")
    if gap == "odd_language":
        return customer._replace(language=random.choice(ODD_LANGUAGES))
    if gap == "no_time_zone":
        return customer._replace(time_zone="")
    if gap == "no_email":
        return customer._replace(email="")
    if gap == "invalid_email":
        given = random.choice(INVALID_EMAILS).format(local=local)  # no identifier: only what is normal becomes one
        return customer._replace(email="", attributes={**customer.attributes, "email_as_given": given})
    return customer


def _contacts_make(shop: SampleShop, random: Random, who: int, customer: Customer, gap: str, taken: set[str]) -> None:
    at = customer.created_at
    shop.contacts.append(Contact(who, "external_id", f"HP-{100_001 + who}", True, True, at))
    if customer.email:
        shop.contacts.append(Contact(who, "email", customer.email, random.random() < 0.7, True, at))
    if gap == "second_email":
        second = _address(random, customer.first_name, customer.last_name, taken)
        shop.contacts.append(Contact(who, "email", second, False, False, at))
    dialling = COUNTRIES[customer.home].dialling
    if dialling and random.random() < 0.6:
        number = f"{random.randrange(1000):03d}"[0 if customer.home == "GB" else 1 :]
        shop.contacts.append(Contact(who, "phone", f"{dialling}{number}", random.random() < 0.3, True, at))


# --- consents ---


def _consents_make(shop: SampleShop, random: Random, as_of: datetime) -> None:
    """What each customer agreed to. Most said one thing once; some changed their mind, many were never asked."""
    by_import = {"method": "import", "source": _IMPORT_SOURCE, "evidence": _IMPORT_EVIDENCE}
    by_form = {"method": "preferences", "source": f"{SHOP_URL}/newsletter", "evidence": _FORM_EVIDENCE}
    phones = {contact.who for contact in shop.contacts if contact.kind == "phone"}
    stories = (
        ("granted", 71),
        ("never_asked", 16),
        ("withdrawn", 6),
        ("refused", 2),
        ("came_back", 1),
        ("sms_only", 4),
    )
    for who, customer in enumerate(shop.customers):
        story = stories[who][0] if who < len(stories) else pick(random, stories)
        how = by_import if random.random() < 0.8 else by_form
        asked_at = min(customer.created_at + timedelta(minutes=random.randint(1, 90)), as_of)

        def grant(purpose: str, channel: str, who: int = who, how: Any = how, at: datetime = asked_at) -> None:
            shop.grants.setdefault(GrantKind(purpose, channel, **how), []).append((who, at))

        def change(action: str, method: str, source: str, at: datetime, who: int = who) -> None:
            shop.changes.append(Change(at, who, "marketing", "email", action, method, source))

        if story == "sms_only":
            if who in phones:
                grant("marketing", "sms")
            continue
        if story == "never_asked":
            continue
        if story == "refused":
            change("withdraw", "preferences", f"{SHOP_URL}/checkout", asked_at)
            continue
        grant("marketing", "email")
        if random.random() < 0.85:
            grant("personalisation", "email")
        if random.random() < 0.6:
            grant("tracking", "email")
        if random.random() < 0.4:
            grant("profiling", "email")
        if who in phones and random.random() < 0.25:
            grant("marketing", "sms")
        if story in ("withdrawn", "came_back"):
            left_at = between(random, asked_at + timedelta(hours=1), as_of)
            left_at = min(left_at, as_of)
            method, source = random.choice(
                (("one_click", "newsletter"), ("preferences", "preference page"), ("staff", "asked by telephone"))
            )
            change("withdraw", method, source, left_at)
            if story == "came_back":
                change("grant", "preferences", "preference page", between(random, left_at, as_of))
        elif customer.email and who >= len(stories):
            fate = random.random()
            if fate < 0.012:
                shop.suppressed.append(Suppressed(customer.email, "bounce", "mailbox does not exist"))
            elif fate < 0.016:
                shop.suppressed.append(Suppressed(customer.email, "complaint", "feedback loop"))
                change("withdraw", "staff", "complained to the provider", between(random, asked_at, as_of))
    shop.suppressed.extend(
        Suppressed(f"{word}{number}@gone.example", reason, "before the move to Tessera")
        for number, (word, reason) in enumerate(
            (("left", "opt_out"), ("erased", "erasure"), ("trap", "spam_trap"), ("asked", "manual")) * 4, 1
        )
    )
    shop.changes.sort()
