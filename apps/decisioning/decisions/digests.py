"""Digests: what people want collected is kept, and shown together at their moment.

A message of the digest's purpose to somebody who wants a digest is decided like any other, and its decision is kept as
a `DigestPiece` in the same transaction. At the person's moment (their time of day, daily or on a weekday) a digest is
wanted as system mail of the kind `digest`: a published playbook, decided, gated and sent like any message. Its decision
weighs each piece anew, and says in that transaction which it shows and why others are left out. So a piece is in one
digest at most, whoever is killed in between.

Without a published digest nothing is collected: each message comes by itself.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from apps.data.consent.models import Preference, PreferenceChange
from apps.data.consent.preferences import preferences_read, zones_read
from apps.data.profiles.mail import MailKind, mail_want
from apps.decisioning.playbooks.models import MailWant, PlaybookVersion
from apps.decisioning.playbooks.services import run_deadline
from apps.decisioning.playbooks.system_mail import mail_published
from apps.foundation.core.clock import now
from apps.foundation.core.wall_clock import next_time, zone_choose

from .models import Decision, DigestPiece

Frequency = Preference.Frequency
State = DigestPiece.State

PEOPLE: Final = 500
"""People whose digests are wanted in one transaction."""
_AFTER: Final = timedelta(microseconds=1)

_DUE: Final = """
SELECT DISTINCT profile_id FROM decisions_digestpiece
WHERE state = 'kept' AND due_at <= %s AND profile_id > %s ORDER BY profile_id LIMIT %s
"""
_LOCK: Final = """
SELECT profile_id, due_at, digest_id, good_until FROM decisions_digestpiece
WHERE state = 'kept' AND profile_id = ANY(%s) ORDER BY decision_id FOR UPDATE SKIP LOCKED
"""


@dataclass(frozen=True, slots=True)
class DigestTerms:
    """What is collected: messages of a purpose. zone: of people whose own is not known."""

    purpose: str
    channel: str
    zone: ZoneInfo


def digest_terms() -> DigestTerms | None:
    """The terms of the published digest, None without one: then nothing is collected."""
    version: PlaybookVersion | None = mail_published(MailKind.DIGEST)
    if version is None:
        return None
    spec = version.spec
    return DigestTerms(spec["purpose"], spec["channel"], zone_choose("", spec.get("time_zone", "")))


def digest_moment(frequency: str, zone: ZoneInfo, *, after: datetime) -> datetime:
    """The next digest after a moment, in UTC; the moment itself for who wants each message by itself."""
    if frequency == Frequency.EACH:
        return after
    days = (settings.DIGEST_WEEKDAY,) if frequency == Frequency.WEEKLY else ()
    return next_time(time(settings.DIGEST_HOUR), zone, reached=after + _AFTER, weekdays=days)


def _moments(profile_ids: Sequence[int], terms: DigestTerms, *, after: datetime) -> dict[int, tuple[str, datetime]]:
    """What each chose, and their next moment."""
    chosen, zones = preferences_read(profile_ids=profile_ids), zones_read(profile_ids=profile_ids)
    return {
        profile_id: (
            one.frequency,
            digest_moment(one.frequency, zones.get(profile_id, terms.zone), after=after),
        )
        for profile_id, one in chosen.items()
    }


# --- keeping ---


def pieces_keep(decisions: Iterable[tuple[UUID, int]], *, deadline: datetime, at: datetime) -> int:
    """Keep decisions (id, profile id) for the digests of their people, in the caller's transaction. Returns how many.

    deadline: until when the run's messages may go out; a piece is good for DIGEST_KEEP_HOURS at least.
    """
    kept = list(decisions)
    terms = digest_terms() if kept else None
    if terms is None:
        return 0
    moments = _moments(sorted({profile_id for _, profile_id in kept}), terms, after=at)
    good_until = max(deadline, at + timedelta(hours=settings.DIGEST_KEEP_HOURS))
    made = DigestPiece.objects.bulk_create(
        [
            DigestPiece(
                decision_id=decision_id,
                profile_id=profile_id,
                due_at=moments[profile_id][1],
                good_until=good_until,
                kept_at=at,
            )
            for decision_id, profile_id in kept
        ],
        ignore_conflicts=True,
    )
    return len(made)


def singles_keep(message_ids: Sequence[UUID]) -> int:
    """Keep for a digest what was about to go out by itself, in the gate's transaction, under the people's locks."""
    kept, at = 0, now()
    decisions = Decision.objects.filter(pk__in=list(message_ids)).select_related("run__version")
    for decision in decisions:
        kept += pieces_keep([(decision.pk, decision.profile_id)], deadline=run_deadline(decision.run), at=at)
    return kept


# --- the moment ---


def digests_want(*, at: datetime | None = None) -> int:
    """Want the digest of everybody whose moment has come. Returns how many.

    Safe to call from several places at once, as often as wanted, and to be killed at any point: what is due and that
    the digest is wanted change in one transaction.
    """
    moment, wanted, after = at or now(), 0, 0
    _pieces_end(moment)
    while (terms := digest_terms()) is not None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_DUE, [moment, after, PEOPLE])
            people = [row[0] for row in cursor.fetchall()]
            if not people:
                break
            after = people[-1]
            wanted += _want(cursor, people, terms, moment)
    return wanted


def _want(cursor: CursorWrapper, people: Sequence[int], terms: DigestTerms, at: datetime) -> int:
    cursor.execute(_LOCK, [list(people)])
    due: dict[int, tuple[datetime, UUID | None]] = {}
    for profile_id, due_at, digest_id, _good in cursor.fetchall():
        if due_at <= at:
            first, again = due.get(profile_id, (due_at, None))
            due[profile_id] = min(first, due_at), again or digest_id
    wanted = 0
    for profile_id, (_frequency, following) in _moments(sorted(due), terms, after=at).items():
        due_at, again = due[profile_id]
        # One digest for one moment; one that was taken back on its way is another.
        key = f"again:{again}" if again is not None else f"{due_at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"
        if not MailWant.objects.filter(kind=MailKind.DIGEST, profile_id=profile_id, key=key).exists():
            mail_want(kind=MailKind.DIGEST, profile_id=profile_id, key=key)
            wanted += 1
        later = max(following, at + timedelta(hours=1))  # should this digest come to nothing
        DigestPiece.objects.filter(profile_id=profile_id, state=State.KEPT, due_at__lte=at).update(due_at=later)
    return wanted


def _pieces_end(at: datetime) -> int:
    """Leave out what waited for a digest until it was over: its run's time, or for a digest that nobody published."""
    over = DigestPiece.objects.filter(state=State.KEPT, due_at__lte=at, good_until__lt=at)
    return over.update(state=State.LEFT_OUT, reason="too_late", settled_at=at)


