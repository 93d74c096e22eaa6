"""What an administrator may say of a client of the API: whose customer numbers it sends."""

from apps.data.events.sources import NUMBERS
from apps.data.imports.models import Import
from apps.foundation.accounts.api_reach import Reach, reach_declare
from apps.foundation.accounts.models import ApiClient


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
