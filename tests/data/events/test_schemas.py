"""Schemas: who may change them, what they refuse, and their pages."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.data.events.models import EventSchema, EventSchemaVersion
from apps.data.events.schemas import faults_find, validator_make
from apps.data.events.services import event_schema_save
from apps.foundation.core.errors import Conflict, DomainError, Invalid, NotAllowed
from tests.factories import make_user

DOCUMENT = {"type": "object", "properties": {"litres": {"type": "number"}}, "required": ["litres"]}


@pytest.mark.django_db
def test_each_change_of_the_document_is_a_version_and_nothing_else_is() -> None:
    engineer = make_user("engineer")
    schema = event_schema_save(by=engineer, name="Kettle Boiled", aliases=["boil"], document=DOCUMENT)
    event_schema_save(by=engineer, schema_id=schema.pk, name="Kettle Boiled", document=DOCUMENT)
    event_schema_save(by=engineer, schema_id=schema.pk, name="Kettle Boiled", document={"type": "object"})

    assert list(EventSchemaVersion.objects.filter(schema=schema).values_list("number", "document")) == [
        (2, {"type": "object"}), (1, DOCUMENT),
    ]  # fmt: skip
    assert EventSchema.objects.get(pk=schema.pk).aliases == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"name": ""}, Invalid),
        ({"aliases": ["x" * 121]}, Invalid),
        ({"document": {"type": "nonsense"}}, Invalid),
        ({"document": {"$ref": "https://elsewhere.example/schema"}}, Invalid),
        ({"document": [1]}, Invalid),
        ({"name": "Product Viewed"}, Conflict),
        ({"aliases": ["PDP_Visit"]}, Conflict),
        ({"name": "PDP_Visit"}, Conflict),
    ],
)
def test_what_is_no_schema_is_refused(given: dict[str, Any], kind: type[DomainError]) -> None:
    before = EventSchema.objects.count()
    with pytest.raises(kind) as refused:
        event_schema_save(by=make_user("engineer"), **{"name": "Kettle Boiled", **given})
    assert refused.value.extra["problems"][0]["where"] == next(iter(given))
    assert EventSchema.objects.count() == before


@pytest.mark.django_db
def test_only_the_central_team_changes_schemas() -> None:
    with pytest.raises(NotAllowed):
        event_schema_save(by=make_user("publisher"), name="Kettle Boiled")
    assert not EventSchema.objects.filter(name="Kettle Boiled").exists()


def test_faults_name_places_and_never_values() -> None:
    properties = {"price": {"minimum": 0}, "tags": {"items": {"type": "string"}}}
    validator = validator_make({"type": "object", "required": ["sku"], "properties": properties})
    assert faults_find(validator, {"sku": "A", "price": 1}) == []
    assert faults_find(validator, {"price": -77, "tags": ["a", 4711]}) == [
        "the properties: lacks sku", "price: does not fit “minimum”", "tags/1: does not fit “type”",
    ]  # fmt: skip


@pytest.mark.django_db
def test_a_schema_is_made_and_mended_in_the_admin(client: Client) -> None:
    client.force_login(make_user("administrator"))
    add = reverse("admin:events_eventschema_add")
    form = {"name": "Kettle Boiled", "names": "boil\nboiled", "on_fault": "keep", "document": '{"type": "nonsense"}'}

    refused = client.post(add, form)
    assert "This is no JSON Schema" in refused.content.decode()
    assert client.post(add, {**form, "document": '{"type": "object"}'}).status_code == 302

    schema = EventSchema.objects.get(name="Kettle Boiled")
    page = client.get(reverse("admin:events_eventschema_change", args=[schema.pk])).content.decode()
    assert schema.aliases == ["boil", "boiled"]
    assert "Version 1" in page
    assert client.get(reverse("admin:events_eventschema_changelist")).status_code == 200
