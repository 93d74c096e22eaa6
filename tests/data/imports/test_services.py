"""Imports from beginning to end: what they make, what they leave alone, and what they refuse."""

import csv
import gzip
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection

from apps.data.catalog.models import Item
from apps.data.consent.models import ConsentRecord, ConsentState, Suppression
from apps.data.consent.services import consent_withdraw, suppression_add
from apps.data.events.models import Order, OrderLine
from apps.data.imports.mapping import mapping_parse
from apps.data.imports.models import Import, StagedLine, StagedPerson
from apps.data.imports.presets import preset_mapping
from apps.data.imports.services import Grant, import_open, import_run
from apps.data.profiles.addresses import addresses_read
from apps.data.profiles.models import Identifier, Profile
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Invalid
from apps.foundation.governance.models import AuditEntry
from tests.factories import identifiers_of, known_by, make_profile, make_user

from .making import MAILCHIMP, SHOPIFY_CUSTOMERS, SHOPIFY_ORDERS, errors_of, run, write

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def data_dir(settings: LazySettings, tmp_path: Path) -> Path:
    """Errors files where the test can see them."""
    settings.DATA_DIR = tmp_path / "data"
    return tmp_path


def everything() -> list[Any]:
    """All that imports write, without what a repeated write may not change either."""
    return [
        list(model.objects.order_by("pk").values())
        for model in (Profile, Identifier, Item, Order, OrderLine, ConsentRecord, ConsentState)
    ]


def test_shopify_orders(tmp_path: Path) -> None:
    job = run(write(tmp_path / "orders.csv", SHOPIFY_ORDERS))

    assert job.state == Import.State.DONE
    assert job.counts == {
        "lines_read": 4, "lines_bad": 0, "values_bad": 0, "profiles": 2, "buying_customers": 1, "orders": 3,
        "purchase_orders": 2, "cancelled_orders": 1, "purchase_lines": 3, "cancelled_lines": 1, "other_lines": 0,
        "lines_without_customer": 0, "items": 3, "purchased_items": 3, "revenue": {"EUR": "43.0000"},
    }  # fmt: skip
    anna = known_by("email", "anna.berg@example.com")
    assert (anna.first_name, anna.last_name, anna.country, anna.source) == ("Anna", "Berg", "DE", "shopify")
    first = Order.objects.get(external_id="#1001")
    assert (first.profile, first.status, first.currency, str(first.revenue)) == (anna, "purchase", "EUR", "23.0000")
    assert first.placed_at.isoformat() == "2024-03-01T08:11:58+00:00"
    assert [(line.number, line.item.sku, line.quantity) for line in first.lines.order_by("number")] == [
        (1, "MUG-B", 2),
        (2, "Tea", 1),
    ]
    assert Order.objects.get(external_id="#1002").status == "cancelled"
    assert not Item.objects.get(sku="Gift card 20").recommendable
    mug = Item.objects.get(sku="MUG-B")
    assert (mug.title, str(mug.price), mug.currency, mug.recommendable) == ("Mug blue", "9.5000", "EUR", True)
    assert not ConsentRecord.objects.exists()
    assert not StagedPerson.objects.exists()
    assert not StagedLine.objects.exists()
    assert AuditEntry.objects.filter(action="imports.import.done", object_id=str(job.pk)).count() == 1


def test_the_same_file_again_changes_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "orders.csv", SHOPIFY_ORDERS)
    job = run(path)
    before = everything()

    assert run(path).pk == job.pk
    assert Import.objects.count() == 1
    again = run(path, again=True)  # and read anew

    assert again.pk == job.pk
    assert again.counts == job.counts
    assert everything() == before


def test_files_that_overlap_double_nothing(tmp_path: Path) -> None:
    header, *lines = ONLINE.splitlines(keepends=True)
    whole = run(write(tmp_path / "whole.csv", ONLINE), "online-retail").counts
    before = everything()
    # the second begins in the middle of an order, and an order may hold the same line twice
    run(write(tmp_path / "part.csv", header + "".join(lines[1:4])), "online-retail")
    run(write(tmp_path / "other.csv", header + "".join(reversed(lines))), "online-retail")

    assert everything() == before
    assert whole["purchase_lines"] == 4


