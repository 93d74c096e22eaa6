"""Whose events a client of the API sends, as far as an administrator says it of the client."""

from typing import Final

from apps.data.events.contracts import EventSource
from apps.data.imports.models import Import
from apps.foundation.accounts.api_reach import Reach, reach_declare
from apps.foundation.accounts.contracts import Caller
from apps.foundation.accounts.models import ApiClient

NUMBERS: Final = "customer_numbers"
"""The key of a client's limit that says whose customer numbers and device ids it sends."""


def numbers_declare() -> None:
    """Let administrators say that several clients, and the imports of one shop, mean the same people by a number."""
    reach_declare(
        Reach(
            NUMBERS,
            "Customer numbers of",
            _shops,
            "Whose customer numbers and device ids its events carry, so that one person is one for web, app and "
            "imports. Of several the first counts. None chosen: numbers of its own.",
        )
    )


def _shops() -> list[tuple[str, str]]:
    imports = Import.objects.exclude(source="").values_list("source", flat=True).distinct()
    codes = {*imports, *ApiClient.objects.values_list("code", flat=True)}
    return [(code, code) for code in sorted(codes)]


def source_of(caller: Caller) -> EventSource:
    """Whose events a client sends. Its customer numbers are of what an administrator chose, else of itself."""
    numbers = min(caller.within(NUMBERS) or (caller.code,))
    return EventSource(caller.source, numbers, caller.within("trusted_identifiers") or frozenset())
