"""Markets, and the owners of what the central team looks after."""

from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.db import connection, transaction

from apps.decisioning.content.models import Block, BlockType, Brand, Market
from apps.decisioning.content.services import (
    block_create,
    block_type_create,
    brand_create,
    market_create,
    market_update,
)
from apps.foundation.accounts.models import User
from apps.foundation.core.errors import Conflict, Invalid, NotAllowed
from apps.foundation.governance.models import AuditEntry
from tests.factories import make_user

pytestmark = pytest.mark.django_db

BRAND: dict[str, Any] = {
    "name": "Tea",
    "from_name": "Tea",
    "from_email": "tea@shop.example",
    "postal_address": "1 Tea Lane",
    "shop_url": "https://shop.example/",
    "link_hosts": ["shop.example"],
}


def make_root() -> User:
    return User.objects.create_superuser("root@staff.example", "a long enough password")


def make_type(by: User, code: str = "words") -> BlockType:
    fields = [{"name": "words", "label": "Words", "kind": "text", "max_length": 200}]
    return block_type_create(by=by, code=code, name=code, fields=fields, text_layout="[[ words ]]")


def test_administrators_make_markets_and_it_is_audited() -> None:
    boss = make_user("administrator")
    market = market_create(by=boss, code="dach", name=" Alps ", languages=["de", "de-AT"])
    market_update(market_id=market.pk, by=boss, name="Germany, Austria, Switzerland")

    market.refresh_from_db()
    assert (market.code, market.name, market.languages) == ("dach", "Germany, Austria, Switzerland", ["de", "de-AT"])
    actions = AuditEntry.objects.filter(actor=boss, object_id=str(market.pk)).order_by("at").values_list("action")
    assert [action for (action,) in actions] == ["content.market.created", "content.market.changed"]
    with pytest.raises(Conflict):
        market_create(by=boss, code="dach", name="Again", languages=["de"])


@pytest.mark.parametrize("languages", [[], ["deutsch!"], ["de", "de"], ["de", 7], [""]])
def test_a_market_says_its_languages(languages: list[str]) -> None:
    with pytest.raises(Invalid):
        market_create(by=make_user("administrator"), code="x", name="X", languages=languages)
    assert not Market.objects.exists()


@pytest.mark.parametrize("role", ["local_editor", "engineer", "brand_approver", "publisher", "analyst"])
def test_nobody_else_makes_or_changes_markets(role: str) -> None:
    market = market_create(by=make_user("administrator"), code="fr", name="France", languages=["fr"])
    with pytest.raises(NotAllowed):
        market_create(by=make_user(role), code="x", name="X", languages=["en"])
    with pytest.raises(NotAllowed):
        market_update(market_id=market.pk, by=make_user(role), name="Mine")
    assert list(Market.objects.values_list("code", "name")) == [("fr", "France")]


def test_brands_and_block_types_belong_to_who_makes_them_unless_told() -> None:
    root, other = make_root(), make_user("engineer")
    brand, given = brand_create(by=root, code="a", **BRAND), brand_create(by=root, code="b", owner=other, **BRAND)
    assert (brand.owner, given.owner) == (root, other)
    assert make_type(other).owner == other


def test_a_block_is_of_a_market_or_of_all() -> None:
    root = make_root()
    market = market_create(by=root, code="fr", name="France", languages=["fr"])
    kind, says = make_type(root), {"en": {"words": "Hello"}}
    block_create(by=root, name="Hers", type_id=kind.pk, content=says, market=market)
    block_create(by=root, name="Everybody's", type_id=kind.pk, content=says)
    assert dict(Block.objects.values_list("name", "market__code")) == {"Hers": "fr", "Everybody's": None}


@pytest.fixture
def ownerless() -> None:
    """The tables as they were between the two migrations, until the test's transaction is rolled back."""
    with connection.cursor() as cursor:
        for table in ("content_brand", "content_blocktype"):
            cursor.execute(f"ALTER TABLE {table} ALTER COLUMN owner_id DROP NOT NULL")


def fill() -> None:
    import_module("apps.decisioning.content.migrations.0003_owners_filled").owners_fill(apps, None)


@pytest.mark.usefixtures("ownerless")
def test_rows_that_were_there_belong_to_who_made_them_as_the_audit_log_knows() -> None:
    root, engineer = make_root(), make_user("engineer")
    brand_create(by=root, code="a", **BRAND)
    make_type(engineer)
    BlockType.objects.update(owner=None)
    Brand.objects.update(owner=None)

    fill()

    assert Brand.objects.get().owner == root
    assert BlockType.objects.get().owner == engineer


@pytest.mark.usefixtures("ownerless")
def test_rows_of_somebody_who_left_belong_to_the_first_superuser_or_administrator() -> None:
    engineer = make_user("engineer")
    make_type(engineer)
    BlockType.objects.update(owner=None)
    User.objects.filter(pk=engineer.pk).update(is_active=False)
    boss = make_user("administrator")

    fill()
    assert BlockType.objects.get().owner == boss

    BlockType.objects.update(owner=None)
    root = make_root()
    fill()
    assert BlockType.objects.get().owner == root


@pytest.mark.usefixtures("ownerless")
def test_rows_without_any_staff_ask_for_somebody_first_and_an_empty_database_for_nobody() -> None:
    fill()

    with transaction.atomic():
        BlockType.objects.bulk_create([BlockType(code="x", name="X", text_layout="x", owner=None)])
        with pytest.raises(RuntimeError, match="createsuperuser"):
            fill()
