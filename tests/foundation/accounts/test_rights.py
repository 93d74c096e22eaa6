"""Who may do what to which object: markets, owners, and what is shared."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from guardian.shortcuts import assign_perm

from apps.decisioning.content.models import Block, BlockType, BlockVersion, Market
from apps.decisioning.content.selectors import markets_of
from apps.decisioning.content.services import (
    block_create,
    block_type_create,
    block_type_update,
    block_update,
    block_version_create,
)
from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import may, may_publish, who_may
from apps.foundation.accounts.scopes import SCOPES
from apps.foundation.accounts.services import scope_ids, user_scope_set
from apps.foundation.core.errors import Invalid, NotAllowed, NotFound
from apps.foundation.governance.models import AuditEntry
from tests.factories import make_helper, make_market, make_playbook, make_user

pytestmark = pytest.mark.django_db

FIELDS: list[dict[str, Any]] = [
    {"name": "words", "label": "Words", "kind": "text", "max_length": 200},
    {"name": "colour", "label": "Colour", "kind": "colour", "fixed": True, "value": "#112233"},
]
SAYS = {"en": {"words": "Hello"}}


def make_block(*, market: Market | None, tier: str = "campaign", by: User | None = None) -> Block:
    """A block with one flexible and one fixed field."""
    number = Block.objects.count()
    by = by or make_user("engineer")
    kind = block_type_create(
        by=make_user("engineer"), code=f"kind-{number}", name="Kind", fields=FIELDS, text_layout="[[ words ]]"
    )
    return block_create(by=by, name=f"Block {number}", type_id=kind.pk, content=SAYS, market=market, tier=tier)


def everything() -> list[Any]:
    return [list(model._default_manager.order_by("pk").values()) for model in (Block, BlockVersion, AuditEntry)]


def test_a_local_editor_writes_the_blocks_of_their_markets_and_no_others() -> None:
    here, there = make_market(), make_market()
    editor = make_user(markets=[here])
    own, other = make_block(market=here), make_block(market=there)
    everybodys, brands = make_block(market=None), make_block(market=here, tier="foundation")

    block_version_create(block_id=own.pk, content={"en": {"words": "Good day"}}, by=editor)
    before = everything()
    for block in (other, everybodys, brands):
        assert not may(editor, "change", block)
        with pytest.raises(NotAllowed):
            block_version_create(block_id=block.pk, content={"en": {"words": "Mine"}}, by=editor)
        with pytest.raises(NotAllowed):
            block_update(block_id=block.pk, by=editor, name="Mine")
    assert everything() == before
    assert own.versions.count() == 2
    assert list(markets_of(editor)) == [here]


@pytest.mark.parametrize("change", [{"name": "Mine"}, {"tier": "personal"}, {"tags": []}, {"market": None}])
def test_a_local_editor_describes_only_blocks_of_their_own(change: dict[str, Any]) -> None:
    here = make_market()
    editor = make_user(markets=[here])
    block = make_block(market=here)
    Block.objects.filter(pk=block.pk).update(tags=["offer"])
    before = everything()
    with pytest.raises(NotAllowed):
        block_update(block_id=block.pk, by=editor, **change)
    assert everything() == before

    mine = make_block(market=here, by=editor)
    if "market" in change:  # not even their own may leave their markets
        with pytest.raises(NotAllowed):
            block_update(block_id=mine.pk, by=editor, **change)
    else:
        block_update(block_id=mine.pk, by=editor, **change)


@pytest.mark.parametrize("tier", ["campaign", "foundation"])
def test_a_local_editor_makes_blocks_in_their_markets_only(tier: str) -> None:
    here, there = make_market(), make_market()
    editor, kind = make_user(markets=[here]), make_block(market=here).type
    before = everything()
    for market in (there, None) if tier == "campaign" else (here, there, None):
        with pytest.raises(NotAllowed):
            block_create(by=editor, name="New", type_id=kind.pk, content=SAYS, market=market, tier=tier)
    assert everything() == before
    if tier == "campaign":
        assert block_create(by=editor, name="New", type_id=kind.pk, content=SAYS, market=here).owner == editor


def test_a_fixed_field_can_not_be_changed_by_a_local_editor_through_any_door() -> None:
    here = make_market()
    editor, block = make_user(markets=[here]), make_block(market=here)
    before = everything()
    kinds = list(BlockType.objects.values())

    with pytest.raises(Invalid, match="fixed"):  # the service of blocks
        block_version_create(block_id=block.pk, by=editor, content={"en": {"words": "Hello", "colour": "#000000"}})
    loose = [FIELDS[0], {**FIELDS[1], "fixed": False}]
    with pytest.raises(NotAllowed):  # the service of types
        block_type_update(block_type_id=block.type_id, by=editor, fields=loose)
    assert everything() == before

    client = Client()
    client.force_login(editor)
    page = reverse("admin:content_block_change", args=[block.pk])
    crafted = {
        "name": "Taken over",
        "tier": "foundation",
        "market": "",
        "tags_line": "",
        "type": "999",
        "owner": str(editor.pk),
        "base": "1",
        "content__en__words": "Good day",
        "content__en__colour": "#000000",
        "colour": "#000000",
        "fields": "[]",
    }
    assert client.post(page, crafted).status_code == 302  # what is theirs is saved, the rest is as it was
    block.refresh_from_db()
    newest = block.versions.all()[0]
    assert newest.content == {"en": {"words": "Good day"}}
    assert [(field["name"], field.get("value")) for field in newest.fields][1] == ("colour", "#112233")
    assert (block.name, block.tier, block.market, block.tags) == ("Block 0", "campaign", here, [])
    assert block.owner != editor

    refused = client.post(
        reverse("admin:content_blocktype_change", args=[block.type_id]), {"name": "Mine", "fields": "[]"}
    )
    assert refused.status_code == 403
    assert "Who can: an engineer, an administrator." in refused.content.decode()
    assert list(BlockType.objects.values()) == kinds


def test_a_market_that_was_taken_away_is_closed_at_once() -> None:
    boss, here = make_user("administrator"), make_market()
    editor, block = make_user(markets=[here]), make_block(market=here)
    assert may(editor, "change", block)

    user_scope_set(user_id=editor.pk, key="markets", ids=[], by=boss)

    assert not may(User.objects.get(pk=editor.pk), "change", block)


def test_a_market_gives_nothing_without_a_role_and_a_role_nothing_without_a_market() -> None:
    here = make_market()
    block = make_block(market=here)
    assert not may(make_user("analyst", markets=[here]), "change", block)
    assert not may(make_user("local_editor"), "change", block)
    assert may(make_user("local_editor"), "change", Block)  # some block there could be


@pytest.mark.parametrize("role", ["local_editor", "engineer", "publisher", "analyst"])
def test_only_administrators_give_markets_and_nobody_to_themselves(role: str) -> None:
    here, user, boss = make_market(), make_user(), make_user("administrator")
    for by, to in ((make_user(role), user), (boss, boss)):
        with pytest.raises(NotAllowed):
            user_scope_set(user_id=to.pk, key="markets", ids=[str(here.pk)], by=by)
        assert scope_ids(to, SCOPES["markets"]) == frozenset()
    with pytest.raises(NotFound):
        user_scope_set(user_id=user.pk, key="markets", ids=["0"], by=boss)
    with pytest.raises(NotFound):
        user_scope_set(user_id=user.pk, key="kingdoms", ids=[], by=boss)


def test_an_administrator_gives_roles_and_markets_on_one_page_and_it_is_audited() -> None:
    here, there, user = make_market("here"), make_market("there"), make_user()
    client = Client()
    client.force_login(make_user("administrator"))
    page = reverse("admin:accounts_user_change", args=[user.pk])
    assert "Where they work" in client.get(page).content.decode()
    data = {"email": user.email, "first_name": "Lena", "last_name": "", "is_active": "on", "roles": ["local_editor"]}

    assert client.post(page, {**data, "markets": [str(here.pk), str(there.pk)]}).status_code == 302
    assert client.post(page, {**data, "markets": [str(there.pk)]}).status_code == 302

    assert scope_ids(user, SCOPES["markets"]) == {str(there.pk)}
    entries = AuditEntry.objects.filter(action="accounts.user.markets").order_by("at")
    assert [entry.data for entry in entries] == [
        {"before": [], "after": ["Here", "There"]},
        {"before": ["Here", "There"], "after": ["There"]},
    ]
    assert "There" in client.get(reverse("admin:accounts_user_changelist")).content.decode()


def test_publishing_is_for_the_named_owner_and_with_whom_they_share_it() -> None:
    playbook = make_playbook()
    root = User.objects.create_superuser("root@staff.example", "a long enough password")
    assert may_publish(playbook.owner, playbook)
    assert may_publish(make_helper(playbook), playbook)
    assert may_publish(root, playbook)
    for role in ("local_editor", "engineer", "brand_approver", "publisher", "administrator"):
        assert not may_publish(make_user(role), playbook), role
    playbook.owner.groups.clear()
    assert not may_publish(User.objects.get(pk=playbook.owner_id), playbook)  # no longer a publisher
    gone = make_helper(playbook)
    gone.is_active = False
    assert not may_publish(gone, playbook)


def test_a_publisher_of_its_market_publishes_a_block() -> None:
    here, there = make_market(), make_market()
    block, everybodys = make_block(market=here), make_block(market=None)
    assert may_publish(make_user("publisher", markets=[here]), block)
    assert not may_publish(make_user("publisher", markets=[there]), block)
    assert not may_publish(make_user("publisher", markets=[here, there]), everybodys)
    assert not may_publish(make_user("local_editor", markets=[here]), block)
    assert may_publish(everybodys.owner, everybodys)
    helper = make_user("publisher")
    assign_perm("content.publish_block", helper, everybodys)
    assert may_publish(helper, everybodys)


def test_who_can_is_said_in_words() -> None:
    here = make_market("france")
    block = make_block(market=here)
    assert who_may("change", block) == (
        "Who can: the central team (engineers and administrators), a local editor of France."
    )
    assert who_may("publish", block) == f"Who can: its owner ({block.owner}), a publisher of France."
    assert who_may("add", Market) == "Who can: an administrator."
