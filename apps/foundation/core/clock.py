"""The clock. What decides takes the time as an argument; only the edges ask for it here."""

from datetime import UTC, datetime


def now() -> datetime:
    """The time, aware, in UTC."""
    return datetime.now(UTC)
