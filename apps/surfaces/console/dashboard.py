"""The admin's first page: what waits, what runs, what went out, what is in the system, and what is wrong."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.db.models import Count
from django.db.models.functions import TruncDate
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from apps.data.catalog.models import Item
from apps.data.consent.asking import Choices, choices_by_purpose
from apps.data.consent.models import Channel, Purpose
from apps.data.events.models import Order
from apps.data.imports.models import Import
from apps.data.profiles.estimates import Estimate, people_about
from apps.data.profiles.models import Profile
from apps.decisioning.playbooks.models import Playbook, Run
from apps.decisioning.playbooks.system_mail import mails_missing
from apps.delivery.sending.models import Dispatch, Message, RunTally
from apps.delivery.sending.selectors import GONE_OUT
from apps.foundation.core.clock import now
from apps.foundation.core.postgres import rows_about
from apps.foundation.governance.selectors import reviews_waiting_for

from .reviews import review_row
from .selectors import runs_page

DAYS = 7
BAR_HEIGHT = 120
"""Pixels of the tallest bar."""
_FEW = 200_000
"""Rows up to which a table is counted."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One day of the plot. height: of its bar, in pixels."""

    day: date
    count: int
    height: float


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that somebody should look at."""

    words: str
    link: str


@dataclass(frozen=True, slots=True)
class Step:
    """One of the first steps of an empty installation."""

    title: str
    about: str
    link: str
    action: str
    done: bool


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Adds to the first page's context what the one who looks may see."""
    user: Any = request.user
    may = user.has_perm
    context["title"] = _("Today")
    context["first_name"] = user.first_name
    if may("governance.view_review"):
        context["reviews"] = [review_row(review, user) for review in reviews_waiting_for(user)[:5]]
    if may("playbooks.view_run"):
        context["runs"] = runs_page(size=5)[0]
        context["runs_known"] = True
    if may("sending.view_message"):
        context["plot"] = sent_by_day()
        context["plot_total"] = sum(bar.count for bar in context["plot"])
    if may("consent.view_consentstate"):
        context["consent"] = consent_standing()
    if may("profiles.view_profile"):
        context["data"] = data_figures()
        context["steps"] = first_steps()
        context["teach"] = not all(step.done for step in context["steps"])
    context["troubles"] = troubles(may)
    return context


def sent_by_day() -> Sequence[Bar]:
    """Messages that went out on each of the last days, by UTC, today last. Of large runs as they were counted last."""
    today = now().date()
    days = [today - timedelta(days=DAYS - 1 - number) for number in range(DAYS)]
    recent = dict(Dispatch.objects.filter(not_after__date__gte=days[0]).values_list("run_id", "pk"))
    kept = dict(RunTally.objects.filter(run_id__in=recent).values_list("run_id", "figures__by_day"))
    counts = Counter(
        dict(
            Message.objects.filter(
                dispatch__in=[pk for run_id, pk in recent.items() if run_id not in kept],
                state__in=GONE_OUT,
                sending_at__date__gte=days[0],
            )
            .annotate(day=TruncDate("sending_at"))
            .values_list("day")
            .annotate(Count("pk"))
            .order_by()
        )
    )
    for by_day in kept.values():
        counts.update({date.fromisoformat(day): count for day, count in by_day.items()})
    tallest = max((counts[day] for day in days), default=0)
    return [Bar(day, counts[day], _height(counts[day], tallest)) for day in days]


def _height(count: int, tallest: int) -> float:
    return max(round(BAR_HEIGHT * count / tallest, 1), 2.0) if tallest else 2.0


def consent_standing() -> list[tuple[Purpose, Choices]]:
    """How many people agreed to each purpose that needs consent by e-mail, and how many withdrew or refused it."""
    found = choices_by_purpose(channel=Channel.EMAIL)
    nobody = Choices(Estimate(0), Estimate(0))
    return [(purpose, found.get(purpose.code, nobody)) for purpose in Purpose.objects.filter(needs_consent=True)]


def data_figures() -> dict[str, int]:
    """Counts of what is in the system."""
    return {"profiles": people_about(), "items": rows_about(Item, few=_FEW), "orders": rows_about(Order, few=_FEW)}


def troubles(may: Any) -> list[Trouble]:
    """What is wrong, each with where to look."""
    found = []
    if may("sending.view_message"):
        for state, one, many in (
            (
                Message.State.UNCERTAIN,
                gettext_noop("%(count)s message is uncertain: nobody knows whether it arrived"),
                gettext_noop("%(count)s messages are uncertain: nobody knows whether they arrived"),
            ),
            (Message.State.FAILED, gettext_noop("%(count)s message failed"), gettext_noop("%(count)s messages failed")),
        ):
            rows = list(
                Message.objects.filter(state=state)
                .values_list("dispatch__run_id")
                .annotate(Count("pk"))
                .order_by("-dispatch__run_id")[:50]
            )
            if rows:
                link = reverse("console:run_messages", args=[rows[0][0]]) + f"?shown={state.value}"
                count = sum(number for _run, number in rows)
                found.append(Trouble(ngettext(one, many, count) % {"count": count}, link))
    if may("imports.view_import"):
        failed = Import.objects.filter(state__in=[Import.State.FAILED, Import.State.STOPPED]).count()
        if failed:
            words = ngettext(
                "%(count)s import failed or was stopped", "%(count)s imports failed or were stopped", failed
            )
            found.append(Trouble(words % {"count": failed}, _changelist("imports_import")))
    if may("playbooks.view_playbook") and Profile.objects.exists() and (missing := mails_missing()):
        words = _("System mail is missing: %(kinds)s. Pages that need it say so") % {
            "kinds": "; ".join(kind.label for kind in missing)
        }
        found.append(Trouble(words, reverse("admin:playbooks_playbook_ready_made") + "#system"))
    if may("playbooks.view_run"):
        late = Run.objects.filter(
            state__in=[Run.State.PLANNING, Run.State.DECIDING], created_at__lt=now() - timedelta(hours=1)
        ).first()
        if late is not None:
            found.append(
                Trouble(
                    _("“%(run)s” has been deciding for more than an hour: is a worker running?") % {"run": late},
                    reverse("console:run", args=[late.pk]),
                )
            )
    return found


def first_steps() -> list[Step]:
    """What an empty installation needs before its first message, in order."""
    return [
        Step(
            _("Bring in your customers"),
            _("Import profiles and orders from a file. A bad line costs that line only, and you see why."),
            _changelist("imports_import"),
            _("Import a file"),
            Profile.objects.exists(),
        ),
        Step(
            _("Set up a playbook"),
            _("Choose who gets what: an audience, a template, blocks for its slots. Somebody else agrees to it."),
            _changelist("playbooks_playbook"),
            _("Open playbooks"),
            Playbook.objects.filter(published__isnull=False).exists(),
        ),
        Step(
            _("Start a run and watch it"),
            _("Each person is decided about, and each decision can be explained. You see it live."),
            reverse("console:runs"),
            _("Open runs"),
            Run.objects.exists(),
        ),
    ]


def _changelist(name: str) -> str:
    try:
        return reverse(f"admin:{name}_changelist")
    except NoReverseMatch:
        return ""
