"""Reading reviews, what is live, and the audit log."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models import Q, QuerySet

from apps.foundation.accounts.models import User
from apps.foundation.accounts.roles import ROLE_BY_CODE
from apps.foundation.accounts.services import role_codes

from .models import Approval, Publication, Review, State
from .registry import Workflow, workflow_of
from .rules import roles_asked


@dataclass(frozen=True, slots=True)
class Standing:
    """How a review stands for one person.

    given, missing: roles; asked: those of the missing whose turn it is; mine: those of the asked that this person may
    answer in; why_not: in words, when none.
    """

    given: tuple[str, ...]
    missing: tuple[str, ...]
    asked: tuple[str, ...]
    mine: tuple[str, ...]
    why_not: str


def path_words(path: Sequence[Sequence[str]]) -> str:
    """An approval path for people: roles of a step with *and*, steps with *then*."""
    titles = {code: role.title for code, role in ROLE_BY_CODE.items()}
    return ", then ".join(" and ".join(titles.get(role, role) for role in step) for step in path)


def reviews_newest(*, open_only: bool = False) -> QuerySet[Review]:
    """Reviews with their approvals and people at hand: those that wait first, then the newest."""
    reviews = Review.objects.select_related("requested_by", "content_type").prefetch_related("approvals__by")
    if open_only:
        reviews = reviews.filter(state=Review.State.OPEN)
    waiting = models.Case(models.When(state=Review.State.OPEN, then=0), default=1, output_field=models.IntegerField())
    return reviews.order_by(waiting, "-requested_at", "-pk")


def review_standing(*, review: Review, user: User, roles: frozenset[str] | None = None) -> Standing:
    """Who answered a review, who must, and whether `user` may. Give `roles` (of the user) when asking about many.

    Reads the review's prefetched approvals, so that a list of reviews costs no query each.
    """
    answers = list(review.approvals.all())
    given = tuple(answer.role for answer in answers if answer.verdict == Approval.Verdict.APPROVE)
    missing = tuple(role for role in review.roles if role not in given)
    asked = tuple(roles_asked(review.path, given))
    held = role_codes(user) if roles is None else roles
    mine: tuple[str, ...] = ()
    if review.state != Review.State.OPEN:
        why_not = f"It is {review.get_state_display()}"
    elif review.requested_by_id == user.pk or user.pk in review.authors:
        why_not = "Nobody approves their own work, and part of this is yours"
    elif any(answer.by_id == user.pk for answer in answers):
        why_not = "You answered already; another person must agree too"
    else:
        mine = tuple(role for role in asked if user.is_superuser or role in held)
        later = any(role in held for role in missing)
        why_not = "" if mine else "Others answer first" if later else "It does not wait for a role of yours"
    return Standing(given, missing, asked, mine, why_not)


def reviews_waiting_for(user: User) -> list[Review]:
    """The open reviews that `user` may answer now, the longest waiting first."""
    roles = role_codes(user)
    waiting = reviews_newest(open_only=True).order_by("requested_at", "pk")
    return [review for review in waiting if review_standing(review=review, user=user, roles=roles).mine]


def review_of(subject: models.Model) -> Review | None:
    """The newest review of an object."""
    return (
        reviews_newest()
        .filter(content_type=ContentType.objects.get_for_model(subject), object_id=subject.pk)
        .order_by("-pk")
        .first()
    )


def version_states(flow: Workflow, versions: Iterable[models.Model]) -> dict[int, State]:
    """The states of versions of one kind, by their ids, in two queries."""
    wanted = [version.pk for version in versions]
    live: set[int] = set()
    ended: dict[int, datetime] = {}
    for version_id, until in Publication.objects.filter(
        content_type=ContentType.objects.get_for_model(flow.head), version_id__in=wanted
    ).values_list("version_id", "live_until"):
        if until is None:
            live.add(version_id)
        else:
            ended[version_id] = max(until, ended.get(version_id, until))
    newest: dict[int, tuple[str, datetime]] = {
        version_id: (state, at)
        for version_id, state, at in Review.objects.filter(
            content_type=ContentType.objects.get_for_model(flow.version), object_id__in=wanted
        )
        .order_by("pk")
        .values_list("object_id", "state", "requested_at")
    }
    found = {}
    for version_id in wanted:
        state, asked_at = newest.get(version_id, ("", None))
        over = ended.get(version_id)
        if version_id in live:
            found[version_id] = State.PUBLISHED
        elif over is not None and (asked_at is None or asked_at <= over):
            found[version_id] = State.RETIRED
        else:
            found[version_id] = _STATES.get(state, State.DRAFT)
    return found


_STATES = {
    Review.State.OPEN.value: State.IN_REVIEW,
    Review.State.APPROVED.value: State.APPROVED,
    Review.State.REFUSED.value: State.REFUSED,
    Review.State.VOID.value: State.VOID,
}


def version_state(version: models.Model) -> State:
    """The state of a version, read from its reviews and publications."""
    flow = workflow_of(type(version))
    if flow is None:
        raise TypeError(f"{type(version).__name__} has no workflow")
    return version_states(flow, [version])[version.pk]


def publications_live(model: type[models.Model], head_ids: Iterable[int]) -> dict[int, Publication]:
    """What is live now of some heads of one kind, by their ids; those with nothing live are left out."""
    rows = Publication.objects.filter(
        content_type=ContentType.objects.get_for_model(model), head_id__in=list(head_ids), live_until=None
    )
    return {row.head_id: row for row in rows}


def live_at(head: models.Model, moment: datetime) -> Publication | None:
    """What was live at a moment, None when nothing was. From its instant on; what ended then no longer is."""
    return (
        Publication.objects.filter(
            Q(live_until=None) | Q(live_until__gt=moment),
            content_type=ContentType.objects.get_for_model(head),
            head_id=head.pk,
            live_from__lte=moment,
        )
        .order_by("-live_from", "-pk")
        .first()
    )


def publications_of(head: models.Model, *, limit: int = 100) -> list[Publication]:
    """What was live of a head and when, the newest first."""
    rows = Publication.objects.filter(content_type=ContentType.objects.get_for_model(head), head_id=head.pk)
    return list(rows.select_related("published_by", "ended_by")[:limit])
