"""Whose events a client of the API sends, as far as an administrator says it of the client."""

from typing import Final

from apps.foundation.accounts.contracts import Caller

from .contracts import EventSource

SCOPE: Final = "events:write"
NUMBERS: Final = "customer_numbers"
"""The key of a client's limit that says whose customer numbers and device ids it sends."""


def source_of(caller: Caller) -> EventSource:
    """Whose events a client sends. Its customer numbers are of what an administrator chose, else of itself."""
    numbers = min(caller.within(NUMBERS) or (caller.code,))
    return EventSource(caller.source, numbers, caller.within("trusted_identifiers") or frozenset())
