"""The page of a profile: by what they are known, for those who may read it."""

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from apps.data.profiles.addresses import identifier_put
from apps.data.profiles.attributes import attributes_put
from apps.data.profiles.models import AttributeDefinition, Identifier, Profile
from apps.data.profiles.services import attribute_define
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


@pytest.mark.parametrize(("role", "whole"), [("administrator", True), ("publisher", False), ("analyst", False)])
def test_a_sensitive_attribute_is_shown_to_those_who_may_see_it(role: str, whole: bool) -> None:
    attribute_define(name="illness", sensitive=True, labels={"en": "Health"}, by=make_user("administrator"))
    anna = make_anna()
    attributes_put(profile_id=anna.pk, values={"illness": "kanarienfieber", "hat": "<b>big"})
    client = Client()
    client.force_login(make_user(role))

    for page in (page_of(anna, role), client.get(f"/console/people/{anna.pk}/").content.decode()):
        assert "&lt;b&gt;big" in page
        assert "Health" in page
        assert ("kanarienfieber" in page) is whole
        assert ("sensitive, hidden" in page) is not whole


# --- definitions ---


def definition_said(**fields: str) -> dict[str, str]:
    said = {"name": "diet", "kind": "choice", "allowed": "vegan\nany", "fallback": "any", "label_de": "Ernährung"}
    return {**said, "description": "", "fresh_days": "", **fields}


def test_an_administrator_defines_changes_and_is_told_what_does_not_fit() -> None:
    client, add = Client(), reverse("admin:profiles_attributedefinition_add")
    client.force_login(make_user("administrator"))

    refused = client.post(add, definition_said(fallback="meat"))
    assert "The fallback must be one of: vegan, any" in refused.content.decode()
    assert not AttributeDefinition.objects.exists()
    assert client.post(add, definition_said(sensitive="on")).status_code == 302
    row = AttributeDefinition.objects.get()
    assert (row.allowed, row.labels) == (["vegan", "any"], {"de": "Ernährung"})
    assert (row.sensitive, row.moving) == (True, "sealing")

    change = reverse("admin:profiles_attributedefinition_change", args=[row.pk])
    assert "values are being sealed: 0 so far" in client.get(change).content.decode()
    refused = client.post(change, definition_said(sensitive=""))
    assert "a step of its own" in refused.content.decode()


def test_what_came_in_and_nobody_defined_is_offered_to_be_defined() -> None:
    attributes_put(profile_id=make_anna().pk, values={"hat <b>": "big"}, source="crm")
    client, pages = Client(), reverse("admin:profiles_attributedefinition_changelist")
    client.force_login(make_user("administrator"))

    page = client.get(pages).content.decode()
    assert f'href="{pages}add/?name=hat+%3Cb%3E"' in page
    client.force_login(make_user("analyst"))
    page = client.get(pages).content.decode()
    assert "hat &lt;b&gt;" in page
    assert "?name=" not in page


def test_making_clear_again_asks_for_the_name_and_for_a_right() -> None:
    row = attribute_define(name="illness", sensitive=True, by=make_user("administrator"))
    AttributeDefinition.objects.update(moving="")
    client, page = Client(), reverse("admin:profiles_attributedefinition_open", args=[row.pk])
    client.force_login(make_user("publisher"))
    assert client.post(page, {"name": "illness"}).status_code == 403
    client.force_login(make_user("administrator"))
    assert client.post(page, {"name": "ilness"}).status_code == 409
    row.refresh_from_db()
    assert row.moving == ""
    assert client.post(page, {"name": "illness"}).status_code == 302
    row.refresh_from_db()
    assert (row.sensitive, row.moving) == (True, "opening")