def test_halves_make_the_whole(tmp_path: Path) -> None:
    header, *lines = ONLINE.splitlines(keepends=True)
    run(write(tmp_path / "1.csv", header + "".join(lines[:2])), "online-retail")
    run(write(tmp_path / "2.csv", header + "".join(lines[1:])), "online-retail")

    order = Order.objects.get(external_id="536365")
    assert order.lines.count() == 3
    assert str(order.revenue) == "15.3000"
    assert OrderLine.objects.count() == 7


ONLINE = """\
InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
536365,85123A,WHITE HANGING HEART,2,2010-12-01 08:26:00,2.55,17850.0,United Kingdom
536365,85123A,WHITE HANGING HEART,2,2010-12-01 08:26:00,2.55,17850.0,United Kingdom
536365,71053,"LANTERN, WHITE",1,2010-12-01 08:27:00,5.10,17850.0,United Kingdom
C536379,D,Discount,-1,2010-12-01 09:41:00,27.50,17850.0,United Kingdom
536414,22139,,56,2010-12-01 11:52:00,0.0,,United Kingdom
A563186,B,Adjust bad debt,1,2011-08-12 14:51:00,-11062.06,,United Kingdom
536370,POST,POSTAGE,3,2010-12-01 08:45:00,18.0,12583.0,France
"""


def test_online_retail_keeps_what_is_no_purchase(tmp_path: Path) -> None:
    job = run(write(tmp_path / "o.csv", ONLINE), "online-retail", address_template="customer-{id}@example.com")

    assert job.counts["revenue"] == {"GBP": "69.3000"}
    assert [job.counts[name] for name in ("purchase_lines", "cancelled_lines", "other_lines")] == [4, 1, 2]
    assert job.counts["lines_without_customer"] == 2
    assert sorted(one for person in Profile.objects.all() for one in identifiers_of(person)) == [
        ("email", "customer-12583@example.com", True),
        ("email", "customer-17850@example.com", True),
        ("external_id", "online-retail:12583", False),
        ("external_id", "online-retail:17850", False),
    ]
    assert dict(Item.objects.values_list("sku", "recommendable")) == {
        "85123A": True, "71053": True, "D": False, "22139": True, "B": False, "POST": False,
    }  # fmt: skip
    assert Order.objects.get(external_id="A563186").status == "other"
    assert known_by("external_id", "online-retail:12583").country == "FR"


def test_an_order_that_is_cancelled_later_stays_so(tmp_path: Path) -> None:
    run(write(tmp_path / "1.csv", SHOPIFY_ORDERS))
    later = SHOPIFY_ORDERS.replace("AT,,,yes", "AT,2024-03-05 09:00:00 +0100,,yes")
    run(write(tmp_path / "2.csv", later))
    run(write(tmp_path / "3.csv", SHOPIFY_ORDERS + "\n"))  # an older export comes again

    order = Order.objects.get(external_id="#1001")
    assert (order.status, str(order.revenue)) == ("cancelled", "0.0000")
    assert not order.lines.filter(is_purchase=True).exists()


def test_a_whole_order_loses_the_lines_that_its_shop_took_out(tmp_path: Path) -> None:
    run(write(tmp_path / "1.csv", SHOPIFY_ORDERS))
    edited = "".join(line for line in SHOPIFY_ORDERS.splitlines(keepends=True) if ",Tea," not in line)
    run(write(tmp_path / "2.csv", edited))

    order = Order.objects.get(external_id="#1001")
    assert [line.item.sku for line in order.lines.all()] == ["MUG-B"]
    assert order.revenue == 19


def test_a_cost_goes_with_the_price_in_whose_currency_it_was(tmp_path: Path) -> None:
    run(write(tmp_path / "1.csv", SHOPIFY_ORDERS))
    Item.objects.update(cost=4)
    later = SHOPIFY_ORDERS.replace("#1", "#2").replace("2024-", "2025-").replace(",9.50,", ",9.90,")
    run(write(tmp_path / "2.csv", later))
    mug = Item.objects.get(sku="MUG-B")
    assert (mug.price, mug.cost) == (Decimal("9.9"), Decimal(4))
    Item.objects.filter(sku="Tea").update(price=7, sold_at=None)  # one of the catalog, which no sale replaces
    run(write(tmp_path / "3.csv", later.replace("#2", "#3").replace("2025-", "2026-").replace(",EUR,", ",GBP,")))
    assert dict(Item.objects.values_list("sku", "cost")) == {"MUG-B": None, "Tea": 4, "Gift card 20": None}


