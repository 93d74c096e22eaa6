"""What every test may use."""

import pytest
import redis
from django.conf import settings


@pytest.fixture
def clean_redis() -> "redis.Redis":
    """The tests' Redis, emptied."""
    client = redis.Redis.from_url(settings.REDIS_URL)
    client.flushdb()
    return client
