"""Pages of approval: the inbox, one review with its comments, and one's notices."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from apps.decisioning.playbooks.models import PlaybookVersion
from apps.foundation.core.errors import Conflict, DomainError, NotAllowed
from apps.foundation.governance.models import Approval, Notice, NoticeMute, Review
from apps.foundation.governance.notices import notice_mutes_set, notices_channel, notices_read
from apps.foundation.governance.registry import workflow_of
from apps.foundation.governance.selectors import path_words
from apps.foundation.governance.services import review_answer, review_comment

from .access import StaffRequest, console_page, staff_page, staff_stream
from .reviews import authored, inbox, publishable, review_row, version_shown

_PAGE = 50


@staff_page("governance.view_review")
@require_safe
def reviews(request: StaffRequest) -> HttpResponse:
    """What waits for the one who looks, what of theirs was answered, what else is open, and what was closed lately."""
    mine, others, closed = inbox(request.user)
    context = {
        "mine": mine,
        "publishable": publishable(request.user),
        "authored": authored(request.user),
        "others": others,
        "closed": closed,
    }
    return console_page(request, "console/reviews.html", _("Reviews"), context)


@staff_page("governance.view_review")
def review(request: StaffRequest, review_id: int) -> HttpResponse:
    """Exactly what is approved; by POST, the answer."""
    found = _review(review_id)
    problem, status = "", 200
    said = request.POST.get("comment", "").strip()[:4000]
    if request.method == "POST":
        try:
            verdict = Approval.Verdict(request.POST.get("verdict", ""))
            digest = request.POST.get("digest") or None
            review_answer(review_id=found.pk, by=request.user, verdict=verdict, comment=said, digest=digest)
        except ValueError:
            problem, status = _("Choose to approve or to ask for changes."), 400
        except NotAllowed as error:
            problem, status = error.message, 403
        except DomainError as error:
            problem, status = error.message, 409 if isinstance(error, Conflict) else 400
        else:
            messages.success(request, _("Your answer is recorded."))
            return HttpResponseRedirect(request.path)
    else:
        read = Notice.objects.filter(user=request.user, review=found, read_at=None).values_list("pk", flat=True)
        notices_read(user=request.user, notice_ids=list(read))
    return console_page(
        request,
        "console/review.html",
        found.subject_label,
        _review_context(request, found, problem, said),
        status=status,
    )


def _review(review_id: int) -> Review:
    return get_object_or_404(Review.objects.select_related("requested_by", "content_type"), pk=review_id)


def _review_context(request: StaffRequest, found: Review, problem: str, said: str) -> dict[str, object]:
    subject = found.subject
    flow = workflow_of(type(subject)) if subject is not None else None
    playbook = isinstance(subject, PlaybookVersion)
    history = ""
    if flow is not None and subject is not None:
        meta = flow.head._meta
        try:
            history = reverse(f"admin:{meta.app_label}_{meta.model_name}_history", args=[flow.head_of(subject).pk])
        except NoReverseMatch:
            history = ""
    return {
        "row": review_row(found, request.user),
        "review": found,
        "version": version_shown(subject) if isinstance(subject, PlaybookVersion) else None,
        "looks": flow.looks(subject) if flow is not None and not playbook else [],
        "values": flow.values(subject) if flow is not None and not playbook else {},
        "path": path_words(found.path),
        "comments": found.comments.select_related("by"),
        "subject_url": history,
        "problem": problem,
        "comment": said,
    }


@staff_page("governance.view_review")
@require_POST
def comment(request: StaffRequest, review_id: int) -> HttpResponse:
    """Say something about a review without answering it."""
    found = _review(review_id)
    try:
        review_comment(review_id=found.pk, by=request.user, text=request.POST.get("text", ""))
    except DomainError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, _("Your comment is there, and those who take part are told."))
    return redirect(reverse("console:review", args=[found.pk]) + "#comments")


@staff_page("governance.view_review")
def notice_list(request: StaffRequest) -> HttpResponse:
    """One's notices, newest first; by POST all are read."""
    if request.method == "POST":
        notices_read(user=request.user)
        return redirect("console:notices")
    before = request.GET.get("before", "")
    rows = Notice.objects.filter(user=request.user)
    if before.isdecimal() and len(before) < 18:
        rows = rows.filter(pk__lt=int(before))
    found = list(rows.order_by("-pk")[: _PAGE + 1])
    muted = set(NoticeMute.objects.filter(user=request.user).values_list("kind", flat=True))
    context = {
        "notices": found[:_PAGE],
        "more": found[_PAGE - 1].pk if len(found) > _PAGE else None,
        "unread": any(notice.read_at is None for notice in found[:_PAGE]),
        "kinds": [(kind.value, kind.label, kind.value not in muted) for kind in Notice.Kind],
    }
    return console_page(request, "console/notices.html", _("Notices"), context)


@staff_page("governance.view_review")
@require_safe
def notices_unread(request: StaffRequest) -> HttpResponse:
    """The part of the bell that moves: how many notices one has not read."""
    return render(request, "console/parts/unread.html")


async def notices_stream(request: HttpRequest) -> HttpResponseBase:
    """Server-sent events of one's own notices: «something changed», nothing more."""
    user = await request.auser()
    return await staff_stream(request, notices_channel(user.pk), "governance.view_review")


@staff_page("governance.view_review")
@require_POST
def notice_mail(request: StaffRequest) -> HttpResponse:
    """Which kinds of news one wants by e-mail."""
    wanted = set(request.POST.getlist("kind"))
    notice_mutes_set(user=request.user, kinds=[kind for kind in Notice.Kind.values if kind not in wanted])
    messages.success(request, _("Saved: what you chose comes by e-mail, all of it is here."))
    return redirect("console:notices")


@staff_page("governance.view_review")
@require_safe
def notice_open(request: StaffRequest, notice_id: int) -> HttpResponse:
    """Lead from a notice of one's own to its review, which reads it; or to the page that it is about."""
    notice = get_object_or_404(Notice, pk=notice_id, user=request.user)
    if notice.place:
        notices_read(user=request.user, notice_ids=[notice.pk])
        return redirect(notice.place)
    return redirect("console:review", review_id=notice.review_id)
