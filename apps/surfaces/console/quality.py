"""The pages about how good the data is, whom it is about, and what can run on it."""

from typing import Any, Final

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from apps.data.profiles.models import AttributeDefinition, Profile
from apps.foundation.core.errors import DomainError
from apps.foundation.core.queue import enqueue_on_commit
from apps.insight.monitoring.models import Measure, QualityAlert, QualityFigure, QualitySample, QualityThreshold
from apps.insight.monitoring.quality import Line, Mend, quality_lines, readiness
from apps.insight.monitoring.quality_alerts import MAY, threshold_remove, threshold_set
from apps.insight.monitoring.tasks import quality_measure

from .access import StaffRequest, console_page, staff_page

SEE: Final = "monitoring.view_qualityfigure"
MEASURE: Final = "monitoring.measure_qualityfigure"
_PLACES: Final = {
    "imports": ("imports.view_import", "admin:imports_import_changelist"),
    "merges": ("profiles.view_merge", "console:merges"),
    "suppressions": ("consent.view_suppression", "admin:consent_suppression_changelist"),
    "inbound": ("inbound.view_inboundsystem", "admin:inbound_inboundsystem_changelist"),
}


@staff_page(SEE)
@require_safe
def quality(request: StaffRequest) -> HttpResponse:
    """Scores by source and attribute, the worst first, and what of the playbooks can run on this data."""
    every = quality_lines()
    source = request.GET.get("source", "")
    lines = [line for line in every if not source or line.source == source]
    definitions = dict(AttributeDefinition.objects.values_list("name", "pk"))
    context = {
        "lines": [(line, _mends(request, line, definitions)) for line in lines],
        "sources": sorted({line.source for line in every if line.source}),
        "attributes": sorted({line.attribute for line in every}),
        "measures": Measure.choices,
        "source": source,
        "low": sum(line.score.low for line in lines),
        "alerts": list(QualityAlert.objects.filter(ended_at=None)),
        "thresholds": list(QualityThreshold.objects.all()),
        "ready": readiness(),
        "measured": QualityFigure.objects.order_by("-measured_at").values_list("measured_at", flat=True).first(),
        "may_measure": request.user.has_perm(MEASURE),
        "may_alert": request.user.has_perm(MAY),
    }
    return console_page(request, "console/quality.html", _("Data quality"), context)


def _mends(request: StaffRequest, line: Line, definitions: dict[str, int]) -> list[tuple[str, str]]:
    """What to do about a line, each with the page where it is done for who may open it."""
    return [(mend.words, _place(request, line, mend, definitions)) for mend in line.mends]


def _place(request: StaffRequest, line: Line, mend: Mend, definitions: dict[str, int]) -> str:
    if mend.place == "definition":
        known = definitions.get(line.attribute)
        may_see = request.user.has_perm("profiles.view_attributedefinition")
        return reverse("admin:profiles_attributedefinition_change", args=[known]) if known and may_see else ""
    right, name = _PLACES[mend.place]
    return reverse(name) if request.user.has_perm(right) else ""


@staff_page(SEE)
@require_safe
def quality_rows(request: StaffRequest) -> HttpResponse:
    """Some people who lack something by a measure of an attribute: their numbers, for who may see people."""
    asked = {name: request.GET.get(name, "") for name in ("attribute", "source", "measure")}
    if asked["measure"] not in Measure.values:
        raise Http404
    sample = get_object_or_404(QualitySample, **asked)
    figure = QualityFigure.objects.filter(attribute=asked["attribute"], source=asked["source"]).order_by("-day").first()
    may_see = request.user.has_perm("profiles.view_profile")
    people = Profile.objects.filter(pk__in=sample.profile_ids, merged_into=None, erased_at=None).order_by("pk")
    context: dict[str, Any] = {
        "sample": sample,
        "figure": figure,
        "count": len(sample.profile_ids),
        "people": list(people.only("pk", "country", "updated_at", "created_at")) if may_see else [],
        "may_see": may_see,
        "duplicates": asked["measure"] == Measure.DISTINCT and request.user.has_perm("profiles.view_merge"),
    }
    return console_page(request, "console/quality_rows.html", str(sample), context)


@staff_page(SEE, MEASURE)
@require_POST
def quality_now(request: StaffRequest) -> HttpResponse:
    """Have it measured now."""
    enqueue_on_commit(quality_measure)
    messages.success(request, _("Measuring. The figures appear here within some minutes."))
    return redirect("console:quality")


@staff_page(SEE, MAY)
@require_POST
def quality_threshold(request: StaffRequest) -> HttpResponse:
    """Set a threshold, or remove one."""
    given = request.POST
    try:
        if (gone := given.get("remove", "")).isdecimal():
            threshold_remove(threshold_id=int(gone), by=request.user)
        else:
            percent = given.get("least", "")
            threshold_set(
                attribute=given.get("attribute", ""),
                source=given.get("source", ""),
                measure=given.get("measure", ""),
                least=int(percent) / 100 if percent.isdecimal() else 0.0,
                by=request.user,
            )
    except DomainError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, _("Done. It counts from the next measurement."))
    return redirect("console:quality")
