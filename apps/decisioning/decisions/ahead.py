"""Ahead of a send: what deciding would have to make for an audience is put into Redis beforehand.

That is people's features (their online copies), and what the engine chooses for them (`choices.py`), each kept with all
that it depends on: who differs in anything by the time of the send has theirs made then. So a send is right whether or
not anything was precomputed; consent, draws and caps are asked when it is decided, as without.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection
from django.db.models import QuerySet

from apps.data.features.online import copies_fill
from apps.decisioning.audiences.contracts import FeatureIs, rule_leaves
from apps.decisioning.audiences.rules import rule_parse
from apps.decisioning.audiences.selectors import audience_ids
from apps.decisioning.playbooks.models import Playbook, PlaybookVersion, Preparation
from apps.decisioning.playbooks.selectors import next_instant
from apps.decisioning.playbooks.services import BATCH
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, NotFound

from .prepared import prepared_write
from .services import people_decide, version_plan

logger = logging.getLogger(__name__)

_LOCK = 7209  # class of the advisory locks under which a playbook's audience is gone through


@dataclass(frozen=True, slots=True)
class Ahead:
    """How far it came. people: looked at; made: copies of features written; choices: written, one for all who are
    alike in a batch; done: whether nobody is left."""

    people: int
    made: int
    choices: int
    done: bool


def audience_precompute(
    *,
    playbook: str,
    at: datetime | None = None,
    told: Callable[[Ahead], None] = lambda came: None,
    stop: Callable[[], bool] = lambda: False,
) -> Ahead:
    """Precompute for who is in the audience of a published playbook now. playbook: its code; at: the moment of the
    send, as far as it is known: which blocks and picks are valid then; now unless given.

    Safe to stop and to repeat. Nobody for one that looks at no features, and while another process is at it. Of a
    playbook of several steps only features are precomputed: who gets to a step when depends on each.
    Raises NotFound, Conflict for one that is not published or not what was approved, redis.RedisError.
    """
    found = Playbook.objects.select_related("published").filter(code=playbook).first()
    if found is None:
        raise NotFound("playbook_unknown", f"There is no playbook {playbook!r}")
    version = found.published
    if version is None:
        raise Conflict("playbook_not_published", f"{playbook} is not published: nothing of it is sent")
    came = Ahead(0, 0, 0, done=True)
    if not _looks_at_features(version):
        return came
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [_LOCK, version.playbook_id % 2**31])
        if cursor.fetchone() != (True,):
            return replace(came, done=False)
        try:
            row = _begun(version)
            for ids in audience_ids(rule=rule_parse(version.spec["audience_rule"]), as_of=now(), batch=BATCH):
                if stop():
                    return replace(came, done=False)
                made, chosen = copies_fill(profile_ids=ids, as_of=now()), _choose(version, ids, at)
                came = Ahead(came.people + len(ids), came.made + made, came.choices + chosen, done=False)
                row.update(people=came.people, choices=came.choices, ended_at=now())
                told(came)
            row.update(done=True, ended_at=now())
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [_LOCK, version.playbook_id % 2**31])
    return replace(came, done=True)


def _begun(version: PlaybookVersion) -> QuerySet[Preparation]:
    """The row that says what of a playbook is ready, begun anew."""
    at = now()
    values = {"version": version, "began_at": at, "ended_at": at, "people": 0, "choices": 0, "done": False}
    Preparation.objects.update_or_create(playbook_id=version.playbook_id, defaults=values)
    return Preparation.objects.filter(playbook_id=version.playbook_id)


def _choose(version: PlaybookVersion, ids: Sequence[int], at: datetime | None) -> int:
    """Put into Redis what the engine chooses for people. Returns how many choices that were."""
    if version.compiled_steps:
        return 0
    with connection.cursor() as cursor:
        decided = people_decide(
            cursor,
            plan=version_plan(version.pk, version.digest, ""),
            purpose=version.spec["purpose"],
            channel=version.spec["channel"],
            profile_ids=ids,
            as_of=now(),
            at=at or now(),
        )
    chosen = {
        decided.people[one].alike: verdict.choice for one, verdict in decided.verdicts if verdict.choice is not None
    }
    return prepared_write(chosen) if chosen else 0


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
            people += audience_precompute(playbook=playbook.code, at=instant).people
    return people
