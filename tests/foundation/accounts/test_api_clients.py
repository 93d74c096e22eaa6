"""Clients of the API and their keys: by administrators, in services and in the admin, with an audit."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.foundation.accounts.api_clients import KEYS_MOST, client_create, client_update, key_issue, key_revoke
from apps.foundation.accounts.api_keys import key_caller
from apps.foundation.accounts.api_reach import REACHES, Reach
from apps.foundation.accounts.models import ApiClient, ApiKey, User
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid, NotAllowed, NotFound
from apps.foundation.governance.models import AuditEntry
from tests.factories import make_user

pytestmark = pytest.mark.django_db
SAID: dict[str, Any] = {"code": "web-shop", "name": "Web shop", "kind": "channel", "scopes": ["events:write"]}


def audited() -> list[tuple[str, Any]]:
    rows = AuditEntry.objects.filter(action__startswith="accounts.api_client").order_by("pk")
    return list(rows.values_list("action", "data"))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"code": "Web shop"}, "code"),
        ({"code": "x"}, "code"),
        ({"name": " "}, "name"),
        ({"kind": "robot"}, "kind"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["everything"]}, "scopes"),
        ({"scopes": ["profiles:read"]}, "scopes"),  # not for a channel
        ({"reach": {"moons": ["luna"]}}, "moons"),
    ],
)
def test_what_a_client_cant_be_is_told_by_its_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        client_create(by=make_user("administrator"), **{**SAID, **change})

    assert caught.value.extra["field"] == field
    assert not ApiClient.objects.exists()


def test_limits_are_those_that_apps_declare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REACHES, "planets", Reach("planets", "Planets", lambda: [("mars", "Mars")]))
    by = make_user("administrator")

    client = client_create(by=by, **SAID, reach={"planets": ["mars"]})
    caller = key_caller(key_issue(client_id=client.pk, by=by)[1])
    assert caller is not None
    assert (caller.reaches("planets", "mars"), caller.reaches("planets", "venus")) == (True, False)
    assert caller.reaches("moons", "luna")
    with pytest.raises(Invalid):
        client_create(by=by, **{**SAID, "code": "other"}, reach={"planets": ["pluto"]})


def test_a_code_is_one_clients() -> None:
    by = make_user("administrator")
    client_create(by=by, **SAID)

    with pytest.raises(Conflict):
        client_create(by=by, **SAID)
    assert ApiClient.objects.count() == 1


@pytest.mark.parametrize("role", ["local_editor", "engineer", "publisher", "analyst", "legal_approver"])
def test_only_administrators_look_after_clients(role: str) -> None:
    by, other = make_user("administrator"), make_user(role)
    client = client_create(by=by, **SAID)
    key, _ = key_issue(client_id=client.pk, by=by)
    before = (list(ApiClient.objects.values()), list(ApiKey.objects.values()), audited())

    with pytest.raises(NotAllowed):
        client_create(by=other, **{**SAID, "code": "other"})
    with pytest.raises(NotAllowed):
        client_update(
            client_id=client.pk, by=other, name="x", scopes=["events:write"], reach={}, per_minute=None, owner=other,
            active=True,
        )  # fmt: skip
    with pytest.raises(NotAllowed):
        key_issue(client_id=client.pk, by=other)
    with pytest.raises(NotAllowed):
        key_revoke(key_id=key.pk, by=other)
    assert (list(ApiClient.objects.values()), list(ApiKey.objects.values()), audited()) == before


def test_a_key_is_changed_with_an_overlap() -> None:
    by = make_user("administrator")
    client = client_create(by=by, **SAID)
    old, old_text = key_issue(client_id=client.pk, by=by)

    key, text = key_issue(client_id=client.pk, by=by, overlap=timedelta(days=3))
    assert key_caller(old_text) is not None
    assert key_caller(text) is not None
    old.refresh_from_db()
    assert old.expires_at is not None
    assert timedelta(days=2, hours=23) < old.expires_at - now() <= timedelta(days=3)
    assert key.expires_at is None

    key_issue(client_id=client.pk, by=by, overlap=timedelta(days=30))
    before = old.expires_at
    old.refresh_from_db()
    assert old.expires_at == before, "an end that was said is never put off"
    key_issue(client_id=client.pk, by=by, overlap=timedelta(0))
    assert (key_caller(old_text), key_caller(text)) == (None, None)


def test_keys_of_a_client_are_few_and_those_of_one_that_is_off_are_none() -> None:
    by = make_user("administrator")
    client = client_create(by=by, **SAID)
    keys = [key_issue(client_id=client.pk, by=by)[0] for _ in range(KEYS_MOST)]
    with pytest.raises(Conflict):
        key_issue(client_id=client.pk, by=by)

    assert key_revoke(key_id=keys[0].pk, by=by)
    assert not key_revoke(key_id=keys[0].pk, by=by)
    key_issue(client_id=client.pk, by=by)
    client_update(
        client_id=client.pk, by=by, name="x", scopes=["events:write"], reach={}, per_minute=None, owner=by, active=False
    )
    with pytest.raises(Conflict):
        key_issue(client_id=client.pk, by=by)
    with pytest.raises(Invalid):
        key_issue(client_id=client.pk, by=by, overlap=timedelta(days=365))


def test_what_is_done_is_in_the_audit_log_without_the_key() -> None:
    by = make_user("administrator")
    client = client_create(by=by, **SAID)
    key, text = key_issue(client_id=client.pk, by=by)
    key_revoke(key_id=key.pk, by=by)

    assert [action for action, _ in audited()] == [
        "accounts.api_client.created",
        "accounts.api_client.key_made",
        "accounts.api_client.key_revoked",
    ]
    assert text not in str(audited())
    assert set(AuditEntry.objects.filter(action__contains="api_client").values_list("actor", flat=True)) == {by.pk}


# --- the pages ---


def opened(user: User) -> Client:
    browser = Client()
    browser.force_login(user)
    return browser


def test_a_client_is_made_in_the_admin_and_its_key_shown_once() -> None:
    by = make_user("administrator")
    browser = opened(by)

    added = browser.post(reverse("admin:accounts_apiclient_add"), {**SAID, "owner": by.pk})
    assert added.status_code == 302, added.context["adminform"].form.errors
    client = ApiClient.objects.get()
    assert (client.code, client.kind, client.owner, client.scopes) == ("web-shop", "channel", by, ["events:write"])

    page = reverse("admin:accounts_apiclient_keys_page", args=[client.pk])
    made = browser.post(page, {"do": "make"})
    text = made.context["new_key"]
    assert "no-store" in made["Cache-Control"]
    assert text in made.content.decode()
    assert key_caller(text) is not None
    again = browser.get(page).content.decode()
    assert text not in again
    assert f"…{text[-4:]}" in again

    revoked = browser.post(page, {"do": "revoke", "key": str(ApiKey.objects.get().pk)})
    assert "opens nothing any more" in revoked.content.decode()
    assert key_caller(text) is None


def test_what_is_wrong_stands_at_its_field() -> None:
    browser = opened(make_user("administrator"))

    answer = browser.post(reverse("admin:accounts_apiclient_add"), {**SAID, "scopes": ["profiles:read"]})
    assert answer.status_code == 200
    said = answer.context["adminform"].form.errors["scopes"].as_data()[0].message
    assert said == "A client of this kind can't have profiles:read"


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"do": "rotate", "days": "many"}, 400),
        ({"do": "rotate", "days": "91"}, 400),
        ({"do": "revoke", "key": "x"}, 404),
        ({"do": "revoke", "key": "01890000-0000-7000-8000-000000000000"}, 404),
        ({"do": "what"}, 404),
        ({}, 404),
    ],
)
def test_the_page_of_keys_says_what_it_cant_do(said: dict[str, str], status: int) -> None:
    by = make_user("administrator")
    client = client_create(by=by, **SAID)
    key_issue(client_id=client.pk, by=by)
    before = list(ApiKey.objects.values())

    answer = opened(by).post(reverse("admin:accounts_apiclient_keys_page", args=[client.pk]), said)
    assert answer.status_code == status
    assert list(ApiKey.objects.values()) == before


def test_a_key_of_another_client_is_not_revoked_here() -> None:
    by = make_user("administrator")
    client, other = client_create(by=by, **SAID), client_create(by=by, **{**SAID, "code": "other"})
    key, text = key_issue(client_id=other.pk, by=by)

    page = reverse("admin:accounts_apiclient_keys_page", args=[client.pk])
    assert opened(by).post(page, {"do": "revoke", "key": str(key.pk)}).status_code == 404
    assert key_caller(text) is not None
    with pytest.raises(NotFound):
        key_revoke(key_id=client.pk, by=by)


def test_others_see_neither_clients_nor_keys() -> None:
    by = make_user("administrator")
    client = client_create(by=by, **SAID)
    page = reverse("admin:accounts_apiclient_keys_page", args=[client.pk])

    for role in ("analyst", "publisher", "engineer"):
        browser = opened(make_user(role))
        assert browser.get(page).status_code == 403
        assert browser.post(page, {"do": "make"}).status_code == 403
        assert browser.get(reverse("admin:accounts_apiclient_changelist")).status_code == 403
    assert not ApiKey.objects.exists()
