"""The list of who may do what is whole, and true."""

import re
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.contrib import admin
from django.db import transaction
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver
from pytest_django import DjangoDbBlocker

from apps.foundation.accounts.models import User
from apps.foundation.accounts.roles import ROLE_BY_CODE
from tests.factories import make_user

from .api_permissions import ENDPOINTS
from .permissions import ADMIN, EVERY_ROLE, PUBLIC, ROUTES, STAFF, TOKEN, Kind

REGISTERED = {f"{model._meta.app_label}.{model._meta.model_name}": model for model in admin.site._registry}
VALUES = {"int": "1", "str": "x", "slug": "x", "path": "1", "uuid": "01890000-0000-7000-8000-000000000000"}

HIDING = {route for route in ROUTES if route.startswith("live/")}
"""Routes that answer 403 for what does not exist too."""


def routes(patterns: list[URLPattern | URLResolver] | None = None, prefix: str = "") -> Iterator[str]:
    """Every route of the URLconf, from its root."""
    for entry in patterns if patterns is not None else get_resolver().url_patterns:
        here = prefix + re.sub(r"^\^\(\?P<app_label>.*\)/\$$", "<app_label>/", str(entry.pattern))
        if isinstance(entry, URLResolver):
            yield from routes(entry.url_patterns, here)
        else:
            yield here


def kind_of(route: str) -> str:
    """`app.model` of a route that is one of an object's pages in the admin, else an empty text."""
    parts = route.split("/")
    name = ".".join(parts[1:3]) if parts[0] == "admin" else ""
    return name if name in REGISTERED else ""


def address(route: str) -> str:
    """A route with values put in."""
    if route.endswith("(?P<url>.*)$"):
        return "/admin/nowhere/"
    if route == "admin/<app_label>/":
        return "/admin/accounts/"
    filled = re.sub(r"\\?\^|\\?\$|\\Z", "", route)
    filled = re.sub(r"<(?:(\w+):)?\w+>", lambda match: VALUES[match[1] or "str"], filled)
    return "/" + re.sub(r"\(\?P?[^)]*\)", "1", filled)


ALL = sorted(set(routes()))
OWN = [route for route in ALL if not kind_of(route) and route not in ENDPOINTS]
GUARDED = [route for route in ALL if ROUTES.get(route, STAFF) not in (PUBLIC, TOKEN)]


@pytest.fixture(scope="module")
def staff(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[dict[str, tuple[User, str]]]:
    """One of each role, and the key of their session."""
    with django_db_blocker.unblock(), transaction.atomic():
        made = {}
        for role in sorted(EVERY_ROLE):
            client, user = Client(), make_user(role)
            client.force_login(user)
            made[role] = user, client.cookies[settings.SESSION_COOKIE_NAME].value
        yield made
        transaction.set_rollback(True)


def test_every_address_says_who_may() -> None:
    assert [route for route in OWN if route not in ROUTES] == [], "list them in permissions.py"
    assert [route for route in ROUTES if route not in ALL] == [], "these are gone: take them out of permissions.py"


def test_every_kind_of_object_in_the_admin_says_who_may() -> None:
    assert sorted(REGISTERED.keys() - ADMIN.keys()) == [], "list them in permissions.py"
    assert sorted(ADMIN.keys() - REGISTERED.keys()) == [], "these are gone: take them out of permissions.py"


def test_the_roles_are_those_of_the_house() -> None:
    assert set(ROLE_BY_CODE) == EVERY_ROLE
    for name, kind in ADMIN.items():
        assert kind.add | kind.change | kind.delete <= kind.view <= EVERY_ROLE, name


@pytest.mark.django_db
@pytest.mark.parametrize("route", GUARDED)
def test_nobody_gets_in_without_signing_in(route: str, client: Client) -> None:
    for answer in (client.get(address(route)), client.post(address(route))):
        if answer.status_code == 302:
            assert "/login" in answer["Location"], answer["Location"]
        else:
            assert answer.status_code in (401, 403, 404, 405)


@pytest.mark.django_db
@pytest.mark.parametrize("route", [route for route in OWN if ROUTES.get(route) == TOKEN])
def test_a_forged_link_opens_nothing(route: str, client: Client) -> None:
    for token in ("x", "k1.AAAAAAAAAAAAAAAAAAAA", "k1." + "A" * 3000, "k1.é"):
        for answer in (
            client.get(address(route).replace("/x", f"/{token}")),
            client.post(address(route).replace("/x", f"/{token}")),
        ):
            assert 400 <= answer.status_code < 500


@pytest.mark.django_db
@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("route", [route for route in OWN if isinstance(ROUTES.get(route), tuple)])
def test_a_page_opens_only_to_those_who_have_its_rights(
    route: str, whole: bool, staff: dict[str, tuple[User, str]]
) -> None:
    """All who lack them are turned away; of those who have them everybody comes in, or just the first."""
    rights = ROUTES[route]
    assert isinstance(rights, tuple)
    came_in = 0
    for role, (user, session) in staff.items():
        client = Client()
        client.cookies[settings.SESSION_COOKIE_NAME] = session
        if user.has_perms(rights) and route not in HIDING:
            if whole or not came_in:
                assert client.get(address(route)).status_code in (200, 302, 404, 405), role
            came_in += 1
        elif not user.has_perms(rights):
            assert client.get(address(route)).status_code in (403, 405), role
            assert client.post(address(route)).status_code in (403, 405), role


@pytest.mark.django_db
def test_a_user_without_a_role_or_without_staff_gets_nothing() -> None:
    outsider = User.objects.create_user("outsider@shop.example", "a long enough password", is_staff=False)
    nobody = User.objects.create_user("nobody@shop.example", "a long enough password")
    for user in (outsider, nobody):
        client = Client()
        client.force_login(user)
        for route in (route for route in OWN if isinstance(ROUTES.get(route), tuple)):
            assert client.get(address(route)).status_code in (302, 403, 405), (route, user.email)


@pytest.mark.django_db
@pytest.mark.parametrize("name", sorted(ADMIN))
def test_each_role_may_do_in_the_admin_what_is_listed(
    name: str, rf: RequestFactory, staff: dict[str, tuple[User, str]]
) -> None:
    kind, model_admin = ADMIN[name], admin.site._registry[REGISTERED[name]]
    may: dict[str, set[str]] = {"view": set(), "add": set(), "change": set(), "delete": set()}
    for role, (user, _) in staff.items():
        request = rf.get("/admin/")
        request.user = user
        for action, roles in may.items():
            if getattr(model_admin, f"has_{action}_permission")(request):
                roles.add(role)

    assert Kind(**{action: frozenset(roles) for action, roles in may.items()}) == kind
