"""Who entered a watched audience and who left it, as events: each once, in the transaction that notes it.

A look is set-wise: who is in now against who was at the last look. The events are like any other, so they are counted
by rules, shown with a person, and begin playbooks (trigger "event", name "Audience Entered", where the property
`audience` is the code).
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from apps.data.events.services import events_record
from apps.foundation.core.errors import DomainError

from .membership import rule_expand
from .models import Audience, AudienceMember
from .parsing import rule_parse, rule_to_json
from .selectors import audience_sql

logger = logging.getLogger(__name__)

ENTERED: Final = "Audience Entered"
EXITED: Final = "Audience Exited"
_PORTION: Final = 5_000
_LOOK_LOCK: Final = 7207  # class of the advisory locks under which an audience is looked at

# Whose data may only be kept (GDPR, Article 18), and who was erased, is in no audience that is told of. Who was merged
# is nobody by that number, and is who they were again if it is undone.
_RENEW = """
WITH now_in AS MATERIALIZED (
    SELECT p.id {people} AND p.restricted_at IS NULL AND p.erased_at IS NULL
), gone AS (
    DELETE FROM audiences_audiencemember AS member WHERE member.audience_id = %s
        AND NOT EXISTS (SELECT FROM now_in WHERE now_in.id = member.profile_id)
        AND NOT EXISTS (SELECT FROM profiles_profile p WHERE p.id = member.profile_id AND p.merged_into_id IS NOT NULL)
    RETURNING profile_id
), come AS (
    INSERT INTO audiences_audiencemember (audience_id, profile_id, since)
    SELECT %s, now_in.id, %s FROM now_in
    ON CONFLICT DO NOTHING RETURNING profile_id
)
SELECT profile_id, TRUE FROM come
UNION ALL
SELECT gone.profile_id, FALSE FROM gone JOIN profiles_profile p ON p.id = gone.profile_id
WHERE p.restricted_at IS NULL AND p.erased_at IS NULL
ORDER BY 2, 1
"""


@dataclass(frozen=True, slots=True)
class Look:
    """What a look found. first: the audience was not watched before, or by another rule; nothing is told then."""

    entered: int = 0
    exited: int = 0
    first: bool = False


def audiences_look(*, at: datetime) -> int:
    """Look at all watched audiences whose time has come. Returns how many events were recorded.

    Safe to call from several places at once; one audience that can't be looked at does not stop the others.
    """
    told = 0
    due = at - timedelta(minutes=settings.TRIGGER_AUDIENCE_MINUTES)
    waiting = Audience.objects.filter(watched=True).exclude(looked_at__gt=due).order_by("pk")
    for audience_id in list(waiting.values_list("pk", flat=True)):
        try:
            look = audience_look(audience_id=audience_id, at=at)
        except DomainError as error:
            logger.error("audience %s could not be looked at: %s", audience_id, error.code)
            continue
        told += look.entered + look.exited
    return told


def audience_look(*, audience_id: int, at: datetime) -> Look:
    """Note who is in a watched audience now, and tell who came and went since the last look; one transaction.

    The first look at a rule tells nothing: who is in then did not enter. A rule that was changed, or that names an
    audience that was, begins anew. Raises Invalid for a rule that can't be asked.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [_LOOK_LOCK, audience_id % 2**31])
        audience = Audience.objects.filter(pk=audience_id, watched=True).first()
        if cursor.fetchone() != (True,) or audience is None:
            return Look()
        rule = rule_expand(rule_parse(audience.rule))
        asked = rule_to_json(rule)
        first = audience.looked_rule != asked
        people = audience_sql(rule, at)
        cursor.execute(
            _RENEW.format(people=people.text),
            [*people.params, audience_id, audience_id, at],
        )
        rows = cursor.fetchall()
        Audience.objects.filter(pk=audience_id).update(looked_at=at, looked_rule=asked)
        if first:
            return Look(first=True)
        entered = [profile_id for profile_id, came in rows if came]
        exited = [profile_id for profile_id, came in rows if not came]
        _tell(cursor, audience, ENTERED, entered, at)
        _tell(cursor, audience, EXITED, exited, at)
    return Look(len(entered), len(exited))


def _tell(cursor: CursorWrapper, audience: Audience, name: str, people: Sequence[int], at: datetime) -> None:
    """In portions, so that an audience of millions that is entered at once is not held in memory as events."""
    stamp = f"{at:%Y%m%d%H%M%S%f}"
    for begin in range(0, len(people), _PORTION):
        events_record(
            cursor,
            name=name,
            people=[
                (one, f"{name.lower().replace(' ', '-')}:{audience.pk}:{one}:{stamp}")
                for one in people[begin : begin + _PORTION]
            ],
            occurred_at=at,
            properties={"audience": audience.code, "audience_name": audience.name},
        )


def audience_forget(*, audience_id: int) -> None:
    """Forget who was in an audience that is not watched any more, in the caller's transaction."""
    AudienceMember.objects.filter(audience_id=audience_id).delete()
    Audience.objects.filter(pk=audience_id).update(looked_at=None, looked_rule=None)
