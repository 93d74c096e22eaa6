"""Errors that a person or a client is told of, and those of providers."""

from collections.abc import Mapping
from typing import Any


class DomainError(Exception):
    """Something asked for can't be done.

    code: stable, for programs (`playbook_not_approved`); message: for people, says what to do;
    extra: details that a client may show, never personal data.
    """

    def __init__(self, code: str, message: str, extra: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.extra = dict(extra or {})


class Invalid(DomainError):
    """The input is wrong."""


class NotFound(DomainError):
    """What is meant does not exist, or not for the one who asks."""


class NotAllowed(DomainError):
    """The one who asks may not."""


class Conflict(DomainError):
    """Somebody else changed it meanwhile, or its state does not allow it."""


class ProviderError(Exception):
    """A provider (SMTP relay, ESP, SMS…) did not take a message. `code` is the provider's own."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message


class RetryableError(ProviderError):
    """It may take it later; it surely did not take it now."""


class PermanentError(ProviderError):
    """It will never take it."""
