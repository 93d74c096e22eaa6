"""Content of the database as the objects of a folder: what `content_pull` writes and `content_push` compares."""

from collections.abc import Iterable

from .cases import moment_text
from .folders import Entry, block_entry, block_type_entry, brand_entry, file_stem, market_entry, template_entry
from .models import Block, BlockType, BlockVersion, Brand, Market, Template, TemplateVersion
from .template_tests import template_tests


def entries_stored() -> dict[str, Entry]:
    """Everything, in its newest version, by label; a few statements whatever the number."""
    entries = [brand_entry(brand.code, vars(brand)) for brand in Brand.objects.order_by("code")]
    entries += [market_entry(market.code, vars(market)) for market in Market.objects.order_by("code")]
    entries += [block_type_entry(kind.code, vars(kind)) for kind in BlockType.objects.order_by("code")]
    entries += _blocks()
    entries += _templates()
    return {entry.label: entry for entry in entries}


def _blocks() -> Iterable[Entry]:
    newest = {
        version.block_id: version
        for version in BlockVersion.objects.order_by("block_id", "-number").distinct("block_id")
    }
    taken: set[str] = set()
    for block in Block.objects.select_related("type", "market").order_by("name"):
        version = newest.get(block.pk)
        if version is None:
            continue
        values = {
            "type": block.type.code,
            "tier": block.tier,
            "tags": block.tags,
            "market": block.market.code if block.market is not None else "",
            "content": version.content,
            "valid_from": moment_text(version.valid_from) if version.valid_from else "",
            "valid_until": moment_text(version.valid_until) if version.valid_until else "",
            "written_by_model": version.written_by_model,
        }
        stem = file_stem(block.name)
        file = f"blocks/{stem}.yaml"
        if file in taken:
            file = f"blocks/{stem}-{block_entry(block.name, values).digest[:6]}.yaml"
        taken.add(file)
        yield block_entry(block.name, values, file=file)


def _templates() -> Iterable[Entry]:
    newest = {
        version.template_id: version
        for version in TemplateVersion.objects.order_by("template_id", "-number").distinct("template_id")
    }
    for template in Template.objects.order_by("code"):
        version = newest.get(template.pk)
        if version is None:
            continue
        arrangement, cases = template_tests(version)
        yield template_entry(
            template.code,
            name=template.name,
            sources={"subject": version.subject, "mjml": version.mjml, "text": version.text},
            arrangement=arrangement,
            cases=cases,
            slots=version.slots,
            channel=template.channel,
        )
