"""What a playbook needs before it can be saved, and the spec that pins it. Reads only."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC
from typing import Any, Final, cast

from django.conf import settings
from django.core.exceptions import ValidationError

from apps.decisioning.audiences.contracts import Attribute, rule_leaves
from apps.decisioning.audiences.membership import rule_pinned
from apps.decisioning.audiences.rules import rule_parse, rule_to_json
from apps.decisioning.audiences.selectors import rule_admit
from apps.decisioning.content.choosing import languages_common
from apps.decisioning.content.models import Block, BlockVersion, CompiledTemplate, Template, TemplateVersion
from apps.decisioning.content.selectors import brand_spec
from apps.decisioning.content.services import message_compile
from apps.decisioning.content.short_messages import SHORT
from apps.decisioning.recommendations.rankers import is_by_model
from apps.foundation.accounts.roles import ROLE_BY_CODE
from apps.foundation.core.errors import Conflict, Invalid
from apps.foundation.core.wall_clock import WEEKDAYS
from apps.foundation.governance.services import review_approved

from .contracts import PlaybookSpec, StepSpec, TierSpec
from .errors import Problem
from .models import Playbook, PlaybookVersion
from .own_time import schedule_problem_own
from .rules import PRIORITY, guardrails_read, slots_read, spec_digest
from .schedules import schedule_problem, zone_problem
from .steps import TemplateSlots, message_steps, steps_read, steps_walk
from .system_mail import link_terms, mail_problems
from .taking import blocks_taken, taking_check, templates_taken

_MOST_BLOCKED: Final = 200


def template_latest(playbook: Playbook) -> TemplateVersion | None:
    """The version of the playbook's template that would be taken: the published one, else the newest."""
    return templates_taken([playbook.template_id]).get(playbook.template_id)


def playbook_problems(playbook: Playbook) -> list[Problem]:
    """Everything that is wrong with a playbook as it stands, empty when it may be saved.

    Brings its slots into their one spelling on the way (blocks by id).
    """
    problems: list[Problem] = []
    if playbook.trigger != Playbook.Trigger.SYSTEM:
        playbook.mail_kind = ""
    try:
        told_here = ["slots", "steps", "guardrails", "event_where", "approval_path", "schedule", "time_zone"]
        told_here += ["blocked_items", "send_days"]
        playbook.full_clean(exclude=[*told_here, *(["template"] if playbook.steps else [])])
    except ValidationError as error:
        for field, messages in error.message_dict.items():
            problems.extend(
                Problem(_field_of(message) if field == "__all__" else field, message) for message in messages
            )
    if any(problem.field in ("template", "audience", "brand") for problem in problems):
        return problems
    problems.extend(_content_problems(playbook))
    problems.extend(_path_problems(playbook.approval_path))
    problems.extend(_trigger_problems(playbook))
    problems.extend(mail_problems(playbook))
    problems.extend(_blocked_problems(playbook))
    problems.extend(_days_problems(playbook))
    if playbook.placement and (playbook.trigger != Playbook.Trigger.API or playbook.steps):
        told = "Only a playbook of one message that is asked for over the API has a placement"
        problems.append(Problem("placement", told))
    playbook.guardrails, found = guardrails_read(playbook.guardrails)
    problems.extend(found)
    if problem := zone_problem(playbook.time_zone):
        problems.append(Problem("time_zone", problem))
    scheduled = playbook.trigger == Playbook.Trigger.SCHEDULE or playbook.schedule
    if scheduled and (problem := schedule_problem(playbook.schedule)):
        problems.append(Problem("schedule", problem))
    if playbook.own_zone and (problem := _own_zone_problem(playbook)):
        problems.append(Problem("own_zone", problem))
    if not 1 <= playbook.send_within_hours <= 24 * 30:
        problems.append(Problem("send_within_hours", "Write a number of hours from 1 to 720"))
    try:
        rule_parse(playbook.audience.rule)
    except Invalid as error:
        problems.append(Problem("audience", f"Its rule can't be read: {error.message}"))
    return problems


