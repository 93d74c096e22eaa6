"""Compiling a message when a playbook version is made: from then on nothing of it changes."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

from django.db import transaction

from apps.foundation.core.errors import NotFound

from .children import apart
from .compiling import BlockSource, TemplateSource, message_compiled
from .contracts import (
    SYSTEM_LINKS,
    BrandSpec,
    CompiledSources,
    LinkTerms,
    Problem,
    TierSpec,
    problems_refuse,
    tier_block,
)
from .fields import fields_read, language_is_valid
from .labels import CHOSEN, WRITTEN
from .models import BlockVersion, CompiledTemplate, TemplateVersion
from .rendering import conditions_count, system_links
from .short_messages import SHORT
from .slots import slots_problems, tier_problems
from .trials import message_try

_EVERY_MESSAGE: Final = LinkTerms()


def message_compile(
    *,
    template_version_id: int,
    brand: BrandSpec,
    slots: Mapping[str, Sequence[TierSpec]],
    languages: Sequence[str],
    links: LinkTerms = _EVERY_MESSAGE,
    conditions: int | None = None,
) -> dict[str, int]:
    """Compile a template version with the pinned blocks of its slots and a brand: language → CompiledTemplate id.

    links: which it has beside those of every message; conditions: how many it may have at most, None for any number.
    Raises Invalid `message_refused` with every problem in `extra["problems"]`, NotFound for a version that does
    not exist. Compiling the same again gives the same ids.
    """
    version = TemplateVersion.objects.select_related("template").filter(pk=template_version_id).first()
    if version is None:
        raise NotFound("template_version_unknown", f"There is no template version {template_version_id}")
    problems = slots_problems(version.slots, slots)
    if not languages or not all(language_is_valid(language) for language in languages):
        problems.append(Problem("languages", 0, ", ".join(languages), "name one language at least, such as en"))
    blocks = _block_sources(slots, problems)
    problems_refuse("message_refused", problems, "The message can't be published")
    standing: dict[str, list[BlockSource]] = {}
    for name in version.slots:
        tiers = slots[name]
        static = blocks[tiers[-1]["block_version"]]
        # The static block is the `else` of its slot; a tier that shows it too needs no branch of its own, unless a
        # model chose it there: then it carries its label.
        ahead = {tier_block(tier): _shown(tier, blocks) for tier in tiers[:-1]}
        standing[name] = [*(block for block in ahead.values() if block != static), static]
        problems.extend(tier_problems(name, tiers, blocks))
    problems_refuse("message_refused", problems, "The message can't be published")
    template = TemplateSource(
        version.template.name, version.subject, version.mjml, version.text, version.template.channel
    )
    compiled: list[CompiledSources] = []
    for language in dict.fromkeys(languages):
        sources, faults = apart(
            message_compiled, template, brand=brand, slots=standing, language=language, hosts=brand["link_hosts"]
        )
        problems.extend(fault for fault in faults if fault not in problems)
        if sources is not None:
            compiled.append(sources)
    problems_refuse("message_refused", problems, "The message can't be published")
    named = {name for sources in compiled for name in system_links(sources)}
    problems = [*_links_problems(named, links), *_conditions_problems(compiled, conditions)]
    problems_refuse("message_refused", problems, "The message can't be published")
    report = apart(
        message_try,
        compiled,
        {name: [block.id for block in given] for name, given in standing.items()},
        address=brand["postal_address"],
        links=sorted(links.needs),
        short=template.channel in SHORT,
    )
    problems_refuse("message_refused", report.problems, "The message can't be published")
    with transaction.atomic():
        return {sources.language: _compiled_save(sources, report.largest_in[sources.language]) for sources in compiled}


def _links_problems(named: Collection[str], links: LinkTerms) -> list[Problem]:
    """Links that a message of its kind does not have, and those that it can't be without."""
    problems = [
        Problem("message", 0, f"{{{{ links.{name} }}}}", f"leads nowhere in this message: take it out. {links.where}")
        for name in sorted(set(named) - links.has)
    ]
    return problems + [
        Problem("message", 0, f"{{{{ links.{name} }}}}", "is missing: that link is what this mail is for")
        for name in sorted(links.needs & set(SYSTEM_LINKS) - set(named))
    ]


def _conditions_problems(compiled: Sequence[CompiledSources], most: int | None) -> list[Problem]:
    """Messages that cost too much for each person where there are very many of them."""
    counted = {sources.language: conditions_count(sources) for sources in compiled} if most is not None else {}
    return [
        Problem(
            "message", 0, "{% if %}",
            f"({language}) has {count} conditions, and a bulk message may have {most}: take some out, choose "
            "by tiers of the slots instead, or give the playbook another budget",
        )
        for language, count in counted.items()
        if most is not None and count > most
    ]  # fmt: skip


def _shown(tier: TierSpec, blocks: Mapping[int, BlockSource]) -> BlockSource:
    """A tier's block as it stands in its slot: with the label where a model chose what it shows."""
    block = blocks[tier["block_version"]]
    return replace(block, id=tier_block(tier), labels=(*block.labels, CHOSEN)) if tier.get("chosen") else block


def _compiled_save(sources: CompiledSources, largest_bytes: int) -> int:
    row, _ = CompiledTemplate.objects.get_or_create(
        digest=sources.digest,
        defaults={
            "language": sources.language,
            "subject": sources.subject,
            "html": sources.html,
            "text": sources.text,
            "tokens": list(sources.tokens),
            "link_hosts": list(sources.link_hosts),
            "shop_url": sources.shop_url,
            "largest_bytes": largest_bytes,
        },
    )
    return row.pk


def _block_sources(slots: Mapping[str, Sequence[TierSpec]], problems: list[Problem]) -> dict[int, BlockSource]:
    wanted = {tier["block_version"] for tiers in slots.values() for tier in tiers}
    found = {
        version.pk: BlockSource(
            str(version.pk),
            f"{version.block.name} v{version.number}",
            tuple(fields_read(version.fields, problems)),
            version.content,
            version.layout,
            version.text_layout,
            (WRITTEN,) if version.written_by_model else (),
        )
        for version in BlockVersion.objects.select_related("block").filter(pk__in=wanted)
    }
    problems.extend(
        Problem("slots", 0, str(number), "is no version of a block") for number in sorted(wanted - set(found))
    )
    return found
