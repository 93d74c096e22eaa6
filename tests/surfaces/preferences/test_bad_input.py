"""What strangers and accidents send to the customers' pages: a clear answer, and nothing changed that shouldn't be.

The pages come from the URLconf, so that none is forgotten.
"""

import re
from collections.abc import Iterator
from itertools import cycle
from urllib.parse import quote
from uuid import uuid4

import pytest
import redis
from django.test import Client
from pytest_django import Settings

from apps.data.consent.links import LinkScope, link_url, trial_link_url
from apps.data.consent.models import ConsentState
from apps.data.profiles.models import Profile
from apps.decisioning.playbooks.models import Playbook, PlaybookVersion
from apps.foundation.core.signing import token_sign
from tests.architecture.permissions import PUBLIC, ROUTES, TOKEN
from tests.architecture.test_permissions import VALUES
from tests.architecture.test_permissions import routes as all_routes
from tests.delivery.makers import make_run
from tests.factories import make_profile
from tests.pristine import rows_written

pytestmark = pytest.mark.django_db
FORM = "application/x-www-form-urlencoded"
STAFFS = ("admin/", "console/", "healthz", "metrics", ".well-known/", "api/v1/")
"""Where pages begin that are public, and no customers' pages."""
PAGES = sorted(
    route
    for route in set(all_routes())
    if ROUTES.get(route) == TOKEN or (ROUTES.get(route) == PUBLIC and not route.startswith(STAFFS))
)
BY_TOKEN = [route for route in PAGES if ROUTES[route] == TOKEN]
TOKENS_OF_THEIR_OWN = {
    "s/<str:token>": "a sign-up, which is no link of a message",
    "l/<str:token>/<int:number>": "a followed link, signed for its message",
    "d/<str:token>/<int:number>": "a followed link of an answer of the API, signed for it",
    "l/<str:token>/o.gif": "the picture of a message, signed for it",
}
READS_NO_BODY = {
    "t/<str:token>": "a message that was only a test: every POST changes nothing and gets a plain 200",
    "live/p/<str:token>": "a stream: it takes no POST",
}
ACTS = (
    "do=leave",
    "do=withdraw&purpose=marketing",
    "do=agree&purpose=tracking",
    "List-Unsubscribe=One-Click",
    "leave=marketing",
    "confirm=yes&do=confirm&answer=1&do=answer",
)
"""Bodies that would change something on one page or another."""


def scope_of(route: str) -> LinkScope | None:
    """The scope of the links that lead to a page."""
    letter = re.sub(r"^live/", "", route).split("/")[0]
    return LinkScope(letter) if letter in set(LinkScope) else None


def filled(route: str, token: str) -> str:
    """The address of a page with a token put in."""
    known = re.sub(r"<str:token>", lambda _: quote(token, safe=".=-_"), route)
    return "/" + re.sub(r"<(?:(\w+):)?\w+>", lambda match: VALUES[match[1] or "str"], known)


def token_of(scope: LinkScope, profile_id: int) -> str:
    if scope == LinkScope.TEST:
        return trial_link_url(LinkScope.PREFERENCES, test_id=uuid4()).rpartition("/")[2]
    return link_url(scope, profile_id=profile_id, message_id=uuid4()).rpartition("/")[2]


