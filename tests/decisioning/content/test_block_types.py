"""Changing a type: what would break is said before, and nothing that was published changes."""

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.decisioning.content import services
from apps.decisioning.content.breaking import MAX_TRIED, type_impact
from apps.decisioning.content.errors import BreaksBlocks
from apps.decisioning.content.models import BlockType, BlockVersion
from apps.foundation.governance.models import AuditEntry

from .making import Sample

pytestmark = pytest.mark.django_db


@pytest.fixture
def kind(loaded: Sample) -> BlockType:
    return BlockType.objects.get(code="note")


def broken(kind: BlockType, **values: Any) -> list[tuple[str, str, str, str]]:
    looks = {name: values.get(name, getattr(kind, name)) for name in ("fields", "layout", "text_layout")}
    return [(one.block, one.language, one.field, one.why) for one in type_impact(kind, **looks).breaks]


def changed(kind: BlockType, **entry: Any) -> list[dict[str, Any]]:
    return [{**kind.fields[0], **entry}, *kind.fields[1:]]


NOTE = "Our promise, in short"


def test_what_a_shorter_limit_breaks_is_said_by_block_and_language(kind: BlockType) -> None:
    found = broken(kind, fields=changed(kind, max_length=90))

    assert {(block, field) for block, _, field, _ in found} == {(NOTE, "Text")}
    assert all(why.endswith("characters, 90 are allowed: shorten it") for *_, why in found)
    assert {language for _, language, _, _ in found} <= {"en", "de", "fr"}


def test_a_new_field_a_removed_one_and_a_fixed_one_break(kind: BlockType) -> None:
    added = [*kind.fields, {"name": "extra", "label": "Extra", "kind": "text"}]
    fixed = changed(kind, fixed=True, value="<p>The same for all</p>", max_length=None)

    assert (NOTE, "en", "Extra", "is required") in broken(kind, fields=added)
    gone = broken(kind, fields=[{"name": "words", "label": "Words", "kind": "text"}])
    assert (NOTE, "en", "Text", "what it says here would be gone: the type has no such field any more") in gone
    assert (NOTE, "de", "Text", "what it says here would be gone: the type sets the value") in broken(
        kind, fields=fixed
    )
    assert broken(kind, fields=[*kind.fields, {"name": "extra", "kind": "text", "required": False}]) == []


def test_a_layout_that_can_not_show_a_block_breaks_it(kind: BlockType) -> None:
    layout = '<mj-section><mj-column><mj-text><a href="[[ body ]]">x</a></mj-text></mj-column></mj-section>'

    found = broken(kind, layout=layout)

    assert {(block, field) for block, _, field, _ in found} == {(NOTE, "")}
    assert MAX_TRIED == 40


def test_what_was_broken_before_is_not_counted_again(kind: BlockType) -> None:
    BlockType.objects.filter(pk=kind.pk).update(fields=changed(kind, max_length=10))
    kind.refresh_from_db()

    assert broken(kind, fields=changed(kind, help="Short")) == []


def test_nothing_breaks_without_somebody_agreeing_to_just_that(loaded: Sample, kind: BlockType) -> None:
    versions = list(BlockVersion.objects.values())
    short, shorter = changed(kind, max_length=50), changed(kind, max_length=40)

    with pytest.raises(BreaksBlocks) as first:
        services.block_type_update(block_type_id=kind.pk, by=loaded.engineer, fields=short)
    with pytest.raises(BreaksBlocks):
        services.block_type_update(
            block_type_id=kind.pk, by=loaded.engineer, fields=shorter, confirmed=first.value.digest
        )
    kind.refresh_from_db()
    assert kind.fields[0]["max_length"] == 400

    services.block_type_update(block_type_id=kind.pk, by=loaded.engineer, fields=short, confirmed=first.value.digest)

    kind.refresh_from_db()
    assert kind.fields[0]["max_length"] == 50
    assert list(BlockVersion.objects.values()) == versions
    entry = AuditEntry.objects.get(action="content.block_type.broke_blocks")
    assert entry.data["blocks"] == [loaded.blocks[NOTE].pk]


def test_the_page_asks_first(loaded: Sample, kind: BlockType, client: Client) -> None:
    client.force_login(loaded.engineer)
    url = reverse("admin:content_blocktype_change", args=[kind.pk])

    data = {
        "name": kind.name, "description": "", "layout": kind.layout, "text_layout": kind.text_layout,
        "fields": json.dumps(changed(kind, max_length=50)),
    }  # fmt: skip

    asked = client.post(url, data)
    assert asked.status_code == 409
    assert "This change would break one block" in asked.content.decode()
    assert NOTE in asked.content.decode()
    kind.refresh_from_db()
    assert kind.fields[0]["max_length"] == 400

    back = client.post(url, {**data, "_back": "1"})
    assert back.status_code == 200
    assert "Nothing is saved yet" in back.content.decode()
    assert "&quot;max_length&quot;: 50" in back.content.decode()

    done = client.post(url, {**data, "confirmed": asked.context["digest"]})
    assert done.status_code == 302
    kind.refresh_from_db()
    assert kind.fields[0]["max_length"] == 50
