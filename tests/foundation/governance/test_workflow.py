"""From draft to published: who may, in which order, and that what others agreed to is what goes live."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import IntegrityError, transaction

from apps.decisioning.content.models import Block, BlockVersion
from apps.decisioning.content.services import block_update, block_version_create
from apps.decisioning.playbooks.services import playbook_submit
from apps.foundation.accounts.models import User
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, DomainError, Invalid, NotAllowed
from apps.foundation.governance.models import (
    Approval,
    ApprovalPath,
    AuditEntry,
    Notice,
    Publication,
    Review,
    ReviewComment,
    State,
)
from apps.foundation.governance.selectors import live_at, publications_live, version_state
from apps.foundation.governance.services import review_answer, review_comment
from apps.foundation.governance.workflow import (
    head_withdraw,
    path_for,
    publication_verify,
    submission_withdraw,
    version_publish,
    version_submit,
)
from tests.factories import agree, make_block, make_playbook, make_user

pytestmark = pytest.mark.django_db
ROLES = ("local_editor", "engineer", "brand_approver", "legal_approver", "publisher", "analyst", "administrator")


def _root() -> User:
    return User.objects.filter(email__startswith="types-").earliest("pk")


def _newest(block: Block) -> BlockVersion:
    return block.versions.earliest("-number")


def _approved(**fields: object) -> BlockVersion:
    version = _newest(make_block(**fields))  # type: ignore[arg-type]
    agree(version_submit(version=version, by=_root()))
    return version


def _published(**fields: object) -> BlockVersion:
    version = _approved(**fields)
    version_publish(version=version, by=_root())
    return version


def _counts() -> tuple[int, ...]:
    return tuple(model.objects.count() for model in (Review, Approval, Publication, AuditEntry, Notice, BlockVersion))


def _edit(version: BlockVersion, words: str = "Newer teas") -> BlockVersion:
    return block_version_create(block_id=version.block_id, content={"en": {"words": words}}, by=_root())


def test_a_version_goes_from_draft_to_published_to_retired() -> None:
    version = _newest(make_block())
    assert version_state(version) == State.DRAFT
    review = version_submit(version=version, by=_root(), note="Please")
    assert version_state(version) == State.IN_REVIEW
    assert (review.path, review.digest, review.note) == ([["brand_approver"]], version.digest, "Please")
    agree(review)
    assert version_state(version) == State.APPROVED
    assert publications_live(type(version.block), [version.block.pk]) == {}
    publication = version_publish(version=version, by=_root())
    assert (version_state(version), publication.digest) == (State.PUBLISHED, version.digest)
    assert publications_live(type(version.block), [version.block.pk])[version.block.pk].version_id == version.pk
    head_withdraw(head=version.block, by=_root(), why="Out of stock")
    assert version_state(version) == State.RETIRED
    assert publications_live(type(version.block), [version.block.pk]) == {}
    publication.refresh_from_db()
    assert publication.why_ended == "Out of stock"


def test_publishing_ends_what_was_live_at_that_very_instant() -> None:
    first = _published()
    second = _edit(first)
    assert version_state(first) == State.PUBLISHED
    agree(version_submit(version=second, by=_root()))
    version_publish(version=second, by=_root())
    assert (version_state(first), version_state(second)) == (State.RETIRED, State.PUBLISHED)
    old, new = Publication.objects.order_by("pk")
    assert old.live_until == new.live_from
    block = first.block
    assert live_at(block, old.live_from - timedelta(seconds=1)) is None
    assert live_at(block, old.live_from) == old
    assert live_at(block, new.live_from) == new
    head_withdraw(head=block, by=_root())
    new.refresh_from_db()
    assert new.live_until is not None
    assert live_at(block, new.live_until) is None
    assert live_at(block, new.live_until - timedelta(microseconds=1)) == new


def test_the_database_itself_lets_one_version_be_live() -> None:
    publication = Publication.objects.get(version_id=_published().pk)
    publication.pk = None
    with pytest.raises(IntegrityError, match="publication_one_live_version_per_head"), transaction.atomic():
        publication.save()
    assert Publication.objects.count() == 1


_DEEDS: dict[str, tuple[Callable[[BlockVersion, User], object], Callable[[], BlockVersion], set[str]]] = {
    "hand in": (lambda version, by: version_submit(version=version, by=by), lambda: _newest(make_block()), set()),
    "publish": (lambda version, by: version_publish(version=version, by=by), _approved, set()),
    "withdraw": (lambda version, by: head_withdraw(head=version.block, by=by), _published, set()),
    "take back": (lambda version, by: submission_withdraw(version=version, by=by), _approved, set()),
}


@pytest.mark.parametrize("deed", sorted(_DEEDS))
def test_a_step_denied_to_a_role_changes_nothing(deed: str) -> None:
    do, make, _ = _DEEDS[deed]
    version = make()
    state, before = version_state(version), _counts()
    central_team = {"engineer", "administrator"}
    allowed = {"hand in": central_team, "take back": central_team}  # publishing is for its owner, and none of these is
    for role in ROLES:
        if role in allowed.get(deed, set()):
            continue
        with pytest.raises(NotAllowed):
            do(version, make_user(role))
    gone = make_user("administrator")
    gone.is_superuser, gone.is_active = True, False
    with pytest.raises(NotAllowed):
        do(version, gone)
    assert (version_state(version), _counts()) == (state, before)


@pytest.mark.parametrize("start", ["draft", "in_review", "refused", "void", "published", "retired"])
def test_only_what_is_approved_can_be_published(start: str) -> None:
    version = _newest(make_block())
    if start != "draft":
        review = version_submit(version=version, by=_root())
        if start == "refused":
            refuse = Approval.Verdict.REFUSE
            review_answer(review_id=review.pk, by=make_user("brand_approver"), verdict=refuse, comment="No")
        elif start == "void":
            submission_withdraw(version=version, by=_root())
        elif start in ("published", "retired"):
            agree(review)
            version_publish(version=version, by=_root())
            if start == "retired":
                head_withdraw(head=version.block, by=_root())
    assert version_state(version).value == start
    before = _counts()
    with pytest.raises(Conflict, match="not approved"):
        version_publish(version=version, by=_root())
    assert _counts() == before


@pytest.mark.parametrize("approved", [False, True])
@pytest.mark.parametrize("edit", ["words", "tags"])
def test_any_edit_voids_and_says_so(edit: str, approved: bool) -> None:
    editor, approver = make_user(), make_user("brand_approver")
    version = _newest(make_block())
    review = version_submit(version=version, by=_root())
    if approved:
        review_answer(review_id=review.pk, by=approver, verdict=Approval.Verdict.APPROVE)
    if edit == "words":
        _edit(version)
    else:
        block_update(block_id=version.block_id, by=_root(), tags=["offer"])
    review.refresh_from_db()
    assert (review.state, version_state(version)) == (Review.State.VOID, State.VOID)
    assert review.closed_why.startswith("The block was edited: tags" if edit == "tags" else f"{version.block} v2")
    told = set(Notice.objects.filter(kind=Notice.Kind.VOID).values_list("user_id", flat=True))
    assert told == ({approver.pk} if approved else set())  # who edited knows, editors who did nothing need not
    assert editor.pk not in told
    with pytest.raises(Conflict):
        version_publish(version=version, by=_root())
    with pytest.raises(Conflict):
        review_answer(review_id=review.pk, by=make_user("brand_approver"), verdict=Approval.Verdict.APPROVE)


def test_the_author_is_told_when_somebody_else_edits() -> None:
    author = User.objects.create_superuser("author@staff.example", "a long enough password")
    version = _newest(make_block(by=author))
    version_submit(version=version, by=author)
    _edit(version)
    notice = Notice.objects.get(user=author)
    assert (notice.kind, notice.title) == (Notice.Kind.VOID, f"{version}: the approval is void")


def test_an_edit_that_changes_nothing_voids_nothing() -> None:
    version = _approved()
    _edit(version, "New teas")
    block_update(block_id=version.block_id, by=_root(), tags=[])
    assert version_state(version) == State.APPROVED


def test_what_is_published_stays_when_its_block_is_edited() -> None:
    version = _published()
    _edit(version)
    assert version_state(version) == State.PUBLISHED
    assert not Notice.objects.filter(kind=Notice.Kind.VOID).exists()


@pytest.mark.parametrize("change", [{"content": {"en": {"words": "Free money"}}}, {"layout": ""}, {"digest": "0" * 64}])
def test_a_version_changed_behind_the_review_is_not_published(change: dict[str, object]) -> None:
    version = _approved()
    BlockVersion.objects.filter(pk=version.pk).update(**change)
    before = _counts()
    with pytest.raises(Conflict) as refused:
        version_publish(version=version, by=_root())
    assert refused.value.code == "version_tampered"
    assert _counts() == before


def test_a_version_changed_with_its_digest_has_no_approval() -> None:
    from apps.decisioning.content.governing import block_version_digest

    version = _approved()
    BlockVersion.objects.filter(pk=version.pk).update(content={"en": {"words": "Free money"}})
    version.refresh_from_db()
    BlockVersion.objects.filter(pk=version.pk).update(digest=block_version_digest(version))
    with pytest.raises(Conflict) as refused:
        version_publish(version=version, by=_root())
    assert refused.value.code == "block_not_approved"


def test_what_was_changed_during_its_review_is_not_agreed_to() -> None:
    version = _newest(make_block())
    review = version_submit(version=version, by=_root())
    BlockVersion.objects.filter(pk=version.pk).update(content={"en": {"words": "Free money"}})
    with pytest.raises(Conflict) as refused:
        review_answer(review_id=review.pk, by=make_user("brand_approver"), verdict=Approval.Verdict.APPROVE)
    assert refused.value.code == "version_tampered"
    assert Approval.objects.count() == 0


def test_an_answer_to_what_was_there_before_is_refused() -> None:
    version = _newest(make_block())
    review = version_submit(version=version, by=_root())
    with pytest.raises(Conflict) as refused:
        review_answer(
            review_id=review.pk, by=make_user("brand_approver"), verdict=Approval.Verdict.APPROVE, digest="0" * 64
        )
    assert refused.value.code == "review_of_other_content"
    assert Approval.objects.count() == 0


def test_tags_changed_behind_the_review_stop_publishing() -> None:
    version = _approved()
    Block.objects.filter(pk=version.block_id).update(tags=["offer"])
    version = BlockVersion.objects.get(pk=version.pk)
    with pytest.raises(Conflict) as refused:
        version_publish(version=version, by=_root())
    assert refused.value.code == "tags_changed"


def test_what_is_live_and_was_changed_is_found() -> None:
    version = _published()
    publication = Publication.objects.get()
    publication_verify(publication)
    BlockVersion.objects.filter(pk=version.pk).update(content={"en": {"words": "Free money"}})
    with pytest.raises(Conflict):
        publication_verify(Publication.objects.get())


# --- paths ---


def test_an_offer_needs_the_law_too_and_so_does_what_uses_it() -> None:
    block = make_block(tags=("offer",))
    assert path_for(_newest(block)) == ([["brand_approver", "legal_approver"]], ["offer"])
    playbook = make_playbook()
    hero = Block.objects.get(pk=playbook.slots["hero"][0]["block"])
    block_update(block_id=hero.pk, by=_root(), tags=["offer"])
    version = playbook_submit(playbook_id=playbook.pk, by=playbook.owner)
    review = Review.objects.get(object_id=version.pk, content_type__model="playbookversion")
    assert (sorted(review.roles), review.tags) == (["brand_approver", "legal_approver"], ["offer"])


def test_the_second_step_can_not_answer_before_the_first() -> None:
    ApprovalPath.objects.create(name="In order", steps=[["brand_approver"], ["legal_approver"]], updated_at=now())
    version = _newest(make_block())
    review = version_submit(version=version, by=_root())
    assert review.path == [["brand_approver"], ["legal_approver"]]
    brand, legal = make_user("brand_approver"), make_user("legal_approver")
    before = _counts()
    with pytest.raises(NotAllowed):
        review_answer(review_id=review.pk, by=legal, verdict=Approval.Verdict.APPROVE)
    assert _counts() == before
    review_answer(review_id=review.pk, by=brand, verdict=Approval.Verdict.APPROVE)
    assert Notice.objects.filter(user=legal, kind=Notice.Kind.WAITING, review=review).count() == 1
    review_answer(review_id=review.pk, by=legal, verdict=Approval.Verdict.APPROVE)
    assert version_state(version) == State.APPROVED


def test_a_changed_path_leaves_open_reviews_as_they_are() -> None:
    version = _newest(make_block())
    review = version_submit(version=version, by=_root())
    ApprovalPath.objects.create(name="All need the law", steps=[["legal_approver"]], updated_at=now())
    agree(review)
    assert version_state(version) == State.APPROVED
    assert path_for(version)[0] == [["brand_approver", "legal_approver"]]


def test_a_path_of_another_kind_or_switched_off_is_not_asked() -> None:
    version = _newest(make_block())
    other = ContentType.objects.get_for_model(User)
    ApprovalPath.objects.create(name="Another kind", kind=other, steps=[["legal_approver"]], updated_at=now())
    ApprovalPath.objects.create(name="Off", active=False, steps=[["legal_approver"]], updated_at=now())
    assert path_for(version)[0] == [["brand_approver"]]


def test_without_any_path_nothing_is_handed_in() -> None:
    version = _newest(make_block())
    ApprovalPath.objects.update(active=False)
    before = _counts()
    with pytest.raises(Invalid) as refused:
        version_submit(version=version, by=_root())
    assert refused.value.code == "approval_path_missing"
    assert _counts() == before


# --- whose work ---


def test_whoever_wrote_a_version_since_the_last_published_one_does_not_agree() -> None:
    writer = User.objects.create_superuser("writer@staff.example", "a long enough password")
    writer.groups.add(make_user("brand_approver").groups.get())
    tagger = User.objects.create_superuser("tagger@staff.example", "a long enough password")
    version = _newest(make_block(by=writer))
    block_update(block_id=version.block_id, by=tagger, tags=["tea"])
    review = version_submit(version=version, by=_root())
    for author in (writer, tagger):
        with pytest.raises(NotAllowed) as refused:
            review_answer(review_id=review.pk, by=author, verdict=Approval.Verdict.APPROVE)
        assert refused.value.code == "own_work"
    agree(review)
    version_publish(version=version, by=_root())
    later = _edit(version)  # by somebody else: what the writer wrote was agreed to
    review = version_submit(version=later, by=_root())
    review_answer(review_id=review.pk, by=writer, verdict=Approval.Verdict.APPROVE)
    assert version_state(later) == State.APPROVED


# --- asked twice ---


def test_handing_in_again_what_waits_or_is_live_is_told() -> None:
    version = _newest(make_block())
    version_submit(version=version, by=_root())
    with pytest.raises(Conflict):
        version_submit(version=version, by=_root())
    agree(Review.objects.get())
    with pytest.raises(Conflict):
        version_submit(version=version, by=_root())
    version_publish(version=version, by=_root())
    with pytest.raises(Conflict):
        version_submit(version=version, by=_root())
    assert Review.objects.count() == 1


def test_what_was_withdrawn_needs_a_new_approval() -> None:
    version = _published()
    head_withdraw(head=version.block, by=_root())
    with pytest.raises(Conflict):
        version_publish(version=version, by=_root())
    agree(version_submit(version=version, by=_root()))
    version_publish(version=version, by=_root())
    assert version_state(version) == State.PUBLISHED


def test_withdrawing_twice_is_told_and_changes_nothing() -> None:
    version = _published()
    head_withdraw(head=version.block, by=_root())
    before = _counts()
    with pytest.raises(DomainError) as refused:
        head_withdraw(head=version.block, by=_root())
    assert refused.value.code == "block_not_published"
    assert _counts() == before


# --- what is said beside ---


def test_a_comment_is_no_answer_and_is_told_to_those_who_take_part() -> None:
    version = _newest(make_block())
    asker, lawyer, analyst = _root(), make_user("legal_approver"), make_user("analyst")
    review = version_submit(version=version, by=asker)
    review_comment(review_id=review.pk, by=analyst, text=" Which teas? ")
    review_comment(review_id=review.pk, by=asker, text="The green ones.")
    assert list(ReviewComment.objects.values_list("by_id", "text")) == [
        (analyst.pk, "Which teas?"),
        (asker.pk, "The green ones."),
    ]
    assert version_state(version) == State.IN_REVIEW
    heard = Notice.objects.filter(kind=Notice.Kind.COMMENT)
    assert set(heard.values_list("user_id", flat=True)) == {asker.pk, analyst.pk}
    assert not heard.filter(user=lawyer).exists()
    nobody = User.objects.create_user("nobody@staff.example", "a long enough password")
    for by, text in ((nobody, "Hello"), (analyst, "  ")):
        with pytest.raises(DomainError):
            review_comment(review_id=review.pk, by=by, text=text)
    assert ReviewComment.objects.count() == 2