def test_people_are_found_by_number_then_by_address(tmp_path: Path) -> None:
    run(write(tmp_path / "orders.csv", SHOPIFY_ORDERS))
    anna = known_by("email", "anna.berg@example.com")
    run(write(tmp_path / "people.csv", SHOPIFY_CUSTOMERS), kind="profiles")
    run(write(tmp_path / "mail.csv", MAILCHIMP), "mailchimp", "profiles")

    assert Profile.objects.count() == 4
    anna.refresh_from_db()
    assert identifiers_of(anna) == [
        ("email", "anna.berg@example.com", True),
        ("external_id", "mailchimp:a1b2c3d4e5", False),
        ("external_id", "shopify:7001", False),
        ("phone", "+436601234567", True),
    ]
    assert (anna.country, anna.time_zone) == ("AT", "Europe/Vienna")
    assert anna.attributes == {"city": "Wien", "tags": '"tea","news"', "region": "9"}
    odd = known_by("external_id", "shopify:7003")
    assert (odd.first_name, odd.last_name) == ("{{7*7}}", "=?utf-8?q?x=0D=0ABcc=3Aa@b?=")


def test_two_customers_with_one_address_stay_two(tmp_path: Path) -> None:
    text = "Customer ID,Email,First Name\n1,family@example.com,Ida\n2,family@example.com,Jan\n,family@example.com,\n"
    run(write(tmp_path / "p.csv", text), kind="profiles")
    run(write(tmp_path / "q.csv", text + "\n"), kind="profiles")

    assert sorted(Profile.objects.values_list("first_name", flat=True)) == ["Ida", "Jan"]


def test_a_blank_never_erases_and_what_is_new_refreshes(tmp_path: Path) -> None:
    run(
        write(tmp_path / "1.csv", "Customer ID,Email,First Name,Last Name\n1,a@example.com,Ida,Berg\n"), kind="profiles"
    )
    before = Profile.objects.get().updated_at
    header = "Customer ID,Email,First Name,Last Name\n"
    run(write(tmp_path / "2.csv", header + "1,,nan,\n"), kind="profiles")
    assert Profile.objects.get().updated_at == before
    run(write(tmp_path / "3.csv", header + "1,b@example.com,Ida,Holm\n"), kind="profiles")

    person = Profile.objects.get()
    assert (person.first_name, person.last_name) == ("Ida", "Holm")
    assert person.updated_at > before
    addresses = [one for one in identifiers_of(person) if one[0] == "email"]
    assert addresses == [("email", "a@example.com", False), ("email", "b@example.com", True)]


def test_a_new_address_does_not_get_round_a_suppression(tmp_path: Path) -> None:
    run(write(tmp_path / "1.csv", "Customer ID,Email\n1,a@example.com\n"), kind="profiles")
    suppression_add(kind="email", value="a@example.com", reason=Suppression.Reason.COMPLAINT)
    run(write(tmp_path / "2.csv", "Customer ID,Email\n1,b@example.com\n"), kind="profiles")

    assert addresses_read(profile_ids=[Profile.objects.get().pk], kind="email") == {
        Profile.objects.get().pk: "a@example.com"
    }


# --- consent ---


def test_a_column_grants_where_it_says_yes(tmp_path: Path) -> None:
    by = make_user("administrator")
    mapping = preset_mapping("shopify", kind="profiles", consent={"marketing": "accepts email marketing"})
    path = write(tmp_path / "p.csv", SHOPIFY_CUSTOMERS)
    job = import_run(import_id=import_open(kind="profiles", path=path, mapping=mapping, by=by).pk)

    record = ConsentRecord.objects.order_by("id").first()
    assert ConsentState.objects.filter(granted=True, purpose="marketing", channel="email").count() == 2
    assert job.counts["consents"] == {"marketing": 2}
    assert record is not None
    assert (record.method, record.actor) == ("import", by)
    assert record.source == f"import {job.pk}: p.csv"
    assert "accepts email marketing" in record.evidence


