"""What content asks of higher floors: they fill this in their `ready()`."""

from typing import Any, Protocol


class ArrangementSource(Protocol):
    """Says how a template's slots are filled where it is used."""

    def __call__(self, *, template_id: int) -> dict[str, Any] | None:
        """`{"brand": code, "slots": {name: [tiers, blocks by id]}}`, or None if it is not used."""


arrangement_sources: list[ArrangementSource] = []
"""Asked when starting cases are written for a template that says nothing of its slots yet."""
