"""Writes about content. Each checks the right of the one who asks, checks the content, writes, and audits.

Versions are known by their digest: the same content again is the version that exists.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, models, transaction

from apps.foundation.accounts.models import User
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid, NotAllowed, NotFound
from apps.foundation.core.text import is_blank
from apps.foundation.governance.services import audit_record

from .checking import block_problems, block_type_problems, template_problems
from .compiling import BlockSource, TemplateSource
from .contracts import BrandSpec, Problem, digest_of, problems_as_data, problems_refuse
from .fields import colour_is_valid, content_problems, fields_read, language_is_valid
from .links import host_is_valid, link_fault
from .models import Block, BlockType, BlockVersion, Brand, Template, TemplateVersion
from .publishing import message_compile as message_compile
from .rendering import one_line

M = TypeVar("M", bound=models.Model)


def _may(by: User, right: str, what: str) -> None:
    if not by.has_perm(f"content.{right}"):
        raise NotAllowed("right_missing", f"You may not {what}: ask somebody whose role includes it")


# --- brands ---


def _brand_check(brand: Brand) -> None:
    problems: list[Problem] = []

    def wrong(field: str, mend: str) -> None:
        problems.append(Problem(field, 0, "", mend))

    for field in ("code", "name", "from_name", "postal_address"):
        value = getattr(brand, field)
        if is_blank(value) or one_line(value) != value.strip():
            wrong(field, "is needed, as one line of visible text")
    for field in ("from_email", "reply_to"):
        try:
            if field == "from_email" or getattr(brand, field):
                validate_email(getattr(brand, field))
        except ValidationError:
            wrong(field, "is not an e-mail address")
    hosts = brand.link_hosts if isinstance(brand.link_hosts, list) else []
    if not hosts or not all(isinstance(host, str) and host_is_valid(host) for host in hosts):
        wrong("link_hosts", "must be a list of host names, such as shop.example")
    else:
        fault = link_fault(brand.shop_url, hosts)
        if fault:
            wrong("shop_url", fault)
    colours = brand.colours if isinstance(brand.colours, dict) else {"": None}
    if not all(isinstance(name, str) and name.isidentifier() and colour_is_valid(c) for name, c in colours.items()):
        wrong("colours", 'must be names with colours, such as {"accent": "#1a2b3c"}')
    if not language_is_valid(brand.default_language):
        wrong("default_language", "must be a language tag such as en or de-AT")
    problems_refuse("brand_refused", problems, "The brand can't be saved")


_BRAND_FIELDS = frozenset(BrandSpec.__annotations__)


def brand_create(*, by: User, code: str, **values: Any) -> Brand:
    """A brand. values: the other fields of the model. Raises Invalid, Conflict for a code in use, NotAllowed."""
    _may(by, "add_brand", "add brands")
    brand = Brand(code=code, **_known(values, _BRAND_FIELDS))
    _brand_check(brand)
    return _created(brand, by, "content.brand.created", f"There is a brand {code} already")


def brand_update(*, brand_id: int, by: User, **values: Any) -> Brand:
    """Change fields of a brand. Published versions keep the brand as it was. Raises Invalid, NotFound, NotAllowed."""
    _may(by, "change_brand", "change brands")
    with transaction.atomic():
        brand = _locked(Brand, brand_id)
        changed = _assign(brand, _known(values, _BRAND_FIELDS - {"code"}))
        _brand_check(brand)
        return _saved(brand, changed, by, "content.brand.changed")


# --- block types ---

_TYPE_FIELDS = frozenset({"name", "description", "fields", "layout", "text_layout"})


def _type_check(block_type: BlockType) -> None:
    problems: list[Problem] = []
    if is_blank(block_type.name):
        problems.append(Problem("name", 0, "", "is needed"))
    fields = fields_read(block_type.fields, problems)
    if not problems:
        problems = block_type_problems(
            fields, name=block_type.name, layout=block_type.layout, text_layout=block_type.text_layout
        )
    problems_refuse("block_type_refused", problems, "The block type can't be saved")


def block_type_create(*, by: User, code: str, name: str, **values: Any) -> BlockType:
    """A block type. values: description, fields, layout, text_layout. Raises Invalid, Conflict, NotAllowed."""
    _may(by, "add_blocktype", "add block types")
    block_type = BlockType(code=code, name=name, **_known(values, _TYPE_FIELDS))
    _type_check(block_type)
    return _created(block_type, by, "content.block_type.created", f"There is a block type {code} already")


def block_type_update(*, block_type_id: int, by: User, **values: Any) -> BlockType:
    """Change a block type. Versions of blocks keep the fields and layouts that they were made with."""
    _may(by, "change_blocktype", "change block types")
    with transaction.atomic():
        block_type = _locked(BlockType, block_type_id)
        changed = _assign(block_type, _known(values, _TYPE_FIELDS))
        _type_check(block_type)
        return _saved(block_type, changed, by, "content.block_type.changed")


# --- blocks ---

_BLOCK_FIELDS = frozenset({"name", "tier", "tags"})


def block_create(
    *,
    by: User,
    name: str,
    type_id: int,
    content: Mapping[str, Mapping[str, Any]],
    tier: str = Block.Tier.CAMPAIGN,
    tags: Sequence[str] = (),
    owner: User | None = None,
) -> Block:
    """A block with its first version. Raises Invalid, Conflict for a name in use, NotAllowed, NotFound."""
    _may(by, "add_block", "add blocks")
    if not BlockType.objects.filter(pk=type_id).exists():
        raise NotFound("block_type_unknown", "There is no such block type")
    block = Block(name=name.strip(), type_id=type_id, tier=tier, tags=list(tags), owner=owner or by)
    _block_check(block)
    with transaction.atomic():
        _created(block, by, "content.block.created", f"There is a block {name!r} already: choose another name")
        _block_version_add(block, content, by)
    return block


def block_update(*, block_id: int, by: User, **values: Any) -> Block:
    """Change a block's name, tier or tags; what it says is in its versions. Raises Invalid, NotFound, NotAllowed."""
    _may(by, "change_block", "change blocks")
    with transaction.atomic():
        block = _locked(Block, block_id)
        changed = _assign(block, _known(values, _BLOCK_FIELDS))
        _block_check(block)
        return _saved(block, changed, by, "content.block.changed")