def test_a_person_of_whom_any_line_says_no_gets_no_grant(tmp_path: Path) -> None:
    text = "Customer ID,Email,OK\n1,a@example.com,yes\n1,a@example.com,no\n2,b@example.com,maybe\n3,c@example.com,\n"
    job = run(write(tmp_path / "p.csv", text), kind="profiles", consent={"marketing": "OK"})

    assert not ConsentState.objects.exists()
    assert "neither yes nor no" in errors_of(job)[0]


def test_mailchimps_time_of_confirmation_is_a_yes_at_that_time(tmp_path: Path) -> None:
    run(write(tmp_path / "m.csv", MAILCHIMP), "mailchimp", "profiles", consent={"marketing": "CONFIRM_TIME"})

    record = ConsentRecord.objects.get()
    assert record.profile.first_name == "Anna"
    assert record.occurred_at.isoformat() == "2019-03-04T12:34:10+00:00"


def test_a_named_person_vouches_for_all_and_no_withdrawal_is_lifted(tmp_path: Path) -> None:
    by = make_user("administrator")
    left = make_profile(email="carla@example.com")
    consent_withdraw(
        profile_id=left.pk, purpose="marketing", channel="email", method=ConsentRecord.Method.PREFERENCES, source="page"
    )
    grant = Grant(purpose="marketing", evidence="Newsletter form, double opt-in since 2019", by=by)
    path = write(tmp_path / "m.csv", MAILCHIMP)
    job = run(path, "mailchimp", "profiles", grant=grant)

    assert job.counts["consents"] == {"marketing": 1}
    assert not ConsentState.objects.get(profile=left).granted
    record = ConsentRecord.objects.get(action="grant")
    assert (record.evidence, record.actor) == (grant.evidence, by)
    assert run(path, "mailchimp", "profiles", grant=grant, again=True).counts["consents"] == {"marketing": 0}


@pytest.mark.parametrize(
    ("purpose", "evidence", "code"),
    [("marketing", "   ", "evidence_missing"), ("transactional", "long enough", "purpose_unknown"),
     ("nonsense", "long enough", "purpose_unknown")],
)  # fmt: skip
def test_no_grant_without_evidence_or_for_an_unknown_purpose(
    tmp_path: Path, purpose: str, evidence: str, code: str
) -> None:
    path = write(tmp_path / "m.csv", MAILCHIMP)
    with pytest.raises(Invalid) as error:
        run(path, "mailchimp", "profiles", grant=Grant(purpose=purpose, evidence=evidence, by=make_user()))
    assert error.value.code == code
    assert not Import.objects.exists()
    assert not Profile.objects.exists()


# --- what is wrong with files ---


def test_missing_columns_are_refused_at_the_door(tmp_path: Path) -> None:
    path = write(tmp_path / "o.csv", "Name,Created at,Lineitem quantity\n#1,2024-01-01,1\n")
    with pytest.raises(Invalid) as error:
        run(path)
    assert error.value.code == "columns_missing"
    assert "Lineitem sku or Lineitem name (for sku), Lineitem name (for title), Lineitem price" in error.value.message
    assert "The file has: Name, Created at, Lineitem quantity." in error.value.message
    assert not Import.objects.exists()


