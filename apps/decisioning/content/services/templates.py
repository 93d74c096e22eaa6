"""Writes about templates and their versions."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from apps.decisioning.content.cases import MAX_CASES, Arrangement, Case, arrangement_data, blocks_renamed, case_data
from apps.decisioning.content.checking import template_problems
from apps.decisioning.content.children import apart
from apps.decisioning.content.compiling import TemplateSource, sources_tidy
from apps.decisioning.content.contracts import Problem, problems_refuse, template_digest
from apps.decisioning.content.models import Block, Brand, Template, TemplateVersion
from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import right_require
from apps.foundation.core.clock import now
from apps.foundation.core.conflicts import unchanged_since
from apps.foundation.core.errors import Conflict, Invalid
from apps.foundation.core.text import is_blank
from apps.foundation.governance.services import audit_record
from apps.foundation.governance.workflow import head_edited

from .rows import assign, created, known, locked, saved


def template_create(
    *,
    by: User,
    code: str,
    name: str,
    subject: str,
    mjml: str,
    text: str,
    owner: User | None = None,
    arrangement: Arrangement | None = None,
    cases: Sequence[Case] | None = None,
    why: str = "",
    channel: str = Template.Channel.EMAIL,
) -> Template:
    """A template with its first version. Raises Invalid with every problem, Conflict for a code in use, NotAllowed.

    arrangement, cases: its tests, blocks by name. They are kept as they are; whether they pass is asked when the
    version is to be published. channel: that it is written for, for good.
    """
    right_require(by, "add", Template, what="add templates")
    if is_blank(name):
        raise Invalid("template_refused", "Give the template a name")
    if channel not in Template.Channel.values:
        raise Invalid("template_refused", f"A template is written for one of {', '.join(Template.Channel.values)}")
    with transaction.atomic():
        template = Template(code=code, name=name, owner=owner or by, channel=channel)
        created(template, by, "content.template.created", f"There is a template {code} already")
        _template_version_add(
            template, subject=subject, mjml=mjml, text=text, arrangement=arrangement, cases=cases, by=by, why=why
        )
    return template


def template_update(*, template_id: int, by: User, seen_at: datetime | None = None, **values: Any) -> Template:
    """Change a template's name; its sources are in its versions. Voids approvals of what is not published.

    seen_at: its `updated_at` as the caller read it. Raises Invalid, NotFound, NotAllowed, Conflict when it was changed
    since.
    """
    with transaction.atomic():
        template = locked(Template, template_id)
        right_require(by, "change", template, what="change this template")
        unchanged_since(template, seen_at)
        changed = assign(template, known(values, frozenset({"name"})))
        if is_blank(template.name):
            raise Invalid("template_refused", "Give the template a name")
        if changed:
            head_edited(head=template, by=by, why="The template was renamed")
        return saved(template, changed, by, "content.template.changed")


def template_version_create(
    *,
    template_id: int,
    by: User,
    subject: str | None = None,
    mjml: str | None = None,
    text: str | None = None,
    arrangement: Arrangement | None = None,
    cases: Sequence[Case] | None = None,
    base: int | None = None,
    why: str = "",
) -> TemplateVersion:
    """New sources or tests of a template, checked as `checking.py` says; what is not given stays as it was.

    base: number of the version that was edited; why: for the history. Voids approvals of what is not published.
    Raises Invalid `template_refused` with every problem (source, line, token, mend) in `extra["problems"]`, Conflict
    when somebody made a newer version meanwhile, NotFound, NotAllowed.
    """
    with transaction.atomic():
        template = locked(Template, template_id)
        right_require(by, "change", template, what="change this template")
        newest = template.versions.order_by("-number").values_list("number", flat=True).first() or 0
        if base is not None and base != newest:
            raise Conflict(
                "template_changed_meanwhile",
                f"Somebody saved version {newest} meanwhile: look at it, then enter your change again",
            )
        return _template_version_add(
            template, subject=subject, mjml=mjml, text=text, arrangement=arrangement, cases=cases, by=by, why=why
        )


def _template_version_add(
    template: Template,
    *,
    subject: str | None,
    mjml: str | None,
    text: str | None,
    arrangement: Arrangement | None,
    cases: Sequence[Case] | None,
    by: User,
    why: str,
) -> TemplateVersion:
    newest = template.versions.order_by("-number").first()
    sources = sources_tidy(
        subject=subject if subject is not None else newest.subject if newest else "",
        mjml=mjml if mjml is not None else newest.mjml if newest else "",
        text=text if text is not None else newest.text if newest else "",
    )
    problems, slots = apart(template_problems, TemplateSource(template.name, **sources, channel=template.channel))
    tests, wrong = _tests_kept(newest, arrangement, cases)
    problems_refuse("template_refused", [*problems, *wrong], "The template can't be saved")
    digest = template_digest(**sources, **tests)
    if newest is not None and newest.digest == digest:
        return newest
    version = TemplateVersion.objects.create(
        template=template,
        number=newest.number + 1 if newest else 1,
        slots=slots,
        digest=digest,
        why=why.strip()[:400],
        created_by=by,
        **sources,
        **tests,
    )
    head_edited(head=template, by=by, why=f"{version} was saved")
    Template.objects.filter(pk=template.pk).update(updated_at=now())
    audit_record(
        action="content.template.version_made",
        actor=by,
        subject=template,
        data={"number": version.number, "digest": digest},
    )
    return version


def _tests_kept(
    newest: TemplateVersion | None, arrangement: Arrangement | None, cases: Sequence[Case] | None
) -> tuple[dict[str, Any], list[Problem]]:
    """Arrangement and cases as they are stored, blocks by id; those of the newest version where none are given."""
    before = {"arrangement": newest.arrangement, "cases": newest.cases} if newest else {"arrangement": {}, "cases": []}
    if arrangement is None and cases is None:
        return before, []
    problems: list[Problem] = []
    if arrangement is not None and arrangement.brand and not Brand.objects.filter(code=arrangement.brand).exists():
        problems.append(Problem("arrangement", 0, arrangement.brand, "is no brand that there is"))
    names = [case.name for case in cases or ()]
    if len(names) > MAX_CASES or len(set(names)) < len(names):
        problems.append(Problem("cases", 0, "", f"must be at most {MAX_CASES}, each with a name of its own"))
    given, listed = arrangement or Arrangement(), cases or ()
    wanted = {tier.block for tiers in given.slots.values() for tier in tiers}
    wanted |= {slot.block for case in listed for slot in case.slots.values() if slot.block}
    ids = {name: str(pk) for name, pk in Block.objects.filter(name__in=wanted).values_list("name", "pk")}
    problems.extend(
        Problem("arrangement", 0, name, "is no block that there is") for name in sorted(wanted - ids.keys())
    )
    if problems:
        return before, problems
    given, kept = blocks_renamed(given, listed, ids.__getitem__)
    after = dict(before)
    if arrangement is not None:
        after["arrangement"] = arrangement_data(given)
    if cases is not None:
        after["cases"] = [{"name": case.name, **case_data(case)} for case in sorted(kept, key=lambda case: case.name)]
    return after, []
