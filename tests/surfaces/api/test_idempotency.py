"""What is sent again is made once: replayed, refused with another body, and never twice at once or over a crash."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from django.db import connection

from apps.data.catalog.models import Item
from apps.foundation.core.clock import now
from apps.surfaces.api.idempotency import answers_forget
from apps.surfaces.api.models import KeptAnswer

from .makers import make_asker, problem

TEA = {"sku": "T-1", "title": "Assam"}


@pytest.mark.django_db
def test_the_same_request_gets_the_same_answer_and_is_made_once() -> None:
    asker = make_asker()

    first = asker.post("items", TEA, Idempotency_Key="order-7")
    again = asker.post("items", TEA, Idempotency_Key="order-7")
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert (again["Location"], again["ETag"]) == (first["Location"], first["ETag"])
    assert (first.get("Idempotency-Replayed"), again["Idempotency-Replayed"]) == (None, "true")
    assert Item.objects.count() == 1


@pytest.mark.django_db
def test_another_body_or_address_with_the_same_key_is_refused() -> None:
    asker = make_asker()
    asker.post("items", TEA, Idempotency_Key="order-7")

    problem(asker.post("items", {**TEA, "sku": "T-2"}, Idempotency_Key="order-7"), 422, "idempotency_key_reused")
    problem(asker.post("items/bulk", TEA, Idempotency_Key="order-7"), 422, "idempotency_key_reused")
    assert list(Item.objects.values_list("sku", flat=True)) == ["T-1"]


@pytest.mark.django_db
def test_a_key_is_its_clients_own() -> None:
    asker, other = make_asker(), make_asker()
    asker.post("items", TEA, Idempotency_Key="7")

    assert other.post("items", {**TEA, "sku": "T-2"}, Idempotency_Key="7").status_code == 201
    assert Item.objects.count() == 2


@pytest.mark.django_db
def test_what_failed_may_be_sent_again_with_its_key() -> None:
    asker = make_asker()
    Item.objects.create(sku="T-1")

    problem(asker.post("items", TEA, Idempotency_Key="7"), 409, "sku_taken")
    Item.objects.all().delete()
    assert asker.post("items", TEA, Idempotency_Key="7").status_code == 201


@pytest.mark.django_db
def test_after_a_day_a_key_is_new_again_and_its_answer_is_forgotten() -> None:
    asker = make_asker()
    asker.post("items", TEA, Idempotency_Key="7")
    KeptAnswer.objects.update(at=now() - timedelta(hours=25))

    problem(asker.post("items", TEA, Idempotency_Key="7"), 409, "sku_taken")
    assert asker.post("items", {**TEA, "sku": "T-2"}, Idempotency_Key="7").status_code == 201
    assert answers_forget(now() - timedelta(days=1), 10) == 0
    KeptAnswer.objects.update(at=now() - timedelta(hours=25))
    assert answers_forget(now() - timedelta(days=1), 10) == 1


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["x" * 256, "Zoë", "a\tb"])
def test_a_key_that_is_none_is_refused(key: str) -> None:
    answer = make_asker().post("items", TEA, Idempotency_Key=key)

    problem(answer, 400, "idempotency_key_wrong")
    assert not Item.objects.exists()


@pytest.mark.django_db
def test_neither_the_key_nor_the_body_is_kept() -> None:
    asker = make_asker()
    asker.post("items", {**TEA, "title": "Zephyr tea"}, Idempotency_Key="zephyr@example.com")

    with connection.cursor() as cursor:
        cursor.execute("SELECT key_digest, request_digest, headers::text FROM api_keptanswer")
        kept = str([bytes(part) if isinstance(part, memoryview) else part for part in cursor.fetchone()])
    assert "ephyr" not in kept


@pytest.mark.django_db(transaction=True)
def test_of_two_at_once_one_is_told_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    asker = make_asker()
    inside, go_on = Event(), Event()
    create = KeptAnswer.objects.update_or_create

    def slowly(**values: Any) -> Any:
        inside.set()
        assert go_on.wait(30)
        return create(**values)

    def ask() -> Any:
        try:
            return asker.post("items", TEA, Idempotency_Key="7")
        finally:
            connection.close()

    monkeypatch.setattr(KeptAnswer.objects, "update_or_create", slowly)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask)
        assert inside.wait(30)
        second = asker.post("items", TEA, Idempotency_Key="7")
        go_on.set()
        assert first.result(30).status_code == 201
    problem(second, 409, "idempotency_key_in_use")
    assert second["Retry-After"] == "1"
    assert asker.post("items", TEA, Idempotency_Key="7")["Idempotency-Replayed"] == "true"
    assert Item.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_what_dies_between_making_and_keeping_has_made_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    asker = make_asker()

    def dies(**values: Any) -> Any:
        raise ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr(KeptAnswer.objects, "update_or_create", dies)
        assert asker.post("items", TEA, Idempotency_Key="7").status_code == 500
    assert not Item.objects.exists()
    assert asker.post("items", TEA, Idempotency_Key="7").status_code == 201
