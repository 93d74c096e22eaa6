"""Audiences in the API: rules, counts, and whether a person is in."""

from concurrent.futures import ThreadPoolExecutor

import jsonschema_rs
import pytest
import reversion.models
from django.db import connection

from apps.decisioning.audiences.models import Audience
from tests.factories import make_profile, make_user

from .makers import make_asker, problem

pytestmark = pytest.mark.django_db
GERMAN = {"name": "In Germany", "rule": {"attribute": "country", "is": "DE"}}


def test_an_audience_is_added_read_and_changed_as_its_owner() -> None:
    owner = make_user("publisher")
    asker = make_asker(owner=owner)

    made = asker.post("audiences", GERMAN)
    assert made.status_code == 201, made.content
    audience = Audience.objects.get()
    assert (audience.owner, audience.rule) == (owner, GERMAN["rule"])
    path = f"audiences/{audience.pk}"
    read = asker.get(path)
    assert read.json() == made.json()
    assert read.json()["rule_in_words"] == "country is DE"

    changed = asker.patch(path, {"rule": {"attribute": "country", "is": "AT"}}, If_Match=read["ETag"])
    assert (changed.json()["name"], changed.json()["rule_in_words"]) == ("In Germany", "country is AT")
    problem(asker.patch(path, {"name": "Late"}, If_Match=read["ETag"]), 412, "changed_meanwhile")
    problem(asker.patch(path, {"name": "Odd"}, If_Match='"v999999999999999999"'), 412, "changed_meanwhile")
    problem(asker.post("audiences", {**GERMAN, "rule": {"nobody": 1}}), 422, "rule_invalid")
    assert Audience.objects.get().name == "In Germany"


def test_people_are_counted_and_one_is_told_whether_they_are_in_and_why() -> None:
    asker = make_asker(owner=make_user("publisher"))
    asker.post("audiences", GERMAN)
    pk = Audience.objects.get().pk
    inside, outside = make_profile(country="DE"), make_profile(country="AT")

    told = asker.get(f"audiences/{pk}/count").json()
    assert (told["count"], told["everybody"]) == (1, 2)
    one = asker.get(f"audiences/{pk}/people/{inside.pk}").json()
    other = asker.get(f"audiences/{pk}/people/{outside.pk}").json()
    assert (one["member"], other["member"]) == (True, False)
    assert other["because"] == [{"field": "country", "wanted": "is DE", "holds": False}]
    problem(asker.get(f"audiences/{pk}/people/{outside.pk + 1}"), 404, "not_found")


def test_a_client_does_no_more_than_its_owner() -> None:
    publisher = make_asker(owner=make_user("publisher"))
    publisher.post("audiences", GERMAN)
    path = f"audiences/{Audience.objects.get().pk}"
    other, reader, nobody = (make_asker(owner=make_user(role)) for role in ("publisher", "analyst", "analyst"))
    nobody.client.owner.groups.clear()

    problem(other.patch(path, {"name": "Mine"}), 403, "right_missing")
    problem(reader.post("audiences", {**GERMAN, "name": "Other"}), 403, "right_missing")
    assert reader.get(path).status_code == 200
    for address in ("audiences", path, f"{path}/count", f"{path}/people/1"):
        problem(nobody.get(address), 403, "right_missing")
    assert [audience.name for audience in Audience.objects.all()] == ["In Germany"]


def test_rows_in_bulk_go_by_their_codes_and_may_name_the_ones_before() -> None:
    owner = make_user("publisher")
    asker = make_asker(owner=owner)
    asker.post("audiences", {**GERMAN, "code": "de", "description": "Kept"})
    make_asker(owner=make_user("publisher")).post("audiences", {**GERMAN, "code": "theirs", "name": "Theirs"})
    rows = [
        {"code": "de", "name": "Germans", "watched": True},
        {"code": "regulars", "name": "Regulars", "rule": {"orders": {"at_least": 2}}},
        {"code": "both", "name": "Both", "rule": {"all": [{"audience": "de"}, {"audience": "regulars"}]}},
        {"code": "theirs", "name": "Mine"},
        {"code": "nameless", "rule": {"all": []}},
        {"code": "ruleless", "name": "Ruleless"},
        {"code": "Odd Code", "name": "Odd", "rule": {"all": []}},
        {"code": "twin", "name": "Regulars", "rule": {"all": []}},
        {"code": "regulars", "rule": {"audience": "both"}},
        {"code": "lost", "name": "Lost", "rule": {"audience": "nobody"}},
        {"code": "odd", "name": "Odd", "rule": {"all": []}, "owner": 1},
    ]

    said = asker.post("audiences/bulk", {"rows": rows}).json()
    assert [one["status"] for one in said["results"]] == [200, 201, 201, 403, 422, 422, 422, 409, 422, 422, 422]
    assert [one["problem"]["code"] for one in said["results"] if "problem" in one] == [
        "right_missing",
        "field_missing",
        "field_missing",
        "content_wrong",
        "audience_name_taken",
        "rule_audience_circle",
        "rule_audience_unknown",
        "content_wrong",
    ]
    kept = {one.code: one for one in Audience.objects.all()}
    assert sorted(kept) == ["both", "de", "regulars", "theirs"]
    german = kept["de"]
    assert (german.name, german.description, german.rule, german.watched) == ("Germans", "Kept", GERMAN["rule"], True)
    assert (kept["theirs"].name, kept["both"].owner) == ("Theirs", owner)
    assert said["results"][2]["id"] == str(kept["both"].pk)
    assert [one["id"] for one in asker.get("audiences?code=both").json()["items"]] == [kept["both"].pk]


