"""Steps at once: whatever comes first, what is live was agreed to, and an edit is never lost behind an approval."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from apps.decisioning.content.models import BlockVersion
from apps.decisioning.content.services import block_version_create
from apps.foundation.accounts.models import User
from apps.foundation.core.errors import DomainError
from apps.foundation.governance.models import Approval, Publication, Review, State
from apps.foundation.governance.selectors import version_state
from apps.foundation.governance.services import review_answer
from apps.foundation.governance.workflow import version_publish, version_submit
from tests.factories import agree, make_block, make_user

pytestmark = pytest.mark.django_db(transaction=True)


def _at_once(*deeds: Callable[[], object]) -> list[str]:
    """Do all at once, each over a connection of its own; "" or the code of what refused it."""

    def tried(deed: Callable[[], object]) -> str:
        try:
            deed()
        except DomainError as error:
            return error.code
        finally:
            connection.close()
        return ""

    with ThreadPoolExecutor(len(deeds)) as threads:
        return list(threads.map(tried, deeds))


def _block() -> tuple[BlockVersion, User]:
    block = make_block()
    return block.versions.get(), User.objects.get(email__startswith="types-")


def _edit(version: BlockVersion, by: User) -> Callable[[], object]:
    return lambda: block_version_create(block_id=version.block_id, content={"en": {"words": "Other"}}, by=by)


def test_published_by_four_at_once_it_is_published_once() -> None:
    version, root = _block()
    agree(version_submit(version=version, by=root))
    said = _at_once(*[lambda: version_publish(version=version, by=root)] * 4)
    assert sorted(said) == ["", "block_not_approved", "block_not_approved", "block_not_approved"]
    assert Publication.objects.count() == 1


def test_an_edit_and_an_approval_at_once_leave_no_approval_of_what_was_edited() -> None:
    version, root = _block()
    review = version_submit(version=version, by=root)
    approver = make_user("brand_approver")
    approve = Approval.Verdict.APPROVE
    said = _at_once(_edit(version, root), lambda: review_answer(review_id=review.pk, by=approver, verdict=approve))
    review.refresh_from_db()
    assert said[0] == ""
    assert said[1] in ("", "review_closed")
    assert (review.state, version_state(version)) == (Review.State.VOID, State.VOID)


def test_an_edit_and_publishing_at_once_come_one_after_the_other() -> None:
    version, root = _block()
    agree(version_submit(version=version, by=root))
    said = _at_once(_edit(version, root), lambda: version_publish(version=version, by=root))
    assert said[0] == ""
    assert (said[1], version_state(version)) in [("", State.PUBLISHED), ("block_not_approved", State.VOID)]
    assert Publication.objects.count() == (1 if said[1] == "" else 0)


def test_handed_in_by_two_at_once_one_review_is_open() -> None:
    version, root = _block()
    said = _at_once(*[lambda: version_submit(version=version, by=root)] * 2)
    assert sorted(said) == ["", "version_waits_already"]
    assert Review.objects.filter(state=Review.State.OPEN).count() == 1
