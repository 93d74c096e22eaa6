"""Pages of dry runs and of tests to oneself. Each view says by `staff_page` who may open it."""

from typing import Any
from uuid import UUID

from django.contrib import messages as notices
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from apps.decisioning.playbooks.models import Playbook, PlaybookVersion
from apps.decisioning.playbooks.specs import playbook_problems, spec_build
from apps.foundation.accounts.rights import may
from apps.foundation.core.errors import DomainError
from apps.foundation.core.queue import enqueue_on_commit
from apps.insight.monitoring.list_checks import list_check_start, looked_lately
from apps.insight.monitoring.tasks import lists_tick

from .access import StaffRequest, console_page, staff_page, staff_stream
from .dry_runs import dry_run_go_on, dry_run_start, dry_run_stop, step_specs
from .models import DryRun, DryRunSample, TestSend
from .own_tests import Wish, own_test_make, personas
from .people import SEE_SENSITIVE
from .rehearsals import dry_runs_lately, figures_of, pace_in_words, sample_rows, sample_shown, standing_of
from .words import tier_in_words

SEE = ("playbooks.view_playbook", "console.view_dryrun")
MAKE = (*SEE, "console.make_dryrun")
SAMPLES = (*SEE, "profiles.view_profile")
TEST = ("playbooks.view_playbook", "console.make_testsend")

VIEWS = {"html": gettext_lazy("Desktop"), "phone": gettext_lazy("Phone"), "text": gettext_lazy("Plain text")}


def _playbook(playbook_id: int) -> Playbook:
    return get_object_or_404(Playbook.objects.select_related("audience", "brand", "published"), pk=playbook_id)


def _version(playbook: Playbook, wanted: str) -> PlaybookVersion | None:
    """The version that is asked for by its id, None for the playbook as it stands. Raises Http404."""
    if not wanted:
        return None
    if not wanted.isdecimal() or len(wanted) > 18:
        raise Http404
    return get_object_or_404(PlaybookVersion, pk=int(wanted), playbook=playbook)


def problems_of(error: DomainError) -> list[str]:
    """The single problems of an error in words, or its message."""
    found = []
    for problem in error.extra.get("problems", []):
        if "place" in problem:
            found.append(f"{problem['place']}: {problem['problem']}")
        else:
            line = f", line {problem['line']}" if problem.get("line") else ""
            found.append(f"{problem.get('where', '')}{line}: {problem.get('token', '')} {problem.get('mend', '')}")
    return found or [error.message]


@staff_page(*SEE)
def dry_run_list(request: StaffRequest, playbook_id: int) -> HttpResponse:
    """The dry runs of a playbook; by POST, a new one of its draft or of a version."""
    playbook = _playbook(playbook_id)
    problems: list[str] = []
    if request.method == "POST":
        version = _version(playbook, request.POST.get("version", ""))
        try:
            if "addresses" in request.POST:
                list_check_start(playbook_id=playbook.pk, by=request.user)
                enqueue_on_commit(lists_tick)
                notices.success(request, _("The addresses are being looked at. What is found appears here."))
                return redirect("console:dry_runs", playbook_id=playbook.pk)
            dry_run = dry_run_start(
                playbook_id=playbook.pk, by=request.user, version_id=version.pk if version is not None else None
            )
        except DomainError as error:
            problems = problems_of(error)
        else:
            return redirect("console:dry_run", dry_run_id=dry_run.pk)
    rows = dry_runs_lately(playbook)
    context = {
        "playbook": playbook,
        "rows": rows,
        "problems": problems,
        "versions": playbook.versions.order_by("-number")[:3],
        "may_make": request.user.has_perms(MAKE),
        "may_test": request.user.has_perms(TEST),
        "looked": looked_lately(playbook.pk),
        "may_look": playbook.published_id is not None and may(request.user, "run", playbook),
    }
    return console_page(request, "console/dry_runs.html", _("Dry runs"), context, status=409 if problems else 200)


