"""By what people are known."""

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from apps.data.profiles.addresses import (
    addresses_again,
    addresses_held,
    addresses_open,
    addresses_opened,
    addresses_read,
    holders_of,
    identifier_put,
)
from apps.data.profiles.models import Identifier, ProfileKey
from apps.data.profiles.vault import MasterKeyMissing, key_destroy, vault_open
from tests.factories import make_profile

pytestmark = pytest.mark.django_db


def test_the_main_address_of_each_who_has_one() -> None:
    anna, ben = make_profile(email="anna@example.com"), make_profile(email=None)
    identifier_put(profile_id=anna.pk, kind="email", value="second@example.com")
    identifier_put(profile_id=ben.pk, kind="phone", value="+436601234567")

    assert addresses_read(profile_ids=[anna.pk, ben.pk], kind="email") == {anna.pk: "anna@example.com"}
    assert addresses_read(profile_ids=[anna.pk, ben.pk], kind="phone") == {ben.pk: "+436601234567"}
    assert addresses_read(profile_ids=[], kind="email") == {}


def test_who_holds_an_address_whose_main_one_it_is_first() -> None:
    anna, ben = make_profile(email="anna@example.com"), make_profile(email="family@example.com")
    identifier_put(profile_id=anna.pk, kind="email", value="family@example.com")

    assert holders_of(kind="email", value="family@example.com") == [ben.pk, anna.pk]
    assert holders_of(kind="phone", value="family@example.com") == []


def test_the_first_address_is_the_main_one_until_a_verified_one_comes() -> None:
    ben = make_profile(email=None)

    def put(value: str, *, verified: bool = False) -> str:
        identifier_put(profile_id=ben.pk, kind="email", value=value, verified=verified, source="sign-up")
        return addresses_read(profile_ids=[ben.pk], kind="email")[ben.pk]

    assert put("first@example.com") == "first@example.com"
    assert put("second@example.com") == "first@example.com"
    assert put("second@example.com", verified=True) == "second@example.com"
    assert put("third@example.com", verified=True) == "second@example.com"
    assert put("second@example.com") == "second@example.com"
    assert sorted(Identifier.objects.values_list("verified", "main")) == [(False, False), (True, False), (True, True)]


def test_a_customer_number_is_one_persons_and_never_a_main_one() -> None:
    anna, ben = make_profile(email=None), make_profile(email=None)
    identifier_put(profile_id=anna.pk, kind="external_id", value="shop:1")

    with pytest.raises(IntegrityError), transaction.atomic():
        identifier_put(profile_id=ben.pk, kind="external_id", value="shop:1")

    assert list(Identifier.objects.values_list("profile_id", "main")) == [(anna.pk, False)]


def test_what_was_opened_before_is_opened_again_only_if_something_of_it_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    people = [make_profile(email=f"{name}@example.com").pk for name in ("same", "erased", "torn", "new")]
    held = addresses_held(profile_ids=people, kind="email")
    before = addresses_opened("email", held, vault=vault_open(people))
    same, erased, torn, new = people
    tried: list[int] = []

    def watched(kind: str, others: dict[int, tuple[bytes, bytes]], **more: Any) -> dict[int, str]:
        tried.extend(others)
        return addresses_open(kind, others, **more)

    monkeypatch.setattr("apps.data.profiles.addresses.addresses_open", watched)
    assert addresses_again("email", held, before) == {pk: one.value for pk, one in before.items()}
    assert tried == []

    key_destroy(erased)
    ProfileKey.objects.filter(profile_id=torn).update(master="m0")
    held[new] = held[new][0], held[new][1][:-1] + bytes((held[new][1][-1] ^ 1,))
    with pytest.raises(MasterKeyMissing):
        addresses_again("email", held, before)
    del held[torn]
    tried.clear()
    assert addresses_again("email", held, before) == {same: "same@example.com"}
    assert tried == [erased, new]
    assert addresses_again("email", held, {}) == {same: "same@example.com"}
