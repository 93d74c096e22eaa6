"""Imports in the admin: bring a file, watch it being read, stop it, let it go on, fetch what was left out."""

from pathlib import Path
from typing import Any, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin

from apps.foundation.accounts.models import User
from apps.foundation.core.clock import now
from apps.foundation.core.errors import DomainError
from apps.foundation.core.queue import enqueue_on_commit

from .forms import ImportForm
from .models import Import
from .selectors import figures_list, percent_done
from .services import import_go_on, import_stop, may_steer
from .tasks import import_work

_TONE = {"done": "finished", "failed": "failed", "stopped": "paused"}


@admin.register(Import)
class ImportAdmin(ModelAdmin):
    """Files that came in."""

    empty_text = (
        "Bring people in by a file: columns are mapped, every row is checked, and what is wrong with a row is told "
        "before anything is saved."
    )
    list_display = ("file_name", "kind", "state_shown", "read", "lines", "created_by", "created_at")
    list_filter = ("state", "kind")
    list_select_related = ("created_by",)
    list_per_page = 50
    search_fields = ("file_name", "source")
    search_help_text = "file name or source"
    show_full_result_count = False
    ordering = ("-id",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: an import is the evidence of where data and consents came from."""
        return False

    def get_urls(self) -> list[Any]:
        wrap = self.admin_site.admin_view
        return [
            path("<int:import_id>/stop/", wrap(require_POST(self.stop_view)), name="imports_import_stop"),
            path("<int:import_id>/go-on/", wrap(require_POST(self.go_on_view)), name="imports_import_go_on"),
            path("<int:import_id>/errors/", wrap(self.errors_view), name="imports_import_errors"),
            *super().get_urls(),
        ]

    @admin.display(description="State", ordering="state")
    def state_shown(self, job: Import) -> SafeString:
        return format_html('<span class="t-badge t-badge-{}">{}</span>', _tone(job), job.get_state_display())

    @admin.display(description="Read")
    def read(self, job: Import) -> str:
        return f"{percent_done(job)} %"

    @admin.display(description="Lines")
    def lines(self, job: Import) -> str:
        return f"{job.lines_done:,}"

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """A new import."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = ImportForm(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid():
            with transaction.atomic():
                job = form.save(by=cast(User, request.user))
                if job is not None and job.running:
                    enqueue_on_commit(import_work, job.pk)
            if job is not None:
                if job.state == Import.State.DONE:
                    messages.info(request, _("This file was imported already. Nothing was changed."))
                return HttpResponseRedirect(self._page(job.pk))
        context = {**self.admin_site.each_context(request), "title": _("New import"), "form": form, "opts": self.opts}
        return TemplateResponse(request, "imports/new.html", context, status=422 if form.errors else 200)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The page of an import; for htmx its moving part."""
        job = self.get_object(request, object_id)
        if job is None:
            raise Http404
        if not self.has_view_permission(request, job):
            raise PermissionDenied
        percent = percent_done(job)
        seconds = ((job.finished_at or now()) - job.created_at).total_seconds()
        context = {
            **self.admin_site.each_context(request),
            "title": job.file_name,
            "opts": self.opts,
            "job": job,
            "tone": _tone(job),
            "percent": percent,
            "seconds": round(seconds),
            "figures": figures_list(job.counts),
            "left_out": job.progress.get("bad", 0) + job.progress.get("faults", 0),
            "has_errors_file": Path(job.errors_path).is_file() if job.errors_path else False,
            "grant": job.consent.get("grant"),
            "columns": job.mapping.get("consent", {}),
            "may_steer": self._may_steer(request, job),
            "page": self._page(job.pk),
        }
        part = request.headers.get("HX-Request") == "true"
        return TemplateResponse(request, "imports/part.html" if part else "imports/page.html", context)

    def stop_view(self, request: HttpRequest, import_id: int) -> HttpResponse:
        """Ask it to stop."""
        job = get_object_or_404(Import, pk=import_id)
        return self._steer(request, job, import_stop)

    def go_on_view(self, request: HttpRequest, import_id: int) -> HttpResponse:
        """Let it go on."""
        job = get_object_or_404(Import, pk=import_id)
        return self._steer(request, job, import_go_on)

    def errors_view(self, request: HttpRequest, import_id: int) -> FileResponse:
        """The errors file. It holds lines of customers, so it needs more than the right to look at imports."""
        job = get_object_or_404(Import, pk=import_id)
        if not self.has_add_permission(request) and not self.has_change_permission(request, job):
            raise PermissionDenied
        file = Path(job.errors_path)
        if not job.errors_path or not file.is_file():
            raise Http404
        return FileResponse(
            file.open("rb"), as_attachment=True, filename=f"import-{job.pk}-errors.csv", content_type="text/csv"
        )

    def _steer(self, request: HttpRequest, job: Import, service: Any) -> HttpResponse:
        if not self._may_steer(request, job):
            raise PermissionDenied
        try:
            with transaction.atomic():
                job = service(import_id=job.pk, by=cast(User, request.user))
                if job.running and not job.stop_wanted:
                    enqueue_on_commit(import_work, job.pk)
        except DomainError as error:
            messages.warning(request, error.message)
        return HttpResponseRedirect(self._page(job.pk))

    def _may_steer(self, request: HttpRequest, job: Import) -> bool:
        return may_steer(cast(User, request.user), job)

    def _page(self, import_id: int) -> str:
        return reverse(f"{self.admin_site.name}:imports_import_change", args=[import_id])


def _tone(job: Import) -> str:
    return _TONE.get(job.state, "sending")
