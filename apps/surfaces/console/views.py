"""Runs and their messages, people, and their live streams. Each view says by `staff_page` who may open it."""

from typing import Any
from uuid import UUID

from django.contrib import messages as notices
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from apps.data.profiles.models import Profile
from apps.decisioning.playbooks.models import Run
from apps.decisioning.playbooks.services import run_cancel
from apps.foundation.accounts.rights import may
from apps.foundation.core.clock import now
from apps.foundation.core.errors import DomainError, Invalid, NotFound
from apps.insight.monitoring.list_checks import looked_before, looked_for, runs_coming

from . import services
from .access import StaffRequest, asked, console_page, staff_page, staff_stream
from .messages import message_shown
from .people import SEE, SEE_SENSITIVE, person_shown
from .selectors import SHOWN, run_figures, run_messages, run_spread, runs_page
from .words import reason_in_words, tier_in_words

VIEWS = {
    "html": gettext_lazy("Desktop"),
    "phone": gettext_lazy("Phone"),
    "text": gettext_lazy("Plain text"),
    "headers": gettext_lazy("Headers"),
    "source": gettext_lazy("Source"),
}


def _run(run_id: int) -> Run:
    return get_object_or_404(Run.objects.select_related("playbook__owner", "version", "started_by"), pk=run_id)


@staff_page("playbooks.view_run")
@require_safe
def runs(request: HttpRequest) -> HttpResponse:
    """Runs, newest first."""
    before = request.GET.get("before", "")
    rows, more = runs_page(before=int(before) if before.isdecimal() and len(before) < 18 else None)
    coming = [] if before else [(one, looked_for(one.playbook.pk, one.due_at)) for one in runs_coming(now(), most=5)]
    return console_page(request, "console/runs.html", _("Runs"), {"rows": rows, "more": more, "coming": coming})


@staff_page("playbooks.view_run")
@require_safe
def run(request: StaffRequest, run_id: int) -> HttpResponse:
    """A run, live while it moves; asked by htmx, only the part that moves."""
    found = _run(run_id)
    context = {
        "run": found,
        "figures": run_figures(found),
        "spread": run_spread(found),
        "may_run": may(request.user, "run", found.playbook),
        "may_stop": may(request.user, "stop", found.playbook),
        "looked": looked_before(found),
    }
    if request.headers.get("HX-Request"):
        return render(request, "console/parts/run.html", context)
    return console_page(request, "console/run.html", str(found.playbook), context)


@staff_page("playbooks.view_run")
@require_POST
def run_pause(request: StaffRequest, run_id: int) -> HttpResponse:
    """Hold a run: nothing more is handed over until it is resumed."""
    found = _run(run_id)
    asked(request.user, "stop", found.playbook)
    return _done(request, found, lambda: services.run_pause(run_id=found.pk, by=request.user), _("Paused."))


@staff_page("playbooks.view_run", "playbooks.run_playbook")
@require_POST
def run_resume(request: StaffRequest, run_id: int) -> HttpResponse:
    """Go on with a run that was held."""
    found = _run(run_id)
    asked(request.user, "run", found.playbook)
    return _done(request, found, lambda: services.run_resume(run_id=found.pk, by=request.user), _("It goes on."))


@staff_page("playbooks.view_run")
def run_stop(request: StaffRequest, run_id: int) -> HttpResponse:
    """Ask whether to cancel a run, and cancel it."""
    found = _run(run_id)
    asked(request.user, "stop", found.playbook)
    if request.method == "POST":
        return _done(request, found, lambda: run_cancel(run_id=found.pk, by=request.user), _("Cancelled."))
    return console_page(
        request, "console/run_stop.html", _("Cancel this run?"), {"run": found, "figures": run_figures(found)}
    )


