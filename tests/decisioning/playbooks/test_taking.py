"""A playbook takes what is published of its blocks, to the letter, and nothing that was withdrawn."""

import pytest

from apps.decisioning.content.cases import Case, TextExpected
from apps.decisioning.content.models import Block, BlockVersion
from apps.decisioning.content.services import block_version_create, template_version_create
from apps.decisioning.playbooks.models import Playbook, PlaybookVersion
from apps.decisioning.playbooks.services import playbook_submit
from apps.decisioning.playbooks.specs import block_versions_pinned
from apps.foundation.accounts.models import User
from apps.foundation.core.errors import Conflict, Invalid
from apps.foundation.governance.workflow import head_withdraw, version_publish, version_submit
from tests.factories import agree, make_playbook

pytestmark = pytest.mark.django_db


def _root() -> User:
    return User.objects.filter(is_superuser=True).earliest("pk")


def _hero(playbook: Playbook) -> Block:
    return Block.objects.get(pk=playbook.slots["hero"][0]["block"])


def _published(block: Block) -> BlockVersion:
    version = block.versions.earliest("-number")
    agree(version_submit(version=version, by=_root()))
    version_publish(version=version, by=_root())
    return version


def _edited(block: Block) -> BlockVersion:
    content = {"en": {"words": "A newer hero"}, "de": {"words": "Neuer Held"}}
    return block_version_create(block_id=block.pk, content=content, by=_root())


def test_the_published_version_is_taken_and_a_draft_after_it_is_not() -> None:
    playbook = make_playbook()
    block = _hero(playbook)
    published = _published(block)
    draft = _edited(block)
    version = playbook_submit(playbook_id=playbook.pk, by=playbook.owner)
    assert published.pk in block_versions_pinned(version.spec)
    assert draft.pk not in block_versions_pinned(version.spec)
    _published(block)
    later = playbook_submit(playbook_id=playbook.pk, by=playbook.owner)
    assert draft.pk in block_versions_pinned(later.spec)


def test_what_was_withdrawn_is_not_taken() -> None:
    playbook = make_playbook()
    block = _hero(playbook)
    _published(block)
    head_withdraw(head=block, by=_root(), why="Wrong price")
    with pytest.raises(Invalid, match="was withdrawn: publish it again first") as refused:
        playbook_submit(playbook_id=playbook.pk, by=playbook.owner)
    assert refused.value.code == "content_withdrawn"
    assert PlaybookVersion.objects.count() == 0


def test_what_is_not_what_was_published_is_not_taken() -> None:
    playbook = make_playbook()
    published = _published(_hero(playbook))
    BlockVersion.objects.filter(pk=published.pk).update(content={"en": {"words": "Free money"}})
    with pytest.raises(Conflict) as refused:
        playbook_submit(playbook_id=playbook.pk, by=playbook.owner)
    assert refused.value.code == "version_tampered"
    assert PlaybookVersion.objects.count() == 0


def test_a_new_template_whose_tests_fail_is_not_taken() -> None:
    playbook = make_playbook()
    wrong = Case("wrong", texts={"subject": TextExpected(contains=("Good night",))})
    template_version_create(template_id=playbook.template_id, by=_root(), cases=[wrong])
    with pytest.raises(Invalid) as refused:
        playbook_submit(playbook_id=playbook.pk, by=playbook.owner)
    assert refused.value.code == "template_untested"
    assert PlaybookVersion.objects.count() == 0
