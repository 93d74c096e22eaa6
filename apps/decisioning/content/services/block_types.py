"""Writes about block types."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.db import transaction

from apps.decisioning.content.breaking import type_impact
from apps.decisioning.content.checking import block_type_problems
from apps.decisioning.content.children import apart
from apps.decisioning.content.contracts import Problem, problems_refuse
from apps.decisioning.content.errors import BreaksBlocks
from apps.decisioning.content.fields import fields_read
from apps.decisioning.content.models import BlockType
from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import right_require
from apps.foundation.core.conflicts import unchanged_since
from apps.foundation.core.text import is_blank
from apps.foundation.governance.services import audit_record

from .rows import assign, created, known, locked, saved

_TYPE_FIELDS = frozenset({"name", "description", "fields", "layout", "text_layout"})


def _type_check(block_type: BlockType) -> None:
    problems: list[Problem] = []
    if is_blank(block_type.name):
        problems.append(Problem("name", 0, "", "is needed"))
    fields = fields_read(block_type.fields, problems)
    if not problems:
        problems = apart(
            block_type_problems,
            fields,
            name=block_type.name,
            layout=block_type.layout,
            text_layout=block_type.text_layout,
        )
    problems_refuse("block_type_refused", problems, "The block type can't be saved")


def block_type_create(*, by: User, code: str, name: str, owner: User | None = None, **values: Any) -> BlockType:
    """A block type, owned by `by` unless told. values: description, fields, layout, text_layout.

    Raises Invalid, Conflict, NotAllowed.
    """
    right_require(by, "add", BlockType, what="add block types")
    block_type = BlockType(code=code, name=name, owner=owner or by, **known(values, _TYPE_FIELDS))
    _type_check(block_type)
    return created(block_type, by, "content.block_type.created", f"There is a block type {code} already")


def block_type_update(
    *, block_type_id: int, by: User, seen_at: datetime | None = None, confirmed: str = "", why: str = "", **values: Any
) -> BlockType:
    """Change a block type. Versions of blocks keep the fields and layouts that they were made with.

    why: for the history. A change that breaks blocks raises BreaksBlocks, with what would be broken and a digest of
    it; the same change with that digest as `confirmed` is made. Raises Invalid, NotFound, NotAllowed too.
    """
    with transaction.atomic():
        block_type = locked(BlockType, block_type_id)
        right_require(by, "change", block_type, what="change this block type")
        unchanged_since(block_type, seen_at)
        before = BlockType.objects.get(pk=block_type_id)
        changed = assign(block_type, known(values, _TYPE_FIELDS))
        _type_check(block_type)
        looks = {"fields": block_type.fields, "layout": block_type.layout, "text_layout": block_type.text_layout}
        impact = type_impact(before, **looks)
        if impact.breaks and confirmed != impact.digest(looks):
            breaks = [asdict(one) for one in impact.breaks]
            raise BreaksBlocks(impact.blocks, breaks, digest=impact.digest(looks), untried=impact.untried)
        row = saved(block_type, changed, by, "content.block_type.changed", why)
        if impact.breaks:
            audit_record(
                action="content.block_type.broke_blocks",
                actor=by,
                subject=row,
                data={"blocks": sorted({one.block_id for one in impact.breaks}), "confirmed": confirmed},
            )
        return row
