"""Wordings and privacy policies in the admin: written, looked at, approved and published there."""

import re

import pytest
from django.test import Client

from apps.data.consent.models import PrivacyPolicy, Purpose, Suppression, Wording, WordingText
from apps.data.consent.selectors import gate_read
from apps.data.consent.verdicts import traps_among
from apps.foundation.accounts.models import User
from apps.foundation.governance.models import AuditEntry
from tests.factories import make_paths, make_profile, make_purposes, make_user
from tests.wordings import FIRST, SECOND, agree, make_wording, next_version

pytestmark = pytest.mark.django_db


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def form_of(texts: dict[str, str], **values: str) -> dict[str, str]:
    return {**{f"text__{language}": text for language, text in texts.items()}, "material": "no", **values}


def base_of(page: str) -> str:
    found = re.search(r'name="base" value="(\d+)"', page)
    assert found is not None
    return found[1]


def test_a_lawyer_writes_one_and_hands_it_in() -> None:
    make_purposes()
    make_paths()
    client = signed_in(make_user("legal_approver"))
    assert "What people read" in client.get("/admin/consent/wording/add/").content.decode()

    answer = client.post("/admin/consent/wording/add/", {**form_of(FIRST), "purpose": "marketing", "channel": ""})

    assert answer.status_code == 302, answer.content.decode()
    wording = Wording.objects.get()
    assert wording.versions.get().texts == FIRST
    history = f"/admin/consent/wording/{wording.pk}/history/"
    assert "Legal approver" in client.get(history).content.decode()
    assert client.post(history, {"do": "submit"}).status_code == 302
    assert client.post(history, {"do": "publish"}).status_code == 403
    assert not WordingText.objects.exists()


def test_the_page_says_whom_a_new_meaning_asks_before_and_after() -> None:
    wording = make_wording()
    agree(make_profile())
    agree(make_profile(), locale="de")
    client = signed_in(make_user("publisher"))
    path = f"/admin/consent/wording/{wording.pk}/change/"
    page = client.get(path).content.decode()

    answer = client.post(path, form_of(SECOND, material="yes", base=base_of(page), holds_until_0="", holds_until_1=""))

    assert answer.status_code == 302, answer.content.decode()
    page = client.get(path).content.decode()
    assert "v2 is draft: 2 people agree to this purpose now, 2 of them by another text" in page
    next_version(wording, {**SECOND, "fr": "Oui."}, material=True)
    page = client.get(path).content.decode()
    assert "v3 is live: 2 people agree to this purpose now, 2 of them by another text" in page
    assert "2" in client.get("/admin/consent/wording/").content.decode()


def test_what_cannot_be_is_told_at_its_field_and_saves_nothing() -> None:
    wording = make_wording()
    client = signed_in(make_user("publisher"))
    path = f"/admin/consent/wording/{wording.pk}/change/"

    answer = client.post(path, form_of({"de": "Ja"}, base="1"))

    assert answer.status_code == 200
    assert "Write it in this language at least" in answer.content.decode()
    assert wording.versions.count() == 1


def test_others_look_and_change_nothing() -> None:
    wording = make_wording()
    client = signed_in(make_user("analyst"))
    path = f"/admin/consent/wording/{wording.pk}/change/"

    assert FIRST["en"] in client.get(path).content.decode()
    assert client.post(path, form_of(SECOND, base="1")).status_code == 403
    assert client.post(f"/admin/consent/wording/{wording.pk}/history/", {"do": "withdraw"}).status_code == 403
    assert wording.versions.count() == 1
    assert WordingText.objects.filter(shown_until=None).count() == 2


def test_a_policy_is_entered_and_then_only_looked_at() -> None:
    client = signed_in(make_user("legal_approver"))
    values = {
        "version": "2026-11",
        "url": "https://shop.example/privacy",
        "in_force_from_0": "2026-11-01",
        "in_force_from_1": "00:00:00",
    }

    answer = client.post("/admin/consent/privacypolicy/add/", values)

    assert answer.status_code == 302, answer.content.decode()
    policy = PrivacyPolicy.objects.get()
    assert policy.url == "https://shop.example/privacy"
    path = f"/admin/consent/privacypolicy/{policy.pk}/change/"
    assert "2026-11" in client.get(path).content.decode()
    assert client.post(path, {**values, "version": "2027"}).status_code == 403
    assert PrivacyPolicy.objects.get().version == "2026-11"


def test_an_administrator_says_how_a_purpose_is_asked_for() -> None:
    make_purposes()
    path = "/admin/consent/purpose/tracking/change/"
    values = {"double_opt_in": "on"}

    assert signed_in(make_user("legal_approver")).post(path, values).status_code == 403
    assert Purpose.objects.get(pk="tracking").gpc_opts_out
    answer = signed_in(make_user("administrator")).post(path, values)

    assert answer.status_code == 302, answer.content.decode()
    tracking = Purpose.objects.get(pk="tracking")
    assert (tracking.double_opt_in, tracking.gpc_opts_out) == (True, False)
    assert AuditEntry.objects.get(action="consent.purpose.changed").object_id == "tracking"
    client = signed_in(make_user("administrator"))
    answer = client.post("/admin/consent/purpose/transactional/change/", values)
    assert "needs no consent" in answer.content.decode()


def test_a_list_of_traps_may_name_domains_and_no_other_list() -> None:
    client = signed_in(make_user("administrator"))
    values = {"address": "trap@example.com\n@Traps.Example.COM\nb\u00fccher.example.net\n", "note": ""}

    answer = client.post("/admin/consent/suppression/add/", {**values, "reason": "manual"})
    assert "there is no address on line 2, 3" in answer.content.decode()
    assert not Suppression.objects.exists()
    assert client.post("/admin/consent/suppression/add/", {**values, "reason": "spam_trap"}).status_code == 302
    assert sorted(Suppression.objects.values_list("kind", flat=True)) == ["domain", "domain", "email"]
    among = {"traps.example.com", "deep.traps.example.com", "xn--bcher-kva.example.net", "example.com"}
    assert traps_among(among) == among - {"example.com"}


@pytest.mark.parametrize(("text", "kind"), [("Carla@Example.com", "email"), ("+43 660 1234567", "phone")])
def test_an_administrator_suppresses_an_address_and_it_outlives_its_people(text: str, kind: str) -> None:
    make_purposes()
    client = signed_in(make_user("administrator"))
    values = {"address": text, "reason": "spam_trap", "note": "told by the list of traps"}

    assert signed_in(make_user("publisher")).post("/admin/consent/suppression/add/", values).status_code == 403
    answer = client.post("/admin/consent/suppression/add/", values)

    assert answer.status_code == 302, answer.content.decode()
    one = Suppression.objects.get()
    assert (one.kind, one.reason, one.note) == (kind, "spam_trap", "told by the list of traps")
    assert one.actor is not None
    if kind == "email":
        later = make_profile(email="carla@example.com", consent=("marketing",))  # who comes after it, an import too
        assert gate_read(profile_ids=[later.pk], purpose="marketing", channel="email")[later.pk].reason == "suppressed"
    assert client.post("/admin/consent/suppression/add/", {**values, "reason": "manual"}).status_code == 302
    assert Suppression.objects.get().reason == "spam_trap", "what is suppressed stays as it was"
