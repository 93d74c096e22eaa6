"""Keys of clients of the API: what is kept of them, how long they are good, and how soon their end holds."""

import base64
from datetime import timedelta
from hashlib import sha256
from time import monotonic
from typing import Any

import pytest
from django.db import connection
from django.test import RequestFactory
from pytest_django import DjangoAssertNumQueries

from apps.foundation.accounts import api_keys
from apps.foundation.accounts.api_clients import client_create, client_update, key_issue, key_revoke
from apps.foundation.accounts.api_keys import (
    REMEMBER_SECONDS,
    TooManyTries,
    key_caller,
    key_make,
    keys_forget,
    request_caller,
)
from apps.foundation.accounts.models import ApiClient, ApiKey
from apps.foundation.core.clock import now
from tests.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    keys_forget()


def made(kind: str = "system", scopes: tuple[str, ...] = ("items:read",), **more: Any) -> tuple[ApiClient, ApiKey, str]:
    by = make_user("administrator")
    client = client_create(by=by, code=f"shop-{by.pk}", name="Shop", kind=kind, scopes=scopes, **more)
    return client, *key_issue(client_id=client.pk, by=by)


def test_a_key_opens_its_client_and_is_nowhere_in_the_database() -> None:
    client, key, text = made(reach={})

    caller = key_caller(text)

    assert caller is not None
    assert (caller.client_id, caller.key_id, caller.source) == (client.pk, key.pk, f"api:{client.code}")
    assert caller.scopes == {"items:read"}
    assert bytes(key.digest) == sha256(text.encode()).digest()
    assert key.hint == text[-4:]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT row_to_json(k)::text || row_to_json(c)::text FROM accounts_apikey k"
            " JOIN accounts_apiclient c ON c.id = k.client_id"
        )
        assert text.removeprefix("tessera_")[:-4] not in cursor.fetchone()[0]


def test_keys_are_of_256_bits_and_never_alike() -> None:
    keys = {key_make() for _ in range(200)}

    assert len(keys) == 200
    assert {len(base64.urlsafe_b64decode(key.removeprefix("tessera_") + "=")) for key in keys} == {32}


@pytest.mark.parametrize("text", ["", "tessera_", "tessera_" + "é" * 43, "tessera_" + "A" * 42, "tessera_" + "A" * 44])
def test_what_has_not_the_form_of_a_key_is_not_looked_up(
    text: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(0):
        assert key_caller(text) is None


def test_what_is_known_of_a_key_is_asked_once(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    _, _, text = made()
    key_caller(text)

    with django_assert_num_queries(0):
        assert all(key_caller(text) is not None for _ in range(50))


def test_in_another_process_a_revoked_key_is_refused_once_it_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    client, key, text = made()
    key_caller(text)
    remembered = dict(api_keys._known)
    clock = monotonic()

    key_revoke(key_id=key.pk, by=client.owner)
    assert key_caller(text) is None  # here at once
    api_keys._known.update(remembered)  # as the memory of a process that nobody told
    assert key_caller(text) is not None

    assert REMEMBER_SECONDS <= 5
    monkeypatch.setattr("apps.foundation.accounts.api_keys.monotonic", lambda: clock + REMEMBER_SECONDS + 0.1)
    assert key_caller(text) is None


def test_a_client_that_is_off_and_a_scope_that_is_gone_hold_for_its_keys() -> None:
    client, _, text = made(scopes=("items:read", "items:write"))
    said: dict[str, Any] = {"by": client.owner, "name": "Shop", "reach": {}, "per_minute": None, "owner": client.owner}

    client_update(client_id=client.pk, scopes=["items:read"], active=True, **said)
    caller = key_caller(text)
    assert caller is not None
    assert caller.scopes == {"items:read"}
    client_update(client_id=client.pk, scopes=["items:read"], active=False, **said)
    assert key_caller(text) is None


def test_the_end_of_a_key_holds_to_the_moment_also_where_it_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    _, key, text = made()
    at = now()
    ApiKey.objects.filter(pk=key.pk).update(expires_at=at + timedelta(seconds=1))
    assert key_caller(text) is not None

    monkeypatch.setattr(api_keys, "now", lambda: at + timedelta(seconds=1))
    assert key_caller(text) is None


def test_the_last_use_is_written_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    _, key, text = made()
    at = now()
    for seconds in (0, 10, 59):
        monkeypatch.setattr(api_keys, "now", lambda seconds=seconds: at + timedelta(seconds=seconds))
        key_caller(text)
        keys_forget()  # as other processes: each would write, and the database holds to the minute
    key.refresh_from_db()
    assert key.last_used_at == at

    monkeypatch.setattr(api_keys, "now", lambda: at + timedelta(seconds=60))
    key_caller(text)
    key.refresh_from_db()
    assert key.last_used_at == at + timedelta(seconds=60)


def test_only_event_sources_may_come_by_basic(rf: RequestFactory) -> None:
    _, _, writes = made("event_source", ("events:write",))
    _, _, system = made()

    def asked(text: str) -> Any:
        word = base64.b64encode(f"{text}:".encode()).decode()
        return request_caller(rf.get("/", headers={"Authorization": f"Basic {word}"}))

    assert asked(writes) is not None
    assert asked(system) is None
    assert request_caller(rf.get("/", headers={"Authorization": f"Bearer {writes}"})) is not None


@pytest.mark.parametrize(
    "said", ["", "Bearer", "Bearer ", "Basic", "Basic !!", "Basic /////w==", "Digest x", "tessera_x"]
)
def test_a_header_without_a_key_opens_nothing(said: str, rf: RequestFactory) -> None:
    assert request_caller(rf.get("/", headers={"Authorization": said})) is None


def test_who_tries_many_keys_is_held_up_and_good_keys_are_not(rf: RequestFactory, clean_redis: object) -> None:
    _, _, text = made()
    wrong = rf.get("/", headers={"Authorization": "Bearer tessera_" + "A" * 43})

    assert [request_caller(wrong) for _ in range(120)] == [None] * 120
    with pytest.raises(TooManyTries):
        request_caller(wrong)
    assert request_caller(rf.get("/", headers={"Authorization": f"Bearer {text}"})) is not None


def test_a_kind_that_may_less_by_now_is_believed_before_the_row() -> None:
    client, _, text = made("event_source", ("events:write",))
    ApiClient.objects.filter(pk=client.pk).update(scopes=["events:write", "profiles:read"])

    caller = key_caller(text)
    assert caller is not None
    assert caller.scopes == {"events:write"}
