"""Who gets in, with what, how often; and that whoever does not changes nothing."""

import base64
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from apps.data.catalog.models import Item
from apps.foundation.accounts.api_keys import keys_forget
from apps.foundation.accounts.models import ApiKey
from tests.factories import make_user

from .makers import make_asker, problem

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis", "nothing_remembered")]
TEA = {"sku": "T-1", "title": "Assam"}


@pytest.fixture
def nothing_remembered() -> None:
    keys_forget()


def test_a_client_learns_who_it_is() -> None:
    asker = make_asker("items:read", kind="channel")

    answer = asker.get("client")
    assert answer.status_code == 200
    assert answer.json() == {"code": asker.client.code, "kind": "channel", "scopes": ["items:read"], "limits": {}}


@pytest.mark.parametrize("said", ["", "Bearer", "Bearer tessera_" + "A" * 43, "Basic Og==", "Token x"])
def test_without_a_key_that_is_good_nobody_gets_in(said: str) -> None:
    answer = make_asker().post("items", TEA, Authorization=said)

    problem(answer, 401, "key_missing" if said in ("", "Token x") else "key_refused")
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert not Item.objects.exists()


def test_a_key_of_a_system_is_none_by_basic() -> None:
    asker = make_asker()

    word = base64.b64encode(f"{asker.key}:".encode()).decode()
    problem(asker.get("client", Authorization=f"Basic {word}"), 401, "key_refused")


def test_a_signed_in_administrator_is_no_client() -> None:
    browser = Client()
    browser.force_login(make_user("administrator"))

    assert browser.get("/api/v1/client").status_code == 401
    assert browser.post("/api/v1/items", TEA, content_type="application/json").status_code == 401
    assert not Item.objects.exists()


def test_a_key_in_the_address_is_refused_even_where_it_is_good() -> None:
    asker = make_asker()

    for path in (f"client?key={asker.key}", f"client?Authorization=Bearer%20{asker.key}"):
        answer = asker.get(path)
        problem(answer, 400, "key_in_address")
        assert asker.key not in answer.content.decode()


def test_a_scope_opens_its_methods_and_no_others() -> None:
    reader, writer = make_asker("items:read"), make_asker("items:write")

    assert reader.get("items").status_code == 200
    assert problem(reader.post("items", TEA), 403, "scope_missing")["scope"] == "items:write"
    assert not Item.objects.exists()
    assert writer.post("items", TEA).status_code == 201
    problem(writer.get("items"), 403, "scope_missing")


def test_a_revoked_key_is_refused() -> None:
    asker = make_asker()
    assert asker.get("client").status_code == 200

    ApiKey.objects.update(revoked_at="2026-01-01T00:00Z")
    keys_forget()  # as after its seconds
    problem(asker.get("client"), 401, "key_refused")


def test_limits_are_counted_by_client_and_scope(settings: Settings) -> None:
    settings.API_PER_MINUTE, settings.API_PER_MINUTE_OF = 3, {"items:write": 1}
    asker, other = make_asker(), make_asker()

    left = [asker.get("items")["RateLimit"].split(";")[1] for _ in range(3)]
    assert left == ["r=2", "r=1", "r=0"]
    refused = asker.get("items")
    problem(refused, 429, "too_many_requests")
    assert 1 <= int(refused["Retry-After"]) <= 60
    assert refused["RateLimit-Policy"] == '"items:read";q=3;w=60'

    assert asker.post("items", TEA).status_code == 201
    assert asker.post("items", {**TEA, "sku": "T-2"}).status_code == 429
    assert not Item.objects.filter(sku="T-2").exists()
    assert other.get("items").status_code == 200


def test_a_client_may_have_a_limit_of_its_own() -> None:
    asker = make_asker("items:read", per_minute=2)

    assert [asker.get("items").status_code for _ in range(3)] == [200, 200, 429]


@pytest.mark.parametrize("path", ["items/bulk", "promotions/bulk", "tickets/bulk", "profiles/bulk", "identifiers/bulk"])
def test_a_bulk_request_counts_as_its_rows(path: str) -> None:
    asker = make_asker(per_minute=10)
    rows: dict[str, Any] = {"rows": [{}] * 4}

    answers = [asker.post(path, rows) for _ in range(3)]
    assert [answer["RateLimit"].split(";")[1] for answer in answers] == ["r=6", "r=2", "r=1"]
    refused = problem(answers[2], 429, "too_many_requests")
    assert "counts as 4, and 1 of the 10" in refused["detail"]
    assert 1 <= int(answers[2]["Retry-After"]) <= 60
    assert asker.post(path, {"rows": [{}]}).status_code == 200  # the refused one took no more than a request


def test_choices_of_many_count_by_row_and_what_is_refused_keeps_nothing() -> None:
    asker = make_asker(per_minute=3)

    rows = [{"sku": f"T-{number}"} for number in range(3)]
    assert asker.post("items/bulk", {"rows": rows[:2]}).json()["done"] == 2
    problem(asker.post("items/bulk", {"rows": rows[1:]}), 429, "too_many_requests")
    assert sorted(Item.objects.values_list("sku", flat=True)) == ["T-0", "T-1"]
    problem(asker.post("consents/bulk", {"rows": [{}] * 3 + [{}]}), 413, "more_than_a_minute")
    assert asker.post("consents/bulk", {"rows": [{}] * 2})["RateLimit"].split(";")[1] == "r=0"


