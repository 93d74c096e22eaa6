"""Taking a folder of content into the database: by the same services as everybody, in one transaction."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import models, transaction

from apps.decisioning.content.contracts import Problem, problems_as_data
from apps.decisioning.content.exchange import Plan, conflict_problems, push_plan
from apps.decisioning.content.folders import SOURCES, Entry, Folder
from apps.decisioning.content.models import Block, BlockType, BlockVersion, Brand, Market, Template, TemplateVersion
from apps.decisioning.content.short_messages import EMAIL
from apps.decisioning.content.stored import entries_stored
from apps.foundation.accounts.models import User
from apps.foundation.core.errors import Conflict, DomainError, Invalid
from apps.foundation.governance.services import audit_record
from apps.foundation.governance.workflow import version_submit

from .block_types import block_type_create, block_type_update
from .blocks import VersionFacts, block_create, block_update, block_version_create
from .brands import brand_create, brand_update
from .markets import market_create, market_update
from .templates import template_create, template_update, template_version_create

_HANDED_IN = ("blocks", "templates")
_MODELS: tuple[type[models.Model], ...] = (Brand, Market, BlockType, Block, Template)


def folder_push(
    *, by: User, folder: Folder, base: Mapping[str, str], note: str = "", submit: bool = False, dry_run: bool = False
) -> Plan:
    """Write what a folder changed since it was pulled; drafts, as anybody's. Nothing is deleted.

    base: the digests of the lock file; note: why, for the history and those who approve; submit: ask for approval of
    the new versions too, in the same transaction. dry_run: everything is tried, and nothing kept.
    Raises Conflict `push_conflicts` when the database was changed too, Invalid `push_refused` with every problem, each
    at its file and line, in `extra["problems"]`: what `by` may not change is one. Then nothing was written.
    """
    if folder.problems:
        raise _refused("push_refused", "The folder can't be read", folder.problems)
    with transaction.atomic():
        for model in _MODELS:  # whoever writes meanwhile waits, or was seen
            list(model._default_manager.select_for_update().order_by("pk").values_list("pk", flat=True))
        stored = entries_stored()
        plan = push_plan(folder, stored, base)
        if plan.conflicts:
            problems = conflict_problems(plan, stored, base)
            raise Conflict("push_conflicts", _told("Nothing was pushed", problems), _extra(problems))
        problems = []
        for entry in plan.writes:
            try:
                with transaction.atomic():
                    _write(entry, stored.get(entry.label), by, note or "Pushed from a folder")
                    if submit and entry.kind in _HANDED_IN:
                        _submit(entry, by, note)
            except DomainError as error:
                problems += _placed(entry, error)
        if problems:
            raise _refused("push_refused", "Nothing was pushed", problems)
        if plan.writes:
            audit_record(
                action="content.folder.pushed", actor=by, data={"objects": [entry.label for entry in plan.writes][:100]}
            )
        transaction.set_rollback(dry_run)
    return plan


def _refused(code: str, what: str, problems: Any) -> Invalid:
    return Invalid(code, _told(what, problems), _extra(problems))


def _told(what: str, problems: Any) -> str:
    return f"{what}: {'; '.join(str(problem) for problem in problems[:3])}" + ("; …" if len(problems) > 3 else "")


def _extra(problems: Any) -> dict[str, Any]:
    return {"problems": problems_as_data(problems)}


def _placed(entry: Entry, error: DomainError) -> list[Problem]:
    told = error.extra.get("problems")
    if not told:
        return [Problem(entry.file, 0, "", error.message)]
    return [entry.place(Problem(one["where"], one["line"], one["token"], one["mend"])) for one in told]


def _changed(entry: Entry, before: Entry | None) -> dict[str, Any]:
    """The values of an object that are not as they were."""
    old = before.data if before is not None else {}
    return {name: value for name, value in entry.data.items() if name not in old or old[name] != value}


def _write(entry: Entry, before: Entry | None, by: User, why: str) -> None:
    data = entry.data
    if entry.kind == "brands":
        if before is None:
            brand_create(by=by, code=entry.key, **data)
        else:
            values = {"labels": {}, **data} if "labels" in before.data else data
            brand_update(brand_id=Brand.objects.get(code=entry.key).pk, by=by, why=why, **values)
    elif entry.kind == "markets":
        if before is None:
            market_create(by=by, code=entry.key, **data)
        else:
            market_update(market_id=Market.objects.get(code=entry.key).pk, by=by, **data)
    elif entry.kind == "block_types":
        if before is None:
            block_type_create(by=by, code=entry.key, **data)
        else:
            kind = BlockType.objects.get(code=entry.key)
            block_type_update(block_type_id=kind.pk, by=by, why=why, **_changed(entry, before))
    elif entry.kind == "blocks":
        _block_write(entry, before, by, why)
    else:
        _template_write(entry, before, by, why)


def _block_write(entry: Entry, before: Entry | None, by: User, why: str) -> None:
    data = entry.data
    facts = VersionFacts(
        valid_from=_moment(data.get("valid_from")),
        valid_until=_moment(data.get("valid_until")),
        written_by_model=data.get("written_by_model", False),
    )
    if before is None:
        kind = BlockType.objects.filter(code=data["type"]).first()
        market = Market.objects.filter(code=data["market"]).first() if "market" in data else None
        if kind is None or ("market" in data and market is None):
            what = "type" if kind is None else "market"
            raise Invalid("push_refused", f"{what}: there is no {data[what]}")
        block_create(
            by=by, name=entry.key, type_id=kind.pk, content=data["content"], tier=data["tier"], tags=data["tags"],
            market=market, facts=facts, why=why,
        )  # fmt: skip
        return
    for fixed in ("type", "market"):
        if data.get(fixed) != before.data.get(fixed):
            raise Invalid("push_refused", f"{fixed}: a block keeps its {fixed}; make a new block")
    block = Block.objects.get(name=entry.key)
    about = {name: value for name, value in _changed(entry, before).items() if name in ("tier", "tags")}
    if about:
        block_update(block_id=block.pk, by=by, **about)
    of_version = ("content", "valid_from", "valid_until", "written_by_model")
    if any(data.get(name) != before.data.get(name) for name in of_version):
        block_version_create(block_id=block.pk, content=data["content"], by=by, facts=facts, why=why)


def _template_write(entry: Entry, before: Entry | None, by: User, why: str) -> None:
    data = entry.data
    parts: dict[str, Any] = {name: data[name] for name in SOURCES}
    parts |= {"arrangement": entry.arrangement, "cases": entry.cases, "why": why}
    if before is None:
        template_create(by=by, code=entry.key, name=data["name"], channel=data.get("channel", EMAIL), **parts)
        return
    template = Template.objects.get(code=entry.key)
    if data["name"] != before.data["name"]:
        template_update(template_id=template.pk, by=by, name=data["name"])
    if any(data[name] != before.data[name] for name in (*SOURCES, "arrangement", "cases")):
        template_version_create(template_id=template.pk, by=by, **parts)


def _submit(entry: Entry, by: User, note: str) -> None:
    version: models.Model | None
    if entry.kind == "blocks":
        version = BlockVersion.objects.filter(block__name=entry.key).order_by("-number").first()
    else:
        version = TemplateVersion.objects.filter(template__code=entry.key).order_by("-number").first()
    if version is not None:
        version_submit(version=version, by=by, note=note)


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
