"""Filters for the customers' pages."""

from datetime import datetime

from django import template
from django.utils.formats import date_format
from django.utils.timezone import localtime

from apps.surfaces.preferences.speaking import DAY

register = template.Library()


@register.filter
def day(moment: datetime) -> str:
    """The day of a moment where the person is, as their language writes it: 22 November 2026."""
    return date_format(localtime(moment), str(DAY))
