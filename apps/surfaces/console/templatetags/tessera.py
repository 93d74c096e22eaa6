"""Filters for staff pages."""

from django import template
from django.utils.translation import ngettext

register = template.Library()


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
def entry(values: dict[str, str], name: str) -> str:
    """What a dictionary holds under a name, "" when nothing."""
    return values.get(name, "")
