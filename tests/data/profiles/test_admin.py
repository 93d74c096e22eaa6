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


def test_search_is_by_the_whole_address_and_leads_to_numbers() -> None:
    anna, other = make_anna(), make_profile(email="both@example.com")
    identifier_put(profile_id=anna.pk, kind="email", value="both@example.com")
    client = Client()
    client.force_login(make_user("publisher"))
    people = reverse("admin:profiles_profile_changelist")

    def led_to(sought: str) -> str:
        return str(client.post(people, {"sought": sought})["Location"])

    assert 'method="post"' in client.get(people).text
    assert led_to("Anna@Example.com") == reverse("admin:profiles_profile_change", args=[anna.pk])
    assert led_to("shop:17") == reverse("admin:profiles_profile_change", args=[anna.pk])
    assert led_to(str(other.pk)) == reverse("admin:profiles_profile_change", args=[other.pk])
    assert led_to("anna") == led_to(" ") == people
    assert "Nobody is known by that" in client.get(people).text
    both = client.get(led_to("Both@Example.com"))
    assert "both" not in both.wsgi_request.get_full_path().lower()
    assert {one.pk for one in both.context["cl"].result_list} == {anna.pk, other.pk}


def test_who_may_not_see_customers_can_not_search_for_them() -> None:
    make_anna()
    nobody, client = make_user(), Client()
    nobody.groups.clear()
    client.force_login(nobody)

    answer = client.post(reverse("admin:profiles_profile_changelist"), {"sought": "anna@example.com"})

    assert answer.status_code == 403
