"""Forgetting what was kept long enough: by rule, a bounded piece of each at a time, going on where it left off."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import Error as AnyDatabaseError
from django.db import transaction
from django.db.models import F

from apps.foundation.core.clock import now

from .models import RetentionMark
from .registry import RetentionRule, retention_rules

logger = logging.getLogger(__name__)

_BATCH: Final = 1_000
_SECONDS: Final = 60
"""For how long one run goes on with one rule; the next run takes up the rest."""


def retention_run(*, at: datetime | None = None) -> dict[str, int]:
    """Carry out every rule. Returns how much each forgot. A rule that fails is marked, and the others go on."""
    at = at or now()
    return {rule.name: _carry_out(rule, at) for rule in retention_rules() if rule.days > 0}


def _carry_out(rule: RetentionRule, at: datetime) -> int:
    before, began, forgot = at - timedelta(days=rule.days), time.monotonic(), 0
    problem = ""
    try:
        while True:
            with transaction.atomic():
                count = rule.forget(before, _BATCH)
                _mark(rule, at, count, first=forgot == 0)
            forgot += count
            if count < _BATCH or time.monotonic() - began > _SECONDS:
                break
    except (AnyDatabaseError, OSError) as error:
        problem = type(error).__name__
        logger.error("retention of %s failed: %s", rule.name, problem)
    RetentionMark.objects.filter(pk=rule.name).update(problem=problem)
    return forgot


def _mark(rule: RetentionRule, at: datetime, count: int, *, first: bool) -> None:
    mark, _ = RetentionMark.objects.get_or_create(pk=rule.name, defaults={"ran_at": at})
    RetentionMark.objects.filter(pk=mark.pk).update(
        ran_at=at, forgot_last=count if first else F("forgot_last") + count, forgot=F("forgot") + count
    )


@dataclass(frozen=True, slots=True)
class Kept:
    """A rule as people see it, with what it did last. days: 0 for as long as the person is known."""

    rule: RetentionRule
    days: int
    mark: RetentionMark | None


def retention_shown() -> Sequence[Kept]:
    """Every rule, with how it went."""
    marks = RetentionMark.objects.in_bulk()
    return [Kept(rule, rule.days, marks.get(rule.name)) for rule in retention_rules()]
