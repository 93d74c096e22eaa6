"""Notices come once, to whom they concern, and wait to be mailed unless they are not wanted."""

from datetime import timedelta

import pytest

from apps.foundation.accounts.models import User
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Invalid
from apps.foundation.governance.models import Approval, Notice, NoticeMute, Review
from apps.foundation.governance.notices import (
    MAIL_ATTEMPTS,
    notice_mail_failed,
    notice_mailed,
    notice_mutes_set,
    notices_add,
    notices_read,
    notices_to_mail,
    notices_unread,
    review_tell_waiting,
)
from apps.foundation.governance.services import review_answer, review_request
from tests.factories import make_user

pytestmark = pytest.mark.django_db
KIND = Notice.Kind


def _review(by: User, roles: tuple[str, ...] = ("brand_approver",)) -> Review:
    return review_request(subject=make_user("analyst"), digest="a" * 64, path=[[role] for role in roles], by=by)


def test_those_whose_turn_it_is_are_told_once() -> None:
    first, second, gone = make_user("brand_approver"), make_user("brand_approver"), make_user("brand_approver")
    User.objects.filter(pk=gone.pk).update(is_active=False)
    author = make_user("brand_approver")
    lawyer = make_user("legal_approver")
    review = _review(author, ("brand_approver", "legal_approver"))
    review_tell_waiting(review)
    waiting = Notice.objects.filter(kind=KIND.WAITING)
    assert sorted(waiting.values_list("user_id", flat=True)) == [first.pk, second.pk]
    review_answer(review_id=review.pk, by=first, verdict=Approval.Verdict.APPROVE)
    assert sorted(waiting.values_list("user_id", flat=True)) == [first.pk, second.pk, lawyer.pk]


def test_a_refusal_comes_to_its_author_with_the_reason() -> None:
    author, approver = make_user(), make_user("brand_approver")
    review = _review(author)
    review_answer(review_id=review.pk, by=approver, verdict=Approval.Verdict.REFUSE, comment="Name the price")
    notice = Notice.objects.get(user=author)
    assert (notice.kind, notice.body) == (KIND.REFUSED, f"{approver}: Name the price")
    assert not Notice.objects.filter(user=approver, kind=KIND.REFUSED).exists()


def test_what_is_not_wanted_by_mail_is_still_in_the_admin() -> None:
    author = make_user()
    notice_mutes_set(user=author, kinds=[KIND.APPROVED])
    review = _review(author)
    review_answer(review_id=review.pk, by=make_user("brand_approver"), verdict=Approval.Verdict.APPROVE)
    notice = Notice.objects.get(user=author)
    assert (notice.kind, notice.mail) == (KIND.APPROVED, Notice.Mail.MUTED)
    notice_mutes_set(user=author, kinds=[])
    assert NoticeMute.objects.count() == 0
    with pytest.raises(Invalid):
        notice_mutes_set(user=author, kinds=["gossip"])


def test_one_reads_ones_own_notices_only() -> None:
    one, other = make_user(), make_user()
    review = _review(make_user("analyst"))
    for user in (one, other):
        notices_add(users=[user.pk], kind=KIND.COMMENT, review=review, title="Hello")
    theirs = Notice.objects.get(user=other)
    assert notices_read(user=one, notice_ids=[theirs.pk]) == 0
    assert (notices_unread(one), notices_unread(other)) == (1, 1)
    assert notices_read(user=one) == 1
    assert (notices_unread(one), notices_unread(other)) == (0, 1)


def test_mail_is_tried_again_until_it_is_given_up_and_never_goes_to_a_closed_account() -> None:
    users = [make_user(), make_user(), make_user()]
    review = _review(make_user("analyst"))
    notices_add(users=[user.pk for user in users], kind=KIND.COMMENT, review=review, title="Hello")
    User.objects.filter(pk=users[2].pk).update(is_active=False)
    at = now()
    due = {notice.user_id: notice for notice in notices_to_mail(at=at, limit=10)}
    assert due.keys() == {users[0].pk, users[1].pk}
    assert Notice.objects.get(user=users[2]).mail == Notice.Mail.DROPPED
    notice_mailed(due[users[0].pk])
    notice_mail_failed(due[users[1].pk], for_good=False)
    assert notices_to_mail(at=at, limit=10) == []
    again = notices_to_mail(at=now() + timedelta(minutes=2), limit=10)
    assert [notice.user_id for notice in again] == [users[1].pk]
    for _ in range(MAIL_ATTEMPTS - 1):
        notice_mail_failed(Notice.objects.get(user=users[1]), for_good=False)
    assert Notice.objects.get(user=users[1]).mail == Notice.Mail.FAILED
    assert Notice.objects.get(user=users[0]).mail == Notice.Mail.SENT
    assert notices_to_mail(at=now() + timedelta(days=30), limit=10) == []
