"""Asking for review, agreeing, commenting, and writing the audit log."""

from collections.abc import Collection
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db import IntegrityError, models, transaction

from apps.foundation.accounts.acting import acting_client
from apps.foundation.accounts.models import User
from apps.foundation.accounts.services import role_codes
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid, NotAllowed, NotFound
from apps.foundation.core.middleware import request_id

from .models import Approval, AuditEntry, Review, ReviewComment
from .notices import comment_tell, review_tell_closed, review_tell_waiting
from .registry import Steps, workflow_of
from .rules import roles_asked
from .signals import review_closed


def audit_record(
    *, action: str, actor: User | None, subject: models.Model | None = None, data: dict[str, Any] | None = None
) -> None:
    """Append to the audit log, in the caller's transaction. `data` holds no personal data.

    What a client of the API does for its owner says so: `client` in the data is its code.
    """
    client = acting_client()
    said = {**(data or {}), "client": client.code} if client is not None else data or {}
    AuditEntry.objects.create(
        at=now(),
        actor=actor,
        action=action,
        content_type=ContentType.objects.get_for_model(subject) if subject is not None else None,
        object_id=str(subject.pk) if subject is not None else "",
        object_label=str(subject)[:200] if subject is not None else "",
        request_id=request_id(),
        data=said,
    )


def review_request(
    *,
    subject: models.Model,
    digest: str,
    path: Steps,
    by: User,
    note: str = "",
    authors: Collection[int] = (),
    tags: Collection[str] = (),
) -> Review:
    """Ask others to agree to `subject` at `digest`.

    path: steps in order, each with the roles that must agree, each by somebody of its own; authors: ids of those
    whose work it is beside `by`; tags: from which the path followed.
    Raises Invalid for an empty path or one that names a role twice, Conflict when one is open already.
    """
    roles = [role for step in path for role in step]
    if not roles or not all(path):
        raise Invalid("review_path_empty", "Name at least one role that must agree")
    if len(set(roles)) < len(roles):
        raise Invalid("review_path_repeats", "Name each role once: one person per role must agree")
    try:
        with transaction.atomic():
            review = Review.objects.create(
                content_type=ContentType.objects.get_for_model(subject),
                object_id=subject.pk,
                subject_label=str(subject)[:200],
                digest=digest,
                path=[list(step) for step in path],
                tags=sorted(tags),
                note=note,
                requested_by=by,
                authors=sorted({by.pk, *authors}),
                requested_at=now(),
            )
            audit_record(action="governance.review.requested", actor=by, subject=subject, data={"digest": digest})
            review_tell_waiting(review)
    except IntegrityError:
        raise Conflict("review_open_already", "A review of this is open already") from None
    return review


def roles_missing(review: Review) -> list[str]:
    """The roles whose agreement a review still waits for, in the order of its path."""
    given = set(review.approvals.filter(verdict=Approval.Verdict.APPROVE).values_list("role", flat=True))
    return [role for role in review.roles if role not in given]


def _asked(review: Review) -> list[str]:
    given = review.approvals.filter(verdict=Approval.Verdict.APPROVE).values_list("role", flat=True)
    return roles_asked(review.path, list(given))


def review_answer(
    *,
    review_id: int,
    by: User,
    verdict: Approval.Verdict,
    role: str | None = None,
    comment: str = "",
    digest: str | None = None,
) -> Review:
    """Agree to a review, or ask for changes, in a role whose turn it is (the first such by default).

    digest: what the one who answers looked at; an answer to anything else is refused.

    The review is approved with the last role's agreement, refused with the first refusal; both send the signal
    `review_closed` inside this transaction, so that what follows is in it too.
    Raises NotAllowed for one's own request or work and for a role one does not have, Conflict when it is closed, or
    when what is there is not what was handed in, Invalid for a refusal without a comment, NotFound.
    """
    if verdict == Approval.Verdict.REFUSE and not comment.strip():
        raise Invalid("comment_missing", "Say what should change")
    with transaction.atomic():
        review = Review.objects.select_for_update().filter(pk=review_id).first()
        if review is None:
            raise NotFound("review_unknown", "There is no such review")
        if review.state != Review.State.OPEN:
            raise Conflict("review_closed", f"This review is {review.get_state_display()} already")
        if review.requested_by_id == by.pk or by.pk in review.authors:
            raise NotAllowed("own_work", "Nobody approves their own work, and part of this is yours: ask somebody else")
        if review.approvals.filter(by=by).exists():
            raise Conflict("answered_already", "You answered this review already; another person must agree too")
        held = role_codes(by) if by.is_active else frozenset()
        if digest is not None and digest != review.digest:
            raise Conflict("review_of_other_content", "This is not what you looked at: look at it again first")
        mine = [code for code in _asked(review) if (by.is_superuser and by.is_active) or code in held]
        if role is not None:
            mine = [code for code in mine if code == role]
        if not mine:
            raise NotAllowed("role_not_asked", "This review does not wait for a role of yours")
        if verdict == Approval.Verdict.APPROVE:
            _unchanged(review)
        Approval.objects.create(
            review=review,
            role=mine[0],
            verdict=verdict,
            comment=comment,
            by=by,
            requested_by_id=review.requested_by_id,
            at=now(),
        )
        if verdict == Approval.Verdict.REFUSE:
            review.state = Review.State.REFUSED
        elif not roles_missing(review):
            review.state = Review.State.APPROVED
        if review.state != Review.State.OPEN:
            review.closed_at = now()
            review.save(update_fields=["state", "closed_at"])
            review_closed.send(Review, review=review)
            review_tell_closed(review, by=by, comment=comment)
        else:
            review_tell_waiting(review)
        audit_record(
            action=f"governance.review.{verdict.value}d",
            actor=by,
            subject=review,
            data={"role": mine[0], "digest": review.digest, "state": review.state},
        )
    return review


def _unchanged(review: Review) -> None:
    model = review.content_type.model_class()
    flow = workflow_of(model) if model is not None else None
    if flow is not None and flow.digest(review.subject) != review.digest:
        raise Conflict(
            "version_tampered",
            f"{review.subject_label} is not what was handed in: its content was changed behind the review",
        )


def review_comment(*, review_id: int, by: User, text: str) -> ReviewComment:
    """Say something about a review without answering it. Raises Invalid for nothing said, NotAllowed, NotFound."""
    if not text.strip():
        raise Invalid("comment_missing", "Write something first")
    if not by.is_active or not by.has_perm("governance.view_review"):
        raise NotAllowed("not_allowed", "You may not see this review")
    with transaction.atomic():
        review = Review.objects.filter(pk=review_id).first()
        if review is None:
            raise NotFound("review_unknown", "There is no such review")
        comment = ReviewComment.objects.create(review=review, by=by, at=now(), text=text.strip()[:4000])
        audit_record(action="governance.review.commented", actor=by, subject=review)
        comment_tell(comment)
    return comment


def review_approved(*, subject: models.Model, digest: str) -> bool:
    """Whether exactly this content of the object was agreed to."""
    return Review.objects.filter(
        content_type=ContentType.objects.get_for_model(subject),
        object_id=subject.pk,
        digest=digest,
        state=Review.State.APPROVED,
    ).exists()