@staff_page("playbooks.view_run", "playbooks.run_playbook")
def run_pace(request: StaffRequest, run_id: int) -> HttpResponse:
    """How fast a run goes: messages a minute at most."""
    found = _run(run_id)
    asked(request.user, "run", found.playbook)
    given, problem = request.POST.get("per_minute", "").strip(), ""
    if request.method == "POST":
        if given and not (given.isascii() and given.isdecimal() and len(given) < 10):
            problem = _("Give a whole number, or nothing")
        else:
            try:
                services.run_throttle(run_id=found.pk, per_minute=int(given) if given else None, by=request.user)
            except Invalid as error:
                problem = error.message
            except DomainError as error:
                notices.error(request, error.message)
                return redirect("console:run", run_id=found.pk)
            else:
                said = _("At most %(count)s a minute from now on.") % {"count": given}
                notices.success(request, said if given else _("As fast as it goes."))
                return redirect("console:run", run_id=found.pk)
    figures = run_figures(found)
    shown = given if problem else figures.per_minute or ""
    context = {"run": found, "figures": figures, "shown": shown, "problem": problem}
    return console_page(request, "console/run_pace.html", _("How fast this run goes"), context)


def _done(request: HttpRequest, found: Run, do: Any, said: str) -> HttpResponse:
    try:
        do()
    except DomainError as error:
        notices.error(request, error.message)
    else:
        notices.success(request, said)
    return redirect("console:run", run_id=found.pk)


@staff_page("playbooks.view_run", "sending.view_message", "decisions.view_decision")
@require_safe
def run_message_list(request: HttpRequest, run_id: int) -> HttpResponse:
    """The people of a run, narrowed by state, reason or tier, page after page by key."""
    found = _run(run_id)
    shown = request.GET.get("shown", "all")
    if shown not in SHOWN:
        raise Http404
    reason, tier = request.GET.get("reason", "")[:40], request.GET.get("tier", "")[:10]
    after = _key(request.GET.get("after", ""))
    whole = request.user.has_perm("profiles.view_identifier")
    rows, more = run_messages(run=found, shown=shown, reason=_text(reason), tier=_text(tier), after=after, whole=whole)
    context = {
        "run": found,
        "rows": rows,
        "more": more,
        "shown": shown,
        "reason": reason,
        "tier": tier,
        "first": after is None,
        "narrowed": [words for words in (reason and reason_in_words(reason), tier and tier_in_words(tier)) if words],
        "choices": {
            "all": _("Everybody"),
            "sent": _("Sent"),
            "withheld": _("Withheld"),
            "waiting": _("Waiting"),
            "failed": _("Failed"),
            "uncertain": _("Uncertain"),
            "cancelled": _("Cancelled"),
        },
    }
    return console_page(request, "console/messages.html", _("People of this run"), context)


def _text(value: str) -> str:
    return value.replace("\0", "")


def _key(value: str) -> UUID | None:
    try:
        return UUID(value) if value else None
    except ValueError:
        raise Http404 from None


@staff_page("sending.view_message", "decisions.view_decision")
@require_safe
def message(request: HttpRequest, decision_id: UUID) -> HttpResponse:
    """A message as it was sent, and why it looks so; for people withheld, why they got nothing."""
    try:
        shown = message_shown(
            decision_id,
            whole=request.user.has_perm("profiles.view_identifier"),
            sensitive=request.user.has_perm(SEE_SENSITIVE),
        )
    except NotFound:
        raise Http404 from None
    view = request.GET.get("view", "html")
    if view not in VIEWS:
        raise Http404
    title = _("Why nothing was sent") if shown.state == "withheld" else _("The message")
    title = shown.as_sent.subject if shown.as_sent is not None else title
    context = {"shown": shown, "view": view, "views": VIEWS}
    return console_page(request, "console/message.html", title, context)


@staff_page(SEE)
@require_safe
def person(request: StaffRequest, profile_id: int) -> HttpResponse:
    """A person, live; asked by htmx, only the part that moves. What is shown goes by the rights of who looks."""
    shown = person_shown(get_object_or_404(Profile, pk=profile_id), request.user.has_perm)
    if request.headers.get("HX-Request"):
        return render(request, "console/parts/person.html", {"shown": shown})
    return console_page(request, "console/person.html", shown.name or str(shown.profile), {"shown": shown})


async def person_stream(request: HttpRequest, profile_id: int) -> HttpResponseBase:
    """Server-sent events of a person: «something changed», nothing more."""
    return await staff_stream(request, f"profile-{profile_id}", SEE, of=Profile.objects.filter(pk=profile_id))


async def run_stream(request: HttpRequest, run_id: int) -> HttpResponseBase:
    """Server-sent events of a run: «something changed», nothing more."""
    return await staff_stream(request, f"run-{run_id}", "playbooks.view_run", of=Run.objects.filter(pk=run_id))
