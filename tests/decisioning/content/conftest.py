"""The sample shop's content, for tests of content."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction

from apps.decisioning.content.selectors import compiled_load

from .making import Sample


@pytest.fixture(scope="module")
def loaded(django_db_setup: None, django_db_blocker: Any) -> Iterator[Sample]:
    """The sample shop's content, loaded once; each test runs in a savepoint behind it."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield Sample()
        transaction.set_rollback(True)


@pytest.fixture
def sample(loaded: Sample) -> Sample:
    """That content, as a test may change it."""
    compiled_load.cache_clear()  # rows of other tests had the same ids
    return loaded
