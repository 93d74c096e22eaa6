"""Ahead of a send: what deciding would have to make of each person of an audience is put into Redis beforehand.

That is their features' online copies, and no more: neither what is chosen nor what is rendered is kept (ADR 243). A
copy is made void by what changes its person and ends by itself; who has none when it is decided has theirs made then.
So a send is right whether or not anything was precomputed, and gate, caps and choice are as without.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection

from apps.data.features.online import copies_fill
from apps.decisioning.audiences.contracts import FeatureIs, rule_leaves
from apps.decisioning.audiences.rules import rule_parse
from apps.decisioning.audiences.selectors import audience_ids
from apps.decisioning.playbooks.models import Playbook, PlaybookVersion
from apps.decisioning.playbooks.selectors import next_instant
from apps.decisioning.playbooks.services import BATCH
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, NotFound

from .services import version_plan

logger = logging.getLogger(__name__)

_LOCK = 7209  # class of the advisory locks under which a playbook's audience is gone through


@dataclass(frozen=True, slots=True)
class Ahead:
    """How far it came. people: looked at; made: copies written; done: whether nobody is left."""

    people: int
    made: int
    done: bool


def audience_precompute(
    *,
    playbook: str,
    told: Callable[[Ahead], None] = lambda came: None,
    stop: Callable[[], bool] = lambda: False,
) -> Ahead:
    """Precompute for who is in the audience of a published playbook now. playbook: its code.

    Safe to stop and to repeat. Nobody for one that looks at no features, and while another process is at it.
    Raises NotFound, Conflict for one that is not published or not what was approved, redis.RedisError.
    """
    found = Playbook.objects.select_related("published").filter(code=playbook).first()
    if found is None:
        raise NotFound("playbook_unknown", f"There is no playbook {playbook!r}")
    version = found.published
    if version is None:
        raise Conflict("playbook_not_published", f"{playbook} is not published: nothing of it is sent")
    people = made = 0
    if not _looks_at_features(version):
        return Ahead(0, 0, done=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [_LOCK, version.playbook_id % 2**31])
        if cursor.fetchone() != (True,):
            return Ahead(0, 0, done=False)
        try:
            for ids in audience_ids(rule=rule_parse(version.spec["audience_rule"]), as_of=now(), batch=BATCH):
                if stop():
                    return Ahead(people, made, done=False)
                made += copies_fill(profile_ids=ids, as_of=now())
                people += len(ids)
                told(Ahead(people, made, done=False))
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [_LOCK, version.playbook_id % 2**31])
    return Ahead(people, made, done=True)


def _looks_at_features(version: PlaybookVersion) -> bool:
    """Whether deciding about somebody reads their features: for lists, or because a rule asks for them."""
    if version.compiled_steps:
        return True
    plan = version_plan(version.pk, version.digest, "")
    return bool(plan.sources) or any(isinstance(leaf, FeatureIs) for rule in plan.rules for leaf in rule_leaves(rule))


def scheduled_precompute(*, at: datetime) -> int:
    """Precompute for playbooks whose schedule comes within `PRECOMPUTE_AHEAD_MINUTES`. Returns for how many people."""
    ahead = timedelta(minutes=settings.PRECOMPUTE_AHEAD_MINUTES)
    people = 0
    scheduled = Playbook.objects.filter(published__spec__trigger=Playbook.Trigger.SCHEDULE).order_by("pk")
    for playbook in scheduled.select_related("published"):
        instant = next_instant(playbook=playbook, after=at)
        if instant is not None and instant <= at + ahead:
            people += audience_precompute(playbook=playbook.code).people
    return people