def _dry_run(dry_run_id: UUID) -> DryRun:
    return get_object_or_404(DryRun.objects.select_related("playbook", "version", "made_by"), pk=dry_run_id)


@staff_page(*SEE)
@require_safe
def dry_run(request: HttpRequest, dry_run_id: UUID) -> HttpResponse:
    """A dry run, live while it moves; asked by htmx, only the part that moves."""
    found = _dry_run(dry_run_id)
    figures = figures_of(found)
    context = {
        "dry_run": found,
        "figures": figures,
        "basis": pace_in_words(figures) if figures.estimate is not None else "",
        "standing": standing_of(found, digest=found.version.digest if found.version is not None else ""),
        "samples": sample_rows(found) if request.user.has_perms(SAMPLES) else [],
        "may_see_people": request.user.has_perms(SAMPLES),
        "may_make": request.user.has_perms(MAKE),
        "may_test": request.user.has_perms(TEST),
    }
    if request.headers.get("HX-Request"):
        return render(request, "console/parts/dry_run.html", context)
    return console_page(request, "console/dry_run.html", str(found.playbook), context)


@staff_page(*MAKE)
@require_POST
def dry_run_halt(request: StaffRequest, dry_run_id: UUID) -> HttpResponse:
    """Stop a dry run; it can go on later."""
    found = _dry_run(dry_run_id)
    dry_run_stop(dry_run_id=found.pk, by=request.user)
    return redirect("console:dry_run", dry_run_id=found.pk)


@staff_page(*MAKE)
@require_POST
def dry_run_resume(request: StaffRequest, dry_run_id: UUID) -> HttpResponse:
    """Go on with a dry run that was stopped."""
    found = _dry_run(dry_run_id)
    try:
        dry_run_go_on(dry_run_id=found.pk, by=request.user)
    except DomainError as error:
        notices.error(request, error.message)
    return redirect("console:dry_run", dry_run_id=found.pk)


@staff_page(*SAMPLES)
@require_safe
def dry_run_sample(request: HttpRequest, dry_run_id: UUID, position: int) -> HttpResponse:
    """One sample: the message as it would look, and why."""
    sample = get_object_or_404(
        DryRunSample.objects.select_related("dry_run__playbook", "dry_run__version"),
        dry_run_id=dry_run_id,
        position=position,
    )
    view = request.GET.get("view", "html")
    if view not in VIEWS:
        raise Http404
    shown = sample_shown(sample, sensitive=request.user.has_perm(SEE_SENSITIVE))
    positions = list(DryRunSample.objects.filter(dry_run_id=dry_run_id).values_list("position", flat=True))
    at = positions.index(position)
    context = {
        "shown": shown,
        "dry_run": sample.dry_run,
        "view": view,
        "views": VIEWS,
        "place": at + 1,
        "before": positions[at - 1] if at else None,
        "after": positions[at + 1] if at + 1 < len(positions) else None,
        "may_test": request.user.has_perms(TEST),
    }
    title = _("Sample %(place)d of %(count)d") % {"place": at + 1, "count": len(positions)}
    return console_page(request, "console/dry_run_sample.html", title, context)


@staff_page(*TEST)
def test_send(request: StaffRequest, playbook_id: int) -> HttpResponse:
    """Choose what to see; by POST, have it sent to oneself."""
    playbook = _playbook(playbook_id)
    asked = request.POST if request.method == "POST" else request.GET
    version = _version(playbook, asked.get("version", ""))
    choices = _choices(playbook, version, asked.get("step", ""))
    chosen = {
        "seen_as": asked.get("seen_as", "") or (f"profile:{asked['profile']}" if asked.get("profile") else "anna"),
        "language": asked.get("language", ""),
        "tiers": {slot["name"]: asked.get(f"tier-{slot['name']}", "") for slot in choices["slots"]},
    }
    problems: list[str] = choices["problems"]
    if request.method == "POST" and not problems:
        try:
            made = own_test_make(
                by=request.user,
                playbook_id=playbook.pk,
                version_id=version.pk if version is not None else None,
                wish=_wish(chosen, request.POST.get("profile", "").strip(), choices["step"]),
            )
        except DomainError as error:
            problems = problems_of(error)
        else:
            return redirect("console:test_sent", test_send_id=made.pk)
    context = {
        "playbook": playbook,
        "version": version,
        "choices": choices,
        "chosen": chosen,
        "personas": personas(),
        "profile": asked.get("profile", ""),
        "may_see_people": request.user.has_perm("profiles.view_profile"),
        "problems": problems,
        "lately": TestSend.objects.filter(user=request.user, playbook=playbook).order_by("-created_at")[:5],
    }
    return console_page(
        request, "console/test_send.html", _("Send me a test"), context, status=409 if problems else 200
    )