def _block_check(block: Block) -> None:
    problems: list[Problem] = []
    if is_blank(block.name) or len(block.name) > 120:
        problems.append(Problem("name", 0, "", "is needed, with at most 120 characters"))
    if block.tier not in Block.Tier.values:
        problems.append(Problem("tier", 0, "", f"must be one of {', '.join(Block.Tier.values)}"))
    tags = block.tags
    if not isinstance(tags, list) or not all(isinstance(tag, str) and tag.strip() and len(tag) <= 40 for tag in tags):
        problems.append(Problem("tags", 0, "", "must be a list of words"))
    problems_refuse("block_refused", problems, "The block can't be saved")


def block_version_create(
    *, block_id: int, content: Mapping[str, Mapping[str, Any]], by: User, base: int | None = None
) -> BlockVersion:
    """What a block says from now on, with the fields and layouts that its type has now.

    content: values of the flexible fields, by language; base: number of the version that was edited.
    Raises Invalid with every problem, Conflict when somebody made a newer version meanwhile, NotFound, NotAllowed.
    """
    _may(by, "change_block", "change blocks")
    with transaction.atomic():
        block = _locked(Block, block_id)
        newest = block.versions.order_by("-number").values_list("number", flat=True).first() or 0
        if base is not None and base != newest:
            raise Conflict(
                "block_changed_meanwhile",
                f"Somebody saved version {newest} meanwhile: look at it, then enter your change again",
            )
        return _block_version_add(block, content, by)


def _block_version_add(block: Block, content: Mapping[str, Mapping[str, Any]], by: User) -> BlockVersion:
    block_type = block.type
    problems: list[Problem] = []
    fields = fields_read(block_type.fields, problems)
    problems.extend(content_problems(fields, content, f"block {block.name}"))
    problems_refuse("block_refused", problems, "The block can't be saved")
    kept = {
        language: {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}
        for language, values in content.items()
    }
    for language in kept:
        source = BlockSource("1", block.name, tuple(fields), kept, block_type.layout, block_type.text_layout)
        problems.extend(block_problems(source, language=language))
    problems_refuse("block_refused", problems, "The block can't be saved")
    digest = digest_of(
        {
            "content": kept,
            "fields": block_type.fields,
            "layout": block_type.layout,
            "text_layout": block_type.text_layout,
        }
    )
    newest = block.versions.order_by("-number").first()
    if newest is not None and newest.digest == digest:
        return newest
    version = BlockVersion.objects.create(
        block=block,
        number=newest.number + 1 if newest else 1,
        content=kept,
        fields=block_type.fields,
        layout=block_type.layout,
        text_layout=block_type.text_layout,
        digest=digest,
        created_by=by,
    )
    Block.objects.filter(pk=block.pk).update(updated_at=now())
    audit_record(
        action="content.block.version_made", actor=by, subject=block, data={"number": version.number, "digest": digest}
    )
    return version


# --- templates ---


def template_create(
    *, by: User, code: str, name: str, subject: str, mjml: str, text: str, owner: User | None = None
) -> Template:
    """A template with its first version. Raises Invalid with every problem, Conflict for a code in use, NotAllowed."""
    _may(by, "add_template", "add templates")
    if is_blank(name):
        raise Invalid("template_refused", "Give the template a name")
    with transaction.atomic():
        template = Template(code=code, name=name, owner=owner or by)
        _created(template, by, "content.template.created", f"There is a template {code} already")
        _template_version_add(template, subject=subject, mjml=mjml, text=text, by=by)
    return template


