"""What begins journeys without anybody starting a run: events, entries into an audience, calls over the API.

A look is set-wise and may be repeated: an event is looked at once by each playbook, an entry is the difference to who
was in the audience at the look before, a call is known by its caller's key.
"""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from apps.data.profiles.models import Profile
from apps.decisioning.audiences.contracts import Attribute, PersonFacts, Rule, rule_leaves
from apps.decisioning.audiences.rules import rule_matches, rule_parse
from apps.decisioning.audiences.selectors import audience_sql
from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import right_require
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, DomainError, Invalid, NotFound
from apps.foundation.governance.services import audit_record

from .contracts import PlaybookSpec
from .enrolment import Entry, entries_enrol
from .models import Journey, Playbook, PlaybookVersion, Sighting, TriggerMark
from .schedules import occasion_of
from .signals import journeys_due
from .specs import version_verify
from .steps import ORDER_COMPLETED

logger = logging.getLogger(__name__)

PAGE = 1000
"""Events that are looked at in one transaction."""
_LOOK_LOCK = 7203  # class of the advisory locks under which a playbook's trigger looks
_TURN_LOCK, _TURN_WAITS = 7210, 7211
"""Classes of the advisory locks of who looks for an event that was just recorded, and of who is the next to."""
_KEPT = timedelta(days=7)
"""How long it is kept that an event was looked at; longer than any event is looked for."""

# By the time at which they were recorded: what comes late is found, and nothing is looked for twice.
_EVENTS = """
SELECT e.recorded_at, e.id, 'event:' || CASE WHEN e.source = '' THEN '' ELSE e.source || ':' END || e.message_id,
       e.profile_id, e.occurred_at, e.properties::text
FROM events_event e
WHERE e.name = %(name)s AND e.recorded_at > %(since)s AND e.recorded_at <= %(at)s
  AND (e.recorded_at, e.id) > (%(after_at)s, %(after_id)s) AND e.profile_id IS NOT NULL
ORDER BY e.recorded_at, e.id LIMIT %(page)s
"""
_ORDERS = """
SELECT o.recorded_at, o.id, 'order:' || o.source || ':' || o.external_id, o.profile_id, o.placed_at,
       jsonb_build_object('revenue', o.revenue, 'currency', o.currency, 'country', o.country, 'source', o.source)::text
FROM events_order o
WHERE o.recorded_at > %(since)s AND o.recorded_at <= %(at)s AND o.status = 'purchase'
  AND (o.recorded_at, o.id) > (%(after_at)s, %(after_id)s) AND o.profile_id IS NOT NULL
ORDER BY o.recorded_at, o.id LIMIT %(page)s
"""
_SIGHT = """
INSERT INTO playbooks_sighting (playbook_id, event_key, seen_at)
SELECT %s, key, %s FROM unnest(%s::text[]) AS key
ON CONFLICT DO NOTHING RETURNING event_key
"""


def triggers_look(*, at: datetime, name: str = "") -> int:
    """Look for what begins journeys, as of a moment, for all published playbooks. Returns how many began.

    name: only for those that wait for this event. Safe to call from several places at once; one playbook that can't
    look does not stop the others.
    """
    begun = 0
    kinds = [Playbook.Trigger.EVENT] if name else [Playbook.Trigger.EVENT, Playbook.Trigger.AUDIENCE]
    waiting = Playbook.objects.filter(published__spec__trigger__in=kinds)
    if name:
        waiting = waiting.filter(published__spec__event__name=name)
    for playbook_id, kind in list(waiting.order_by("pk").values_list("pk", "published__spec__trigger")):
        try:
            if kind == Playbook.Trigger.EVENT:
                begun += _events_look(playbook_id, at)
            else:
                begun += _audience_look(playbook_id, at)
        except DomainError as error:
            logger.error("the trigger of playbook %s could not look: %s", playbook_id, error.code)
    Sighting.objects.filter(seen_at__lt=at - _KEPT).delete()
    if begun:
        journeys_due.send(Journey)
    return begun


def event_look(*, name: str, clock: Callable[[], datetime] = now) -> int:
    """Look for an event that was just recorded, at once. Returns how many journeys began.

    One looks and one more waits for it to end; whoever comes then leaves it to that one, whose moment is still to come.
    So nothing that was recorded waits for the next round of looks, and a burst of events holds two workers at most.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", [_TURN_WAITS, name])
        if cursor.fetchone() != (True,):
            return 0
        try:
            cursor.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", [_TURN_LOCK, name])
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", [_TURN_WAITS, name])
        try:
            return triggers_look(at=clock(), name=name)
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", [_TURN_LOCK, name])


@contextmanager
def _looking(playbook_id: int) -> Iterator[tuple[CursorWrapper, PlaybookVersion] | None]:
    """The published version, held against edits and a withdrawal, and against another look at the same time."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_LOOK_LOCK, playbook_id % 2**31])
        cursor.execute("SELECT published_id FROM playbooks_playbook WHERE id = %s FOR SHARE SKIP LOCKED", [playbook_id])
        held = cursor.fetchone()
        if held is None or held[0] is None:
            yield None
            return
        version = PlaybookVersion.objects.select_related("playbook").get(pk=held[0])
        version_verify(version)
        yield cursor, version


