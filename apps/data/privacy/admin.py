"""Rights requests in the admin: a list with its clocks, a page for each with what is to be done and what was."""

from datetime import datetime
from typing import Any, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import F, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin

from apps.data.profiles.vault import Erased
from apps.foundation.accounts.models import User
from apps.foundation.core.clock import now
from apps.foundation.core.errors import DomainError, NotFound

from .deeds import DEEDS, Deed, deeds_of
from .exporting import export_fetch, export_of
from .forms import RequestForm
from .models import RightsRequest
from .registry import erase_steps, export_parts
from .rules import days_left
from .services import request_open

_TYPES = {"json": "application/json", "html": "text/html; charset=utf-8"}


class DueFilter(admin.SimpleListFilter):
    """How urgent it is."""

    title = "due"
    parameter_name = "due"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("running", "to be answered"), ("overdue", "overdue")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "running":
            return queryset.filter(closed_at=None)
        if self.value() == "overdue":
            return queryset.filter(closed_at=None, due_at__lt=now())
        return queryset


@admin.register(RightsRequest)
class RightsRequestAdmin(ModelAdmin):
    """What people ask of their rights: those whose clock runs first, the most urgent on top."""

    empty_text = (
        "What people ask for by law is listed here with its deadline: what is known of them, its correction, its "
        "erasure."
    )
    list_display = ("what", "person", "due", "state_shown", "asked_by", "asked_at")
    list_display_links = ("what",)
    list_filter = (DueFilter, "kind", "state")
    list_per_page = 50
    show_full_result_count = False
    search_fields = ("=profile__id",)
    search_help_text = "profile number"
    ordering = (F("closed_at").desc(nulls_first=True), "due_at")
    actions = None

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never by hand: a rule of retention forgets them."""
        return False

    def get_urls(self) -> list[Any]:
        wrap = self.admin_site.admin_view
        return [
            path("<int:request_id>/do/<str:code>/", wrap(self.deed_view), name="privacy_rightsrequest_do"),
            path("<int:request_id>/export/<str:form>/", wrap(self.export_view), name="privacy_rightsrequest_export"),
            *super().get_urls(),
        ]

    @admin.display(description="Right", ordering="kind")
    def what(self, asked: RightsRequest) -> str:
        return asked.get_kind_display().capitalize()

    @admin.display(description="Person", ordering="profile_id")
    def person(self, asked: RightsRequest) -> str:
        return f"Profile {asked.profile_id}"

    @admin.display(description="Due", ordering="due_at")
    def due(self, asked: RightsRequest) -> SafeString:
        tone, words = _due(asked)
        return format_html('<span class="t-badge t-badge-{}">{}</span>', tone, words)

    @admin.display(description="State", ordering="state")
    def state_shown(self, asked: RightsRequest) -> str:
        return asked.get_state_display().capitalize()

    # --- pages ---

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Put down a request that came by another way."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = RequestForm(request.POST or None, initial={"person": request.GET.get("person", "")})
        if request.method == "POST" and form.is_valid():
            try:
                asked = request_open(
                    profile_id=form.cleaned_data["person"],
                    kind=RightsRequest.Kind(form.cleaned_data["kind"]),
                    shown_by=form.cleaned_data["shown_by"],
                    actor=cast(User, request.user),
                )
            except DomainError as error:
                form.add_error(None, error.message)
            else:
                return HttpResponseRedirect(self._page(asked))
        lines = ["The clock begins now: it must be answered within a month. What is to be done comes on the next page."]
        return self._confirm(
            request, form, "New rights request", lines, "Put it down", reverse("admin:privacy_rightsrequest_changelist")
        )

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """One request: whose, until when, what is to be done, and what was."""
        if request.method not in ("GET", "HEAD"):
            raise PermissionDenied
        asked = self.get_object(request, object_id)
        if asked is None:
            raise Http404
        if not self.has_view_permission(request, asked):
            raise PermissionDenied
        tone, words = _due(asked)
        context = {
            **self.admin_site.each_context(request),
            "title": str(asked),
            "opts": self.opts,
            "asked": asked,
            "tone": tone,
            "due_words": words,
            "deeds": deeds_of(asked) if self.has_change_permission(request, asked) else [],
            "steps": _steps(asked),
            "parts": _parts(asked),
            "report": _report(asked),
            "export": self._export(request, asked),
        }
        return render(request, "privacy/request.html", context)

    def deed_view(self, request: HttpRequest, request_id: int, code: str) -> HttpResponse:
        """Asks once more; by POST it is done."""
        asked = get_object_or_404(RightsRequest.objects.select_related("profile"), pk=request_id)
        deed = next((one for one in DEEDS if one.code == code), None)
        if deed is None:
            raise Http404
        if not self.has_change_permission(request, asked):
            raise PermissionDenied
        if not deed.fits(asked):
            messages.error(request, "That can't be done with this request any more.")
            return HttpResponseRedirect(self._page(asked))
        form = deed.form(request.POST if request.method == "POST" else None, initial=deed.initial(asked))
        if request.method == "POST" and form.is_valid():
            try:
                messages.success(request, deed.do(asked, form.cleaned_data, cast(User, request.user)))
                return HttpResponseRedirect(self._page(asked))
            except DomainError as error:
                place = error.extra.get("field")
                form.add_error(place if place in form.fields else None, error.message)
        rows = [("Person", f"Profile {asked.profile_id}"), ("Identity", asked.shown_by), ("Due", _due(asked)[1])]
        return self._confirm(request, form, deed.heading, deed.lines(asked), deed.button, self._page(asked), rows, deed)

    def export_view(self, request: HttpRequest, request_id: int, form: str) -> HttpResponse | StreamingHttpResponse:
        """What an export holds, for staff with a right of its own; it is in the audit log."""
        if not request.user.has_perm("privacy.fetch_export"):
            raise PermissionDenied
        asked = get_object_or_404(RightsRequest, pk=request_id)
        try:
            export = export_of(request_id=asked.pk, at=now())
            pieces = export_fetch(export=export, form=form, actor=cast(User, request.user))
        except (NotFound, Erased) as error:
            raise Http404 from error
        return StreamingHttpResponse(
            pieces,
            content_type=_TYPES[form],
            headers={
                "Content-Disposition": f'attachment; filename="profile-{asked.profile_id}.{form}"',
                "Cache-Control": "no-store",
            },
        )

    # --- what they share ---

    def _confirm(
        self,
        request: HttpRequest,
        form: Any,
        heading: str,
        lines: Any,
        button: str,
        back: str,
        rows: Any = (),
        deed: Deed | None = None,
    ) -> HttpResponse:
        problems = list(form.non_field_errors()) if form.is_bound else []
        context = {
            **self.admin_site.each_context(request),
            "title": heading,
            "heading": heading,
            "opts": self.opts,
            "form": form,
            "lines": lines,
            "rows": rows,
            "button": button,
            "danger": deed is not None and deed.danger,
            "back": back,
            "trouble": "This can't be done:",
            "problems": problems,
        }
        status = 409 if problems else 422 if form.errors else 200
        return render(request, "playbooks/confirm.html", context, status=status)

    def _export(self, request: HttpRequest, asked: RightsRequest) -> dict[str, Any] | None:
        try:
            export = export_of(request_id=asked.pk, at=now())
        except NotFound:
            return None
        return {"until": export.until, "sizes": export.sizes, "may": request.user.has_perm("privacy.fetch_export")}

    def _page(self, asked: RightsRequest) -> str:
        return reverse("admin:privacy_rightsrequest_change", args=[asked.pk])


def _due(asked: RightsRequest) -> tuple[str, str]:
    """The tone and the words of its clock."""
    if not asked.running:
        return "finished", f"answered on {asked.closed_at:%-d %b %Y}"
    days = days_left(asked.due_at, now())
    if days < 0:
        return "failed", f"overdue by {_days(-days)}"
    return ("open" if days <= 7 else "plain"), "due today" if not days else f"due in {_days(days)}"


def _days(days: int) -> str:
    return f"{days} day{'' if days == 1 else 's'}"


def _steps(asked: RightsRequest) -> list[dict[str, Any]]:
    """The steps of an erasure, with what came of those that were taken."""
    if asked.kind != RightsRequest.Kind.ERASURE:
        return []
    taken = {one["step"]: one for one in asked.report.get("steps", [])}
    return [
        {
            "title": step.title,
            "taken": taken.get(step.name),
            "at": datetime.fromisoformat(taken[step.name]["at"]) if step.name in taken else None,
        }
        for step in erase_steps()
    ]


def _parts(asked: RightsRequest) -> list[tuple[str, int]]:
    titles = {part.name: str(part.title) for part in export_parts()}
    return [(titles.get(name, name), count) for name, count in asked.report.get("parts", {}).items()]


def _report(asked: RightsRequest) -> list[tuple[str, str]]:
    """What else came of it, in words."""
    report = asked.report
    told = []
    if "corrected" in report:
        told.append(("Corrected", ", ".join(report["corrected"]).replace("_", " ")))
    if "against" in report:
        told.append(("They object to", report["against"]))
        told.append(("Choices that ended", str(report["ended"])))
    if "changed" in report:
        told.append(("Restricted", "from then on" if report["changed"] else "it was already"))
    if "refused_because" in report:
        told.append(("Refused because", report["refused_because"]))
    return told
