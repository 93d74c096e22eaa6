"""Each person's own key: what it seals opens for that person and place alone, until it is destroyed."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from pytest_django import Settings

from apps.data.profiles import vault
from apps.data.profiles.models import Profile, ProfileKey
from apps.data.profiles.vault import Erased, MasterKeyMissing, Place, Tampered, key_destroy, keys_make, vault_open
from apps.foundation.core.crypto import key_make
from tests.factories import make_profile

pytestmark = pytest.mark.django_db

HERE = Place("things", "secret", "1")


@pytest.fixture(autouse=True)
def declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault, "_columns", dict(vault._columns))
    for column in ("secret", "other"):
        vault.sealed_column("things", column)


def people(count: int = 1) -> list[int]:
    made = [make_profile(email=None).pk for _ in range(count)]
    keys_make(made)
    return made


def test_what_was_sealed_for_a_place_opens_there() -> None:
    [anna] = people()

    sealed = vault_open([anna]).seal(anna, HERE, "Grüße".encode())

    assert vault_open([anna]).open(anna, HERE, sealed).decode() == "Grüße"
    assert sealed[0] == 1
    assert len(sealed) == 1 + 12 + len("Grüße".encode()) + 16


@pytest.mark.parametrize("place", [HERE._replace(table="thing"), HERE._replace(column="other"), HERE._replace(row="2")])
def test_it_opens_in_no_other_place(place: Place) -> None:
    [anna] = people()
    box = vault_open([anna])
    sealed = box.seal(anna, HERE, b"secret")

    with pytest.raises(Tampered):
        box.open(anna, place, sealed)


def test_it_opens_for_nobody_else_even_if_their_keys_are_swapped() -> None:
    anna, ben = people(2)
    box = vault_open([anna, ben])
    sealed = box.seal(anna, HERE, b"secret")

    with pytest.raises(Tampered):
        box.open(ben, HERE, sealed)

    keys = {key.profile_id: bytes(key.wrapped) for key in ProfileKey.objects.all()}
    ProfileKey.objects.filter(profile_id=ben).update(wrapped=keys[anna])
    with pytest.raises(MasterKeyMissing):
        vault_open([ben]).open(ben, HERE, sealed)


def test_a_version_that_the_person_does_not_have_is_refused() -> None:
    [anna] = people()
    box = vault_open([anna])
    sealed = box.seal(anna, HERE, b"secret")

    for wrong in (b"\2" + sealed[1:], b"\0" + sealed[1:], b"", b"\1"):
        with pytest.raises(Tampered):
            box.open(anna, HERE, wrong)


def test_nothing_is_sealed_where_nobody_would_look_for_it() -> None:
    [anna] = people()

    with pytest.raises(LookupError, match=r"things\.unknown"):
        vault_open([anna]).seal(anna, Place("things", "unknown", "1"), b"secret")


def test_a_destroyed_key_is_gone_for_good() -> None:
    anna, ben = people(2)
    box = vault_open([anna, ben])
    sealed = {person: box.seal(person, HERE, b"secret") for person in (anna, ben)}

    assert key_destroy(anna)
    assert not key_destroy(anna)
    keys_make([anna, ben])

    fresh = vault_open([anna, ben])
    assert anna not in fresh
    with pytest.raises(Erased):
        fresh.open(anna, HERE, sealed[anna])
    with pytest.raises(Erased):
        fresh.seal(anna, HERE, b"secret")
    assert fresh.open(ben, HERE, sealed[ben]) == b"secret"
    assert bytes(ProfileKey.objects.get(profile_id=anna).wrapped) == b""


@pytest.mark.django_db(transaction=True)
def test_a_key_that_is_being_made_is_waited_for_and_then_destroyed() -> None:
    profile_id = Profile.objects.create().pk
    made, go_on = Event(), Event()

    def make() -> None:
        with transaction.atomic():
            keys_make([profile_id])
            made.set()
            go_on.wait(20)
        connection.close()

    with ThreadPoolExecutor(1) as pool:
        making = pool.submit(make)
        assert made.wait(20)
        with connection.cursor() as cursor, transaction.atomic():
            cursor.execute("SET LOCAL lock_timeout = '50ms'")
            with pytest.raises(OperationalError, match="lock timeout"), transaction.atomic():
                key_destroy(profile_id)
        go_on.set()
        making.result()

    assert profile_id in vault_open([profile_id])
    assert key_destroy(profile_id)
    assert profile_id not in vault_open([profile_id])


def test_keys_are_made_once_each_and_stored_wrapped(settings: Settings) -> None:
    anna, ben = people(2)
    before = {key.profile_id: bytes(key.wrapped) for key in ProfileKey.objects.all()}
    keys_make([ben, anna, ben])

    assert {key.profile_id: bytes(key.wrapped) for key in ProfileKey.objects.all()} == before
    assert len(set(before.values())) == 2
    master = next(iter(settings.MASTER_KEYS))
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT master, version, length(wrapped) FROM profiles_profilekey")
        assert cursor.fetchall() == [(master, 1, 12 + 32 + 16)]


def test_the_first_master_key_wraps_and_all_unwrap(settings: Settings) -> None:
    [anna] = people()
    sealed = vault_open([anna]).seal(anna, HERE, b"secret")

    settings.MASTER_KEYS = {"m9": key_make(), **settings.MASTER_KEYS}
    [ben] = people()

    assert ProfileKey.objects.get(profile_id=ben).master == "m9"
    assert vault_open([anna]).open(anna, HERE, sealed) == b"secret"


def without(keys: dict[str, bytes]) -> dict[str, bytes]:
    return {"m9": key_make()}


def exchanged(keys: dict[str, bytes]) -> dict[str, bytes]:
    return dict.fromkeys(keys, key_make())


@pytest.mark.parametrize(("change", "says"), [(without, "is not in MASTER_KEYS"), (exchanged, "another key under")])
def test_without_the_right_master_key_nothing_opens_and_the_error_says_why(
    change: Any, says: str, settings: Settings
) -> None:
    [anna] = people()
    sealed = vault_open([anna]).seal(anna, HERE, b"secret")

    settings.MASTER_KEYS = change(settings.MASTER_KEYS)
    with pytest.raises(MasterKeyMissing, match=says):
        vault_open([anna]).open(anna, HERE, sealed)
    with pytest.raises(MasterKeyMissing, match=says):
        vault_open([anna]).seal(anna, HERE, b"secret")


def test_who_never_had_a_key_has_none() -> None:
    nobody = Profile.objects.create()

    assert nobody.pk not in vault_open([nobody.pk])
    with pytest.raises(Erased):
        vault_open([nobody.pk]).seal(nobody.pk, HERE, b"secret")
