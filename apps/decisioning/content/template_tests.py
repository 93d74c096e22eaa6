"""The tests of a template's versions: read from the database, and run."""

from collections.abc import Collection

from .case_runs import Report, Suite
from .cases import Arrangement, Case, arrangement_read, blocks_renamed, case_read
from .compiling import BlockSource, TemplateSource
from .contracts import Problem
from .fields import fields_read
from .models import Block, BlockVersion, Brand, TemplateVersion
from .notation import Reading
from .selectors import brand_spec
from .trying import report_apart


def template_tests(version: TemplateVersion) -> tuple[Arrangement, list[Case]]:
    """A version's arrangement and cases, blocks by their names of today."""
    arrangement, _ = arrangement_read(Reading(version.arrangement, "arrangement"))
    cases = []
    for stored in version.cases:
        data = dict(stored)
        name = data.pop("name")
        case, problems = case_read(Reading(data, f"case {name}"), name)
        if case is None:
            raise ValueError(f"{version}: {problems[0]}")  # a fault of ours: it was read before it was stored
        cases.append(case)
    ids = {tier.block for tiers in arrangement.slots.values() for tier in tiers}
    ids |= {slot.block for case in cases for slot in case.slots.values() if slot.block}
    names = {str(pk): name for pk, name in Block.objects.filter(pk__in=ids).values_list("pk", "name")}
    return blocks_renamed(arrangement, cases, lambda block: names.get(block, block))


def template_suite(version: TemplateVersion, *, arrangement: Arrangement | None = None) -> Suite:
    """A version with its cases and the newest versions of the blocks that they are asked with.

    arrangement: one that takes the place of the version's own.
    """
    stored, cases = template_tests(version)
    arrangement = arrangement or stored
    wanted = {tier.block for tiers in arrangement.slots.values() for tier in tiers}
    brand = Brand.objects.filter(code=arrangement.brand).first() if arrangement.brand else None
    return Suite(
        template=TemplateSource(
            version.template.name, version.subject, version.mjml, version.text, version.template.channel
        ),
        brand=brand_spec(brand) if brand is not None else None,
        arrangement=arrangement,
        blocks=blocks_standing(wanted),
        cases=cases,
    )


def blocks_standing(names: Collection[str]) -> dict[str, BlockSource]:
    """The newest versions of blocks, by name."""
    newest = (
        BlockVersion.objects.filter(block__name__in=names)
        .select_related("block")
        .order_by("block_id", "-number")
        .distinct("block_id")
    )
    return {
        version.block.name: BlockSource(
            str(version.pk),
            version.block.name,
            tuple(fields_read(version.fields, [])),
            version.content,
            version.layout,
            version.text_layout,
        )
        for version in newest
    }


def template_report(version: TemplateVersion, *, show: str = "") -> Report:
    """A version's cases, run now in a child process, with the newest versions of their blocks.

    show: the name of a case whose rendered message is wanted too.
    """
    if version.slots and not version.arrangement:
        mend = "says not yet what stands in its slots: write starting cases, or give it an arrangement"
        return Report([Problem("template", 0, "", mend)])
    return report_apart(template_suite(version), show=show)


def template_publish_problems(version: TemplateVersion) -> list[Problem]:
    """What stands against publishing a template version: a case that fails, a slot or tier that no case covers."""
    return template_report(version).publish_problems()