def test_rows_sent_again_change_nothing_and_leave_no_version() -> None:
    asker = make_asker(owner=make_user("publisher"))
    rows = {
        "rows": [{"code": "de", **GERMAN, "watched": False}, {"code": "at", "name": "In Austria", "rule": {"all": []}}]
    }
    asker.post("audiences/bulk", rows)
    versions = reversion.models.Version.objects.count()
    before = list(Audience.objects.order_by("pk").values())

    assert [one["status"] for one in asker.post("audiences/bulk", rows).json()["results"]] == [200, 200]
    assert list(Audience.objects.order_by("pk").values()) == before
    assert reversion.models.Version.objects.count() == versions
    reader = make_asker(owner=make_user("analyst"))
    refused = reader.post("audiences/bulk", {"rows": [{"code": "de"}, {"code": "new", **GERMAN}]}).json()
    assert [one["status"] for one in refused["results"]] == [403, 403]
    assert list(Audience.objects.order_by("pk").values()) == before


def test_a_batch_of_more_rows_than_the_limit_is_refused_whole_and_one_sent_again_replayed() -> None:
    asker = make_asker(owner=make_user("publisher"), per_minute=5)
    rows = [{"code": f"n-{number}", "name": f"N {number}", "rule": {"all": []}} for number in range(6)]

    problem(asker.post("audiences/bulk", {"rows": rows}), 413, "more_than_a_minute")
    assert not Audience.objects.exists()
    first = asker.post("audiences/bulk", {"rows": rows[:2]}, Idempotency_Key="7")
    assert first.json()["done"] == 2
    assert asker.post("audiences/bulk", {"rows": rows[:2]}, Idempotency_Key="7").json() == first.json()
    assert Audience.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_two_at_once_make_one_audience_of_a_code() -> None:
    asker = make_asker(owner=make_user("publisher"))

    def ask(name: str) -> list[int]:
        try:
            rows = [{"code": "de", **GERMAN, "description": name}]
            return [one["status"] for one in asker.post("audiences/bulk", {"rows": rows}).json()["results"]]
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        answers = sorted(pool.map(ask, "abcd"))
    assert answers == [[200], [200], [200], [201]]
    assert Audience.objects.get().description in "abcd"


def test_what_rules_may_be_is_told_to_whoever_writes_them_by_machine() -> None:
    asker = make_asker(owner=make_user("publisher"))
    asker.post("audiences", {**GERMAN, "code": "de"})

    told = asker.get("audiences/rule").json()
    form = jsonschema_rs.Draft202012Validator(told["schema"])
    assert form.is_valid({"all": [GERMAN["rule"], {"audience": "de"}]})
    assert not form.is_valid({"nobody": 1})
    names = told["names"]
    assert names["audiences"] == ["de"]
    assert "marketing" in names["purposes"]
    [stage] = [one for one in names["features"] if one["name"] == "lifecycle_stage"]
    assert "in" in stage["asks"]


def test_a_rule_is_tried_before_it_is_saved() -> None:
    asker = make_asker("audiences:read", owner=make_user("publisher"))
    make_profile(country="DE")
    make_profile(country="AT")

    told = asker.post("audiences/count", {"rule": GERMAN["rule"]}).json()
    assert (told["count"], told["everybody"], told["rule_in_words"]) == (1, 2, "country is DE")
    problem(asker.post("audiences/count", {"rule": {"audience": "nobody"}}), 422, "rule_audience_unknown")
    problem(asker.post("audiences/count", {"rule": {"nobody": 1}}), 422, "rule_invalid")
    problem(asker.post("audiences/count", {}), 422, "content_wrong")
    assert not Audience.objects.exists()
