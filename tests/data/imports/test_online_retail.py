"""The real orders of a year, by the command as people type it. Skipped where the file is not there."""

import gzip
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import transaction
from django.db.models import Sum

from apps.data.catalog.models import Item
from apps.data.consent.models import ConsentRecord
from apps.data.events.models import Order, OrderLine
from apps.data.imports.models import Import
from apps.data.profiles.addresses import holders_of
from apps.data.profiles.models import Identifier, Profile

FILE = Path(settings.BASE_DIR).parent / "shared" / "data" / "online_retail.csv.gz"

pytestmark = [
    pytest.mark.skipif(not FILE.is_file(), reason="the real data is not beside the project"),
    pytest.mark.slow,  # an eighth of it is imported in tests/flows/test_main_job.py
]

FIGURES = """\
      541,909  lines read
            0  bad lines, left out
            0  bad values, left out of good lines
        4,372  profiles
        4,338  buying customers
       25,900  orders
       18,532  purchase orders
        3,836  cancelled orders
      397,884  purchase lines
        9,288  cancelled lines
      134,737  other lines that are no purchase
      135,080  lines without a customer, among the last two
        4,070  items
        3,665  purchased items
8,911,407.904  revenue GBP
"""


def typed(path: Path = FILE, **options: Any) -> str:
    """What the command prints."""
    out = StringIO()
    call_command(
        "import_orders",
        str(path),
        preset="online-retail",
        address_template="customer-{id}@example.com",
        stdout=out,
        stderr=StringIO(),
        **options,
    )
    return out.getvalue()


@pytest.fixture(scope="module")
def printed(django_db_setup: None, django_db_blocker: Any) -> Iterator[str]:
    """The file imported once for all tests here; gone when they are done."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield typed()
        transaction.set_rollback(True)


def test_the_figures(printed: str) -> None:
    assert printed == FIGURES
    assert Profile.objects.count() == 4_372
    purchases = Order.objects.filter(status="purchase")
    assert purchases.count() == 18_532
    assert purchases.values("profile").distinct().count() == 4_338
    assert str(purchases.aggregate(sum=Sum("revenue"))["sum"]) == "8911407.9040"
    bought = OrderLine.objects.filter(is_purchase=True)
    assert (bought.count(), bought.values("item").distinct().count()) == (397_884, 3_665)


def test_nothing_is_lost(printed: str) -> None:
    assert Order.objects.count() == 25_900
    assert OrderLine.objects.count() == 541_909
    assert OrderLine.objects.filter(order__status="cancelled").count() == 9_288
    assert OrderLine.objects.filter(order__profile=None).count() == 135_080


def test_everybody_has_the_address_that_was_asked_for_and_nobody_a_consent(printed: str) -> None:
    assert Identifier.objects.filter(kind="email", main=True).count() == 4_372
    assert len(holders_of(kind="email", value="customer-17850@example.com")) == 1
    assert not ConsentRecord.objects.exists()


def test_what_is_no_product_is_not_recommended(printed: str) -> None:
    never = set(Item.objects.filter(recommendable=False).values_list("sku", flat=True))
    assert {"POST", "D", "M", "DOT", "BANK CHARGES", "AMAZONFEE", "C2", "S", "PADS", "CRUK", "gift_0001_20"} <= never
    assert len(never) < 25
    assert Item.objects.get(sku="85123A").title == "WHITE HANGING HEART T-LIGHT HOLDER"


def test_twice_is_the_same(printed: str) -> None:
    assert typed() == printed
    assert Import.objects.count() == 1


def test_read_anew_is_the_same(printed: str) -> None:
    newest = Profile.objects.latest("updated_at").updated_at
    assert typed(again=True) == printed
    assert OrderLine.objects.count() == 541_909
    assert Profile.objects.latest("updated_at").updated_at == newest


def test_another_file_with_a_part_of_it_changes_nothing(printed: str, tmp_path: Path) -> None:
    with gzip.open(FILE, "rt", encoding="utf-8", newline="") as source:
        lines = source.readlines()
    part = tmp_path / "part.csv"
    part.write_text(lines[0] + "".join(lines[1_003:21_003]), encoding="utf-8", newline="")

    typed(part)

    assert OrderLine.objects.count() == 541_909
    assert Order.objects.filter(status="purchase").count() == 18_532
    assert Profile.objects.count() == 4_372
