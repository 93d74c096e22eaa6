"""System mail on its way: from what is wanted for one person to a run, which goes on like any other.

PostgreSQL is the record: what is wanted is a row, written in the transaction of whoever wants it. Those that are wanted
within an hour share a run in which no person and no address comes twice, because two of them are two mails.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from apps.data.profiles.mail import MailKind, mail_is_elsewhere
from apps.foundation.core.clock import now
from apps.foundation.core.errors import DomainError

from .journeys import Group, run_extend
from .models import MailWant, Playbook, PlaybookVersion, Run
from .signals import mails_wanted
from .specs import version_verify
from .system_mail import mail_published

logger = logging.getLogger(__name__)

BATCH: Final = 500
"""Mails that get their run in one transaction."""
PATIENCE: Final = timedelta(days=1)
"""How long a mail waits for a playbook of its kind; later nobody waits for it any more."""
_LOCK: Final = 7205  # class of the advisory locks under which mails of one playbook get their runs

_MARKS = """
SELECT profile_id, digest FROM profiles_identifier
WHERE profile_id = ANY(%s) AND kind IN ('email', 'phone') AND main
"""
# Who of these people, and of those who share an address with them, is in one of these runs already.
_THERE = """
SELECT want.run_id, want.profile_id, address.digest
FROM playbooks_mailwant AS want
LEFT JOIN profiles_identifier AS address
       ON address.profile_id = want.profile_id AND address.kind IN ('email', 'phone') AND address.main
WHERE want.run_id = ANY(%s) AND (want.profile_id = ANY(%s) OR address.digest = ANY(%s))
"""


class PlaybookCarrier:
    """Carries system mail (`profiles.mail.MailCarrier`) by the published playbook of its kind."""

    def want(self, *, kind: MailKind, profile_id: int, key: str) -> None:
        """Note in the caller's transaction that a mail is wanted, and wake who carries it."""
        MailWant.objects.bulk_create([MailWant(kind=kind, profile_id=profile_id, key=key)], ignore_conflicts=True)
        mails_wanted.send(MailWant)

    def ready(self, *, kind: MailKind) -> bool:
        """Whether a playbook of the kind is published."""
        return mail_published(kind) is not None


@dataclass
class _Layer:
    """A run of one hour, there already or to be made. marks: people and addresses in it."""

    key: str
    marks: set[Any] = field(default_factory=set)
    wants: list[MailWant] = field(default_factory=list)


def mails_carry(*, at: datetime | None = None) -> int:
    """Put what is wanted into runs, and give up what nobody waits for any more. Returns how many got a run.

    Safe to call from several places at once, as often as wanted, and to be killed at any point.
    """
    moment, carried = at or now(), 0
    for kind in MailKind:
        while True:
            some = _carry(kind, moment)
            carried += some
            if some < BATCH:
                break
    waiting = MailWant.objects.filter(settled_at=None, wanted_at__lt=moment - PATIENCE)
    if given_up := waiting.update(settled_at=moment):
        logger.error("%d system mails were given up: no playbook of their kind was published", given_up)
    return carried


def _carry(kind: MailKind, at: datetime) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        version = mail_published(kind)
        if version is None or not _held(cursor, version):
            return 0
        try:
            version_verify(version)
        except DomainError as error:
            logger.error("system mail %s can't go out: %s", kind, error.code)
            return 0
        open_wants = MailWant.objects.filter(kind=kind, settled_at=None, wanted_at__gte=at - PATIENCE)
        wants = list(open_wants.select_for_update(skip_locked=True, of=("self",)).order_by("pk")[:BATCH])
        return sum(_put(cursor, version, layer, at) for layer in _layers(cursor, version, wants, at))


def _held(cursor: CursorWrapper, version: PlaybookVersion) -> bool:
    """Hold the playbook against edits and a withdrawal, and against another who puts its mails into runs."""
    cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_LOCK, version.playbook_id % 2**31])
    cursor.execute("SELECT published_id FROM playbooks_playbook WHERE id = %s FOR SHARE", [version.playbook_id])
    return bool(cursor.fetchone() == (version.pk,))


def _layers(cursor: CursorWrapper, version: PlaybookVersion, wants: Sequence[MailWant], at: datetime) -> list[_Layer]:
    """The runs of this hour, each with those who get their mail in it."""
    if not wants:
        return []
    stem = f"{at.astimezone(UTC):%Y-%m-%d %H}:00 UTC, v{version.number}"
    if mail_is_elsewhere(version.mail_kind):  # few, and their addresses are not the people's: a run for each
        return [_Layer(f"{stem}, no. {want.pk}", wants=[want]) for want in wants]
    people = sorted({want.profile_id for want in wants})
    cursor.execute(_MARKS, [people])
    marks: dict[int, set[Any]] = {profile_id: {profile_id} for profile_id in people}
    for profile_id, digest in cursor.fetchall():
        marks[profile_id].add(bytes(digest))
    there = _runs_there(cursor, version.playbook_id, stem, marks)
    layers: list[_Layer] = []
    for want in wants:
        mine = marks[want.profile_id]
        number = 0
        while True:
            if number == len(layers):
                key = stem if number == 0 else f"{stem}, {number + 1}"
                layers.append(_Layer(key, there.get(key, set())))
            if layers[number].marks is not _CLOSED and not mine & layers[number].marks:
                break
            number += 1
        layers[number].marks |= mine
        layers[number].wants.append(want)
    return [layer for layer in layers if layer.wants]


_CLOSED: Final[set[Any]] = set()
"""Stands for the marks of a run that was cancelled: nobody gets into it any more."""


def _runs_there(
    cursor: CursorWrapper, playbook_id: int, stem: str, marks: Mapping[int, set[Any]]
) -> dict[str, set[Any]]:
    """The runs of the hour by key, with the marks of those in them who could stand in the way."""
    runs = Run.objects.filter(playbook_id=playbook_id, step="", occasion_key__startswith=stem)
    known = {run.pk: run for run in runs}
    digests = [mark for own in marks.values() for mark in own if isinstance(mark, bytes)]
    found: dict[int, set[Any]] = {pk: set() for pk in known}
    cursor.execute(_THERE, [list(known), list(marks), digests])
    for run_id, profile_id, digest in cursor.fetchall():
        found[run_id] |= {profile_id} if digest is None else {profile_id, bytes(digest)}
    return {run.occasion_key: _CLOSED if run.state == Run.State.CANCELLED else found[run.pk] for run in known.values()}


def _put(cursor: CursorWrapper, version: PlaybookVersion, layer: _Layer, at: datetime) -> int:
    """Put the people of a layer into its run. Returns how many; none when it was cancelled meanwhile."""
    within = timedelta(hours=version.spec["send_within_hours"])
    group = Group(
        people=[want.profile_id for want in layer.wants],
        deadline=max(want.wanted_at for want in layer.wants) + within,
        trigger=Playbook.Trigger.SYSTEM,
    )
    run = run_extend(cursor, version.playbook_id, version.pk, "", layer.key, "", group, at)
    if run is None:
        return 0
    ids = [want.pk for want in layer.wants]
    return MailWant.objects.filter(pk__in=ids).update(run=run, settled_at=at)