def frequency_heed(profile_id: int, changes: Sequence[PreferenceChange]) -> None:
    """What was collected follows a person's choice, in its transaction: to their new moment, or out at once."""
    kinds = {change.kind for change in changes}
    if not kinds & {PreferenceChange.Kind.FREQUENCY, PreferenceChange.Kind.TIME_ZONE}:
        return
    terms = digest_terms()
    if terms is not None:
        _frequency, due_at = _moments([profile_id], terms, after=now())[profile_id]
        DigestPiece.objects.filter(profile_id=profile_id, state=State.KEPT, digest=None).update(due_at=due_at)


# --- what the gate finds ---


def digests_changed(message_ids: Sequence[UUID]) -> set[UUID]:
    """Which digests show a piece of a topic that its person has switched off since. Asked under the gate."""
    if not message_ids:
        return set()
    shown = DigestPiece.objects.filter(digest__in=list(message_ids), state=State.SHOWN)
    rows = list(shown.values_list("digest_id", "profile_id", "decision__run__version__spec__topic"))
    chosen = preferences_read(profile_ids=sorted({row[1] for row in rows}))
    return {digest_id for digest_id, profile_id, topic in rows if topic and topic in chosen[profile_id].topics_off}


def digests_reopen(message_ids: Sequence[UUID]) -> int:
    """Keep what digests showed that do not go out after all, to be weighed again at once. In the gate's transaction."""
    return DigestPiece.objects.filter(digest__in=list(message_ids), state=State.SHOWN).update(
        state=State.KEPT, due_at=now(), settled_at=None
    )


def pieces_settle(digests: Mapping[int, tuple[UUID, str, Mapping[str, Any] | None]], *, at: datetime) -> None:
    """Say what became of the pieces of people whose digest was decided, in the transaction of the decision.

    digests: by profile id its decision, its outcome, and what was weighed (`weighing.Weighed.told`), None where nothing
    was: then nothing of it comes, for the reason of the digest.
    """
    for profile_id, (digest_id, outcome, weighed) in digests.items():
        kept = DigestPiece.objects.filter(profile_id=profile_id, state=State.KEPT)
        if weighed is None:
            kept.update(state=State.LEFT_OUT, reason=outcome, digest=digest_id, settled_at=at)
            continue
        kept.filter(pk__in=weighed["shown"]).update(state=State.SHOWN, digest=digest_id, settled_at=at)
        for reason in {why for _, why in weighed["left"]}:
            ids = [piece for piece, why in weighed["left"] if why == reason]
            kept.filter(pk__in=ids).update(state=State.LEFT_OUT, reason=reason, digest=digest_id, settled_at=at)


@dataclass(frozen=True, slots=True)
class PieceTold:
    """A piece in a digest, or left out of one. reason: why it was left out, "" where it is shown."""

    decision_id: UUID
    playbook: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class DigestTold:
    """What digests have to do with a decision. state: of its piece, "" for none; digest: in which it was; pieces: what
    it shows and left out, for a digest."""

    state: str = ""
    reason: str = ""
    digest: UUID | None = None
    pieces: Sequence[PieceTold] = field(default=())


def digest_told(decision_id: UUID) -> DigestTold:
    """What became of a decision that was kept, or what a digest is made of."""
    piece = DigestPiece.objects.filter(pk=decision_id).first()
    if piece is not None:
        return DigestTold(piece.state, piece.reason, piece.digest_id)
    weighed = DigestPiece.objects.filter(digest=decision_id).exclude(state=State.KEPT)
    rows = weighed.order_by("-kept_at", "-pk").values_list("pk", "decision__run__playbook__name", "reason")
    return DigestTold(pieces=[PieceTold(*row) for row in rows])


def digests_forget(before: datetime, limit: int) -> int:
    """Forget pieces that were settled before a moment, at most `limit`; their decisions stay."""
    over = DigestPiece.objects.filter(settled_at__lt=before).exclude(state=State.KEPT)
    return DigestPiece.objects.filter(pk__in=list(over.values_list("pk", flat=True)[:limit])).delete()[0]
