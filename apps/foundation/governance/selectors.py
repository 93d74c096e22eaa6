"""Reading reviews and the audit log."""

from dataclasses import dataclass

from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models import QuerySet

from apps.foundation.accounts.models import User
from apps.foundation.accounts.services import role_codes

from .models import Approval, AuditEntry, Review


@dataclass(frozen=True, slots=True)
class Standing:
    """How a review stands for one person.

    given, missing: roles; mine: those of the missing that this person may answer in; why_not: in words, when none.
    """

    given: tuple[str, ...]
    missing: tuple[str, ...]
    mine: tuple[str, ...]
    why_not: str


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
    missing = tuple(role for role in review.path if role not in given)
    held = role_codes(user) if roles is None else roles
    mine: tuple[str, ...] = ()
    if review.state != Review.State.OPEN:
        why_not = f"It is {review.get_state_display()}"
    elif review.requested_by_id == user.pk or user.pk in review.authors:
        why_not = "Nobody approves their own work, and part of this is yours"
    elif any(answer.by_id == user.pk for answer in answers):
        why_not = "You answered already; another person must agree too"
    else:
        mine = tuple(role for role in missing if user.is_superuser or role in held)
        why_not = "" if mine else "It does not wait for a role of yours"
    return Standing(given, missing, mine, why_not)


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


def audit_of(subject: models.Model, *, limit: int = 50) -> list[AuditEntry]:
    """What was done to an object, the newest first."""
    return list(
        AuditEntry.objects.filter(
            content_type=ContentType.objects.get_for_model(subject), object_id=str(subject.pk)
        ).select_related("actor")[:limit]
    )
