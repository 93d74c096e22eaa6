"""Writes the sample shop into the database: what is many by COPY, what has services by its services.

All of it is one transaction, so a load that was stopped half-way has left nothing and is begun anew.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Any

from django.db import connection, models, transaction

from apps.data.catalog.models import Item
from apps.data.consent.models import Action, ConsentRecord, Suppression
from apps.data.consent.services import consent_grant, consent_withdraw, consents_grant_new, suppression_add
from apps.data.events.models import Event, Order, OrderLine
from apps.data.features.services import people_refold
from apps.data.profiles.addresses import NewIdentifier, identifiers_add
from apps.data.profiles.models import Profile
from apps.foundation.accounts.models import User
from apps.foundation.accounts.roles import ROLES
from apps.foundation.accounts.services import user_create
from apps.foundation.core.errors import Conflict
from apps.foundation.core.postgres import copy_rows
from apps.foundation.governance.models import AuditEntry
from apps.foundation.governance.services import audit_record

from .campaigns import campaigns_make
from .generator import shop_generate
from .rows import CURRENCY, SampleShop

SOURCE = "sample shop"
ACTION = "console.sample_shop.loaded"
STAFF_HOST = "shop.example"
_LOCK = 7_305_518
_NAMES = {
    "local_editor": ("Lena", "Ortmann"),
    "engineer": ("Emil", "Hagen"),
    "brand_approver": ("Bea", "Rossi"),
    "legal_approver": ("Leo", "Haddad"),
    "publisher": ("Paula", "Winter"),
    "analyst": ("Ana", "Sousa"),
    "administrator": ("Ada", "Moreau"),
}

Progress = Callable[[str, int], None]
"""Told what was just done, and how many of it."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What is there now. already: it was there before; counts: by name, how many."""

    already: bool
    counts: dict[str, int]
    as_of: str


def sample_shop_load(*, customers: int, seed: int, as_of: datetime, password: str, progress: Progress) -> Loaded:
    """Load the sample shop into an empty database; do nothing when it is loaded already.

    password: of all its staff, `<role>@shop.example`. Raises Conflict when there are other customers.
    """
    before = AuditEntry.objects.filter(action=ACTION).order_by("at").first()
    if before is None:
        with transaction.atomic():
            with connection.cursor() as cursor:  # two loads at once: the second waits, then finds the first
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            before = AuditEntry.objects.filter(action=ACTION).order_by("at").first()
            if before is None:
                return _load(customers=customers, seed=seed, as_of=as_of, password=password, progress=progress)
    return Loaded(already=True, counts=before.data["counts"], as_of=before.data["as_of"])


def _load(*, customers: int, seed: int, as_of: datetime, password: str, progress: Progress) -> Loaded:
    if Profile.objects.exists() or Item.objects.exists():
        raise Conflict(
            "database_not_empty", "There are customers or items here already: the sample shop wants an empty database"
        )
    counts: dict[str, int] = {}

    def done(what: str, count: int) -> None:
        counts[what] = count
        progress(what, count)

    shop = shop_generate(customers=customers, seed=seed, as_of=as_of)
    staff = {
        role.code: user_create(
            email=f"{role.code}@{STAFF_HOST}",
            password=password,
            role=role.code,
            first_name=_NAMES[role.code][0],
            last_name=_NAMES[role.code][1],
        )
        for role in ROLES
    }
    done("staff", len(staff))
    people = _customers_write(shop)
    done("customers", len(people))
    goods = _goods_write(shop, as_of)
    done("items", len(goods))
    done("orders", _sales_write(shop, people, goods))
    done("events", _happenings_write(shop, people))
    done("consents", _consents_write(shop, people, staff["administrator"]))
    done("suppressions", _suppressions_write(shop, staff["administrator"]))
    campaigns_make(staff=staff, as_of=as_of, done=done)
    data = {"seed": seed, "as_of": as_of.isoformat(), "counts": counts, "digest": shop.digest()}
    audit_record(action=ACTION, actor=staff["administrator"], data=data)
    return Loaded(already=False, counts=counts, as_of=as_of.isoformat())


