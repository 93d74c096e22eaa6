"""The colour of a brand as a file of styles: its address is the colour, so it never changes and can be kept for ever.

The pages allow no inline styles, and need none so.
"""

import re
from typing import Final

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from apps.decisioning.content.page_look import accent_fault, accent_styles

_COLOUR: Final = re.compile(r"[0-9a-f]{3}|[0-9a-f]{6}")


@require_safe
def look(request: HttpRequest, accent: str) -> HttpResponse:
    """The styles for a colour that a brand may have; others are not found."""
    if not _COLOUR.fullmatch(accent) or accent_fault(f"#{accent}"):
        raise Http404
    return HttpResponse(
        accent_styles(f"#{accent}"),
        content_type="text/css; charset=utf-8",
        headers={"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"},
    )
