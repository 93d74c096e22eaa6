"""What every test may use."""

import gc
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import hypothesis
import jsonschema_rs
import pytest
import redis
from django.conf import settings
from django.db import connection
from django.db.backends.postgresql.psycopg_any import sql
from django.test import TransactionTestCase
from django.test.utils import setup_databases, teardown_databases
from pytest_django import DjangoDbBlocker

from apps.data.features import online
from apps.delivery.webhooks.news import DATA
from apps.foundation.core import limits
from apps.foundation.core.outbox import outbox_listen
from config import celery_app

from .pristine import rows_keep, rows_reset, session_is_spent
from .remembering import answers_remembered

# what pytest-django calls behind a test that commits; Django's own way takes seconds
TransactionTestCase._fixture_teardown = lambda _: rows_reset()  # type: ignore[attr-defined]
TransactionTestCase._should_reload_connections = lambda _: session_is_spent()  # type: ignore[attr-defined]


# What is tried is the same in each run: none fails by what another would not have met. The slow run draws anew.
# No example has a time of its own: the machine may do more than this.
hypothesis.settings.register_profile("quick", derandomize=True, max_examples=25, deadline=None)
hypothesis.settings.register_profile("whole", deadline=None)


def pytest_configure(config: pytest.Config) -> None:
    """Before any test is imported: each takes what it doesn't say itself from the profile of that moment."""
    hypothesis.settings.load_profile("quick" if config.option.markexpr == "not slow" else "whole")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The flows and the kill test first: begun last, they would leave the others idle. Each has a database of its own.

    Those in a browser last: from the first of them on Playwright's event loop runs in their thread, in which nothing
    else can begin one.
    """
    first = ("tests/flows/", "tests/house/test_chaos.py")
    items.sort(key=lambda item: (not item.nodeid.startswith(first), item.nodeid.startswith("tests/browser/")))


def pytest_collection_finish() -> None:
    """What is there by now stays to the end: six thousand tests, which Python need not look through for garbage."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


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


@pytest.fixture(scope="session", autouse=True)
def patient() -> None:
    """Where three processes of tests and what they start share two processors, Redis is now and then late without being
    away: who counts tries, or reads features, does without it so soon only in production.
    """
    limits._WAIT_SECONDS = online._FEW_SECONDS = 0.5
    online._WAIT_SECONDS = 1.0


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None, django_db_modify_db_settings: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """The tests' database, with what the migrations left put aside.

    pytest-django would make none where no test is marked `django_db`, though one asks for a copy (`own_database`).
    """
    with ExitStack() as made:
        with django_db_blocker.unblock():
            if template := os.environ.get("TEST_DATABASE_TEMPLATE"):
                # `bin/test` has a migrated one, and a copy of it is all that is needed
                own = connection.settings_dict
                made.enter_context(_copied(template, own["TEST"]["NAME"] or f"test_{own['NAME']}"))
            else:
                made.callback(teardown_databases, setup_databases(verbosity=0, interactive=False), verbosity=0)
            rows_keep()
        yield
        with django_db_blocker.unblock():
            _others_end()
            made.close()


@contextmanager
def _copied(template: str, name: str) -> Iterator[None]:
    """Work on a copy of a database, which is gone afterwards."""
    original = connection.settings_dict["NAME"]
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    make = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
    connection.close()
    with connection._nodb_cursor() as cursor:
        cursor.execute(drop)
        cursor.execute(make)
    connection.settings_dict["NAME"] = name
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = original
        with connection._nodb_cursor() as cursor:
            cursor.execute(drop)


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


@pytest.fixture(scope="session", autouse=True)
def plain_static_files() -> None:
    """Static files by their own names: the manifest of `collectstatic` is not there in tests."""
    backend = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": backend}


@pytest.fixture(scope="session", autouse=True)
def what_children_answered() -> Iterator[None]:
    """Child processes that try content are asked once for the same thing: what they answer hangs on nothing else."""
    with answers_remembered():
        yield


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> None:
    """Hashing that is slow on purpose costs each user half a second, those of fixtures of a module too."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(scope="session")
def _redis_of_all(own_redis: None) -> "redis.Redis":
    return redis.Redis.from_url(settings.REDIS_URL)


@pytest.fixture(autouse=True)
def _forgotten(_redis_of_all: "redis.Redis") -> None:
    """Nothing in Redis of the tests before: counters of an address, or what is cached of something's number."""
    _redis_of_all.flushdb()


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
    with django_db_blocker.unblock():
        _others_end()
        with _copied(original, copy):
            yield copy
