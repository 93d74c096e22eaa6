"""News for the world outside, told in the transaction of what happened: both are there, or neither.

A lower floor tells; a higher one that carries news out listens, from its `ready()`. The data holds ids, no personal
data: whoever may know more asks for it.
"""

from collections.abc import Callable, Sequence
from typing import Any

Listener = Callable[[str, Sequence[dict[str, Any]]], None]

_listeners: list[Listener] = []


def outbox_listen(listener: Listener) -> None:
    """Have `listener(kind, news)` called for all that is told, inside the transaction of those who tell."""
    if listener not in _listeners:
        _listeners.append(listener)


def outbox_put(kind: str, news: Sequence[dict[str, Any]]) -> None:
    """Tell what happened, in the caller's transaction. kind: namespaced, as `consent.changed`; news: one dict each."""
    if news:
        for listener in _listeners:
            listener(kind, news)
