"""What every test may use."""

import pytest
import redis
from django.conf import settings
from pytest_django import Settings


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
