"""An address typed in: answered alike for known and unknown ones, capped, and with the same work in the request."""

from urllib.parse import urlencode

import pytest
import redis
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from apps.data.profiles.models import LinkAsked
from apps.data.profiles.tasks import links_answer
from apps.decisioning.playbooks.models import MailWant, Playbook, PlaybookVersion
from tests.delivery.makers import make_run
from tests.factories import make_profile, make_purposes

pytestmark = pytest.mark.django_db
FORM = "application/x-www-form-urlencoded"
OWN_TO_EACH = {"X-Request-Id"}
"""A header of every answer of the installation, by which it is found in the logs."""


@pytest.fixture
def published(clean_redis: "redis.Redis") -> PlaybookVersion:
    """A published mail with the link, as far as this page asks for it."""
    version = make_run().version
    PlaybookVersion.objects.filter(pk=version.pk).update(mail_kind=Playbook.Mail.LINK, state="published")
    return version


def ask(client: Client, address: str, **headers: str) -> HttpResponse:
    return client.post("/p/", urlencode({"email": address}), content_type=FORM, headers=headers)  # type: ignore[return-value]


def said(response: HttpResponse) -> tuple[int, bytes, dict[str, str]]:
    """All that an answer says."""
    headers = {name: value for name, value in response.items() if name not in OWN_TO_EACH}
    return response.status_code, response.content, headers


def test_known_and_unknown_addresses_get_the_same_answer_by_the_same_work(
    client: Client, published: PlaybookVersion, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    make_profile(email="known@example.com")
    answers, statements, woken = [], [], []
    ask(client, "warm@example.com")
    for address in ("known@example.com", "stranger@example.com"):
        with CaptureQueriesContext(connection) as queries, django_capture_on_commit_callbacks() as callbacks:
            answers.append(said(ask(client, address)))
        statements.append([query["sql"].split()[:3] for query in queries if "SAVEPOINT" not in query["sql"]])
        woken.append(len(callbacks))

    assert answers[0] == answers[1]
    assert answers[0][0] == 303
    assert answers[0][2]["Location"] == "/p/?asked"
    assert statements[0] == statements[1]
    assert [statement[0] for statement in statements[0]] == ["SELECT", "INSERT"]
    assert "profiles_linkasked" in statements[0][1][2]
    assert woken == [1, 1]
    assert LinkAsked.objects.count() == 3
    links_answer()
    assert MailWant.objects.get().kind == "link"


def test_the_page_after_it_promises_nothing_about_the_address(client: Client, published: PlaybookVersion) -> None:
    page = client.get("/p/?asked")

    assert page.status_code == 200
    assert "If we know the address" in page.content.decode()
    assert not page.cookies
    assert page["Cache-Control"] == "no-store"


def test_an_address_is_asked_for_a_few_times_only_and_the_answer_stays_the_same(
    client: Client, published: PlaybookVersion, settings: Settings
) -> None:
    settings.LINK_ASKS_PER_ADDRESS = 2

    answers = {said(ask(client, address))[0] for address in ("a@example.com", "A@example.com ", "a@EXAMPLE.com")}

    assert answers == {303}
    assert LinkAsked.objects.count() == 2
    assert ask(client, "b@example.com").status_code == 303
    assert LinkAsked.objects.count() == 3


def test_a_connection_that_asks_for_many_waits(client: Client, published: PlaybookVersion, settings: Settings) -> None:
    settings.LINK_ASKS_PER_NETWORK, settings.PROXIES = 2, 1
    seen = {"X-Forwarded-For": "198.51.100.1"}
    answers = [ask(client, f"{number}@example.com", **seen) for number in range(3)]

    assert [answer.status_code for answer in answers] == [303, 303, 429]
    assert answers[2]["Retry-After"] == "3600"
    assert LinkAsked.objects.count() == 2
    assert ask(client, "4@example.com", **{"X-Forwarded-For": "198.51.100.2"}).status_code == 303


@pytest.mark.parametrize("typed", ["", "nonsense", "a@b", "a@b@c.de", "a" * 400 + "@example.com", '"><script>@x.de'])
def test_what_is_no_address_is_said_so_beside_the_field(client: Client, published: PlaybookVersion, typed: str) -> None:
    response = ask(client, typed)

    page = response.content.decode()
    assert response.status_code == 400
    assert "This is not an e-mail address yet" in page
    assert 'aria-describedby="email-fault"' in page
    assert "<script>@" not in page
    assert not LinkAsked.objects.exists()


def test_without_the_mail_the_page_says_kindly_that_it_is_not_available(client: Client) -> None:
    make_purposes()

    page, answer = client.get("/p/"), ask(client, "a@example.com")

    assert (page.status_code, answer.status_code) == (200, 503)
    for response in (page, answer):
        assert "not available at present" in response.content.decode()
    assert not LinkAsked.objects.exists()


def test_looking_asks_for_nothing(client: Client, published: PlaybookVersion) -> None:
    assert client.get("/p/?email=a@example.com").status_code == 200
    assert client.head("/p/").status_code == 200
    assert client.options("/p/").status_code == 204
    assert client.put("/p/").status_code == 405

    assert not LinkAsked.objects.exists()


def test_a_bad_link_leads_here(client: Client, published: PlaybookVersion) -> None:
    page = client.get("/p/k1.forged")

    assert page.status_code == 404
    assert 'href="/p/"' in page.content.decode()
