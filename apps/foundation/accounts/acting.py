"""The client of the API that the request being answered comes from: for the audit log, and as the source of writes."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from .contracts import Caller

_client: ContextVar[Caller | None] = ContextVar("client", default=None)


def acting_client() -> Caller | None:
    """The client that asks, if one does."""
    return _client.get()


@contextmanager
def acting(caller: Caller | None = None) -> Iterator[None]:
    """What is done inside is done by this client; without one, by nobody until `acting_begin`."""
    token = _client.set(caller)
    try:
        yield
    finally:
        _client.reset(token)


def acting_begin(caller: Caller) -> None:
    """Say who it is, inside `acting()`: an answer is begun before it is known whose key came."""
    _client.set(caller)
