"""What this site tells browsers of itself, at addresses that are the same everywhere (RFC 8615)."""

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe


@require_safe
def gpc_support(request: HttpRequest) -> JsonResponse:
    """That the signal Sec-GPC is heeded here (Global Privacy Control, section 5.1)."""
    return JsonResponse({"gpc": True, "lastUpdate": "2026-11-22"})
