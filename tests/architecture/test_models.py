"""Every model is tested where its app's tests are."""

import re
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.db import models

from apps.foundation.core.append_only import append_only_models

ROOT = Path(settings.BASE_DIR)
EXEMPT: dict[str, str] = {}
"""Model → why the tests of its app need not name it."""


def our_models() -> list[type[models.Model]]:
    return [model for model in apps.get_models() if model.__module__.startswith("apps.")]


@pytest.mark.parametrize("model", our_models(), ids=lambda model: model._meta.label)
def test_a_model_is_named_in_the_tests_of_its_app(model: type[models.Model]) -> None:
    mirrored = ROOT / "tests" / Path(*model.__module__.split(".")[1:-1])
    word = re.compile(rf"\b{model.__name__}\b")
    named = [path.name for path in mirrored.glob("*.py") if word.search(path.read_text())]

    if model._meta.label in EXEMPT:
        assert named == [], f"{model._meta.label} has tests now: take it out of EXEMPT"
    else:
        assert named, f"no test in {mirrored.relative_to(ROOT)} names {model.__name__}"


@pytest.mark.parametrize("model", our_models(), ids=lambda model: model._meta.label)
def test_constraints_and_indexes_say_what_they_are_for(model: type[models.Model]) -> None:
    """Names of our own, short enough for every database tool (PostgreSQL cuts at 63)."""
    named = [*model._meta.constraints, *model._meta.indexes]

    assert all(re.fullmatch(r"[a-z][a-z_]{5,62}", one.name) for one in named), [one.name for one in named]


def test_every_model_says_what_it_is() -> None:
    assert [model._meta.label for model in our_models() if (model.__doc__ or "").startswith(f"{model.__name__}(")] == []


def test_no_row_of_an_append_only_table_goes_with_another() -> None:
    """CASCADE or SET_NULL from an append-only row would have to change what may not change."""
    faults = [
        f"{model._meta.label}.{field.name}"
        for model in append_only_models()
        for field in model._meta.concrete_fields
        if isinstance(field, models.ForeignKey) and field.remote_field.on_delete is not models.PROTECT
    ]
    assert faults == []
