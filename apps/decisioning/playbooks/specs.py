"""What a playbook needs before it can be saved, and the spec that pins it. Reads only."""

from typing import Any, cast

from django.core.exceptions import ValidationError

from apps.decisioning.audiences.rules import rule_parse
from apps.decisioning.content.choosing import languages_common
from apps.decisioning.content.models import Block, BlockVersion, CompiledTemplate, TemplateVersion
from apps.decisioning.content.selectors import brand_spec
from apps.foundation.accounts.roles import ROLE_BY_CODE
from apps.foundation.core.errors import Conflict, Invalid
from apps.foundation.governance.services import review_approved

from .contracts import PlaybookSpec, TierSpec
from .errors import Problem
from .models import Playbook, PlaybookVersion
from .rules import slots_read, spec_digest
from .schedules import schedule_problem, zone_problem


def template_latest(playbook: Playbook) -> TemplateVersion | None:
    """The newest version of the playbook's template."""
    return TemplateVersion.objects.filter(template_id=playbook.template_id).order_by("-number").first()


def playbook_problems(playbook: Playbook) -> list[Problem]:
    """Everything that is wrong with a playbook as it stands, empty when it may be saved.

    Brings its slots into their one spelling on the way (blocks by id).
    """
    problems: list[Problem] = []
    try:
        playbook.full_clean(exclude=["slots", "approval_path", "schedule", "time_zone"])
    except ValidationError as error:
        for field, messages in error.message_dict.items():
            problems.extend(Problem("cap_count" if field == "__all__" else field, message) for message in messages)
    if any(problem.field in ("template", "audience", "brand") for problem in problems):
        return problems
    template = template_latest(playbook)
    if template is None:
        problems.append(Problem("template", "This template has no version yet"))
    else:
        blocks = dict(Block.objects.values_list("name", "pk"))
        playbook.slots, found = slots_read(playbook.slots, template_slots=template.slots, blocks=blocks)
        problems.extend(found)
    problems.extend(_path_problems(playbook.approval_path))
    if problem := zone_problem(playbook.time_zone):
        problems.append(Problem("time_zone", problem))
    scheduled = playbook.trigger == Playbook.Trigger.SCHEDULE or playbook.schedule
    if scheduled and (problem := schedule_problem(playbook.schedule)):
        problems.append(Problem("schedule", problem))
    if not 1 <= playbook.send_within_hours <= 24 * 30:
        problems.append(Problem("send_within_hours", "Write a number of hours from 1 to 720"))
    try:
        rule_parse(playbook.audience.rule)
    except Invalid as error:
        problems.append(Problem("audience", f"Its rule can't be read: {error.message}"))
    return problems


def _path_problems(path: object) -> list[Problem]:
    if not isinstance(path, list) or not path:
        return [Problem("approval_path", "Name at least one role that must agree, such as brand_approver")]
    problems = [
        Problem("approval_path", f"There is no role {role!r}: choose of {', '.join(ROLE_BY_CODE)}")
        for role in path
        if not isinstance(role, str) or role not in ROLE_BY_CODE
    ]
    if not problems and len(set(path)) < len(path):
        problems.append(Problem("approval_path", "Name each role once: one person per role must agree"))
    return problems


def spec_build(playbook: Playbook) -> tuple[PlaybookSpec, dict[tuple[str, int], int]]:
    """What the playbook is at this moment, with the newest versions of all it uses, and who wrote those versions:
    user ids by ("template" or "block", id of the version).

    The playbook has passed `playbook_problems`. Raises Invalid for a block without a version.
    """
    template = template_latest(playbook)
    assert template is not None  # noqa: S101  # playbook_problems saw to it
    wanted = {tier["block"] for tiers in playbook.slots.values() for tier in tiers}
    versions: dict[int, BlockVersion] = {
        version.block_id: version
        for version in BlockVersion.objects.filter(block__in=wanted)
        .select_related("block")
        .order_by("block_id", "-number")
        .distinct("block_id")
    }
    for block in Block.objects.filter(pk__in=wanted - versions.keys()):
        raise Invalid("block_empty", f"The block {block.name} has no content yet: write it first")
    brand = playbook.brand
    spec = PlaybookSpec(
        playbook=playbook.code,
        name=playbook.name,
        trigger=playbook.trigger,
        schedule=playbook.schedule,
        time_zone=playbook.time_zone,
        purpose=playbook.purpose.pk,
        channel=playbook.channel,
        budget=playbook.budget,
        audience_id=playbook.audience_id,
        audience_rule=playbook.audience.rule,
        template_version=template.pk,
        brand=brand_spec(brand),
        slots={
            name: [
                TierSpec(
                    tier=tier["tier"],
                    name=tier["name"],
                    block_version=versions[tier["block"]].pk,
                    when=tier["when"],
                    source=tier["source"],
                    count=tier["count"],
                )
                for tier in tiers
            ]
            for name, tiers in playbook.slots.items()
        },
        languages=languages_offered(list(versions.values()), brand.default_language),
        cap=None
        if playbook.cap_count is None or playbook.cap_days is None
        else {"count": playbook.cap_count, "days": playbook.cap_days},
        send_within_hours=playbook.send_within_hours,
        kpi=playbook.kpi,
        approval_path=playbook.approval_path,
    )
    written = {("block", version.pk): version.created_by_id for version in versions.values()}
    return spec, {("template", template.pk): template.created_by_id, **written}


def languages_offered(versions: list[BlockVersion], default: str) -> list[str]:
    """The languages a message of these blocks can come in, the brand's own first."""
    return languages_common([version.content for version in versions], default)


def version_digest(version: PlaybookVersion) -> str:
    """The digest of a version as it is stored now."""
    ids: dict[str, int] = version.compiled
    digests = dict(CompiledTemplate.objects.filter(pk__in=ids.values()).values_list("pk", "digest"))
    return spec_digest(
        cast("dict[str, Any]", version.spec), {language: digests.get(pk, "") for language, pk in ids.items()}
    )


def version_verify(version: PlaybookVersion) -> None:
    """See that a version is, to the letter, what was agreed to. Raises Conflict if not."""
    digest = version_digest(version)
    if digest != version.digest:
        raise Conflict(
            "version_tampered",
            f"{version} is not what was handed in: its content was changed behind the review. Ask for approval anew",
        )
    if not review_approved(subject=version, digest=digest):
        raise Conflict("playbook_not_approved", f"{version} was not agreed to: ask for approval first")
