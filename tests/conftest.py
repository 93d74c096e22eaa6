"""What every test may use."""

import os
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import jsonschema_rs
import pytest
import redis
from django.conf import settings
from django.db import connection
from django.db.backends.postgresql.psycopg_any import sql
from django.test import TransactionTestCase
from django.test.utils import setup_databases, teardown_databases
from pytest_django import DjangoDbBlocker, Settings

from apps.delivery.webhooks.news import DATA
from apps.foundation.core.outbox import outbox_listen
from config import celery_app

from .pristine import rows_keep, rows_reset

# what pytest-django calls behind a test that commits; Django's own way takes seconds
TransactionTestCase._fixture_teardown = lambda _: rows_reset()  # type: ignore[attr-defined]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The flows first: begun last, they would leave the other process idle. Each has a database of its own."""
    items.sort(key=lambda item: not item.nodeid.startswith("tests/flows/"))


@pytest.fixture(scope="session", autouse=True)
def own_redis() -> None:
    """A Redis database for each process of the tests: what one wakes, the worker of another must not take."""
    url = urlsplit(settings.REDIS_URL)
    number = int(url.path.strip("/") or 0) + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    settings.REDIS_URL = urlunsplit(url._replace(path=f"/{number}"))
    settings.EVENT_REDIS_URL = settings.REDIS_URL
    settings.CACHES["default"]["LOCATION"] = settings.REDIS_URL
    settings.CELERY_BROKER_URL = settings.REDIS_URL
    celery_app.conf.update(broker_url=settings.REDIS_URL)


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None, django_db_modify_db_settings: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """The tests' database, with what the migrations left put aside.

    pytest-django would make none where no test is marked `django_db`, though one asks for a copy (`own_database`).
    """
    # `bin/test` has a migrated one: a copy of it needs no migration
    connection.settings_dict["TEST"]["TEMPLATE"] = os.environ.get("TEST_DATABASE_TEMPLATE")
    with django_db_blocker.unblock():
        made = setup_databases(verbosity=0, interactive=False)
        rows_keep()
    yield
    with django_db_blocker.unblock():
        _others_end()
        teardown_databases(made, verbosity=0)


def _others_end() -> None:
    """End what a test before left open on its database: the connections of threads that are gone."""
    connection.close()  # it may have been cut off too
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )


@pytest.fixture(scope="session", autouse=True)
def news_as_described() -> None:
    """Whatever any test has told to the world outside is as the API's document describes it."""
    schemas = {kind: jsonschema_rs.Draft202012Validator(schema) for kind, schema in DATA.items()}

    def held_against(kind: str, news: Sequence[dict[str, Any]]) -> None:
        for one in news:
            schemas[kind].validate(one)

    outbox_listen(held_against)


@pytest.fixture(autouse=True)
def plain_static_files(settings: Settings) -> None:
    """Static files by their own names: the manifest of `collectstatic` is not there in tests."""
    backend = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": backend}


@pytest.fixture(autouse=True)
def quick_passwords(settings: Settings) -> None:
    """Hashing that is slow on purpose costs each test a second."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def clean_redis() -> "redis.Redis":
    """The tests' Redis, emptied."""
    client = redis.Redis.from_url(settings.REDIS_URL)
    client.flushdb()
    return client


@pytest.fixture
def own_database(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """The name of a copy of the tests' database, for a test that commits, and whose workers see it.

    Nothing is emptied behind it, so it can run anywhere, also before tests that need what migrations brought.
    """
    original = connection.settings_dict["NAME"]
    copy = f"{original}_own"
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(copy))
    make = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(copy), sql.Identifier(original))
    with django_db_blocker.unblock():
        _others_end()
        connection.close()
        with connection._nodb_cursor() as cursor:
            cursor.execute(drop)
            cursor.execute(make)
        connection.settings_dict["NAME"] = copy
        try:
            yield copy
        finally:
            connection.close()
            connection.settings_dict["NAME"] = original
            # numbers of people of the copy are those of others in the original: what is cached of them is wrong there
            redis.Redis.from_url(settings.REDIS_URL).flushdb()
            with connection._nodb_cursor() as cursor:
                cursor.execute(drop)
