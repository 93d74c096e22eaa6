"""Reviews: who may agree to what, and that a denied answer changes nothing."""

import pytest
from django.db import IntegrityError, transaction

from apps.foundation.accounts.models import User
from apps.foundation.core.errors import Conflict, DomainError, Invalid, NotAllowed, NotFound
from apps.foundation.governance.models import Approval, AuditEntry, Review
from apps.foundation.governance.selectors import review_standing, reviews_waiting_for
from apps.foundation.governance.services import review_answer, review_approved, review_request
from apps.foundation.governance.workflow import review_end
from tests.factories import make_user

pytestmark = pytest.mark.django_db

APPROVE, REFUSE = Approval.Verdict.APPROVE, Approval.Verdict.REFUSE
DIGEST = "a" * 64


def _review(
    *, by: User, path: list[str] | None = None, subject: User | None = None, authors: tuple[int, ...] = ()
) -> Review:
    # any model can be a subject; governance knows none of them
    return review_request(
        subject=subject or make_user("analyst"),
        digest=DIGEST,
        path=[path or ["brand_approver"]],
        by=by,
        authors=authors,
    )


def _denied(review: Review, by: User, code: str, kind: type[DomainError] = NotAllowed, **answer: object) -> None:
    """The answer is denied, and nothing changed."""
    before = (AuditEntry.objects.count(), Approval.objects.count())
    with pytest.raises(kind) as denied:
        review_answer(review_id=review.pk, by=by, **{"verdict": APPROVE, **answer})  # type: ignore[arg-type]
    assert denied.value.code == code
    state = review.state
    review.refresh_from_db()
    assert review.state == state
    assert (AuditEntry.objects.count(), Approval.objects.count()) == before


def test_nobody_approves_their_own_request() -> None:
    both = make_user("brand_approver")
    _denied(_review(by=both), both, "own_work")


def test_nobody_approves_what_they_wrote_though_another_asked() -> None:
    author = make_user("brand_approver")
    _denied(_review(by=make_user(), authors=(author.pk,)), author, "own_work")


def test_not_even_a_superuser_approves_their_own_work() -> None:
    root = User.objects.create_superuser("root@staff.example", "a long enough password")
    _denied(_review(by=root), root, "own_work")


def test_the_database_itself_refuses_an_approval_of_ones_own() -> None:
    author = make_user("brand_approver")
    review = _review(by=author)
    with pytest.raises(IntegrityError, match="approval_nobody_approves_their_own"), transaction.atomic():
        Approval.objects.create(
            review=review,
            role="brand_approver",
            verdict=APPROVE,
            by=author,
            requested_by=author,
            at=review.requested_at,
        )


@pytest.mark.parametrize(
    "role", ["legal_approver", "local_editor", "engineer", "publisher", "analyst", "administrator"]
)
def test_only_the_role_that_is_asked_answers(role: str) -> None:
    _denied(_review(by=make_user()), make_user(role), "role_not_asked")


def test_a_person_who_left_answers_nothing() -> None:
    gone = make_user("brand_approver")
    gone.is_active = False
    _denied(_review(by=make_user()), gone, "role_not_asked")


def test_one_role_approves() -> None:
    review = _review(by=make_user())
    answered = review_answer(review_id=review.pk, by=make_user("brand_approver"), verdict=APPROVE)
    assert answered.state == Review.State.APPROVED
    assert answered.closed_at is not None
    assert AuditEntry.objects.filter(action="governance.review.approved").count() == 1


def test_a_path_of_two_roles_needs_two_people() -> None:
    review = _review(by=make_user(), path=["brand_approver", "legal_approver"])
    one = make_user("brand_approver")
    one.groups.add(make_user("legal_approver").groups.get())

    review_answer(review_id=review.pk, by=one, verdict=APPROVE)
    review.refresh_from_db()
    assert review.state == Review.State.OPEN
    _denied(review, one, "answered_already", Conflict)

    another = make_user("legal_approver")
    assert reviews_waiting_for(another) == [review]
    assert reviews_waiting_for(one) == []
    review_answer(review_id=review.pk, by=another, verdict=APPROVE)
    review.refresh_from_db()
    assert review.state == Review.State.APPROVED


def test_a_superuser_still_answers_for_one_role_only() -> None:
    review = _review(by=make_user(), path=["brand_approver", "legal_approver"])
    root = User.objects.create_superuser("root@staff.example", "a long enough password")
    review_answer(review_id=review.pk, by=root, verdict=APPROVE)
    review.refresh_from_db()
    _denied(review, root, "answered_already", Conflict)
    assert review.state == Review.State.OPEN


def test_asking_for_changes_says_what_and_closes_the_review() -> None:
    review = _review(by=make_user(), path=["brand_approver", "legal_approver"])
    approver = make_user("legal_approver")
    _denied(review, approver, "comment_missing", Invalid, verdict=REFUSE, comment=" ")
    review_answer(review_id=review.pk, by=approver, verdict=REFUSE, comment="Name the price")
    review.refresh_from_db()
    assert review.state == Review.State.REFUSED
    _denied(review, make_user("brand_approver"), "review_closed", Conflict)


def test_an_approval_holds_for_its_digest_only_and_until_it_is_void() -> None:
    subject, editor = make_user("analyst"), make_user()
    review = _review(by=editor, subject=subject)
    assert not review_approved(subject=subject, digest=DIGEST)
    review_answer(review_id=review.pk, by=make_user("brand_approver"), verdict=APPROVE)
    assert review_approved(subject=subject, digest=DIGEST)
    assert not review_approved(subject=subject, digest="b" * 64)
    assert not review_approved(subject=editor, digest=DIGEST)

    review.refresh_from_db()
    review_end(review=review, by=editor, why="It was edited")
    assert not review_approved(subject=subject, digest=DIGEST)
    assert AuditEntry.objects.filter(action="governance.review.voided").count() == 1


def test_a_review_can_be_asked_for_once_at_a_time() -> None:
    subject, editor = make_user("analyst"), make_user()
    _review(by=editor, subject=subject)
    with pytest.raises(Conflict, match="open already"):
        _review(by=editor, subject=subject)
    assert Review.objects.count() == 1


@pytest.mark.parametrize(("path", "code"), [([], "review_path_empty"), (["legal_approver"] * 2, "review_path_repeats")])
def test_a_path_names_roles_each_once(path: list[str], code: str) -> None:
    with pytest.raises(Invalid) as refused:
        review_request(subject=make_user("analyst"), digest=DIGEST, path=[path], by=make_user())
    assert refused.value.code == code


def test_an_unknown_review_is_not_found() -> None:
    with pytest.raises(NotFound):
        review_answer(review_id=0, by=make_user("brand_approver"), verdict=APPROVE)


def test_standing_says_why_somebody_may_not_answer() -> None:
    editor, approver = make_user(), make_user("brand_approver")
    review = _review(by=editor)
    assert review_standing(review=review, user=approver).mine == ("brand_approver",)
    assert "own work" in review_standing(review=review, user=editor).why_not
    assert review_standing(review=review, user=make_user("analyst")).why_not == "It does not wait for a role of yours"
