"""Why a sealed value can't be read."""

from apps.foundation.core.errors import DomainError


class Erased(Exception):
    """The person's key is gone for good, and with it everything that was sealed with it."""


class MasterKeyMissing(DomainError):
    """MASTER_KEYS lacks the master key that a person's key was wrapped with, or has another one under its id."""