# --- events ---


def _events_look(playbook_id: int, at: datetime) -> int:
    """Page by page, each a transaction: a page that was done stays done. The mark moves on at the end."""
    begun = 0
    after: tuple[datetime, int] = (datetime(1970, 1, 1, tzinfo=UTC), 0)
    while True:
        with _looking(playbook_id) as held:
            if held is None:
                return begun
            cursor, version = held
            spec: PlaybookSpec = version.spec
            wanted = spec.get("event")
            if spec["trigger"] != Playbook.Trigger.EVENT or wanted is None:
                return begun
            rows = _events_page(cursor, version, wanted["name"], after, at)
            begun += _events_enrol(cursor, version, rows, at)
            if len(rows) < PAGE:
                TriggerMark.objects.update_or_create(
                    playbook_id=playbook_id, defaults={"looked_at": at}, create_defaults={"looked_at": at}
                )
                return begun
            after = rows[-1][0], rows[-1][1]


def _events_page(
    cursor: CursorWrapper, version: PlaybookVersion, name: str, after: tuple[datetime, int], at: datetime
) -> list[Any]:
    """What was recorded since the last look, and a while before: a transaction that took long commits late."""
    published_at = version.published_at or version.created_at
    mark = TriggerMark.objects.filter(playbook=version.playbook_id).first()
    overlap = timedelta(minutes=settings.TRIGGER_OVERLAP_MINUTES)
    since = published_at if mark is None else max(published_at, min(mark.looked_at, at) - overlap)
    cursor.execute(
        _ORDERS if name == ORDER_COMPLETED else _EVENTS,
        {"name": name, "since": since, "at": at, "after_at": after[0], "after_id": after[1], "page": PAGE},
    )
    return list(cursor.fetchall())


def _events_enrol(cursor: CursorWrapper, version: PlaybookVersion, rows: list[Any], at: datetime) -> int:
    """Begin journeys for events that count: not from before publishing, not too old, of the right properties."""
    spec: PlaybookSpec = version.spec
    wanted = spec.get("event")
    oldest = max(version.published_at or version.created_at, at - timedelta(minutes=settings.TRIGGER_LATE_MINUTES))
    rule = rule_parse(wanted["where"]) if wanted is not None and wanted["where"] is not None else None
    entries = [
        Entry(profile_id, key, occurred_at)
        for _, _, key, profile_id, occurred_at, properties in rows
        if oldest <= occurred_at <= at and (rule is None or _properties_match(rule, properties))
    ]
    if not entries:
        return 0
    cursor.execute(_SIGHT, [version.playbook_id, at, [entry.key for entry in entries]])
    fresh = {row[0] for row in cursor.fetchall()}
    enrolled = entries_enrol(
        cursor,
        version=version,
        entries=[entry for entry in entries if entry.key in fresh],
        trigger=Playbook.Trigger.EVENT,
        at=at,
    )
    return len(enrolled.begun)


def _properties_match(rule: Rule, properties: str) -> bool:
    """Whether a rule holds for an event's properties, given as JSON."""
    given = json.loads(properties, parse_int=Decimal, parse_float=Decimal)
    names = {leaf.name for leaf in rule_leaves(rule) if isinstance(leaf, Attribute)}
    known = {name: given.get(name) if isinstance(given, dict) else None for name in names}
    return rule_matches(rule, PersonFacts(known, {}, {})).matched


# --- entries into the audience ---


