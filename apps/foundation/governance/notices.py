"""News for staff: one row for each person, made in the transaction of what it tells, so that none is lost.

Whether it goes out by e-mail too is decided then, by what that person wants; a higher floor mails what waits.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from functools import reduce
from operator import or_

from django.db import transaction
from django.db.models import F, Model, Q

from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import may_publish, ways_of
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Invalid
from apps.foundation.core.live import live_publish

from .models import Approval, Notice, NoticeMute, Review, ReviewComment
from .registry import workflow_of
from .rules import roles_asked
from .signals import notice_wanted

MAIL_ATTEMPTS = 10
"""Tries of an e-mail before it is given up; the pauses double from a minute to six hours, so about a day."""


def notices_add(
    *,
    users: Collection[int],
    kind: Notice.Kind,
    review: Review | None = None,
    place: str = "",
    title: str,
    body: str = "",
    but: User | None = None,
    key: str = "",
) -> int:
    """Tell people something about a review, or of the page `place`, each once per `key`. but: who did it and need not
    be told.

    Returns how many were told. Accounts that are closed are left out.
    """
    at = now()
    wanted = set(users) - ({but.pk} if but is not None else set())
    muted = set(NoticeMute.objects.filter(user__in=wanted, kind=kind).values_list("user_id", flat=True))
    rows = [
        Notice(
            user_id=user,
            kind=kind,
            key=f"{kind.value}:{key or (review.pk if review is not None else place)}",
            review=review,
            place=place,
            title=title[:300],
            body=body,
            at=at,
            mail_after=at,
            mail=Notice.Mail.MUTED if user in muted else Notice.Mail.WAITING,
        )
        for user in sorted(User.objects.filter(pk__in=wanted, is_active=True).values_list("pk", flat=True))
    ]
    Notice.objects.bulk_create(rows, ignore_conflicts=True)
    if rows:
        transaction.on_commit(lambda: notice_wanted.send(Notice))
        told = [notices_channel(row.user_id) for row in rows]
        transaction.on_commit(lambda: live_publish(*told))
    return len(rows)


def review_tell_waiting(review: Review) -> None:
    """Tell those whose turn it is that a review waits for them; its authors never."""
    agreed = list(review.approvals.filter(verdict=Approval.Verdict.APPROVE).values_list("role", flat=True))
    asked = roles_asked(review.path, agreed)
    holders = User.objects.filter(groups__name__in=asked, is_active=True).exclude(pk__in=review.authors)
    answered = set(review.approvals.values_list("by_id", flat=True))
    asks = f"asks: {review.note}" if review.note else "asks you to agree."
    notices_add(
        users=set(holders.values_list("pk", flat=True)) - answered,
        kind=Notice.Kind.WAITING,
        review=review,
        title=f"{review.subject_label} waits for your answer",
        body=f"{review.requested_by} {asks}",
    )


def review_tell_closed(review: Review, *, by: User, comment: str) -> None:
    """Tell the authors what their review came to, and those who may publish that they may."""
    authors = {review.requested_by_id, *review.authors}
    if review.state == Review.State.REFUSED:
        title, kind = f"{review.subject_label}: changes are asked for", Notice.Kind.REFUSED
        notices_add(users=authors, kind=kind, review=review, title=title, body=f"{by}: {comment}", but=by)
        return
    title = f"{review.subject_label} is approved"
    notices_add(users=authors, kind=Notice.Kind.APPROVED, review=review, title=title, body=comment, but=by)
    model = review.content_type.model_class()
    flow = workflow_of(model) if model is not None else None
    if flow is not None and review.subject is not None:
        publishers = _publishers(flow.head_of(review.subject))
        title = f"{review.subject_label} is approved: you may publish it"
        notices_add(users=publishers, kind=Notice.Kind.READY, review=review, title=title)


def _publishers(head: Model) -> set[int]:
    """Those who may publish an object; superusers need no reminder."""
    rights = [way.right.split(".") for way in ways_of(type(head), "publish")]
    group = "groups__permissions__"
    held = [Q(**{f"{group}content_type__app_label": app, f"{group}codename": code}) for app, code in rights]
    users = User.objects.filter(reduce(or_, held), is_active=True).distinct()
    return {user.pk for user in users if may_publish(user, head)}


def comment_tell(comment: ReviewComment) -> None:
    """Tell those who take part in a review that somebody said something."""
    review = comment.review
    spoke = review.comments.values_list("by_id", flat=True)
    answered = review.approvals.values_list("by_id", flat=True)
    notices_add(
        users={review.requested_by_id, *spoke, *answered},
        kind=Notice.Kind.COMMENT,
        review=review,
        title=f"{comment.by} commented on {review.subject_label}",
        body=comment.text,
        but=comment.by,
        key=str(comment.pk),
    )


def notices_read(*, user: User, notice_ids: Collection[int] | None = None) -> int:
    """Mark notices of a user as read, all by default. Returns how many were not before."""
    unread = Notice.objects.filter(user=user, read_at=None)
    if notice_ids is not None:
        unread = unread.filter(pk__in=notice_ids)
    changed = unread.update(read_at=now())
    if changed:
        transaction.on_commit(lambda: live_publish(notices_channel(user.pk)))
    return changed


def notices_channel(user_id: int | None) -> str:
    """By which channel the open pages of a user learn of their notices."""
    return f"notices-{user_id}"


def notices_unread(user: User) -> int:
    """How many notices a user has not read, counted up to a hundred."""
    return Notice.objects.filter(user=user, read_at=None)[:100].count()


def notice_mutes_set(*, user: User, kinds: Collection[str]) -> None:
    """Say which kinds of news a user doesn't want by e-mail; the others are wanted. Raises Invalid."""
    if unknown := sorted(set(kinds) - set(Notice.Kind.values)):
        raise Invalid("notice_kind_unknown", f"There is no kind of news {unknown[0]!r}")
    with transaction.atomic():
        NoticeMute.objects.filter(user=user).exclude(kind__in=kinds).delete()
        NoticeMute.objects.bulk_create([NoticeMute(user=user, kind=kind) for kind in kinds], ignore_conflicts=True)


