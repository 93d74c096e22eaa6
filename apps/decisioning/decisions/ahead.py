"""Ahead of a send: what deciding would have to make for an audience is put into Redis beforehand.

That is people's features (their online copies), and what the engine chooses for them (`choices.py`), each kept with all
that it depends on: who differs in anything by the time of the send has theirs made then. So a send is right whether or
not anything was precomputed; consent, draws and caps are asked when it is decided, as without. Of a playbook with steps
it is done for the messages that people will get to soon, as far as that can be told (`playbooks/coming.py`).
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain, groupby

from django.conf import settings
from django.db import connection
from django.db.models import Q

from apps.data.features.online import copies_fill
from apps.decisioning.audiences.contracts import FeatureIs, rule_leaves
from apps.decisioning.audiences.rules import rule_parse
from apps.decisioning.audiences.selectors import audience_ids
from apps.decisioning.playbooks.coming import Coming, beginners_coming, journeys_coming
from apps.decisioning.playbooks.models import Journey, Playbook, PlaybookVersion, Preparation
from apps.decisioning.playbooks.selectors import next_instant
from apps.decisioning.playbooks.services import BATCH
from apps.decisioning.playbooks.steps import in_one_go
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, DomainError, NotFound

from .choices import validity_at
from .engine import Plan
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


@dataclass(frozen=True, slots=True)
class _Part:
    """People who get the same message at the same moment, or at moments that make no difference to it."""

    version: PlaybookVersion
    step: str
    plan: Plan
    at: datetime
    people: Sequence[int]


_Parts = Iterable[tuple[Sequence[int], Iterable[_Part]]]
"""People, some at a time, with the messages that they will get."""


def audience_precompute(
    *,
    playbook: str,
    at: datetime | None = None,
    told: Callable[[Ahead], None] = lambda came: None,
    stop: Callable[[], bool] = lambda: False,
) -> Ahead:
    """Precompute for who is in the audience of a published playbook now; of one with steps for the messages that they
    get to within `PRECOMPUTE_AHEAD_MINUTES` if they begin, and then for those who are under way. playbook: its code;
    at: the moment of the send, as far as it is known: which blocks and picks are valid then; now unless given.

    Safe to stop and to repeat. Nobody for one that looks at no features, and while another process is at it.
    Raises NotFound, Conflict for one that is not published or not what was approved, redis.RedisError.
    """
    found = Playbook.objects.select_related("published").filter(code=playbook).first()
    if found is None:
        raise NotFound("playbook_unknown", f"There is no playbook {playbook!r}")
    version = found.published
    if version is None:
        raise Conflict("playbook_not_published", f"{playbook} is not published: nothing of it is sent")
    return _precompute(version, _audience(version, at or now()), told, stop)


def journeys_precompute(*, version: PlaybookVersion) -> Ahead:
    """Precompute for who is under way in a version's playbook and gets to a message within `PRECOMPUTE_AHEAD_MINUTES`,
    by the version that each follows.

    Raises redis.RedisError, Conflict.
    """
    return _precompute(version, _under_way(version))


def _audience(version: PlaybookVersion, at: datetime) -> _Parts:
    ids = audience_ids(rule=rule_parse(version.spec["audience_rule"]), as_of=now(), batch=BATCH)
    if in_one_go(version.spec):
        plan = version_plan(version.pk, version.digest, "")
        return ((some, [_Part(version, "", plan, at, some)]) for some in ids)
    return chain(((some, _parts(_beginning(version, some, at))) for some in ids), _under_way(version))


def _beginning(version: PlaybookVersion, profile_ids: Sequence[int], at: datetime) -> list[Coming]:
    return beginners_coming(version=version, profile_ids=profile_ids, begin_at=at, at=now(), until=_soon())


def _under_way(version: PlaybookVersion) -> _Parts:
    for coming in journeys_coming(playbook_id=version.playbook_id, at=now(), until=_soon()):
        yield sorted({one.profile_id for one in coming}), _parts(coming)


def _soon() -> datetime:
    return now() + timedelta(minutes=settings.PRECOMPUTE_AHEAD_MINUTES)


def _parts(coming: Iterable[Coming]) -> Iterator[_Part]:
    """What comes, by message, and by what of it hangs on the moment."""
    messages: defaultdict[tuple[int, str], list[Coming]] = defaultdict(list)
    for one in sorted(coming, key=lambda one: one.at):
        messages[one.version_id, one.step].append(one)
    for (version_id, step), due in messages.items():
        version = PlaybookVersion.objects.get(pk=version_id)
        plan = version_plan(version.pk, version.digest, step)
        for _, alike in groupby(due, key=lambda one: validity_at(plan, one.at)):
            first, *others = alike
            people = dict.fromkeys([first.profile_id, *(one.profile_id for one in others)])
            yield _Part(version, step, plan, first.at, list(people))


def _precompute(
    version: PlaybookVersion,
    parts: _Parts,
    told: Callable[[Ahead], None] = lambda came: None,
    stop: Callable[[], bool] = lambda: False,
) -> Ahead:
    came = Ahead(0, 0, 0, done=True)
    if not _looks_at_features(version):
        return came
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [_LOCK, version.playbook_id % 2**31])
        if cursor.fetchone() != (True,):
            return replace(came, done=False)
        try:
            rows = _Rows(version.playbook_id)
            for ids, messages in parts:
                if stop():
                    return replace(came, done=False)
                made, chosen = copies_fill(profile_ids=ids, as_of=now()), 0
                for part in messages:
                    chosen += rows.put(part, _choose(part))
                came = Ahead(came.people + len(ids), came.made + made, came.choices + chosen, done=False)
                told(came)
            rows.end()
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [_LOCK, version.playbook_id % 2**31])
    return replace(came, done=True)


class _Rows:
    """The rows that say what of a playbook is ready, of each message that somebody will get."""

    def __init__(self, playbook_id: int) -> None:
        self._playbook_id, self._began_at = playbook_id, now()
        self._counts: dict[tuple[int, str], tuple[int, int]] = {}

    def put(self, part: _Part, choices: int) -> int:
        """Note what was done for people. choices: written; returned."""
        of = part.version.pk, part.step
        people, before = self._counts.get(of, (0, 0))
        self._counts[of] = people + len(part.people), before + choices
        self._write(of, done=False)
        return choices

    def end(self) -> None:
        """Note that nobody is left."""
        for of in self._counts:
            self._write(of, done=True)

    def _write(self, of: tuple[int, str], *, done: bool) -> None:
        people, choices = self._counts[of]
        values = {
            "playbook_id": self._playbook_id,
            "began_at": self._began_at,
            "ended_at": now(),
            "people": people,
            "choices": choices,
            "done": done,
        }
        Preparation.objects.update_or_create(version_id=of[0], step=of[1], defaults=values)


def _choose(part: _Part) -> int:
    """Put into Redis what the engine chooses for people. Returns how many choices that were."""
    with connection.cursor() as cursor:
        decided = people_decide(
            cursor,
            plan=part.plan,
            purpose=part.version.spec["purpose"],
            channel=part.version.spec["channel"],
            profile_ids=part.people,
            as_of=now(),
            at=part.at,
        )
    chosen = {
        decided.people[one].alike: verdict.choice for one, verdict in decided.verdicts if verdict.choice is not None
    }
    return prepared_write(chosen) if chosen else 0


def _looks_at_features(version: PlaybookVersion) -> bool:
    """Whether deciding about somebody reads their features: for lists, or because a rule asks for them."""
    if not in_one_go(version.spec):
        return True
    plan = version_plan(version.pk, version.digest, "")
    return bool(plan.sources) or any(isinstance(leaf, FeatureIs) for rule in plan.rules for leaf in rule_leaves(rule))


def scheduled_precompute(*, at: datetime) -> int:
    """Precompute for what comes within `PRECOMPUTE_AHEAD_MINUTES`: playbooks whose schedule does, and people under way
    who get to a message. Returns for how many people. Raises redis.RedisError."""
    if not settings.PRECOMPUTE_AHEAD_MINUTES:
        return 0
    soon = at + timedelta(minutes=settings.PRECOMPUTE_AHEAD_MINUTES)
    under_way = Journey.objects.filter(state=Journey.State.ACTIVE, due_at__lte=soon).values("playbook_id")
    scheduled = Q(published__spec__trigger=Playbook.Trigger.SCHEDULE)
    coming = Playbook.objects.filter(scheduled | Q(pk__in=under_way)).order_by("pk")
    people = 0
    for playbook in coming.select_related("published"):
        instant = next_instant(playbook=playbook, after=at)
        try:
            if instant is not None and instant <= soon:
                people += audience_precompute(playbook=playbook.code, at=instant).people
            elif playbook.published is not None:
                people += journeys_precompute(version=playbook.published).people
        except DomainError as error:
            logger.error("nothing is made ahead for playbook %s: %s", playbook.pk, error.code)
    return people
