"""Beginning journeys: who may, how often, and for each occasion once."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.backends.utils import CursorWrapper

from apps.decisioning.audiences.rules import rule_matches, rule_parse
from apps.decisioning.audiences.selectors import audience_sql, facts_load

from .contracts import PlaybookSpec
from .journeys import journeys_leave
from .models import PlaybookVersion
from .steps import program_make

_LOCK = 7202  # class of the advisory locks under which is asked how often somebody began

_INSERT = """
INSERT INTO playbooks_journey (playbook_id, version_id, profile_id, occasion_key, trigger, state, step, entered_at,
  reached_at, due_at, reason, history, created_at)
"""
_BEGIN = (
    _INSERT
    + """
SELECT %(playbook)s, %(version)s, new.profile_id, new.key, %(trigger)s, 'active', %(step)s, new.entered_at,
  %(at)s, %(at)s, '', '[]'::jsonb, %(at)s
FROM unnest(%(people)s::bigint[], %(keys)s::text[], %(entered)s::timestamptz[]) AS new(profile_id, key, entered_at)
ON CONFLICT DO NOTHING
RETURNING id, profile_id, occasion_key
"""
)
_BEFORE = """
SELECT profile_id, entered_at, ended_at, occasion_key FROM playbooks_journey
WHERE playbook_id = %s AND profile_id = ANY(%s)
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """Somebody who would begin. key: of the occasion; entered_at: the moment of what started it."""

    profile_id: int
    key: str
    entered_at: datetime


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What came of entries: the journeys that began, by profile id and key, and why the others did not."""

    begun: dict[tuple[int, str], int]
    refused: dict[tuple[int, str], str]


def audience_enrol(*, version: PlaybookVersion, key: str, trigger: str, as_of: datetime, at: datetime) -> int:
    """Begin a journey for everybody in the audience, for one occasion; set-wise, in the caller's transaction."""
    spec: PlaybookSpec = version.spec
    people = audience_sql(rule_parse(spec["audience_rule"]), as_of)
    with connection.cursor() as cursor:
        cursor.execute(
            f"{_INSERT} SELECT %s, %s, p.id, %s, %s, 'active', %s, %s, %s, %s, '', '[]'::jsonb, %s"
            f" {people.text} ON CONFLICT DO NOTHING",
            [version.playbook_id, version.pk, key, trigger, program_make(spec).first, at, at, at, at, *people.params],
        )
        return int(cursor.rowcount)


def entries_enrol(
    cursor: CursorWrapper,
    *,
    version: PlaybookVersion,
    entries: Sequence[Entry],
    trigger: str,
    at: datetime,
    audience: bool = True,
) -> Enrolled:
    """Begin journeys for entries that may, in the caller's transaction.

    They must be in the audience at `at` (unless the caller saw to that), and must not have begun too lately:
    `again_after_days` None means once ever; 0 each time; else not while one is under way and not within so many days
    of another. The same occasion never begins twice. A journey that somebody has left by now is ended first.
    """
    spec: PlaybookSpec = version.spec
    refused: dict[tuple[int, str], str] = {}
    wanted = list(entries)
    if audience and wanted:
        rule = rule_parse(spec["audience_rule"])
        facts = facts_load(rules=[rule], profile_ids=[entry.profile_id for entry in wanted], as_of=at)
        for entry in wanted:
            known = facts.get(entry.profile_id)
            if known is None or not rule_matches(rule, known).matched:
                refused[entry.profile_id, entry.key] = "not_in_audience"
        wanted = [entry for entry in wanted if (entry.profile_id, entry.key) not in refused]
    again = spec.get("again_after_days", 0)
    if again != 0 and wanted:
        wanted = _rested(cursor, version.playbook_id, wanted, again, at, refused)
    if not wanted:
        return Enrolled({}, refused)
    cursor.execute(
        _BEGIN,
        {
            "playbook": version.playbook_id,
            "version": version.pk,
            "trigger": trigger,
            "step": program_make(spec).first,
            "at": at,
            "people": [entry.profile_id for entry in wanted],
            "keys": [entry.key for entry in wanted],
            "entered": [entry.entered_at for entry in wanted],
        },
    )
    begun = {(profile_id, key): journey_id for journey_id, profile_id, key in cursor.fetchall()}
    for entry in wanted:
        if (entry.profile_id, entry.key) not in begun:
            refused[entry.profile_id, entry.key] = "begun_already"
    return Enrolled(begun, refused)


def _rested(
    cursor: CursorWrapper,
    playbook_id: int,
    entries: Sequence[Entry],
    again: int | None,
    at: datetime,
    refused: dict[tuple[int, str], str],
) -> list[Entry]:
    """Those who have not begun too lately, in the order of their moments, each counting for the next."""
    people = sorted({entry.profile_id for entry in entries})
    cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_LOCK, playbook_id % 2**31])
    if again is not None:
        journeys_leave(cursor, playbook_id=playbook_id, profile_ids=people, at=at)
    cursor.execute(_BEFORE, [playbook_id, people])
    before: defaultdict[int, list[tuple[datetime, datetime | None, str]]] = defaultdict(list)
    for profile_id, entered_at, ended_at, key in cursor.fetchall():
        before[profile_id].append((entered_at, ended_at, key))
    kept = []
    for entry in sorted(entries, key=lambda entry: (entry.entered_at, entry.key)):
        others = before[entry.profile_id]
        if any(key == entry.key for _, _, key in others):
            why = "begun_already"
        elif again is None:
            why = "only_once" if others else ""
        else:
            why = next((held for other in others if (held := _held_by(other, entry.entered_at, again))), "")
        if why:
            refused[entry.profile_id, entry.key] = why
            continue
        others.append((entry.entered_at, None, entry.key))
        kept.append(entry)
    return kept


def _held_by(other: tuple[datetime, datetime | None, str], moment: datetime, again: int) -> str:
    began, ended, _ = other
    if began <= moment and (ended is None or ended > moment):
        return "under_way"
    return "too_soon" if abs(moment - began) < timedelta(days=again) else ""
