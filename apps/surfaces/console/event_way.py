"""How events come in, for staff: what waits, who writes it down, and what was set aside."""

from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from apps.data.events.selectors import way_look

from .access import StaffRequest, console_page, staff_page


@staff_page("events.view_event")
@require_safe
def events(request: StaffRequest) -> HttpResponse:
    """What is on its way, and whether it moves."""
    return console_page(request, "console/events.html", _("Events on their way"), {"way": way_look()})
