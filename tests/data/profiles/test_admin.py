"""The page of a profile: by what they are known, for those who may read it."""

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from apps.data.profiles.addresses import identifier_put
from apps.data.profiles.models import Identifier, Profile
from apps.foundation.core.crypto import key_make
from tests.factories import make_profile, make_user

pytestmark = pytest.mark.django_db


def make_anna() -> Profile:
    anna = make_profile(email="anna@example.com")
    identifier_put(profile_id=anna.pk, kind="phone", value="+436601234567")
    identifier_put(profile_id=anna.pk, kind="external_id", value="shop:17")
    return anna


def page_of(profile: Profile, role: str) -> str:
    client = Client()
    client.force_login(make_user(role))
    answer = client.get(reverse("admin:profiles_profile_change", args=[profile.pk]))
    assert answer.status_code == 200
    return answer.content.decode()


def test_who_may_view_identifiers_reads_them() -> None:
    page = page_of(make_anna(), "administrator")

    assert "anna@example.com" in page
    assert "+436601234567" in page


@pytest.mark.parametrize("role", ["local_editor", "publisher", "analyst"])
def test_others_see_them_masked(role: str) -> None:
    page = page_of(make_anna(), role)

    assert "a•••@example.com" in page
    assert "+43•••67" in page
    assert "shop:17" in page
    assert "anna@example.com" not in page
    assert "+436601234567" not in page


def test_a_value_that_does_not_open_is_said_so() -> None:
    anna = make_anna()
    Identifier.objects.filter(kind="email").update(sealed=b"\1" + bytes(40))

    page = page_of(anna, "administrator")

    assert "be read: the person was erased, or the value was tampered with" in page
    assert "+436601234567" in page


def test_without_its_master_key_the_page_says_which_one_is_missing(settings: Settings) -> None:
    anna = make_anna()
    settings.MASTER_KEYS = {"m9": key_make()}

    assert "the master key m1 is not in MASTER_KEYS" in page_of(anna, "administrator")


def test_search_is_by_the_whole_address() -> None:
    anna = make_anna()
    client = Client()
    client.force_login(make_user("publisher"))

    def found(term: str) -> list[int]:
        answer = client.get(reverse("admin:profiles_profile_changelist"), {"q": term})
        return [one.pk for one in answer.context["cl"].result_list]

    assert found("Anna@Example.com") == [anna.pk]
    assert found("shop:17") == [anna.pk]
    assert found("anna") == []
