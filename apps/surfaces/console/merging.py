"""Pages about who is one person: pairs that wait for an answer, merging by number, and undoing."""

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from apps.data.profiles.addresses import identifiers_read, value_mask
from apps.data.profiles.candidates import candidate_accept, candidate_reject
from apps.data.profiles.errors import MasterKeyMissing
from apps.data.profiles.merging import profiles_merge, profiles_unmerge
from apps.data.profiles.models import Merge, MergeCandidate, Profile
from apps.data.profiles.tasks import candidates_find
from apps.foundation.core.errors import DomainError
from apps.foundation.core.queue import enqueue_on_commit

from .access import StaffRequest, console_page, staff_page
from .people import SEE_ADDRESS

SEE = "profiles.view_merge"
MERGE = "profiles.add_merge"
UNDO = "profiles.undo_merge"
_SHOWN = ("email", "phone", "external_id", "loyalty_id")
_AT_ONCE = 20
_BIGGEST = 2**63


@dataclass(frozen=True, slots=True)
class Side:
    """One profile of a pair: who it is, as far as the one who looks may see."""

    profile: Profile
    known_by: list[str]

    @property
    def name(self) -> str:
        return " ".join(filter(None, (self.profile.first_name, self.profile.last_name))) or str(self.profile)


@dataclass(frozen=True, slots=True)
class PairShown:
    """A pair that waits. likely: in per cent, as text; reasons: words, and whether they speak for it."""

    candidate: MergeCandidate
    sides: tuple[Side, Side]
    likely: str
    reasons: list[tuple[str, str]]


@staff_page(SEE)
@require_safe
def merges(request: StaffRequest) -> HttpResponse:
    """Pairs that may be one person, the likeliest first, and what was merged lately."""
    waiting = MergeCandidate.objects.filter(state=MergeCandidate.State.OPEN)
    rows = waiting.select_related("first", "second").order_by("-sure", "-score", "pk")[:_AT_ONCE]
    whole = request.user.has_perm(SEE_ADDRESS)
    context: dict[str, Any] = {
        "pairs": [_shown(row, whole=whole) for row in rows],
        "count": waiting.count(),
        "done": Merge.objects.select_related("kept", "absorbed", "actor", "undone_by")[:_AT_ONCE],
        "may_merge": request.user.has_perm(MERGE),
        "may_undo": request.user.has_perm(UNDO),
    }
    return console_page(request, "console/merges.html", _("Who is one person"), context)


def _shown(candidate: MergeCandidate, *, whole: bool) -> PairShown:
    sides = (_side(candidate.first, whole=whole), _side(candidate.second, whole=whole))
    likely = "" if candidate.score is None else f"{min(99.9, candidate.score * 100):.1f} %"
    reasons = [(str(words), _speaks(weight)) for words, weight in candidate.reasons]
    return PairShown(candidate, sides, likely, reasons)


def _speaks(weight: float) -> str:
    return "for" if weight > 0 else "against" if weight < 0 else ""


def _side(profile: Profile, *, whole: bool) -> Side:
    try:
        known = identifiers_read(profile_id=profile.pk)
    except MasterKeyMissing as error:
        return Side(profile, [error.message])
    shown = [one.value if whole else value_mask(one.kind, one.value) for one in known if one.kind in _SHOWN]
    return Side(profile, shown)


@staff_page(SEE, MERGE)
@require_POST
def candidate_answer(request: StaffRequest, candidate_id: int) -> HttpResponse:
    """Merge a pair, or remember that it is two people."""
    try:
        if request.POST.get("answer") == "merge":
            merge = candidate_accept(candidate_id=candidate_id, actor=request.user, kept_id=_number(request, "kept"))
            messages.success(
                request, _("Merged into profile %(number)s. It can be undone below.") % {"number": merge.kept_id}
            )
        else:
            candidate_reject(candidate_id=candidate_id, actor=request.user)
            messages.success(request, _("Remembered: they are two people."))
    except DomainError as error:
        messages.error(request, error.message)
    return redirect("console:merges")


@staff_page(SEE, MERGE)
@require_POST
def merge_make(request: StaffRequest) -> HttpResponse:
    """Merge two profiles by their numbers, or have the pairs looked for now."""
    if "look" in request.POST:
        enqueue_on_commit(candidates_find)
        messages.success(request, _("Looking. Pairs appear here within some minutes."))
        return redirect("console:merges")
    kept, absorbed = _number(request, "kept"), _number(request, "absorbed")
    try:
        if kept is None or absorbed is None:
            messages.error(request, _("Give the numbers of both profiles."))
        else:
            profiles_merge(
                kept_id=kept,
                absorbed_id=absorbed,
                why=Merge.Why.STAFF,
                reasons=[request.POST.get("reason", "").strip()[:200]],
                actor=request.user,
            )
            _say_merged(request, kept)
    except DomainError as error:
        messages.error(request, error.message)
    return redirect("console:merges")


@staff_page(SEE, UNDO)
@require_POST
def merge_undo(request: StaffRequest, merge_id: int) -> HttpResponse:
    """Take two profiles apart again."""
    try:
        profiles_unmerge(merge_id=merge_id, actor=request.user)
        messages.success(request, _("Undone: they are two people again, each with what was theirs."))
    except DomainError as error:
        messages.error(request, error.message)
    return redirect("console:merges")


def _say_merged(request: StaffRequest, kept: int) -> None:
    messages.success(request, _("Merged into profile %(number)s. It can be undone below.") % {"number": kept})


def _number(request: StaffRequest, name: str) -> int | None:
    text = request.POST.get(name, "").strip()
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None
    return number if number is not None and number < _BIGGEST else None