def test_hostile_lines_cost_themselves_only(tmp_path: Path) -> None:
    header = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
    good = "1,A,Tea,1,2010-12-01 08:26:00,2.5,7,Austria\n"
    bad = [
        b"2,A,Tea,1,2010-12-01 08:26:00,2.5,7\n",
        b"2,A,Tea,1,2010-12-01 08:26:00,2.5,7,Austria,more\n",
        b"2,A,Tea,1,31.12.2010,2.5,7,Austria\n",
        b"2,A,Tea,1,9999-12-01 08:26:00,2.5,7,Austria\n",
        b"2,A,Tea,1,2010-13-45 99:99:99,2.5,7,Austria\n",
        b"2,A,Tea,NaN,2010-12-01 08:26:00,2.5,7,Austria\n",
        b"2,A,Tea,1,2010-12-01 08:26:00,1e400,7,Austria\n",
        b"2,A,Tea,1,2010-12-01 08:26:00,Infinity,7,Austria\n",
        b"2,A,Tea,99999999999,2010-12-01 08:26:00,2.5,7,Austria\n",
        b"2,A,Tea,1,2010-12-01 08:26:00,99999999999999999999,7,Austria\n",
        b"2,A,Tea,1,2010-12-01 08:26:00,9999999999.99996,7,Austria\n",
        b"2,A,Tea,2147483647,2010-12-01 08:26:00,9999999999,7,Austria\n",
        b"2,A,Tea,1.5,2010-12-01 08:26:00,2.5,7,Austria\n",
        b"2,A,T\0ea,1,2010-12-01 08:26:00,2.5,7,Austria\n",
        b"2,A,T\xffea,1,2010-12-01 08:26:00,2.5,7,Austria\n",
        b'2,A,"Tea,1,2010-12-01 08:26:00,2.5,7,Austria\n',
        b"2,A," + b"x" * 10_000_000 + b",1,2010-12-01 08:26:00,2.5,7,Austria\n",
        b"2,,Tea,1,2010-12-01 08:26:00,2.5,7,Austria\n",
        b",A,Tea,1,2010-12-01 08:26:00,2.5,7,Austria\n",
        b"=cmd|'/c calc'!A1,A\n",
        b"x" * 100 + b",A,Tea,1,2010-12-01 08:26:00,2.5,7,Austria\n",
    ]
    odd = [  # these are data
        b'3,=HYPERLINK("http://x"),{{7*7}},1,2010-12-01 08:26:00,2.5,8,Atlantis\n',
        b'4,A,"say ""tea""",-1,2010-12-01T08:26:00Z,-2.5,nan,Austria\n',
        "5,Ä\\t\\N\\.,𝔗ea\u202e,0,2010-12-01 08:26:00,0,9,Austria\r\n".encode(),
    ]
    text = header.encode() + b"".join(bit + good.replace("1,", f"1{n},", 1).encode() for n, bit in enumerate(bad + odd))
    job = run(write(tmp_path / "o.csv", text), "online-retail")

    assert job.state == Import.State.DONE
    assert job.counts["lines_read"] == 2 * len(bad + odd)
    assert job.counts["lines_bad"] == len(bad)
    assert OrderLine.objects.count() == len(bad + odd) + len(odd)
    with Path(job.errors_path).open(encoding="utf-8", newline="") as file:
        told = list(csv.reader(file))
    assert len(told) == 1 + len(bad)
    assert [int(row[0]) for row in told[1:]] == [2 + 2 * n for n in range(len(bad))]
    assert all(len(cell) < 1000 and not cell.startswith(("=", "+", "@", "-")) for row in told for cell in row)
    assert told[-2][4] == "'=cmd|'/c calc'!A1,A"
    assert Item.objects.get(sku__startswith="=").title == "{{7*7}}"
    assert Item.objects.filter(sku="Ä\\t\\N\\.").exists()


def test_a_bad_address_costs_the_address_not_the_person(tmp_path: Path) -> None:
    job = run(
        write(tmp_path / "p.csv", "Customer ID,Email\n1,not an address\n2,b@example.com\n,x@y\n"), kind="profiles"
    )

    assert (job.counts["profiles"], job.counts["lines_bad"], job.counts["values_bad"]) == (2, 1, 2)
    assert Identifier.objects.filter(kind="email").count() == 1
    assert errors_of(job)[0].startswith('"2","Email","the value",')


