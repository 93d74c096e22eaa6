"""The tests of a template in the admin: results, coverage, a case beside what it shows, and editors."""

from typing import Any, cast

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.utils.http import urlencode
from django.utils.text import slugify

from apps.decisioning.content import services
from apps.decisioning.content.case_runs import BranchCover, CaseResult, Report, TierCover, tier_title
from apps.decisioning.content.cases import arrangement_data, case_data
from apps.decisioning.content.models import Template, TemplateVersion
from apps.decisioning.content.notation import yaml_write
from apps.decisioning.content.template_tests import template_report, template_tests
from apps.foundation.accounts.models import User
from apps.foundation.core.errors import DomainError

from .saving import ServiceAdmin

SKELETON = """\
about: What this case shows, in a sentence.
persona:
  first_name: Anna
  country: AT
context:
  lists: {shop: 3}
expect:
  slots:
    hero: {tier: static}
  html: {contains: Hello}
  fallbacks: []
"""


class TemplateTestsPages(ServiceAdmin):
    """Pages of a template's tests, for the admin of templates."""

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("<int:pk>/tests/", view(self.tests_view), name="content_template_tests"),
            path("<int:pk>/tests/case/", view(self.case_view), name="content_template_case"),
            path("<int:pk>/tests/arrangement/", view(self.arrangement_view), name="content_template_arrangement"),
            *super().get_urls(),
        ]

    # --- results ---

    def tests_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """All cases, run now; POST writes starting cases."""
        template, version = self._found(request, pk)
        if request.method == "POST":
            self._must_change(request, template)
            return self._start(request, template)
        if "summary" in request.GET:
            return render(
                request, "content/template_tests_summary.html", self._about(template, template_report(version))
            )
        _, cases = template_tests(version)
        names = [case.name for case in cases]
        wanted = request.GET.get("case", "")
        report = template_report(version, show=wanted if wanted in names else "")
        if not wanted and names and not report.problems:
            first = report.failed[0].name if report.failed else names[0]
            report = template_report(version, show=first)
            wanted = first
        shown = next((result for result in report.results if result.name == wanted), None)
        case = next((case for case in cases if case.name == wanted), None)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Tests of {template.name}",
            "template": template,
            "version": version,
            "may_change": self.has_change_permission(request, template),
            "cases": [(result, next(case for case in cases if case.name == result.name)) for result in report.results],
            "stored": cases if report.problems else (),
            "shown": shown,
            "shown_case": case,
            "shown_source": yaml_write(case_data(case)) if case is not None else "",
            "shown_slots": list(shown.slots.items()) if shown is not None else (),
            **self._about(template, report),
        }
        return render(request, "content/template_tests.html", context)

    def _about(self, template: Template, report: Report) -> dict[str, Any]:
        slots: dict[str, list[tuple[str, TierCover]]] = {}
        for cover in report.tiers:
            slots.setdefault(cover.slot, []).append((tier_title(cover.asked, cover.index), cover))
        open_branches: list[BranchCover] = [cover for cover in report.branches if not cover.cases]
        failed: list[CaseResult] = report.failed
        return {
            "report": report,
            "failed": failed,
            "passed": len(report.results) - len(failed),
            "slots": list(slots.items()),
            "tiers_held": len(report.tiers) - len(report.uncovered),
            "slots_held": sum(all(cover.cases for _, cover in covers) for covers in slots.values()),
            "branches_held": len(report.branches) - len(open_branches),
            "open_branches": open_branches,
            "tests_url": self._url("tests", template),
            "case_url": self._url("case", template),
            "arrangement_url": self._url("arrangement", template),
            "template_url": reverse("admin:content_template_change", args=[template.pk]),
        }

    def _start(self, request: HttpRequest, template: Template) -> HttpResponse:
        try:
            version, written, problems = services.template_cases_start(
                template_id=template.pk, by=cast(User, request.user)
            )
        except DomainError as error:
            messages.error(request, error.message)
        else:
            if written:
                count = f"{len(written)} starting case{'s' if len(written) > 1 else ''}"
                messages.success(request, f"{count} written, as v{version.number}. Read them, and keep what is meant.")
            elif not problems:
                messages.info(request, "All slots and tiers are covered already.")
            for problem in problems:
                messages.warning(request, str(problem))
        return HttpResponseRedirect(self._url("tests", template))

    # --- editors ---

    def case_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Write a case, change one, or take it out."""
        template, version = self._found(request, pk)
        self._must_change(request, template)
        _, cases = template_tests(version)
        was = request.POST.get("was", request.GET.get("case", ""))
        case = next((case for case in cases if case.name == was), None)
        if was and case is None:
            raise Http404
        text = yaml_write(case_data(case)) if case is not None else SKELETON
        form = {"name": was, "text": text, "base": version.number, "was": was}
        problems: list[Any] = []
        if request.method == "POST":
            form |= {"name": request.POST.get("name", ""), "text": request.POST.get("text", "")}
            form["base"] = _number(request.POST.get("base"))
            given: dict[str, Any] = {"template_id": pk, "by": cast(User, request.user), "base": form["base"]}
            try:
                if "remove" in request.POST:
                    services.template_case_remove(name=was, **given)
                    messages.success(request, f"The case {was} is taken out. Older versions keep it.")
                    return HttpResponseRedirect(self._url("tests", template))
                name = slugify(str(form["name"]))
                saved = services.template_case_save(name=name, text=str(form["text"]), was=was, **given)
                messages.success(request, f"Saved as v{saved.number}.")
                return HttpResponseRedirect(f"{self._url('tests', template)}?{urlencode({'case': name})}")
            except DomainError as error:
                problems = _problems(error)
        title = f"Case {was}" if was else "New case"
        return self._editor(request, template, version, title, form, problems, "case")

    def arrangement_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Write what stands in the slots while cases run."""
        template, version = self._found(request, pk)
        self._must_change(request, template)
        arrangement, _ = template_tests(version)
        form = {"text": yaml_write(arrangement_data(arrangement)) if arrangement else "", "base": version.number}
        problems: list[Any] = []
        if request.method == "POST":
            form = {"text": request.POST.get("text", ""), "base": _number(request.POST.get("base"))}
            try:
                saved = services.template_arrangement_save(
                    template_id=pk, by=cast(User, request.user), text=str(form["text"]), base=_number(form["base"])
                )
                messages.success(request, f"Saved as v{saved.number}.")
                return HttpResponseRedirect(self._url("tests", template))
            except DomainError as error:
                problems = _problems(error)
        return self._editor(request, template, version, "What stands in the slots", form, problems, "arrangement")

    def _editor(
        self,
        request: HttpRequest,
        template: Template,
        version: TemplateVersion,
        title: str,
        form: dict[str, Any],
        problems: list[Any],
        kind: str,
    ) -> HttpResponse:
        arrangement, _ = template_tests(version)
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "template": template,
            "version": version,
            "form": form,
            "problems": problems,
            "kind": kind,
            "arrangement": [
                (slot, [(tier_title(tier, number), tier.block) for number, tier in enumerate(tiers)])
                for slot, tiers in arrangement.slots.items()
            ],
            "rows": min(max(str(form["text"]).count("\n") + 3, 16), 40),
            "tests_url": self._url("tests", template),
        }
        return render(request, "content/template_test_edit.html", context)

    # --- shared ---

    def _found(self, request: HttpRequest, pk: int) -> tuple[Template, TemplateVersion]:
        template = Template.objects.filter(pk=pk).first()
        if not self.has_view_permission(request, template):
            raise PermissionDenied
        version = template.versions.select_related("template").first() if template is not None else None
        if template is None or version is None:
            raise Http404
        return template, version

    def _must_change(self, request: HttpRequest, template: Template) -> None:
        if not self.has_change_permission(request, template):
            raise PermissionDenied

    def _url(self, name: str, template: Template) -> str:
        return reverse(f"admin:content_template_{name}", args=[template.pk])


def _number(value: object) -> int | None:
    text = str(value or "")
    return int(text) if text.isdecimal() and len(text) < 9 else None


def _problems(error: DomainError) -> list[dict[str, Any]]:
    return error.extra.get("problems") or [{"where": "", "line": 0, "token": "", "mend": error.message}]
