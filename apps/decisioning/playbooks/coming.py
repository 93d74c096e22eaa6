"""Messages that people will get to soon, as far as that can be told: for whom something is made ahead. Reads only.

The engine that moves people on is asked what it would do when they are due, by what is known of them now. Who does
something meanwhile gets elsewhere: so this may guide what is made ahead, and never what is sent.
"""

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import DataError, connection

from apps.foundation.core.errors import DomainError

from .engine import Standing, messages_coming
from .journeys import BATCH, Due, journeys_known, version_followed
from .models import PlaybookVersion

logger = logging.getLogger(__name__)

_DUE = """
SELECT id, version_id, profile_id, occasion_key, trigger, step, entered_at, reached_at, due_at
FROM playbooks_journey
WHERE playbook_id = %s AND state = 'active' AND due_at <= %s AND (due_at, id) > (%s, %s)
ORDER BY due_at, id LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class Coming:
    """A message that somebody will get to, by the version that they follow, and when."""

    profile_id: int
    version_id: int
    step: str
    at: datetime


def journeys_coming(*, playbook_id: int, at: datetime, until: datetime) -> Iterator[list[Coming]]:
    """What those who are under way get to up to a moment, of some at a time, the first due first. at: now."""
    after = (datetime.min.replace(tzinfo=at.tzinfo), 0)
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_DUE, [playbook_id, until, *after, BATCH])
            rows = cursor.fetchall()
        if not rows:
            return
        after = (rows[-1][8], rows[-1][0])
        by_version: defaultdict[int, list[tuple[Due, datetime]]] = defaultdict(list)
        for *row, due_at in rows:
            by_version[row[1]].append((Due(*row), max(due_at, at)))
        yield [one for version_id, due in by_version.items() for one in _coming(version_id, due, at, until)]


def beginners_coming(
    *, version: PlaybookVersion, profile_ids: Sequence[int], begin_at: datetime, at: datetime, until: datetime
) -> list[Coming]:
    """What people get to up to a moment who begin a version at another. at: now."""
    first = version_followed(version.pk).terms.program.first
    due = [(Due(one, version.pk, one, "", "", first, begin_at, begin_at), begin_at) for one in profile_ids]
    return _coming(version.pk, due, at, max(begin_at, until))


def _coming(version_id: int, journeys: Sequence[tuple[Due, datetime]], at: datetime, until: datetime) -> list[Coming]:
    try:
        version = version_followed(version_id)
        with connection.cursor() as cursor:
            known = journeys_known(cursor, version, [journey for journey, _ in journeys], at)
    except (DomainError, DataError) as error:  # they stand still, and that is told where they are moved on
        logger.warning("nothing is made ahead for journeys of version %s: %s", version_id, type(error).__name__)
        return []
    found: list[Coming] = []
    for journey, due_at in journeys:
        standing = Standing(journey.step, journey.reached_at)
        try:
            steps = messages_coming(version.terms, standing, known[journey.id], due_at=due_at, until=until)
        except (LookupError, TypeError, ValueError):  # their data makes a rule fail
            continue
        found += [Coming(journey.profile_id, version_id, step, moment) for step, moment in steps]
    return found