def test_a_file_cut_off_keeps_what_was_read_and_says_so(tmp_path: Path) -> None:
    rows = "".join(f"{n},A,Tea {n * n % 977},1,2010-12-01 08:26:00,2.5,{n % 50},Austria\n" for n in range(1, 20_000))
    whole = gzip.compress((ONLINE.splitlines()[0] + "\n" + rows).encode())
    path = write(tmp_path / "o.csv.gz", whole[: len(whole) // 2])
    job = run(path, "online-retail")

    assert job.state == Import.State.FAILED
    assert "cut off" in job.problem
    assert f"up to line {job.lines_done + 1}" in job.problem
    assert OrderLine.objects.count() == job.counts["lines_read"] - job.counts["lines_bad"] > 5000
    # and the whole file afterwards makes it whole
    assert run(write(tmp_path / "o.csv.gz", whole), "online-retail").state == Import.State.DONE
    assert OrderLine.objects.count() == 19_999


def test_a_file_changed_between_two_goes_is_not_mixed(tmp_path: Path) -> None:
    path = write(tmp_path / "o.csv", ONLINE)
    job = import_open(kind="orders", path=path, mapping=preset_mapping("online-retail", kind="orders"))
    write(path, ONLINE.replace("17850", "17851"))

    job = import_run(import_id=job.pk)

    assert job.state == Import.State.FAILED
    assert "changed" in job.problem
    assert not Profile.objects.exists()


def test_what_a_crash_of_the_database_emptied_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.data.imports.staging.CHUNK", 2)
    path = write(tmp_path / "o.csv", ONLINE)
    job = import_open(kind="orders", path=path, mapping=preset_mapping("online-retail", kind="orders"))

    class Died(KeyboardInterrupt):
        pass

    def die(job: Import) -> None:
        if job.lines_done >= 4:
            raise Died

    with pytest.raises(Died):
        import_run(import_id=job.pk, told=die)
    job.refresh_from_db()
    assert (job.state, job.lines_done) == ("stopped", 4)
    with connection.cursor() as cursor:  # as recovery does with unlogged tables
        cursor.execute("DELETE FROM imports_stagedperson")
        cursor.execute("DELETE FROM imports_stagedline")

    job = import_run(
        import_id=import_open(kind="orders", path=path, mapping=preset_mapping("online-retail", kind="orders")).pk
    )

    assert job.state == Import.State.DONE
    assert OrderLine.objects.count() == 7


def test_european_spellings_of_ones_own(tmp_path: Path) -> None:
    mapping = mapping_parse(
        {
            "source": "laden",
            "currency": "EUR",
            "date_format": "%d.%m.%Y %H:%M",
            "time_zone": "Europe/Vienna",
            "decimal": ",",
            "encoding": "cp1252",
            "columns": {
                "order": "Nr", "placed_at": "Datum", "sku": "Artikel", "quantity": "Menge", "unit_price": "Preis",
                "email": ["E-Mail", "E-Mail 2"],
            },
            "optional": ["email"],
        },
        kind="orders",
    )  # fmt: skip
    text = "Nr;Datum;Artikel;Menge;Preis;E-Mail\n1;01.07.2024 12:00;Käse;2;1.234,50;a@example.com\n"
    path = write(tmp_path / "o.csv", text.encode("cp1252"))
    job = import_run(import_id=import_open(kind="orders", path=path, mapping=mapping).pk)

    assert job.counts["revenue"] == {"EUR": "2469.0000"}
    assert Order.objects.get().placed_at.isoformat() == "2024-07-01T10:00:00+00:00"
    assert Item.objects.get().sku == "Käse"


def test_a_person_whose_data_is_restricted_stays_as_they_are(tmp_path: Path) -> None:
    run(write(tmp_path / "one.csv", SHOPIFY_CUSTOMERS), "shopify", "profiles")
    anna = Profile.objects.get(first_name="Anna")
    Profile.objects.filter(pk=anna.pk).update(first_name="Annabel", restricted_at=now())
    before = everything()[:2]

    changed = SHOPIFY_CUSTOMERS.replace("+436601234567", "+436607654321").replace("Wien,AT", "Berlin,DE")
    grant = Grant("personalisation", "they ticked the box in the shop", make_user("administrator"))
    run(write(tmp_path / "two.csv", changed), "shopify", "profiles", grant=grant)

    assert everything()[:2] == before
    assert not ConsentState.objects.filter(profile=anna).exists()
    assert ConsentState.objects.filter(profile__first_name="Bo").exists()
