"""People in the API: told of, found, changed; and what is refused leaves nothing."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from apps.data.events.services import event_record
from apps.data.profiles.models import Identifier, Profile
from apps.foundation.core.clock import now
from apps.surfaces.api.models import KeptAnswer
from tests.factories import identifiers_of, make_profile

from .makers import Asker, make_asker, problem

ADA: dict[str, Any] = {
    "identifiers": [{"kind": "external_id", "value": "shop:17850"}, {"kind": "email", "value": "Ada@Example.com"}],
    "first_name": " Ada ",
    "country": "United Kingdom",
    "language": "en_gb",
    "attributes": {"tier": "gold"},
}


@pytest.mark.django_db
def test_a_person_is_told_of_read_and_changed() -> None:
    asker = make_asker()

    made = asker.post("profiles", ADA)
    assert made.status_code == 201
    assert made.json() == {"id": Profile.objects.get().pk}
    read = asker.get(f"profiles/{made.json()['id']}")
    said = read.json()
    assert (said["first_name"], said["country"], said["language"]) == ("Ada", "GB", "en-GB")
    assert said["attributes"] == {"tier": "gold"}
    assert said["source"] == asker.client_source
    assert [(one["kind"], one["value"], one["main"], one["verified"]) for one in said["identifiers"]] == [
        ("external_id", "shop:17850", False, False),
        ("email", "ada@example.com", True, False),
    ]

    path = f"profiles/{said['id']}"
    changed = asker.patch(path, {"last_name": "Lovelace", "attributes": {"tier": None}}, If_Match=read["ETag"])
    assert (changed.json()["last_name"], changed.json()["attributes"]) == ("Lovelace", {})
    problem(asker.patch(path, {"last_name": "Byron"}, If_Match=read["ETag"]), 412, "changed_meanwhile")
    assert Profile.objects.get().last_name == "Lovelace"


@pytest.mark.django_db
def test_who_is_known_is_changed_and_gets_the_other_identifiers() -> None:
    asker = make_asker()
    asker.post("profiles", ADA)

    again = asker.post(
        "profiles",
        {
            "identifiers": [
                {"kind": "email", "value": "ada@example.com"},
                {"kind": "phone", "value": "+43 660 1234567"},
            ],
            "first_name": "Augusta",
        },
    )
    assert again.status_code == 200
    profile = Profile.objects.get()
    assert (profile.first_name, profile.country) == ("Augusta", "GB")
    assert ("phone", "+436601234567", True) in identifiers_of(profile)


@pytest.mark.django_db
def test_identifiers_are_verified_where_the_client_is_trusted_for_their_kind() -> None:
    asker = make_asker(reach={"trusted_identifiers": ["email"]})

    asker.post("profiles", ADA)
    assert dict(Identifier.objects.values_list("kind", "verified")) == {"external_id": False, "email": True}


@pytest.mark.django_db
def test_whom_an_identifier_belongs_to_is_asked_without_an_address_in_the_url() -> None:
    asker = make_asker()
    ada, eve = make_profile(email="family@example.com"), make_profile(email="family@example.com")

    found = asker.post("profiles/lookup", {"kind": "email", "value": " FAMILY@example.com"})
    assert sorted(found.json()["ids"]) == [ada.pk, eve.pk]
    assert asker.post("profiles/lookup", {"kind": "email", "value": "no@example.com"}).json() == {"ids": []}
    said = problem(
        asker.post("profiles", {"identifiers": [{"kind": "email", "value": "family@example.com"}]}),
        409,
        "identifier_ambiguous",
    )
    assert sorted(said["details"]["profiles"]) == [ada.pk, eve.pk]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"identifiers": []}, 422, "identifiers_missing"),
        ({"identifiers": [{"kind": "email", "value": "nobody"}]}, 422, "email_invalid"),
        ({"identifiers": [{"kind": "phone", "value": "1"}]}, 422, "phone_invalid"),
        ({"identifiers": [{"kind": "external_id", "value": "17850"}]}, 422, "external_id_unscoped"),
        ({"identifiers": [{"kind": "passport", "value": "1"}]}, 422, "content_wrong"),
        ({"country": "Atlantis"}, 422, "value_unknown"),
        ({"time_zone": "Mars/Olympus"}, 422, "value_unknown"),
        ({"birthday": "1815-12-10"}, 422, "content_wrong"),
        ({"attributes": {"": "x"}}, 422, None),
        ({"attributes": []}, 422, "content_wrong"),
    ],
)
def test_what_is_wrong_leaves_nobody(change: dict[str, Any], status: int, code: str | None) -> None:
    answer = make_asker().post("profiles", {**ADA, **change})

    problem(answer, status, code or answer.json()["code"])
    assert not Profile.objects.exists()
    assert not Identifier.objects.exists()


@pytest.mark.django_db
def test_a_customer_number_of_somebody_else_is_refused_whole() -> None:
    asker = make_asker()
    asker.post("profiles", ADA)
    other = make_profile(email="eve@example.com")
    rows = [{"kind": "email", "value": "eve@example.com"}, {"kind": "external_id", "value": "shop:17850"}]

    problem(asker.post("profiles", {"identifiers": rows, "first_name": "Eve"}), 409, "identifier_taken")
    other.refresh_from_db()
    assert other.first_name == ""
    path = f"profiles/{other.pk}/identifiers"
    problem(asker.post(path, {"kind": "external_id", "value": "shop:17850"}), 409, "identifier_taken")
    assert asker.post(path, {"kind": "external_id", "value": "shop:2"}).status_code == 201


@pytest.mark.django_db
def test_who_was_erased_is_not_there_and_who_is_restricted_stays_as_they_are() -> None:
    asker, erased = make_asker(), make_profile(email=None, erased_at=now())
    kept = make_profile(email="kept@example.com", restricted_at=now(), first_name="Ada")

    for answer in (asker.get(f"profiles/{erased.pk}"), asker.patch(f"profiles/{erased.pk}", {"first_name": "x"})):
        assert answer.status_code == 404
    assert [one["id"] for one in asker.get("profiles").json()["items"]] == [kept.pk]
    problem(asker.patch(f"profiles/{kept.pk}", {"first_name": "x"}), 409, "profile_restricted")
    told = {"identifiers": [{"kind": "email", "value": "kept@example.com"}], "first_name": "x"}
    problem(asker.post("profiles", told), 409, "profile_restricted")
    assert asker.get(f"profiles/{kept.pk}").json()["restricted"] is True
    assert set(Profile.objects.values_list("first_name", flat=True)) == {"", "Ada"}


@pytest.mark.django_db
def test_identifiers_in_bulk_are_each_by_themselves() -> None:
    asker = make_asker()
    ada, bea = make_profile(), make_profile()
    rows = [
        {"profile": ada.pk, "kind": "external_id", "value": "shop:1"},
        {"profile": bea.pk, "kind": "external_id", "value": "shop:1"},
        {"profile": bea.pk, "kind": "phone", "value": "+43 660 1234567"},
        {"profile": bea.pk, "kind": "phone", "value": "nothing"},
        {"profile": bea.pk + 1000, "kind": "phone", "value": "+43 660 1234567"},
        {"kind": "phone", "value": "+43 660 1234567"},
    ]

    said = asker.post("identifiers/bulk", {"rows": rows}).json()

    assert [one["status"] for one in said["results"]] == [201, 409, 201, 422, 404, 422]
    assert (said["done"], said["failed"]) == (2, 4)
    assert ("external_id", "shop:1", False) in identifiers_of(ada)
    assert ("phone", "+436601234567", True) in identifiers_of(bea)


@pytest.mark.django_db
def test_people_in_bulk_and_sent_again() -> None:
    asker = make_asker()
    rows = {
        "rows": [
            ADA,
            {"identifiers": [{"kind": "email", "value": "zephyr@@x"}]},
            {"identifiers": [{"kind": "email", "value": "zephyr@example.com"}], "first_name": "Zephyr"},
        ]
    }

    first = asker.post("profiles/bulk", rows, Idempotency_Key="zephyr@example.com")
    assert [one["status"] for one in first.json()["results"]] == [201, 422, 201]
    assert asker.post("profiles/bulk", rows, Idempotency_Key="zephyr@example.com").json() == first.json()
    assert Profile.objects.count() == 2
    kept = KeptAnswer.objects.get()
    assert "zephyr" not in str((kept.body, kept.headers, bytes(kept.key_digest))).lower(), "no value of anybody is kept"


@pytest.mark.django_db(transaction=True)
def test_two_at_once_make_one_person() -> None:
    askers = [make_asker() for _ in range(4)]

    def tell(asker: Asker) -> int:
        try:
            return int(asker.post("profiles", ADA).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(tell, askers))
    assert statuses == [200, 200, 200, 201]
    assert Profile.objects.count() == 1


@pytest.mark.django_db
def test_what_somebody_did_is_read_the_newest_first() -> None:
    asker, ada, bea = make_asker("events:read"), make_profile(), make_profile()
    for number in range(5):
        event_record(
            profile_id=ada.pk,
            name="Product Viewed" if number % 2 else "Cart Updated",
            message_id=f"m-{number}",
            occurred_at=now() - timedelta(hours=number // 2),
            properties={"number": number},
        )
    event_record(profile_id=bea.pk, name="Cart Updated", message_id="theirs", occurred_at=now())
    path = f"profiles/{ada.pk}/events"

    first = asker.get(f"{path}?limit=3").json()
    rest = asker.get(f"{path}?limit=3&cursor={first['next']}").json()
    assert [one["properties"]["number"] for one in (*first["items"], *rest["items"])] == [1, 0, 3, 2, 4]
    assert rest["next"] is None
    assert {one["message_id"] for one in asker.get(f"{path}?name=Product%20Viewed").json()["items"]} == {"m-1", "m-3"}
    problem(asker.get("profiles/999999999/events"), 404, "not_found")
    problem(asker.get(f"{path}?cursor=x"), 400, "cursor_wrong")
    problem(make_asker("events:write").get(path), 403, "scope_missing")