def _own_zone_problem(playbook: Playbook) -> str:
    """Why its schedule can't hold on each person's own wall, "" where it can."""
    if playbook.trigger != Playbook.Trigger.SCHEDULE:
        return "Only a playbook on a schedule goes out at a time on each person's own wall"
    if playbook.steps:
        return "With several steps, let them wait until a time of day instead"
    return schedule_problem_own(playbook.schedule)


def _field_of(message: str) -> str:
    """The field that a broken constraint of several is told at."""
    if "system mail" in message:
        return "mail_kind"
    if "event" in message:
        return "event_name"
    if "priority" in message:
        return "priority"
    if "percent" in message:
        return "holdout_percent"
    return "quiet_start" if "quiet" in message else "cap_count"


def _content_problems(playbook: Playbook) -> list[Problem]:
    """What is wrong with its messages. With steps, template and slots become those of the first message."""
    blocks = dict(Block.objects.values_list("name", "pk"))
    if playbook.steps:
        playbook.steps, problems = steps_read(playbook.steps, templates=templates_known(), blocks=blocks)
        messages = [step for _, step in steps_walk(playbook.steps) if step["kind"] == "message"]
        if messages and (problem := _channel_problem([step["template"] for step in messages], playbook.channel)):
            problems.append(Problem("steps", problem))
        if messages and not problems:
            playbook.template_id, playbook.slots = messages[0]["template"], messages[0]["slots"]
            if len(playbook.steps) == 1:  # one message and nothing else needs no steps
                playbook.steps = []
        return problems or list(
            _rule_problems(playbook.steps or playbook.slots, "steps" if playbook.steps else "slots")
        )
    template = template_latest(playbook)
    if template is None:
        return [Problem("template", "This template has no version yet")]
    if problem := _channel_problem([playbook.template_id], playbook.channel):
        return [Problem("template", problem)]
    playbook.slots, problems = slots_read(playbook.slots, template_slots=template.slots, blocks=blocks)
    return problems or list(_rule_problems(playbook.slots, "slots"))


def _channel_problem(template_ids: Iterable[int | None], channel: str) -> str:
    """Why templates can't go out by a channel, "" where they can: one for e-mail has a text that an SMS can be too."""
    short = Template.objects.filter(pk__in=list(template_ids), channel__in=SHORT).exclude(channel=channel).first()
    if short is None:
        return ""
    return f"“{short}” is written for {short.get_channel_display()}: choose another template, or that channel"


def _rule_problems(data: Any, place: str) -> Iterator[Problem]:
    """What the rules (`when`) in slots or steps name and does not exist, with their places."""
    if isinstance(data, list):
        for index, one in enumerate(data):
            yield from _rule_problems(one, f"{place}[{index}]")
    elif isinstance(data, dict):
        for key, value in data.items():
            if key != "when":
                yield from _rule_problems(value, f"{place}.{key}")
            elif value is not None:
                try:
                    rule_admit(value)
                except Invalid as error:
                    yield Problem(f"{place}.when", error.message)


def templates_known() -> list[TemplateSlots]:
    """The templates that have a version, with the slots of the one that would be taken."""
    ids = list(TemplateVersion.objects.order_by().values_list("template_id", flat=True).distinct())
    taken = templates_taken(ids)
    return [TemplateSlots(pk, taken[pk].template.code, tuple(taken[pk].slots)) for pk in sorted(taken)]


def _trigger_problems(playbook: Playbook) -> list[Problem]:
    problems = []
    if playbook.event_where is not None:
        try:
            rule = rule_parse(playbook.event_where)
            if not all(isinstance(leaf, Attribute) for leaf in rule_leaves(rule)):
                problems.append(
                    Problem("event_where", "Only attribute may be asked for: it is a property of the event")
                )
            playbook.event_where = rule_to_json(rule)
        except Invalid as error:
            problems.append(Problem("event_where", error.message))
    if playbook.again_after_days is not None and playbook.again_after_days > 3650:
        problems.append(Problem("again_after_days", "Write a number of days up to 3650, or leave it empty"))
    return problems