def test_an_answer_that_is_given_again_holds_nothing() -> None:
    asker = make_asker(per_minute=10)
    rows = {"rows": [{"sku": f"T-{number}"} for number in range(4)]}

    answers = [asker.post("items/bulk", rows, Idempotency_Key="k-1") for _ in range(2)]
    assert [answer["RateLimit"].split(";")[1] for answer in answers] == ["r=6", "r=5"]
    assert answers[1]["Idempotency-Replayed"] == "true"


def test_without_redis_nothing_is_counted_and_the_api_goes_on(settings: Settings) -> None:
    asker = make_asker()
    settings.REDIS_URL, settings.API_PER_MINUTE = "redis://127.0.0.1:1/0", 1

    answers = [asker.get("items") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert "RateLimit" not in answers[0]


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "code"),
    [
        ("GET", "nothing", None, {}, 404, "address_unknown"),
        ("GET", "items/", None, {}, 404, "address_unknown"),
        ("GET", "%0A", None, {}, 404, "address_unknown"),
        ("GET", "templates/3/versions/a%0Ab", None, {}, 404, "address_unknown"),
        ("POST", "nothing/at/all", {}, {}, 404, "address_unknown"),
        ("GET", "items/99", None, {}, 404, "not_found"),
        ("GET", f"items/{10**30}", None, {}, 404, "not_found"),
        ("PATCH", "items/99", {"title": "x"}, {}, 404, "item_unknown"),
        ("DELETE", "items/99", None, {}, 405, "method_not_allowed"),
        ("OPTIONS", "items", None, {}, 405, "method_not_allowed"),
        ("PUT", "items", {}, {}, 405, "method_not_allowed"),
        ("POST", "items", b"{", {}, 400, "json_wrong"),
        ("POST", "items", b"", {}, 422, "content_wrong"),
        ("POST", "items", b'{"sku": NaN}', {}, 400, "json_wrong"),
        ("POST", "items", b'{"sku": "\xff"}', {}, 400, "json_wrong"),
        ("POST", "items", b'{"sku": "\\ud800"}', {}, 400, "json_wrong"),
        ("POST", "items", b'{"sku": "a\\u0000b"}', {}, 400, "nul_in_text"),
        ("GET", "items?sku=a%00b", None, {}, 400, "nul_in_address"),
        ("GET", "items?cursor=!", None, {}, 400, "cursor_wrong"),
        ("GET", "items?cursor=W10", None, {}, 400, "cursor_wrong"),
        ("GET", "items?cursor=WyJ4Il0", None, {}, 400, "cursor_wrong"),
        ("GET", "items?cursor=WzFlMzBd", None, {}, 400, "cursor_wrong"),
        ("GET", "items?limit=0", None, {}, 400, "limit_wrong"),
        ("GET", "items?limit=201", None, {}, 400, "limit_wrong"),
        ("GET", "items?limit=%D9%A3", None, {}, 400, "limit_wrong"),
        ("POST", "items", "<sku/>", {"Content_Type": "application/xml"}, 415, "media_type_wrong"),
        ("POST", "items", {"sku": "T-1"}, {"Content_Type": "text/plain"}, 415, "media_type_wrong"),
        ("POST", "items", [], {}, 422, "content_wrong"),
        ("POST", "items", "T-1", {}, 422, "content_wrong"),
        ("POST", "items", {"sku": " "}, {}, 422, "content_wrong"),
        ("POST", "items", {"sku": "T-1", "price": "-1"}, {}, 422, "price_negative"),
        ("POST", "items", {"sku": "T-1", "url": "javascript:alert(1)"}, {}, 422, "content_wrong"),
        ("POST", "items", {"sku": "T-1", "titel": "Assam"}, {}, 422, "content_wrong"),
        ("POST", "items/bulk", {}, {}, 422, "rows_wrong"),
        ("POST", "items/bulk", {"rows": [{}] * 501}, {}, 422, "rows_wrong"),
        ("POST", "items", {**TEA, "title": "x" * 3_000_000}, {}, 413, "body_too_large"),
    ],
)
def test_whatever_is_wrong_is_a_problem_and_changes_nothing(
    method: str, path: str, body: Any, headers: dict[str, str], status: int, code: str
) -> None:
    problem(make_asker().ask(method, path, body, **headers), status, code)

    assert not Item.objects.exists()


def test_each_error_says_where_it_is() -> None:
    said = problem(make_asker().post("items", {"titel": "x", "price": "much", "sku": "T"}), 422, "content_wrong")

    assert [one["pointer"] for one in said["errors"]] == ["#/titel"]
    said = problem(make_asker().post("items", {"price": "much", "currency": "euro"}), 422, "content_wrong")
    assert sorted(one["pointer"] for one in said["errors"]) == ["#/currency", "#/price", "#/sku"]


def test_a_fault_of_ours_is_a_problem_without_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: object, **kwargs: object) -> None:
        raise RuntimeError("zephyr@example.com was here")

    monkeypatch.setattr("apps.surfaces.api.v1.items.views.item_create", fails)
    answer = make_asker().post("items", TEA)
    problem(answer, 500, "internal")
    assert b"zephyr" not in answer.content
