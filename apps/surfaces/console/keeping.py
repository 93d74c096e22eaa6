"""Pages of what is held of people, for what, and for how long: retention, and the register of processing."""

from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from apps.data.privacy.processing import register_json, register_markdown, register_read
from apps.data.privacy.retention import retention_shown

from .access import StaffRequest, console_page, staff_page

_RIGHT = "privacy.view_retentionmark"


@staff_page(_RIGHT)
@require_safe
def retention(request: StaffRequest) -> HttpResponse:
    """What is kept how long, when it was last looked at, and how much was forgotten."""
    return console_page(request, "console/retention.html", _("Retention"), {"rules": retention_shown()})


@staff_page(_RIGHT)
@require_safe
def processing(request: StaffRequest) -> HttpResponse:
    """The register of processing: to read, or as a file."""
    form = request.GET.get("as", "")
    if form in ("md", "json"):
        text, kind = (register_json(), "application/json") if form == "json" else (register_markdown(), "text/markdown")
        named = {"Content-Disposition": f'attachment; filename="register-of-processing.{form}"'}
        return HttpResponse(text, content_type=f"{kind}; charset=utf-8", headers=named)
    return console_page(request, "console/processing.html", _("Register of processing"), {"register": register_read()})
