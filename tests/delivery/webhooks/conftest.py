"""What tests of webhooks share."""

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from tests.delivery.webhooks.receiver import Receiver


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    """A receiver on 127.0.0.1, which the operator allows."""
    settings.WEBHOOK_INSIDE_HOSTS = ["127.0.0.1"]
    one = Receiver()
    server = one.start()
    yield one
    server.shutdown()
    server.server_close()
