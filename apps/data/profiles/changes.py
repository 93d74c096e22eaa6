"""The feed of changes: what changed of people, consent and preferences, in one order, with none missing.

Triggers write down that somebody changed (`ChangePending`), in the transaction of the change, whoever makes it. Once
it has committed, one process at a time moves what is there into the feed and gives it its place (`changes_order`). So
no place is given before a lower one is there to be read, however long a transaction takes; and of one person the order
is that in which the changes were made, since each waits for the row or gate that the one before it holds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import connection, transaction

from apps.foundation.core.errors import DomainError
from apps.foundation.core.outbox import outbox_put

from .models import Change, ChangeMark

BATCH: Final = 5_000
_BATCHES_AT_ONCE: Final = 4

_MARK: Final = "SELECT reached FROM profiles_changemark WHERE id = 1 FOR UPDATE SKIP LOCKED"
# What changed twice within a batch is told once, at its last place. The version of a person is what reading gives now.
# By ranges and single look-ups, because these tables grow and shrink faster than the planner's figures of them.
_MOVE: Final = """
WITH taken AS (
  DELETE FROM profiles_changepending WHERE id > %(past)s AND id <= (
    SELECT max(id) FROM (
      SELECT id FROM profiles_changepending WHERE id > %(past)s ORDER BY id LIMIT %(batch)s) AS batch)
  RETURNING id, kind, profile_id, purpose, channel, granted, version),
newest AS (
  SELECT DISTINCT ON (kind, profile_id, purpose, channel) * FROM taken
  ORDER BY kind, profile_id, purpose, channel, id DESC),
moved AS (
  INSERT INTO profiles_change (position, kind, profile_id, purpose, channel, granted, version, at)
  SELECT %(reached)s + row_number() OVER (ORDER BY newest.id), newest.kind, newest.profile_id, newest.purpose,
         newest.channel, newest.granted,
         coalesce(newest.version, (SELECT (extract(epoch FROM person.updated_at) * 1000000)::bigint
                                   FROM profiles_profile AS person WHERE person.id = newest.profile_id), 0),
         statement_timestamp()
  FROM newest
  RETURNING position, kind, profile_id, version),
mark AS (UPDATE profiles_changemark SET reached = %(reached)s + (SELECT count(*) FROM moved) WHERE id = 1)
SELECT facts.count, facts.last, position, kind, profile_id, version
FROM moved, (SELECT count(*), max(id) AS last FROM taken) AS facts ORDER BY position
"""


@dataclass(frozen=True, slots=True)
class Placed:
    """A change that got its place in the feed: whom it is about, in which version."""

    position: int
    profile_id: int
    version: int

    def news(self) -> dict[str, Any]:
        """What other systems are told of it at least."""
        return {"profile": self.profile_id, "version": self.version, "position": self.position}


_tellers: dict[str, Callable[[Sequence[Placed]], None]] = {
    Change.Kind.PROFILE: lambda placed: outbox_put("profile.changed", [one.news() for one in placed])
}


def changes_tell(kind: Change.Kind, teller: Callable[[Sequence[Placed]], None]) -> None:
    """Have `teller` tell the world outside of changes of a kind, in the transaction that gives them their places.

    For apps above this one, in their `ready()`.
    """
    _tellers[kind] = teller


class ChangesGone(DomainError):
    """A place that the feed does not lead on from."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Part of the feed. after: the place to go on from; more: whether there is more now."""

    rows: Sequence[Change]
    after: int
    more: bool


def changes_order(*, batches: int = _BATCHES_AT_ONCE) -> int:
    """Give what was committed its place in the feed, and tell the world outside. Returns how many were ordered.

    Whoever finds another at it leaves the work to that one, or to beat. In no transaction: what one notes of a person
    counts for all that it writes of them (`0019_changes_noted_once`).
    """
    ordered = past = 0
    for _ in range(batches):
        with transaction.atomic(durable=True), connection.cursor() as cursor:
            cursor.execute(_MARK)
            if (mark := cursor.fetchone()) is None:
                return ordered
            # behind what was taken already: the table is full of dead rows there. Who commits late is next call's.
            cursor.execute(_MOVE, {"batch": BATCH, "reached": mark[0], "past": past})
            rows = cursor.fetchall()
            for kind, teller in _tellers.items():
                if placed := [Placed(row[2], row[4], row[5]) for row in rows if row[3] == kind]:
                    teller(placed)
        ordered += len(rows)
        if not rows or rows[0][0] < BATCH:
            return ordered
        past = rows[0][1]
    return ordered


def changes_read(*, after: int, limit: int, kind: str = "") -> Changes:
    """What changed behind a place, the oldest first.

    Raises ChangesGone where some of it was forgotten, or where the feed was never as far: then only reading all anew
    helps.
    """
    reached = changes_reached()  # what is up to here is there to be read from now on
    rows = Change.objects.filter(position__gt=after).order_by("position")
    found = list((rows.filter(kind=kind) if kind else rows)[: limit + 1])
    mark = ChangeMark.objects.get(pk=1)  # read behind the rows: what was forgotten meanwhile shows here
    if not mark.forgotten <= after <= mark.reached:
        raise ChangesGone("changes_gone", "The feed does not lead on from here: read all anew, then from “latest”")
    more, found = len(found) > limit, found[:limit]
    last = found[-1].position if found else after
    return Changes(found, last if more else max(last, reached), more)


def changes_reached() -> int:
    """The newest place of the feed."""
    return ChangeMark.objects.values_list("reached", flat=True).get(pk=1)


def changes_forget(before: datetime, limit: int) -> int:
    """Delete the oldest changes that came into the feed before a moment, at most `limit`. Returns how many."""
    with transaction.atomic():
        mark = ChangeMark.objects.select_for_update().get(pk=1)
        oldest = Change.objects.order_by("position").values_list("position", "at")[:limit]
        gone = [position for position, at in oldest if at < before]
        if gone:
            ChangeMark.objects.filter(pk=mark.pk).update(forgotten=gone[-1])
            Change.objects.filter(position__lte=gone[-1]).delete()
    return len(gone)