def template_update(*, template_id: int, by: User, **values: Any) -> Template:
    """Change a template's name; its sources are in its versions. Raises Invalid, NotFound, NotAllowed."""
    _may(by, "change_template", "change templates")
    with transaction.atomic():
        template = _locked(Template, template_id)
        changed = _assign(template, _known(values, frozenset({"name"})))
        if is_blank(template.name):
            raise Invalid("template_refused", "Give the template a name")
        return _saved(template, changed, by, "content.template.changed")


def template_version_create(
    *, template_id: int, subject: str, mjml: str, text: str, by: User, base: int | None = None
) -> TemplateVersion:
    """New sources of a template, checked as `checking.py` says.

    base: number of the version that was edited. Raises Invalid `template_refused` with every problem (source, line,
    token, mend) in `extra["problems"]`, Conflict when somebody made a newer version meanwhile, NotFound, NotAllowed.
    """
    _may(by, "change_template", "change templates")
    with transaction.atomic():
        template = _locked(Template, template_id)
        newest = template.versions.order_by("-number").values_list("number", flat=True).first() or 0
        if base is not None and base != newest:
            raise Conflict(
                "template_changed_meanwhile",
                f"Somebody saved version {newest} meanwhile: look at it, then enter your change again",
            )
        return _template_version_add(template, subject=subject, mjml=mjml, text=text, by=by)


def _template_version_add(template: Template, *, subject: str, mjml: str, text: str, by: User) -> TemplateVersion:
    sources = {
        "subject": subject.strip(),
        "mjml": mjml.replace("\r\n", "\n").strip(),
        "text": text.replace("\r\n", "\n").strip() + "\n",
    }
    problems, slots = template_problems(TemplateSource(template.name, **sources))
    problems_refuse("template_refused", problems, "The template can't be saved")
    digest = digest_of(sources)
    newest = template.versions.order_by("-number").first()
    if newest is not None and newest.digest == digest:
        return newest
    version = TemplateVersion.objects.create(
        template=template,
        number=newest.number + 1 if newest else 1,
        slots=slots,
        digest=digest,
        created_by=by,
        **sources,
    )
    Template.objects.filter(pk=template.pk).update(updated_at=now())
    audit_record(
        action="content.template.version_made",
        actor=by,
        subject=template,
        data={"number": version.number, "digest": digest},
    )
    return version


# --- writing rows ---


def _known(values: Mapping[str, Any], allowed: frozenset[str]) -> dict[str, Any]:
    unknown = sorted(set(values) - allowed)
    if unknown:
        raise Invalid("field_unknown", f"Can't be set: {', '.join(unknown)}")
    return dict(values)


def _locked(model: type[M], pk: int) -> M:
    row = model._default_manager.select_for_update().filter(pk=pk).first()
    if row is None:
        raise NotFound("content_unknown", f"There is no such {model._meta.verbose_name}")
    return row


def _assign(row: models.Model, values: Mapping[str, Any]) -> list[str]:
    """Set fields of a row; the names of those that changed."""
    changed = [name for name, value in values.items() if getattr(row, name) != value]
    for name in changed:
        setattr(row, name, values[name])
    return changed


def _created(row: M, by: User, action: str, taken: str) -> M:
    try:
        row.full_clean(validate_unique=False, validate_constraints=False)
        with transaction.atomic():
            row.save(force_insert=True)
    except ValidationError as error:
        problems = [Problem(field, 0, "", " ".join(messages)) for field, messages in error.message_dict.items()]
        raise Invalid("content_refused", str(problems[0]), {"problems": problems_as_data(problems)}) from None
    except IntegrityError:
        raise Conflict("name_taken", taken) from None
    audit_record(action=action, actor=by, subject=row)
    return row


def _saved(row: M, changed: Sequence[str], by: User, action: str) -> M:
    if changed:
        try:
            row.full_clean(validate_unique=False, validate_constraints=False)
            with transaction.atomic():
                row.updated_at = now()  # type: ignore[attr-defined]  # every model that is edited has it
                row.save(update_fields=[*changed, "updated_at"])
        except ValidationError as error:
            problems = [Problem(field, 0, "", " ".join(messages)) for field, messages in error.message_dict.items()]
            raise Invalid("content_refused", str(problems[0]), {"problems": problems_as_data(problems)}) from None
        except IntegrityError:
            raise Conflict("name_taken", "That name is in use already: choose another") from None
        audit_record(action=action, actor=by, subject=row, data={"changed": list(changed)})
    return row
