"""The page about how good the data is, and what can run on it."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from apps.foundation.core.queue import enqueue_on_commit
from apps.insight.monitoring.models import QualityFigure
from apps.insight.monitoring.quality import quality_lines, readiness
from apps.insight.monitoring.tasks import quality_measure

from .access import StaffRequest, console_page, staff_page

SEE = "monitoring.view_qualityfigure"
MEASURE = "monitoring.measure_qualityfigure"


@staff_page(SEE)
@require_safe
def quality(request: StaffRequest) -> HttpResponse:
    """Scores by source and attribute, the worst first, and what of the playbooks can run on this data."""
    lines = quality_lines()
    context = {
        "lines": lines,
        "low": sum(line.score.low for line in lines),
        "ready": readiness(),
        "measured": QualityFigure.objects.order_by("-measured_at").values_list("measured_at", flat=True).first(),
        "may_measure": request.user.has_perm(MEASURE),
    }
    return console_page(request, "console/quality.html", _("Data quality"), context)


@staff_page(SEE, MEASURE)
@require_POST
def quality_now(request: StaffRequest) -> HttpResponse:
    """Have it measured now."""
    enqueue_on_commit(quality_measure)
    messages.success(request, _("Measuring. The figures appear here within some minutes."))
    return redirect("console:quality")
