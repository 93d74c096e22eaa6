"""Items in the API; and with them pages, versions and rows in bulk, which all resources share."""

import pytest

from apps.data.catalog.models import Item

from .makers import make_asker, problem

pytestmark = pytest.mark.django_db
TEA = {"sku": "T-1", "title": "Assam", "category": "Tea", "price": "8.9000", "cost": "3.1000", "currency": "EUR"}


def test_an_item_is_added_read_and_changed() -> None:
    asker = make_asker()

    made = asker.post("items", TEA)
    assert made.status_code == 201
    item = Item.objects.get()
    assert made["Location"] == f"/api/v1/items/{item.pk}"
    read = asker.get(f"items/{item.pk}")
    assert read.json() == made.json()
    assert {name: read.json()[name] for name in TEA} == TEA

    changed = asker.patch(f"items/{item.pk}", {"price": None, "in_stock": False})
    item.refresh_from_db()
    assert (item.price, item.in_stock, item.title) == (None, False, "Assam")
    assert changed["ETag"] != read["ETag"]
    same = asker.patch(f"items/{item.pk}", {"in_stock": False})
    assert same["ETag"] == changed["ETag"], "what changes nothing is no change"


def test_a_change_on_the_condition_of_a_version() -> None:
    asker = make_asker()
    asker.post("items", TEA)
    path = f"items/{Item.objects.get().pk}"
    seen = asker.get(path)["ETag"]

    assert asker.patch(path, {"title": "Darjeeling"}, If_Match=seen).status_code == 200
    problem(asker.patch(path, {"title": "Ceylon"}, If_Match=seen), 412, "changed_meanwhile")
    problem(asker.patch(path, {"title": "Ceylon"}, If_Match='"another"'), 412, "changed_meanwhile")
    problem(asker.patch(path, {"title": "Ceylon"}, If_Match="v1"), 400, "if_match_wrong")
    assert Item.objects.get().title == "Darjeeling"
    assert asker.patch(path, {"title": "Ceylon"}, If_Match="*").status_code == 200


def test_what_an_item_costs_the_shop_is_for_those_who_may_tell_it() -> None:
    writer, reader, channel = make_asker(), make_asker("items:read"), make_asker(kind="channel")
    writer.post("items", TEA)
    path = f"items/{Item.objects.get().pk}"

    known = writer.get(path).json()
    assert known["cost"] == "3.1000"
    assert writer.get("items").json()["items"] == [known]
    del known["cost"]
    for other in (reader, channel):
        assert other.get(path).json() == known
        assert other.get("items").json()["items"] == [known]
        problem(other.patch(path, {"cost": "1"}), 403, "scope_missing")
    assert writer.patch(path, {"cost": None}).json()["cost"] is None


def test_a_cost_in_another_currency_than_the_items_is_not_known() -> None:
    asker = make_asker()
    asker.post("items", TEA)
    path = f"items/{Item.objects.get().pk}"

    assert asker.patch(path, {"price": "9.10", "currency": "EUR"}).json()["cost"] == "3.1000"
    assert asker.patch(path, {"price": "9.90", "currency": "CHF"}).json()["cost"] is None
    assert asker.patch(path, {"cost": "3.50", "currency": "USD"}).json()["cost"] == "3.5000"
    problem(asker.patch(path, {"cost": "-0.01"}), 422, "cost_negative")


def test_json_merge_patch_goes_by_its_name_too() -> None:
    asker = make_asker()
    asker.post("items", TEA)

    path = f"items/{Item.objects.get().pk}"
    answer = asker.patch(path, {"price": None}, Content_Type="application/merge-patch+json")
    assert answer.json()["price"] is None


def test_a_number_is_one_items() -> None:
    asker = make_asker()
    asker.post("items", TEA)

    said = problem(asker.post("items", {**TEA, "title": "Other"}), 409, "sku_taken")
    assert said["details"] == {"id": Item.objects.get().pk}
    assert Item.objects.get().title == "Assam"


def test_pages_follow_each_other_whatever_comes_and_goes() -> None:
    asker = make_asker()
    Item.objects.bulk_create(Item(sku=f"T-{number}", category="Tea") for number in range(7))
    Item.objects.create(sku="C-1", category="Coffee")

    seen, cursor = [], ""
    for _ in range(3):
        page = asker.get(f"items?category=Tea&limit=3{cursor}").json()
        seen += [item["sku"] for item in page["items"]]
        cursor = f"&cursor={page['next']}"
        Item.objects.filter(sku=seen[0]).delete()
    assert seen == [f"T-{number}" for number in range(7)]
    assert page["next"] is None
    assert [item["sku"] for item in asker.get("items?sku=C-1").json()["items"]] == ["C-1"]
    assert asker.get("items?sku=nothing").json() == {"items": [], "next": None}


def test_rows_in_bulk_are_each_by_themselves() -> None:
    asker = make_asker()
    Item.objects.create(sku="T-1", title="Old", category="Tea")
    rows = [{"sku": "T-1", "title": "New"}, {"sku": "T-2", "price": "x"}, {"sku": "T-3"}, {"sku": "T-4", "price": "-1"}]

    said = asker.post("items/bulk", {"rows": rows}).json()
    assert [one["status"] for one in said["results"]] == [200, 422, 201, 422]
    assert [one["index"] for one in said["results"]] == [0, 1, 2, 3]
    assert (said["done"], said["failed"]) == (2, 2)
    assert said["results"][1]["problem"]["errors"][0]["pointer"] == "#/price"
    assert said["results"][3]["problem"]["code"] == "price_negative"
    assert list(Item.objects.order_by("sku").values_list("sku", "title", "category")) == [
        ("T-1", "New", "Tea"),
        ("T-3", "", ""),
    ]


def test_rows_sent_again_with_their_key_are_not_done_again() -> None:
    asker = make_asker()
    rows = {"rows": [{"sku": "T-1", "title": "First"}, {"sku": ""}]}

    first = asker.post("items/bulk", rows, Idempotency_Key="7").json()
    Item.objects.update(title="Changed since")
    assert asker.post("items/bulk", rows, Idempotency_Key="7").json() == first
    assert Item.objects.get().title == "Changed since"