# --- mailing: what waits, and what came of it ---


def notices_to_mail(*, at: datetime, limit: int) -> list[Notice]:
    """Notices whose e-mail is due, locked for this transaction; those of closed accounts are dropped on the way."""
    due = Notice.objects.filter(mail=Notice.Mail.WAITING, mail_after__lte=at)
    due.filter(user__is_active=False).update(mail=Notice.Mail.DROPPED)
    free = due.select_for_update(skip_locked=True, of=("self",)).select_related("user")
    return list(free.order_by("mail_after", "pk")[:limit])


def notices_not_mailed(*, at: datetime) -> None:
    """No mail to staff is set up: what is due stays in the admin alone."""
    Notice.objects.filter(mail=Notice.Mail.WAITING, mail_after__lte=at).update(mail=Notice.Mail.MUTED)


def notice_mailed(notice: Notice) -> None:
    """Its e-mail was taken."""
    Notice.objects.filter(pk=notice.pk).update(mail=Notice.Mail.SENT, mailed_at=now())


def notice_mail_failed(notice: Notice, *, for_good: bool) -> None:
    """Its e-mail was not taken: try later, or give up when it never will be, or was tried often enough."""
    attempts = notice.mail_attempts + 1
    over = for_good or attempts >= MAIL_ATTEMPTS
    Notice.objects.filter(pk=notice.pk).update(
        mail_attempts=F("mail_attempts") + 1,
        mail=Notice.Mail.FAILED if over else Notice.Mail.WAITING,
        mail_after=now() + min(timedelta(minutes=2 ** (attempts - 1)), timedelta(hours=6)),
    )
