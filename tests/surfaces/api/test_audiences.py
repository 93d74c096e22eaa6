"""Audiences in the API: rules, counts, and whether a person is in."""

import pytest

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
