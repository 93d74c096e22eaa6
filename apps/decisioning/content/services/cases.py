"""Writes about the tests of a template: each makes a new version, as a change of its sources does."""

from collections.abc import Sequence
from dataclasses import replace

from django.db import transaction

from apps.decisioning.content.case_runs import Suite
from apps.decisioning.content.cases import Arrangement, Case, arrangement_read, case_read
from apps.decisioning.content.contracts import Problem, problems_refuse
from apps.decisioning.content.models import Block, Brand, Template, TemplateVersion
from apps.decisioning.content.notation import Reading, yaml_read
from apps.decisioning.content.pieces import SourceRefused
from apps.decisioning.content.registry import arrangement_sources
from apps.decisioning.content.template_tests import template_suite, template_tests
from apps.decisioning.content.trying import start_apart
from apps.foundation.accounts.models import User
from apps.foundation.core.errors import Conflict, Invalid, NotFound

from .rows import locked
from .templates import template_version_create


def _newest(template_id: int, base: int | None) -> TemplateVersion:
    """The newest version, its template locked. Raises NotFound; Conflict when it isn't `base`."""
    template = locked(Template, template_id)
    newest = template.versions.select_related("template").order_by("-number").first()
    if newest is None:
        raise NotFound("template_version_unknown", "This template has no version yet")
    if base is not None and base != newest.number:
        raise Conflict(
            "template_changed_meanwhile",
            f"Somebody saved version {newest.number} meanwhile: look at it, then enter your change again",
        )
    return newest


def _reading(text: str, where: str) -> Reading:
    try:
        return yaml_read(text.replace("\r\n", "\n"), where)
    except SourceRefused as refused:
        problems_refuse("case_refused", [refused.problem], "It can't be saved")
        raise


def template_case_save(
    *, template_id: int, by: User, name: str, text: str, was: str = "", base: int | None = None
) -> TemplateVersion:
    """Write a case, as YAML. was: the case that it takes the place of; base: number of the version that was looked at.

    Raises Invalid with every problem, each with its line, Conflict, NotFound, NotAllowed.
    """
    with transaction.atomic():
        version = _newest(template_id, base)
        arrangement, cases = template_tests(version)
        name = name.strip()
        problems = []
        if not name or len(name) > 60 or not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
            problems.append(Problem("name", 0, "", "must be letters, digits, - and _, at most 60"))
        elif name != was and any(case.name == name for case in cases):
            problems.append(Problem("name", 0, name, "is in use already: choose another name"))
        case, wrong = case_read(_reading(text, "case"), name, arrangement if arrangement.slots else None)
        problems_refuse("case_refused", [*problems, *wrong], "The case can't be saved")
        kept = [one for one in cases if one.name not in (was, name)]
        return template_version_create(template_id=template_id, by=by, cases=[*kept, case] if case else kept)


def template_case_remove(*, template_id: int, by: User, name: str, base: int | None = None) -> TemplateVersion:
    """Take a case out; older versions keep it. Raises NotFound, Conflict, NotAllowed."""
    with transaction.atomic():
        version = _newest(template_id, base)
        _, cases = template_tests(version)
        kept = [case for case in cases if case.name != name]
        if len(kept) == len(cases):
            raise NotFound("case_unknown", f"There is no case {name}")
        return template_version_create(template_id=template_id, by=by, cases=kept)


def template_arrangement_save(*, template_id: int, by: User, text: str, base: int | None = None) -> TemplateVersion:
    """Write what stands in the slots while cases run, as YAML. Raises Invalid, Conflict, NotFound, NotAllowed."""
    with transaction.atomic():
        _newest(template_id, base)
        reading = _reading(text, "arrangement")
        if not isinstance(reading.data, dict):
            raise Invalid("arrangement_refused", "Write brand and slots, each with its tiers")
        unknown = sorted(set(reading.data) - {"brand", "slots"})
        arrangement, problems = arrangement_read(reading)
        problems = [reading.problem((key,), "is not known here: use brand, slots") for key in unknown] + problems
        problems_refuse("arrangement_refused", problems, "The arrangement can't be saved")
        return template_version_create(template_id=template_id, by=by, arrangement=arrangement)


def template_cases_start(*, template_id: int, by: User) -> tuple[TemplateVersion, Sequence[Case], Sequence[Problem]]:
    """Write cases for what no case covers yet, and an arrangement if there is none: the version, the new cases, and
    what none could be written for. Raises NotFound, NotAllowed, Invalid.
    """
    with transaction.atomic():
        version = _newest(template_id, None)
        suite = template_suite(version)
        if version.slots and not suite.arrangement.slots:
            suite = _arranged(version, suite)
        written, problems = start_apart(suite)
        if written or suite.arrangement != template_tests(version)[0]:
            version = template_version_create(
                template_id=template_id, by=by, arrangement=suite.arrangement, cases=[*suite.cases, *written]
            )
        return version, written, problems


def _arranged(version: TemplateVersion, suite: Suite) -> Suite:
    """The suite with an arrangement to begin with: of a playbook that uses the template, or plain guesses."""
    for source in arrangement_sources:
        found = source(template_id=version.template_id)
        if found is not None and set(found["slots"]) >= set(version.slots):
            names = {str(pk): name for pk, name in Block.objects.values_list("pk", "name")}
            slots = {
                name: [{**tier, "block": names.get(str(tier["block"]), "")} for tier in found["slots"][name]]
                for name in version.slots
            }
            arrangement, problems = arrangement_read(Reading({"brand": found["brand"], "slots": slots}, "playbook"))
            if not problems:
                return _standing(version, suite, arrangement)
    blocks = list(Block.objects.select_related("type").order_by("name"))
    if not blocks:
        raise Invalid("template_refused", "There are no blocks yet: write some first, so that the slots can show them")
    guesses = {}
    for slot in version.slots:
        near = [
            block for block in blocks if slot in block.tags or block.type.code == slot or slot in block.name.lower()
        ]
        plain = [
            block for block in near or blocks if all(field.get("kind") != "products" for field in block.type.fields)
        ]
        chosen = (plain or blocks)[0].name
        guesses[slot] = [{"tier": "static", "block": chosen}]
    brand = Brand.objects.order_by("pk").values_list("code", flat=True).first() or ""
    arrangement, _ = arrangement_read(Reading({"brand": brand, "slots": guesses}, "arrangement"))
    return _standing(version, suite, arrangement)


def _standing(version: TemplateVersion, suite: Suite, arrangement: Arrangement) -> Suite:
    from_blocks = template_suite(version, arrangement=arrangement)
    return replace(from_blocks, cases=suite.cases)