def _audience_look(playbook_id: int, at: datetime) -> int:
    """Compare who is in the audience with who was. Who is new begins; all in one transaction.

    The first look at a rule only notes who is in, unless the playbook says that they begin too.
    """
    with _looking(playbook_id) as held:
        if held is None:
            return 0
        cursor, version = held
        spec: PlaybookSpec = version.spec
        if spec["trigger"] != Playbook.Trigger.AUDIENCE:
            return 0
        mark = TriggerMark.objects.filter(playbook=playbook_id).first()
        known = mark is not None and mark.audience_rule == spec["audience_rule"]
        every = timedelta(minutes=settings.TRIGGER_AUDIENCE_MINUTES)
        if mark is not None and known and mark.looked_at <= at < mark.looked_at + every:
            return 0
        if mark is not None and not known:  # another rule: who was in the old audience says nothing
            cursor.execute("DELETE FROM playbooks_member WHERE playbook_id = %s", [playbook_id])
        entrants = members_renew(cursor, playbook_id, rule_parse(spec["audience_rule"]), at)
        TriggerMark.objects.update_or_create(
            playbook_id=playbook_id,
            defaults={"looked_at": at, "audience_rule": spec["audience_rule"]},
            create_defaults={"looked_at": at, "audience_rule": spec["audience_rule"]},
        )
        if not known and not spec.get("entry_existing"):
            return 0
        key = f"entered {occasion_of(at)}"
        enrolled = entries_enrol(
            cursor,
            version=version,
            entries=[Entry(profile_id, key, at) for profile_id in entrants],
            trigger=Playbook.Trigger.AUDIENCE,
            at=at,
            audience=False,
        )
        return len(enrolled.begun)


def members_renew(cursor: CursorWrapper, playbook_id: int, rule: Rule, at: datetime) -> list[int]:
    """Note who is in now, and forget who left. Returns those who are new; two statements, whatever their number."""
    people = audience_sql(rule, at)
    cursor.execute(
        "WITH now_in AS MATERIALIZED (SELECT p.id " + people.text + "),"  # noqa: S608  # our own names
        " gone AS (DELETE FROM playbooks_member AS member WHERE member.playbook_id = %s"
        "          AND NOT EXISTS (SELECT FROM now_in WHERE now_in.id = member.profile_id))"
        " INSERT INTO playbooks_member (playbook_id, profile_id, since)"
        " SELECT %s, now_in.id, %s FROM now_in"
        " ON CONFLICT DO NOTHING RETURNING profile_id",
        [*people.params, playbook_id, playbook_id, at],
    )
    return sorted(row[0] for row in cursor.fetchall())


# --- the API ---


def playbook_trigger(*, playbook_code: str, profile_id: int, key: str, by: User, at: datetime | None = None) -> Journey:
    """Begin a journey for one person because somebody asks for it. The same key gives the same journey.

    key: the caller's own, for one occasion of this person; at: now unless given.
    Raises NotFound, NotAllowed, Invalid for a wrong key, Conflict when the playbook is not published or not for this
    (`not_triggered_so`), and when the person may not begin now: `not_in_audience`, `only_once`, `under_way`,
    `too_soon`.
    """
    right_require(by, "run", Playbook, what="start playbooks")
    name = key.strip()
    if not name or len(name) > 200 or not name.isprintable():
        raise Invalid("key", "Name the occasion in 1 to 200 characters: the same name never begins twice")
    moment = at or now()
    occasion = f"api:{name}"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT id, published_id FROM playbooks_playbook WHERE code = %s FOR SHARE", [playbook_code])
        found = cursor.fetchone()
        if found is None or not Profile.objects.filter(pk=profile_id).exists():
            raise NotFound("playbook_or_profile_unknown", "There is no such playbook or profile")
        right_require(by, "run", Playbook.objects.select_related("owner").get(pk=found[0]), what="start this playbook")
        journeys = Journey.objects.filter(playbook_id=found[0], profile_id=profile_id, occasion_key=occasion)
        if (there := journeys.first()) is not None:
            return there
        if found[1] is None:
            raise Conflict("playbook_not_published", "This playbook is not published: it can't begin")
        version = PlaybookVersion.objects.select_related("playbook").get(pk=found[1])
        if version.spec["trigger"] != Playbook.Trigger.API:
            raise Conflict("not_triggered_so", "This playbook does not begin over the API: change its trigger first")
        version_verify(version)
        enrolled = entries_enrol(
            cursor,
            version=version,
            entries=[Entry(profile_id, occasion, moment)],
            trigger=Playbook.Trigger.API,
            at=moment,
        )
        why = enrolled.refused.get((profile_id, occasion), "")
        if why not in ("", "begun_already"):
            raise Conflict(why, WHY_NOT[why])
        journey = journeys.get()
        if not why:
            audit_record(action="playbooks.journey.begun", actor=by, subject=journey, data={"key": name})
            transaction.on_commit(lambda: journeys_due.send(Journey) and None)
    return journey


WHY_NOT = {
    "not_in_audience": "This person is not in the playbook's audience",
    "only_once": "This person had this playbook already, and it comes once",
    "under_way": "This person is under way in this playbook",
    "too_soon": "This person had this playbook too lately",
}
"""Why somebody does not begin, in words."""