def _write(model: type[models.Model], columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """COPY rows of some columns of a model; the other columns get their defaults."""
    given = set(columns)
    rest = [
        column
        for column in model._meta.concrete_fields
        if column.column not in given and not (column.primary_key and isinstance(column, models.AutoField))
    ]
    names = [*columns, *(str(column.column) for column in rest)]
    defaults = [None if column.null else column.get_default() for column in rest]
    waiting = iter(rows)
    with connection.cursor() as cursor:
        while some := list(islice(waiting, 5000)):
            copy_rows(cursor, model._meta.db_table, names, ([*row, *defaults] for row in some))


def _numbers(model: type[models.Model], count: int) -> list[int]:
    """So many new primary keys of a model, in order."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)",
            [model._meta.db_table, count],
        )
        return sorted(row[0] for row in cursor.fetchall())


def _fields(names: str) -> tuple[str, ...]:
    return tuple(names.split())


def _person(people: list[int], who: int | None) -> int | None:
    return None if who is None else people[who]


def _price(cents: int) -> Decimal:
    return Decimal(cents).scaleb(-2)


def _customers_write(shop: SampleShop) -> list[int]:
    people = _numbers(Profile, len(shop.customers))
    _write(
        Profile,
        ("id", "source", *_fields("first_name last_name country language time_zone attributes created_at updated_at")),
        (
            (number, SOURCE, *customer[:6], customer.created_at, customer.created_at)
            for number, customer in zip(people, shop.customers, strict=True)
        ),
    )
    identifiers_add(
        NewIdentifier(
            profile_id=people[contact.who],
            kind=contact.kind,
            value=contact.value,
            main=contact.main,
            verified=contact.verified,
            source=SOURCE,
            created_at=contact.created_at,
        )
        for contact in shop.contacts
    )
    return people


def _goods_write(shop: SampleShop, as_of: datetime) -> list[int]:
    numbers = _numbers(Item, len(shop.goods))
    _write(
        Item,
        _fields("id price currency image_url created_at updated_at sku title category in_stock recommendable url"),
        (
            (number, _price(g.cents), CURRENCY, "", as_of, as_of, *g[:3], *g[4:])
            for number, g in zip(numbers, shop.goods, strict=True)
        ),
    )
    return numbers


def _sales_write(shop: SampleShop, people: list[int], goods: list[int]) -> int:
    numbers = _numbers(Order, len(shop.sales))
    _write(
        Order,
        _fields("id profile_id source currency revenue recorded_at external_id status placed_at country"),
        (
            (number, _person(people, s.who), SOURCE, CURRENCY, _price(s.cents), s.placed_at, s.number, *s[2:5])
            for number, s in zip(numbers, shop.sales, strict=True)
        ),
    )
    _write(
        OrderLine,
        _fields("order_id number item_id quantity unit_price is_purchase"),
        (
            (number, place, goods[line.goods], line.quantity, _price(line.cents), line.is_purchase)
            for number, sale in zip(numbers, shop.sales, strict=True)
            for place, line in enumerate(sale.lines, 1)
        ),
    )
    return len(numbers)


def _happenings_write(shop: SampleShop, people: list[int]) -> int:
    _write(
        Event,
        _fields("message_id profile_id occurred_at recorded_at name properties"),
        (
            (f"shop-{number:08d}", _person(people, h.who), h.occurred_at, h.occurred_at, h.name, h.properties)
            for number, h in enumerate(shop.happenings, 1)
        ),
    )
    people_refold(profile_ids=people)
    return len(shop.happenings)


def _consents_write(shop: SampleShop, people: list[int], vouching: User) -> int:
    recorded = 0
    for kind, grants in shop.grants.items():
        recorded += consents_grant_new(
            grants=[(people[who], at) for who, at in grants],
            purpose=kind.purpose,
            channel=kind.channel,
            method=ConsentRecord.Method(kind.method),
            source=kind.source,
            evidence=kind.evidence,
            actor=vouching if kind.method == ConsentRecord.Method.IMPORT else None,
        )
    for change in shop.changes:
        act = consent_grant if change.action == Action.GRANT else consent_withdraw
        recorded += act(
            profile_id=people[change.who],
            purpose=change.purpose,
            channel=change.channel,
            method=ConsentRecord.Method(change.method),
            source=change.source,
            actor=vouching if change.method == ConsentRecord.Method.STAFF else None,
            occurred_at=change.occurred_at,
        )
    return recorded


def _suppressions_write(shop: SampleShop, by: User) -> int:
    return sum(
        suppression_add(kind="email", value=s.email, reason=Suppression.Reason(s.reason), note=s.note, actor=by)
        for s in shop.suppressed
    )
