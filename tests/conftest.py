"""What every test may use."""

import os
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis
from django.conf import settings
from pytest_django import Settings

from config import celery_app


@pytest.fixture(scope="session", autouse=True)
def own_redis() -> None:
    """A Redis database for each process of the tests: what one wakes, the worker of another must not take."""
    url = urlsplit(settings.REDIS_URL)
    number = int(url.path.strip("/") or 0) + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    settings.REDIS_URL = urlunsplit(url._replace(path=f"/{number}"))
    settings.CACHES["default"]["LOCATION"] = settings.REDIS_URL
    settings.CELERY_BROKER_URL = settings.REDIS_URL
    celery_app.conf.update(broker_url=settings.REDIS_URL)


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
