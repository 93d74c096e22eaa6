"""Writes about blocks and their versions."""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from apps.decisioning.content.checking import block_problems
from apps.decisioning.content.children import apart
from apps.decisioning.content.compiling import BlockSource
from apps.decisioning.content.contracts import Problem, block_digest, problems_refuse
from apps.decisioning.content.fields import content_problems, fields_read
from apps.decisioning.content.models import Block, BlockType, BlockVersion, Market
from apps.decisioning.content.taxonomy import name_fault
from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import right_require
from apps.foundation.core.clock import now
from apps.foundation.core.conflicts import unchanged_since
from apps.foundation.core.errors import Conflict, NotFound
from apps.foundation.core.text import is_blank
from apps.foundation.governance.services import audit_record
from apps.foundation.governance.workflow import head_edited

from .rows import assign, created, known, locked, saved

_BLOCK_FIELDS = frozenset({"name", "tier", "tags", "market"})


@dataclass(frozen=True, slots=True)
class VersionFacts:
    """What holds for a version as a whole. valid_from is included, valid_until not; written_by_model: its words are
    a model's, which the message says."""

    valid_from: datetime | None = None
    valid_until: datetime | None = None
    written_by_model: bool = False


def block_create(
    *,
    by: User,
    name: str,
    type_id: int,
    content: Mapping[str, Mapping[str, Any]],
    tier: str = Block.Tier.CAMPAIGN,
    tags: Sequence[str] = (),
    market: Market | None = None,
    owner: User | None = None,
    facts: VersionFacts | None = None,
    why: str = "",
) -> Block:
    """A block with its first version, of a market or of all.

    Raises Invalid, Conflict for a name in use, NotAllowed, NotFound.
    """
    if not BlockType.objects.filter(pk=type_id).exists():
        raise NotFound("block_type_unknown", "There is no such block type")
    block = Block(name=name.strip(), type_id=type_id, tier=tier, tags=list(tags), market=market, owner=owner or by)
    right_require(by, "add", block, what="add blocks here")
    _block_check(block, named=True)
    with transaction.atomic():
        created(block, by, "content.block.created", f"There is a block {name!r} already: choose another name")
        _block_version_add(block, content, facts, by, why)
    return block


def block_update(*, block_id: int, by: User, seen_at: datetime | None = None, **values: Any) -> Block:
    """Change a block's name, tier, tags or market; what it says is in its versions.

    Voids approvals of what is not published. seen_at: its `updated_at` as the caller read it.
    Raises Invalid, NotFound, NotAllowed, Conflict when it was changed since.
    """
    with transaction.atomic():
        block = locked(Block, block_id)
        right_require(by, "change", block, what="change this block")
        unchanged_since(block, seen_at)
        before, changed = copy(block), assign(block, known(values, _BLOCK_FIELDS))
        if changed:  # it must be theirs to describe, and stay so: nobody moves a block to where they may not write
            for one in (before, block):
                right_require(by, "describe", one, what="change the name, tier, tags or market of this block")
        _block_check(block, named="name" in changed or "tier" in changed)
        if changed:
            head_edited(head=block, by=by, why=f"The block was edited: {', '.join(changed)}")
        return saved(block, changed, by, "content.block.changed")


def _block_check(block: Block, *, named: bool) -> None:
    """named: its name or tier is new, so that the taxonomy looks at it; older names stay as they are."""
    problems: list[Problem] = []
    if is_blank(block.name) or len(block.name) > 120:
        problems.append(Problem("name", 0, "", "is needed, with at most 120 characters"))
    if block.tier not in Block.Tier.values:
        problems.append(Problem("tier", 0, "", f"must be one of {', '.join(Block.Tier.values)}"))
    elif named and not problems and (fault := name_fault(block.name, block.tier)):
        problems.append(Problem("name", 0, "", fault))
    tags = block.tags
    if not isinstance(tags, list) or not all(isinstance(tag, str) and tag.strip() and len(tag) <= 40 for tag in tags):
        problems.append(Problem("tags", 0, "", "must be a list of words"))
    problems_refuse("block_refused", problems, "The block can't be saved")


def block_version_create(
    *,
    block_id: int,
    content: Mapping[str, Mapping[str, Any]],
    by: User,
    base: int | None = None,
    facts: VersionFacts | None = None,
    why: str = "",
) -> BlockVersion:
    """What a block says from now on, with the fields and layouts that its type has now.

    content: values of the flexible fields, by language; base: number of the version that was edited; facts: None
    keeps those of the newest version; why: for the history. Voids approvals of what is not published.
    Raises Invalid with every problem, Conflict when somebody made a newer version meanwhile, NotFound, NotAllowed.
    """
    with transaction.atomic():
        block = locked(Block, block_id)
        right_require(by, "change", block, what="change this block")
        newest = block.versions.order_by("-number").values_list("number", flat=True).first() or 0
        if base is not None and base != newest:
            raise Conflict(
                "block_changed_meanwhile",
                f"Somebody saved version {newest} meanwhile: look at it, then enter your change again",
            )
        return _block_version_add(block, content, facts, by, why)


def _block_version_add(
    block: Block, content: Mapping[str, Mapping[str, Any]], facts: VersionFacts | None, by: User, why: str
) -> BlockVersion:
    block_type = block.type
    problems: list[Problem] = []
    fields = fields_read(block_type.fields, problems)
    problems.extend(content_problems(fields, content, f"block {block.name}"))
    newest = block.versions.order_by("-number").first()
    if facts is None:
        facts = (
            VersionFacts(newest.valid_from, newest.valid_until, newest.written_by_model) if newest else VersionFacts()
        )
    if facts.valid_from and facts.valid_until and facts.valid_from >= facts.valid_until:
        problems.append(Problem("valid_until", 0, "", "must be after the moment from which it is valid"))
    if facts.written_by_model and is_blank(block_type.layout):
        mend = "needs a label for customers, and a line of text has no place for one: use a type with a layout"
        problems.append(Problem("written_by_model", 0, "", mend))
    problems_refuse("block_refused", problems, "The block can't be saved")
    kept = {language: {name: _stripped(value) for name, value in own.items()} for language, own in content.items()}
    for language in kept:
        source = BlockSource("1", block.name, tuple(fields), kept, block_type.layout, block_type.text_layout)
        problems.extend(apart(block_problems, source, language=language))
    problems_refuse("block_refused", problems, "The block can't be saved")
    digest = block_digest(
        kept,
        block_type.fields,
        block_type.layout,
        block_type.text_layout,
        valid_from=facts.valid_from,
        valid_until=facts.valid_until,
        written_by_model=facts.written_by_model,
    )
    if newest is not None and newest.digest == digest:
        return newest
    version = BlockVersion.objects.create(
        block=block,
        number=newest.number + 1 if newest else 1,
        content=kept,
        fields=block_type.fields,
        layout=block_type.layout,
        text_layout=block_type.text_layout,
        valid_from=facts.valid_from,
        valid_until=facts.valid_until,
        written_by_model=facts.written_by_model,
        digest=digest,
        why=why.strip()[:400],
        created_by=by,
    )
    head_edited(head=block, by=by, why=f"{version} was saved")
    Block.objects.filter(pk=block.pk).update(updated_at=now())
    audit_record(
        action="content.block.version_made", actor=by, subject=block, data={"number": version.number, "digest": digest}
    )
    return version


def _stripped(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _stripped(part) for key, part in value.items()}
    return value.strip() if isinstance(value, str) else value
