"""Writes about personas: invented people to look at messages as."""

from typing import Any

from django.db import transaction

from apps.decisioning.content.contracts import Problem, problems_refuse
from apps.decisioning.content.models import Persona
from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import right_require
from apps.foundation.core.text import is_blank

from .rows import assign, created, known, locked, saved

_PERSONA_FIELDS = frozenset({"name", "description", "profile"})
MAX_ATTRIBUTES = 50
MAX_VALUE = 500


def persona_create(*, by: User, name: str, **values: Any) -> Persona:
    """A persona. values: description, profile. Raises Invalid, Conflict for a name in use, NotAllowed."""
    right_require(by, "add", Persona, what="add personas")
    persona = Persona(name=name.strip(), owner=by, **known(values, _PERSONA_FIELDS))
    _persona_check(persona)
    return created(persona, by, "content.persona.created", f"There is a persona {name!r} already: choose another name")


def persona_update(*, persona_id: int, by: User, **values: Any) -> Persona:
    """Change a persona. Raises Invalid, Conflict for a name in use, NotFound, NotAllowed."""
    with transaction.atomic():
        persona = locked(Persona, persona_id)
        right_require(by, "change", persona, what="change this persona")
        changed = assign(persona, known(values, _PERSONA_FIELDS))
        _persona_check(persona)
        return saved(persona, changed, by, "content.persona.changed")


def _persona_check(persona: Persona) -> None:
    problems: list[Problem] = []
    if is_blank(persona.name):
        problems.append(Problem("name", 0, "", "is needed"))
    profile = persona.profile
    if not isinstance(profile, dict) or len(profile) > MAX_ATTRIBUTES:
        problems.append(Problem("profile", 0, "", f"must be at most {MAX_ATTRIBUTES} names with values"))
        profile = {}
    for name, value in profile.items():
        if not name.isidentifier() or len(name) > 60:
            problems.append(Problem("profile", 0, name, "is no name of a value: use letters, digits and _"))
        elif value is not None and not isinstance(value, str | int | float | bool):
            problems.append(Problem("profile", 0, name, "must be a text, a number, true or false"))
        elif isinstance(value, str) and len(value) > MAX_VALUE:
            problems.append(Problem("profile", 0, name, f"has over {MAX_VALUE} characters"))
    problems_refuse("persona_refused", problems, "The persona can't be saved")
