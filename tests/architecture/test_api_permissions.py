"""The matrix of the API: kind of client, scope and method. Each cell has its outsider, who changes nothing."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import resolve

from apps.foundation.accounts.api_keys import keys_forget
from apps.foundation.accounts.api_scopes import KINDS_OF_CLIENTS, SCOPE_BY_CODE, SCOPES_OF_API
from tests.pristine import rows_written
from tests.surfaces.api.makers import Asker, make_asker

from .api_permissions import ANY, ENDPOINTS
from .permissions import ROUTES
from .test_permissions import ALL, address

pytestmark = pytest.mark.django_db
METHODS = ("get", "post", "put", "patch", "delete", "options")
CELLS = [(route, method, scope) for route, methods in ENDPOINTS.items() for method, scope in methods.items()]
SCOPES = [scope.code for scope in SCOPES_OF_API]
_QUIET = {"accounts_apikey"}  # when a key was used is written for whoever has one


@pytest.fixture(autouse=True)
def nothing_remembered(clean_redis: object) -> Iterator[None]:
    keys_forget()
    yield
    keys_forget()


def test_every_address_of_the_api_is_listed() -> None:
    found = {route for route in ALL if route.startswith(("api/v1/", "v1/"))} - ROUTES.keys()

    assert found - ENDPOINTS.keys() == set(), "list them in api_permissions.py"
    assert ENDPOINTS.keys() - found == set(), "these are gone: take them out of api_permissions.py"


def test_every_scope_is_known_and_opens_something() -> None:
    asked = {scope for _, _, scope in CELLS} - {ANY}

    assert asked - SCOPE_BY_CODE.keys() == set()
    assert all(kind.scopes <= SCOPE_BY_CODE.keys() for kind in KINDS_OF_CLIENTS)


@pytest.mark.parametrize("route", sorted(ENDPOINTS))
def test_a_view_asks_for_what_is_listed(route: str) -> None:
    view: Any = resolve(address(route)).func

    assert dict(getattr(view, "view_class", view).scopes) == ENDPOINTS[route]


@pytest.mark.parametrize("route", sorted(ENDPOINTS))
def test_without_a_key_nothing_opens_and_nothing_changes(route: str) -> None:
    asker = make_asker()
    before = written()

    for method in METHODS:
        answer = _ask(asker, route, method, Authorization="Bearer tessera_" + "A" * 43)
        assert answer.status_code in (401, 405), method
        assert answer["Content-Type"] == "application/problem+json"
    assert written() == before


@pytest.mark.parametrize("kind", [kind.code for kind in KINDS_OF_CLIENTS])
def test_a_client_opens_what_its_scopes_do_and_nothing_else(kind: str) -> None:
    """Each kind, with all scopes that it may have: the cells without its scopes are outside, and change nothing."""
    asker = make_asker(kind=kind, per_minute=100_000)
    scopes = set(asker.client.scopes)
    asker.get("client")  # the key's first use is written
    before = written()

    for route, method, scope in CELLS:
        if scope == ANY or scope in scopes:
            continue
        answer = _ask(asker, route, method)
        assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing"), f"{method} {route}"
    for route, methods in ENDPOINTS.items():
        for method in set(METHODS) - methods.keys():
            assert _ask(asker, route, method).status_code == 405, f"{method} {route}"
    assert written() == before


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("scope", SCOPES)
def test_a_scope_alone_opens_its_cells(scope: str, whole: bool) -> None:
    """And no other: all of them, or those of the same resource and an equal share of the rest."""
    asker = make_asker(scope, per_minute=100_000)
    asker.get("client")
    before = written()

    turn = SCOPES.index(scope)
    for number, (route, method, asked) in enumerate(CELLS):
        near = asked.partition(":")[0] == scope.partition(":")[0] or number % len(SCOPES) == turn
        if asked not in (scope, ANY) and (near or whole):
            assert _ask(asker, route, method).status_code == 403, f"{method} {route}"
    assert written() == before
    for route, method, asked in CELLS:
        if asked == scope:
            answer = _ask(asker, route, method)
            code = answer.json().get("code", "") if answer.status_code >= 400 else ""
            assert answer.status_code not in (401, 405, 500), f"{method} {route}"
            assert code != "scope_missing", f"{method} {route}"


def _ask(asker: Asker, route: str, method: str, **headers: str) -> Any:
    body: Any = {} if method in ("post", "put", "patch") else None
    return asker.ask(method.upper(), address(route), body, **headers)


def written() -> int:
    """How many rows were written so far, but for when a key was used."""
    return rows_written(leaving_out=_QUIET)
