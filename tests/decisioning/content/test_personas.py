"""Personas: invented people that marketers make."""

from typing import Any

import pytest

from apps.decisioning.content import services
from apps.decisioning.content.models import Persona
from apps.foundation.core.errors import Conflict, Invalid, NotAllowed
from apps.foundation.governance.models import AuditEntry
from tests.factories import make_user

pytestmark = pytest.mark.django_db
LISA = {"first_name": "Lisa", "country": "AT", "loyal": True, "points": 120}


def test_an_editor_makes_and_changes_a_persona() -> None:
    editor = make_user("local_editor")

    made = services.persona_create(by=editor, name=" Lisa ", profile=LISA)
    services.persona_update(persona_id=made.pk, by=editor, description="In Vienna")

    persona = Persona.objects.get()
    assert (persona.name, persona.description, persona.profile, persona.owner) == ("Lisa", "In Vienna", LISA, editor)
    assert list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))[-2:] == [
        "content.persona.created",
        "content.persona.changed",
    ]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"name": " "}, "is needed"),
        ({"name": "A", "profile": ["x"]}, "must be at most 50 names with values"),
        ({"name": "A", "profile": {"a b": "x"}}, "is no name of a value"),
        ({"name": "A", "profile": {"a": ["x"]}}, "must be a text, a number, true or false"),
        ({"name": "A", "profile": {"a": "x" * 501}}, "has over 500 characters"),
    ],
)
def test_what_is_no_persona_is_refused(values: dict[str, Any], told: str) -> None:
    with pytest.raises(Invalid) as error:
        services.persona_create(by=make_user("engineer"), **values)

    assert told in error.value.message
    assert not Persona.objects.exists()


def test_a_name_is_taken_once_and_an_analyst_makes_none() -> None:
    editor = make_user("local_editor")
    services.persona_create(by=editor, name="Lisa")

    with pytest.raises(Conflict):
        services.persona_create(by=editor, name="Lisa")
    with pytest.raises(NotAllowed):
        services.persona_create(by=make_user("analyst"), name="Max")
    assert Persona.objects.count() == 1