def _days_problems(playbook: Playbook) -> list[Problem]:
    days = playbook.send_days
    if not isinstance(days, list) or not all(day in WEEKDAYS for day in days):
        return [Problem("send_days", f"Choose of {', '.join(WEEKDAYS)}")]
    playbook.send_days = [day for day in WEEKDAYS if day in days]
    return []


def _blocked_problems(playbook: Playbook) -> list[Problem]:
    """What is wrong with the items it never shows. Brings them into one spelling."""
    blocked = playbook.blocked_items
    if not isinstance(blocked, list) or not all(isinstance(sku, str) and len(sku) <= 80 for sku in blocked):
        return [Problem("blocked_items", "Write numbers of items, one a line")]
    playbook.blocked_items = sorted({sku.strip() for sku in blocked} - {""})
    if len(playbook.blocked_items) > _MOST_BLOCKED:
        return [Problem("blocked_items", f"At most {_MOST_BLOCKED}: what nobody may see is set so in the catalog")]
    return []


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
    """What the playbook is at this moment, with the published versions of all it uses (see `taking.py`), and who wrote
    those versions: user ids by ("template" or "block", id of the version).

    The playbook has passed `playbook_problems`. Raises Invalid for a block without a version or what was withdrawn,
    Conflict for what is not what was published.
    """
    template = template_latest(playbook)
    assert template is not None  # noqa: S101  # playbook_problems saw to it
    used = {step["template"] for _, step in steps_walk(playbook.steps) if step["kind"] == "message"}
    templates = {template.template_id: template} | templates_taken(used)
    messages = [step for _, step in steps_walk(playbook.steps) if step["kind"] == "message"]
    chosen = [playbook.slots, *(step["slots"] for step in messages)]
    wanted = {tier["block"] for slots in chosen for tiers in slots.values() for tier in tiers}
    taking_check(blocks=wanted, templates=templates.keys())
    versions = blocks_taken(wanted)
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
        audience_rule=rule_pinned(playbook.audience.rule),
        template_version=template.pk,
        brand=brand_spec(brand),
        slots=_slots_pinned(playbook.slots, versions),
        languages=languages_offered(list(versions.values()), brand.default_language),
        cap=None
        if playbook.cap_count is None or playbook.cap_days is None
        else {"count": playbook.cap_count, "days": playbook.cap_days},
        send_within_hours=playbook.send_within_hours,
        kpi=playbook.kpi,
        approval_path=playbook.approval_path,
        steps=_steps_pinned(playbook.steps, versions, {pk: one.pk for pk, one in templates.items()}),
        event={"name": playbook.event_name, "where": playbook.event_where}
        if playbook.trigger == Playbook.Trigger.EVENT
        else None,
        entry_existing=playbook.entry_existing,
        again_after_days=playbook.again_after_days,
        quiet=None
        if playbook.quiet_start is None or playbook.quiet_end is None
        else {"start": f"{playbook.quiet_start:%H:%M}", "end": f"{playbook.quiet_end:%H:%M}"},
        guardrails=playbook.guardrails,
    )
    if playbook.topic_id is not None:
        spec["topic"] = playbook.topic_id
    if playbook.placement:
        spec["placement"] = playbook.placement
    if playbook.priority != PRIORITY:
        spec["priority"] = playbook.priority
    if playbook.send_days:
        spec["send_days"] = list(playbook.send_days)
    if playbook.own_zone:
        spec["own_zone"] = True
    if playbook.holdout_percent:
        spec["holdout"] = playbook.holdout_percent
    if playbook.heeds_tickets:
        spec["heeds_tickets"] = True
    if playbook.blocked_items:
        spec["blocked_items"] = list(playbook.blocked_items)
    if playbook.mail_kind:
        spec["mail_kind"] = playbook.mail_kind
    written = {("block", version.pk): version.created_by_id for version in versions.values()}
    written |= {("template", one.pk): one.created_by_id for one in templates.values()}
    return spec, written


