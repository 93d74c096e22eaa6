"""The API's document and its page: whole, valid, public, and from nowhere else."""

import re
from typing import Any

import pytest
import redis
from django.test import Client

from apps.data.events.consuming import Consumer
from apps.data.events.models import Event
from apps.data.events.recording import schemas
from apps.data.events.stream import group_ensure, stream_look
from apps.foundation.accounts.api_keys import keys_forget
from apps.foundation.accounts.api_scopes import SCOPE_BY_CODE
from apps.surfaces.api.describing import document
from tests.architecture.api_permissions import ANY, ENDPOINTS

from .makers import make_asker


@pytest.fixture
def stream(db: None, clean_redis: "redis.Redis") -> "redis.Redis":
    keys_forget()
    group_ensure()
    schemas.forget()
    return clean_redis


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, methods in document()["paths"].items()
        for method, operation in methods.items()
        if method in ("get", "post", "patch", "put", "delete")
    ]


def test_the_document_is_served_and_kept() -> None:
    browser = Client()

    answer = browser.get("/api/v1/schema")
    assert answer.status_code == 200
    assert answer.json()["openapi"] == "3.1.0"
    assert answer.json() == document()
    assert browser.get("/api/v1/schema", headers={"If-None-Match": answer["ETag"]}).status_code == 304


def test_it_is_made_without_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    document.cache_clear()
    document()

    said = capsys.readouterr().err
    assert "Warning" not in said, said
    assert "Error" not in said, said


def test_every_operation_says_what_it_does_and_what_it_asks_for() -> None:
    ids = [operation["operationId"] for _, _, operation in operations()]
    assert len(ids) == len(set(ids))
    for path, method, operation in operations():
        where = f"{method} {path}"
        assert operation.get("description", "").replace("Scope:", "").strip(), where
        assert operation.get("x-scope", "items:read") in SCOPE_BY_CODE, where
        keys: list[dict[str, list[str]]] = [{"key": []}]
        if path.startswith("/v1/"):
            keys += [{"write_key": []}, {}]
        assert operation["security"] == keys, where
        assert {"401", "403", "429"} <= operation["responses"].keys(), where
        good = [status for status in operation["responses"] if status < "300"]
        assert good, where


def test_every_endpoint_is_in_the_document_with_its_scope() -> None:
    told = {(path, method): operation.get("x-scope", ANY) for path, method, operation in operations()}

    assert told == {
        (re.sub(r"<\w+:(\w+)>", r"{\1}", f"/{route}"), method): scope
        for route, methods in ENDPOINTS.items()
        for method, scope in methods.items()
    }


def test_every_call_of_segments_has_an_example_that_is_taken(stream: "redis.Redis") -> None:
    source = make_asker(kind="event_source")
    calls = [(path, operation) for path, _, operation in operations() if path.startswith("/v1/")]

    for path, operation in calls:
        for example in operation["requestBody"]["content"]["application/json"]["examples"].values():
            assert source.ask("POST", path, example["value"]).json() == {"success": True}, path
    consumer = Consumer(seconds=0.0)
    while stream_look().entries:
        consumer.turn()
    assert (consumer.done.events, consumer.done.dead) == (8, 0)  # batch and import tell of the same two
    assert not Event.objects.exclude(faults=None).exists()


def test_every_reference_leads_somewhere() -> None:
    said = str(document())
    names = set(re.findall(r"#/components/schemas/(\w+)", said))

    assert names
    assert names - document()["components"]["schemas"].keys() == set()


def test_the_page_tells_of_every_operation_and_loads_nothing_from_elsewhere() -> None:
    page = Client().get("/api/v1/docs").content.decode()

    for path, method, operation in operations():
        assert f'id="{operation["operationId"]}"' in page, f"{method} {path}"
        assert path in page
    assert "<script" not in page
    assert re.findall(r'(?:src|href)="(?!#|/)([^"]+)"', page) == []


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_they_are_read_and_nothing_else(method: str) -> None:
    for page in ("schema", "docs"):
        assert getattr(Client(), method)(f"/api/v1/{page}").status_code == 405
