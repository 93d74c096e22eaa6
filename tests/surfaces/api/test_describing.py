"""The API's document and its page: whole, valid, public, and from nowhere else."""

import re
from typing import Any

import pytest
from django.test import Client

from apps.foundation.accounts.api_scopes import SCOPE_BY_CODE
from apps.surfaces.api.describing import document


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
        assert operation["security"] == [{"key": []}], where
        assert {"401", "403", "429"} <= operation["responses"].keys(), where
        good = [status for status in operation["responses"] if status < "300"]
        assert good, where


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