def damaged(scope: LinkScope, profile: Profile) -> Iterator[tuple[str, str]]:
    """Tokens that must open nothing at the pages of a scope, each with what is wrong with it."""
    good = token_of(scope, profile.pk)
    key, _, body = good.partition(".")
    middle = len(body) // 2
    flipped = body[:middle] + ("A" if body[middle] != "A" else "B") + body[middle + 1 :]
    yield from (
        ("cut by one", good[:-1]),
        ("cut in half", good[: len(good) // 2]),
        ("without its body", f"{key}."),
        ("without its key", f".{body}"),
        ("of a key that is unknown", f"k9.{body}"),
        ("one letter longer", f"{good}A"),
        ("padded", f"{good}="),
        ("one letter changed", f"{key}.{flipped}"),
        ("capitals and small letters swapped", f"{key}.{body.swapcase()}"),
        ("twenty times over", good * 20),
        ("nothing like it", "' OR 1=1 --"),
        ("with a NUL", f"{good}\0"),
        ("not ASCII", f"{key}.é"),
        ("of another shape", token_sign(scope, b"x")),
        ("of another length", token_sign(scope, bytes(40))),
    )
    for other in LinkScope:
        if other != scope:
            yield f"of another scope, {other.name}", token_of(other, profile.pk)
    if scope != LinkScope.TEST:
        yield "of somebody who does not exist", token_of(scope, 10**12)
        yield "of an id beyond the database", token_of(scope, 2**63 + 5)


def test_every_page_with_a_token_has_a_scope() -> None:
    assert {route for route in BY_TOKEN if scope_of(route) is None} == TOKENS_OF_THEIR_OWN.keys()
    assert len(PAGES) >= 8


@pytest.mark.parametrize("route", BY_TOKEN)
def test_no_damaged_link_opens_or_changes_anything(
    route: str, client: Client, settings: Settings, clean_redis: "redis.Redis"
) -> None:
    profile, scope = make_profile(email="carla@example.com", consent=("marketing",)), scope_of(route)
    tokens = list(damaged(scope or LinkScope.PREFERENCES, profile))
    if scope is None:
        tokens.append(("of a person's page", token_of(LinkScope.PREFERENCES, profile.pk)))
    before = rows_written()

    for (fault, token), act in zip(tokens, cycle(ACTS), strict=False):
        path = filled(route, token)
        for response in (client.get(path), client.post(path, act, content_type=FORM)):
            assert 400 <= response.status_code < 500, f"{fault}: {response.status_code}"
            assert b"carla" not in response.content, fault
            assert not response.cookies, fault

    assert rows_written() == before


@pytest.mark.parametrize("route", PAGES)
def test_looking_changes_nothing(route: str, client: Client, clean_redis: "redis.Redis") -> None:
    profile, scope = make_profile(consent=("marketing",)), scope_of(route)
    path = filled(route, token_of(scope, profile.pk) if scope is not None else "x")
    before = rows_written()

    for query in ("", "?do=leave&purpose=marketing&leave=marketing&List-Unsubscribe=One-Click&email=a@example.com"):
        for response in (client.get(path + query), client.head(path + query), client.options(path + query)):
            assert response.status_code < 500
            assert not response.cookies

    assert rows_written() == before


@pytest.fixture
def mails_ready() -> None:
    """A published mail with the link, without which its page takes no POST."""
    version = make_run().version
    PlaybookVersion.objects.filter(pk=version.pk).update(mail_kind=Playbook.Mail.LINK, state="published")


@pytest.mark.parametrize("route", PAGES)
def test_bodies_that_are_no_form_of_ours_change_nothing(
    route: str, client: Client, clean_redis: "redis.Redis", mails_ready: None
) -> None:
    profile, scope = make_profile(consent=("marketing",)), scope_of(route)
    path = filled(route, token_of(scope, profile.pk) if scope is not None else "x")
    before = rows_written()

    for body, kind in (
        (b"", FORM),
        (b"&&&=;", FORM),
        (b"do=le\xff\xfeave&purpose=\xff", FORM),
        (b"do=everything&purpose=none", FORM),
        (b"&".join(b"do=leave" for _ in range(200)), FORM),
        (b'{"do": "leave", "purpose": "marketing"}', "application/json"),
        (b"<do>leave</do>", "text/xml"),
        (b"--x\r\nContent-Disposition: form-data", "multipart/form-data"),
        (b"\0" * 500, "application/octet-stream"),
    ):
        response = client.post(path, body, content_type=kind)
        assert response.status_code < 500, (body[:20], response.status_code)
        assert not response.cookies
    for act in ACTS:
        response = client.post(path, f"{act}&more={'x' * 9000}", content_type=FORM)
        if route not in READS_NO_BODY:
            assert response.status_code in (401, 404, 405, 413), act
    assert client.put(path, "do=leave").status_code == client.delete(path).status_code == 405

    assert rows_written() == before


@pytest.mark.parametrize("scope", [LinkScope.PREFERENCES, LinkScope.UNSUBSCRIBE])
def test_nobody_chooses_for_somebody_else(scope: LinkScope, client: Client, clean_redis: "redis.Redis") -> None:
    mine, other = (make_profile(consent=("marketing",)) for _ in range(2))
    path = f"/{scope}/{token_of(scope, mine.pk)}"
    ids = f"&profile={other.pk}&profile_id={other.pk}&id={other.pk}&token={token_of(scope, other.pk)}"
    states = ConsentState.objects.filter(profile=other)
    before = sorted(states.values_list("purpose_id", "granted", "changed_at"))

    for act in ACTS:
        assert client.post(f"{path}?{ids[1:]}", act + ids, content_type=FORM).status_code < 500

    assert sorted(states.values_list("purpose_id", "granted", "changed_at")) == before
    assert not ConsentState.objects.filter(profile=mine, purpose="marketing", granted=True).exists()