def _slots_pinned(slots: dict[str, Any], versions: dict[int, BlockVersion]) -> dict[str, list[TierSpec]]:
    return {name: [_tier_pinned(tier, versions[tier["block"]]) for tier in tiers] for name, tiers in slots.items()}


def _tier_pinned(tier: dict[str, Any], version: BlockVersion) -> TierSpec:
    """A tier with its block: the block's validity, and whether a model chooses what it shows."""
    spec = TierSpec(
        tier=tier["tier"],
        name=tier["name"],
        block_version=version.pk,
        when=rule_pinned(tier["when"]) if tier["when"] is not None else None,
        source=tier["source"],
        count=tier["count"],
    )
    if is_by_model(tier["source"]):
        spec["chosen"] = True
    if version.valid_from is not None:
        spec["valid_from"] = version.valid_from.astimezone(UTC).isoformat()
    if version.valid_until is not None:
        spec["valid_until"] = version.valid_until.astimezone(UTC).isoformat()
    return spec


def _steps_pinned(
    steps: list[dict[str, Any]], versions: dict[int, BlockVersion], templates: dict[int, int]
) -> list[StepSpec]:
    pinned: list[StepSpec] = []
    for step in steps:
        kept: dict[str, Any] = {key: value for key, value in step.items() if key not in ("template", "slots")}
        if kept.get("when") is not None:
            kept["when"] = rule_pinned(kept["when"])
        if step["kind"] == "message":
            kept["template_version"] = templates[step["template"]]
            kept["slots"] = _slots_pinned(step["slots"], versions)
        for way in ("then", "else"):
            if way in step:
                kept[way] = _steps_pinned(step[way], versions, templates)
        pinned.append(cast(StepSpec, kept))
    return pinned


def languages_offered(versions: list[BlockVersion], default: str) -> list[str]:
    """The languages a message of these blocks can come in, the brand's own first."""
    return languages_common([version.content for version in versions], default)


def block_versions_pinned(spec: Any) -> set[int]:
    """The ids of all versions of blocks that a spec pins, wherever in it."""
    return _pinned(spec, "block_version")


def template_versions_pinned(spec: Any) -> set[int]:
    """The ids of all versions of templates that a spec pins, wherever in it."""
    return _pinned(spec, "template_version")


def _pinned(data: Any, key: str) -> set[int]:
    if isinstance(data, dict):
        own = {data[key]} if isinstance(data.get(key), int) else set()
        return own.union(*(_pinned(value, key) for value in data.values()))
    return set().union(*(_pinned(value, key) for value in data)) if isinstance(data, list) else set()


def messages_compile(spec: PlaybookSpec) -> dict[str, dict[str, int]]:
    """Compile every message of a spec: by id of its step, ids of compiled templates by language. Raises Invalid."""
    return {
        step: message_compile(
            template_version_id=message["template_version"],
            brand=spec["brand"],
            slots=message["slots"],
            languages=spec["languages"],
            links=link_terms(spec.get("mail_kind", "")),
            conditions=settings.BULK_CONDITIONS if spec["budget"] == Playbook.Budget.BULK else None,
        )
        for step, message in message_steps(spec).items()
    }


def compiled_ids(compiled: Mapping[str, int], by_step: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """Ids of compiled templates under the names by which a digest binds them: `en`, and `hello/en` for each step."""
    steps = {f"{step}/{language}": pk for step, ids in by_step.items() for language, pk in ids.items()}
    return {**compiled, **steps}


def version_digest(version: PlaybookVersion) -> str:
    """The digest of a version as it is stored now."""
    ids = compiled_ids(version.compiled, version.compiled_steps)
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