def _choices(playbook: Playbook, version: PlaybookVersion | None, step: str) -> dict[str, Any]:
    """Messages, languages, and slots with their tiers; or what keeps the playbook from being looked at.

    step: of the message, the first one where there is no such step.
    """
    nothing: dict[str, Any] = {"languages": [], "slots": [], "steps": [], "step": ""}
    if version is not None:
        spec = version.spec
    else:
        try:
            if found := playbook_problems(playbook):
                return {**nothing, "problems": [f"{problem.place}: {problem.problem}" for problem in found]}
            spec, _written = spec_build(playbook)
        except DomainError as error:
            return {**nothing, "problems": problems_of(error)}
    messages = step_specs(spec)
    at, _title, spec = next((one for one in messages if one[0] == step), messages[0])
    return {
        "languages": spec["languages"],
        "steps": [(one, title) for one, title, _spec in messages] if len(messages) > 1 else [],
        "step": at,
        "slots": [
            {
                "name": name,
                "tiers": [
                    (str(place), f"{place + 1}. {tier['name'] or tier_in_words(tier['tier'])}")
                    for place, tier in enumerate(tiers)
                ],
            }
            for name, tiers in sorted(spec["slots"].items())
            if len(tiers) > 1
        ],
        "problems": [],
    }


def _wish(chosen: dict[str, Any], profile: str, step: str) -> Wish:
    """What was chosen in the form, in the service's words; what can't be read is left to it to refuse."""
    tiers = {slot: int(place) if place.isdecimal() else -1 for slot, place in chosen["tiers"].items() if place}
    if chosen["seen_as"].startswith("profile"):
        number = profile or chosen["seen_as"].partition(":")[2]
        wanted = int(number) if number.isdecimal() and len(number) <= 18 else 0
        return Wish(profile_id=wanted, step=step, language=chosen["language"], tiers=tiers)
    return Wish(persona=chosen["seen_as"], step=step, language=chosen["language"], tiers=tiers)


@staff_page(*TEST)
@require_safe
def test_sent(request: StaffRequest, test_send_id: UUID) -> HttpResponse:
    """What became of a test of one's own; asked by htmx, only the part that moves."""
    found = get_object_or_404(
        TestSend.objects.select_related("playbook", "version"), pk=test_send_id, user=request.user
    )
    context = {"test": found, "settled": found.finished_at is not None}
    if request.headers.get("HX-Request"):
        return render(request, "console/parts/test_sent.html", context)
    return console_page(request, "console/test_sent.html", _("Test"), context)


async def dry_run_stream(request: HttpRequest, dry_run_id: UUID) -> HttpResponseBase:
    """Server-sent events of a dry run: «something changed», nothing more."""
    of = DryRun.objects.filter(pk=dry_run_id)
    return await staff_stream(request, f"dry-run-{dry_run_id}", *SEE, of=of)


async def test_sent_stream(request: HttpRequest, test_send_id: UUID) -> HttpResponseBase:
    """Server-sent events of a test of one's own."""
    of = TestSend.objects.filter(pk=test_send_id)
    return await staff_stream(request, f"test-send-{test_send_id}", *TEST, of=of, own=True)
