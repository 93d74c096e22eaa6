"""Writes about templates and their versions."""

from typing import Any

from django.db import transaction

from apps.decisioning.content.checking import template_problems
from apps.decisioning.content.children import apart
from apps.decisioning.content.compiling import TemplateSource
from apps.decisioning.content.contracts import digest_of, problems_refuse
from apps.decisioning.content.models import Template, TemplateVersion
from apps.foundation.accounts.models import User
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid
from apps.foundation.core.text import is_blank
from apps.foundation.governance.services import audit_record

from .rows import assign, created, known, locked, may, saved


def template_create(
    *, by: User, code: str, name: str, subject: str, mjml: str, text: str, owner: User | None = None
) -> Template:
    """A template with its first version. Raises Invalid with every problem, Conflict for a code in use, NotAllowed."""
    may(by, "add_template", "add templates")
    if is_blank(name):
        raise Invalid("template_refused", "Give the template a name")
    with transaction.atomic():
        template = Template(code=code, name=name, owner=owner or by)
        created(template, by, "content.template.created", f"There is a template {code} already")
        _template_version_add(template, subject=subject, mjml=mjml, text=text, by=by)
    return template


def template_update(*, template_id: int, by: User, **values: Any) -> Template:
    """Change a template's name; its sources are in its versions. Raises Invalid, NotFound, NotAllowed."""
    may(by, "change_template", "change templates")
    with transaction.atomic():
        template = locked(Template, template_id)
        changed = assign(template, known(values, frozenset({"name"})))
        if is_blank(template.name):
            raise Invalid("template_refused", "Give the template a name")
        return saved(template, changed, by, "content.template.changed")


def template_version_create(
    *, template_id: int, subject: str, mjml: str, text: str, by: User, base: int | None = None
) -> TemplateVersion:
    """New sources of a template, checked as `checking.py` says.

    base: number of the version that was edited. Raises Invalid `template_refused` with every problem (source, line,
    token, mend) in `extra["problems"]`, Conflict when somebody made a newer version meanwhile, NotFound, NotAllowed.
    """
    may(by, "change_template", "change templates")
    with transaction.atomic():
        template = locked(Template, template_id)
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
    problems, slots = apart(template_problems, TemplateSource(template.name, **sources))
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
