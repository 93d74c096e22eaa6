"""What may be told of people and events, as the API says it."""

import pytest

from apps.data.events.services import event_schema_save
from apps.data.profiles.services import attribute_define
from tests.factories import make_user

from .makers import make_asker, problem

pytestmark = pytest.mark.django_db


def test_definitions_of_attributes_are_read_by_name() -> None:
    keeper = make_user("administrator")
    attribute_define(name="club", by=keeper, kind="choice", allowed=["gold", "silver"], required=True)
    attribute_define(name="age", by=keeper, kind="number", sensitive=True)
    asker = make_asker("profiles:read")

    first = asker.get("attributes?limit=1").json()
    rest = asker.get(f"attributes?limit=1&cursor={first['next']}").json()
    age, club = first["items"] + rest["items"]
    assert (age["name"], age["kind"], age["sensitive"], age["allowed"]) == ("age", "number", True, [])
    assert (club["name"], club["kind"], club["required"], club["allowed"]) == (
        "club",
        "choice",
        True,
        ["gold", "silver"],
    )
    assert rest["next"] is None
    assert [one["name"] for one in asker.get("attributes?name=club").json()["items"]] == ["club"]
    problem(make_asker("events:read").get("attributes"), 403, "scope_missing")


def test_schemas_of_events_are_read_with_their_newest_version() -> None:
    engineer = make_user("engineer")
    viewed = {"type": "object", "properties": {"sku": {"type": "string"}}}
    schema = event_schema_save(by=engineer, name="Teapot Turned", aliases=["Pot_Turned"], document={"type": "object"})
    event_schema_save(by=engineer, schema_id=schema.pk, name="Teapot Turned", aliases=["Pot_Turned"], document=viewed)
    event_schema_save(by=engineer, name="Anything Done")
    asker = make_asker("events:read")

    listed = {one["name"]: one for one in asker.get("event-schemas?limit=200").json()["items"]}
    [plain] = asker.get("event-schemas?name=Anything%20Done").json()["items"]
    assert (plain["name"], plain["version"], plain["properties"]) == ("Anything Done", None, None)
    product = listed["Teapot Turned"]
    assert (product["aliases"], product["version"]) == (["Pot_Turned"], 2)
    assert (product["properties"], product["on_fault"], product["purpose"]) == (viewed, "keep", None)
    problem(make_asker("events:write").get("event-schemas"), 403, "scope_missing")
