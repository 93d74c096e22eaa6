"""Filters for staff pages."""

from typing import Any

from django import template
from django.template import Context
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.decisioning.playbooks.models import PlaybookVersion
from apps.foundation.accounts.models import User
from apps.foundation.governance.notices import notices_unread as governance_notices_unread
from apps.insight.monitoring.models import Measure
from apps.surfaces.console.rehearsals import dry_run_for, figures_of

register = template.Library()


@register.inclusion_tag("console/parts/rehearsal_card.html", takes_context=True)
def rehearsal_card(context: Context, version: PlaybookVersion) -> dict[str, Any]:
    """What the dry run of a version says, in short, for those who are asked to agree to it."""
    user = context["request"].user
    if not user.has_perms(["playbooks.view_playbook", "console.view_dryrun"]):
        return {"hidden": True}
    found, standing = dry_run_for(version)
    return {
        "hidden": False,
        "version": version,
        "dry_run": found,
        "standing": standing,
        "figures": figures_of(found) if found is not None else None,
        "may_make": user.has_perm("console.make_dryrun"),
        "may_test": user.has_perm("console.make_testsend"),
        "csrf_token": context.get("csrf_token"),
    }


@register.filter
def duration(seconds: float) -> str:
    """Seconds for people: `40 s`, `3 min`, `2 h 5 min`."""
    whole = max(round(seconds), 1)
    if whole < 100:
        return ngettext("%(count)d second", "%(count)d seconds", whole) % {"count": whole}
    minutes = round(whole / 60)
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


@register.filter
def grouped(number: int) -> str:
    """A count for people: `12,345`."""
    return f"{number:,}"


@register.filter
def kilobytes(size: int) -> str:
    """Bytes for people, as Gmail counts: `31.4 kB` of 1,024 bytes each."""
    return f"{size / 1024:,.1f} kB"


@register.filter
def percent(share: float) -> str:
    """A share of 0 to 1 for people: `79.9 %`. Cut, so that what is below a threshold never reads as at it."""
    return f"{int(share * 1000 + 1e-9) / 10:g} %"


@register.filter
def measure_words(measure: str) -> str:
    """What somebody lacks by a measure of data quality."""
    words = {
        Measure.KNOWN: _("without it"),
        Measure.FITTING: _("not as defined"),
        Measure.ALIKE: _("written otherwise"),
        Measure.DISTINCT: _("the same as others"),
        Measure.FRESH: _("not fresh"),
    }
    return words[Measure(measure)]


@register.filter
def entry(values: dict[str, str], name: str) -> str:
    """What a dictionary holds under a name, "" when nothing."""
    return values.get(name, "")


@register.simple_tag
def notices_unread(user: User) -> int:
    """How many notices somebody has not read, up to a hundred."""
    return governance_notices_unread(user)
