"""Telling staff what is due, and what is overdue, each once."""

from datetime import timedelta
from typing import Final

from django.db.models import Q
from django.urls import reverse

from apps.foundation.accounts.models import User
from apps.foundation.core.clock import now
from apps.foundation.governance.models import Notice
from apps.foundation.governance.notices import notices_add

from .rules import days_left
from .selectors import requests_running

SOON: Final = timedelta(days=7)


def deadlines_tell() -> int:
    """Tell those who answer requests of what is due within a week, and again once it is overdue. Returns how many
    notices were made."""
    at = now()
    told = 0
    for request in requests_running().filter(due_at__lt=at + SOON)[:500]:
        days = days_left(request.due_at, at)
        overdue = days < 0
        told += notices_add(
            users=_those_who_answer(),
            kind=Notice.Kind.DUE,
            key=f"request:{request.pk}:{'overdue' if overdue else 'soon'}:{request.due_at:%Y-%m-%d}",
            place=reverse("admin:privacy_rightsrequest_change", args=[request.pk]),
            title=f"{request} is overdue" if overdue else f"{request} is due on {request.due_at:%-d %B}",
            body="The law gives a month (GDPR, Article 12(3)). It can be extended once, with a reason.",
        )
    return told


def _those_who_answer() -> list[int]:
    right = Q(
        groups__permissions__content_type__app_label="privacy", groups__permissions__codename="change_rightsrequest"
    )
    return list(User.objects.filter(right, is_active=True).distinct().values_list("pk", flat=True))
