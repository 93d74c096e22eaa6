"""The gate: the one way into `sending` (promise 1 of the design).

In one transaction: lock the gates of the window's people in the order of their ids, read under that lock what they
agreed to, suppression, their address, caps from the ledger and the run's state, then move the claimed rows to
`sending` (the intent: whose attempt it is, and which) or to `withheld`. An opt-out locks the same gates. So it commits
before the gate reads, and is seen; or after the window's commit, and the message was in `sending` before it.

The database is asked, not Redis, and READ COMMITTED is what makes it right: the statement that reads begins after the
lock was granted, so it sees all that committed before. If anything here fails, nothing is sent.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import BooleanField, ExpressionWrapper, Q
from django.db.models.functions import Now

from apps.data.consent.contracts import GateAnswer
from apps.data.consent.models import Channel
from apps.data.consent.preferences import zones_read
from apps.data.consent.selectors import ADDRESS_KIND, TRACKING, gate_elsewhere, gate_read, granted_read
from apps.data.consent.services import gate_lock
from apps.data.consent.verdicts import traps_met
from apps.data.profiles.addresses import addresses_open
from apps.data.profiles.mail import MailKind, mail_is_elsewhere
from apps.decisioning.decisions.digests import (
    DigestTerms,
    digest_terms,
    digests_changed,
    digests_reopen,
    singles_keep,
)
from apps.decisioning.decisions.engine import DIGEST, DIGEST_CHANGED, ITEM_LIMIT, Asleep, asleep_until
from apps.decisioning.decisions.selectors import addresses_elsewhere
from apps.foundation.core.errors import PermanentError
from apps.foundation.core.wall_clock import quiet_of, quiet_until, zone_choose

from .caps import caps_over, items_over
from .contracts import Passed, Prepared, Result
from .merging import MERGED
from .models import Dispatch, Message
from .rendering import message_prepare
from .results import results_write
from .rules import AMONG, COUNTED, leaving

State = Message.State

GATE_SECONDS: Final = 1.0
"""How old the gate's answer may be when a message goes out; an older one is asked again."""
LOCK_SECONDS: Final = 10
"""How long the gate waits for a lock; a window that waits longer is given back."""

_DISPATCH_LOCK: Final = 0x5E4D << 40

_SENDING = f"""
UPDATE sending_message AS message
SET state = 'sending', attempts = message.attempts + 1, sending_at = clock_timestamp(),
    lease_until = clock_timestamp() + make_interval(secs => %(lease)s),
    address_digest = nullif(decode(passed.address_digest, 'hex'), ''::bytea),
    key_id = passed.key_id, dated_at = passed.dated_at,
    content_digest = passed.digest, size = passed.size, tracked = passed.tracked
FROM unnest(%(ids)s::uuid[], %(fences)s::bigint[], %(address_digests)s::text[],
            %(key_ids)s::text[], %(dates)s::timestamptz[], %(digests)s::text[], %(sizes)s::int[],
            %(tracked)s::bool[])
     AS passed(id, fence, address_digest, key_id, dated_at, digest, size, tracked)
WHERE message.id = passed.id AND message.fence = passed.fence AND {AMONG.format("%(from)s")}
  AND message.lease_until > clock_timestamp()
RETURNING message.id, message.attempts
"""  # noqa: S608  # constants

_TURN_AWAY = """
UPDATE sending_message AS message
SET state = verdict.state, reason = verdict.reason, sender_id = NULL, lease_until = NULL,
    not_before = coalesce(verdict.until, message.not_before),
    finished_at = CASE WHEN verdict.state = 'queued' THEN NULL ELSE clock_timestamp() END
FROM unnest(%s::uuid[], %s::bigint[], %s::text[], %s::text[], %s::timestamptz[])
     AS verdict(id, fence, state, reason, until)
WHERE message.id = verdict.id AND message.fence = verdict.fence AND message.state = ANY(%s)
RETURNING message.id
"""

_NOT_TRIED = """
INSERT INTO sending_deliveryattempt (message_id, number, sender_id, started_at, finished_at, outcome, code, response)
SELECT message.id, taken_back.number, %s, message.sending_at, clock_timestamp(), 'not_tried', '', ''
FROM unnest(%s::uuid[], %s::int[]) AS taken_back(id, number) JOIN sending_message AS message USING (id)
"""

_STILL_OURS = """
UPDATE sending_message AS message SET lease_until = clock_timestamp() + make_interval(secs => %s)
FROM unnest(%s::uuid[], %s::bigint[]) AS held(id, fence)
WHERE message.id = held.id AND message.fence = held.fence AND message.state = 'sending'
  AND message.lease_until > clock_timestamp()
RETURNING message.id
"""

_MERGED_HAS_IT = """
SELECT mine.id FROM unnest(%s::uuid[], %s::bigint[], %s::bigint[]) AS mine(id, dispatch_id, profile_id)
JOIN profiles_profile AS absorbed ON absorbed.merged_into_id = mine.profile_id
JOIN sending_message AS other ON other.dispatch_id = mine.dispatch_id AND other.profile_id = absorbed.id
WHERE other.state = ANY(%s)
"""

_ADDRESS_TAKEN = """
SELECT moved.id FROM unnest(%s::uuid[], %s::bigint[], %s::text[]) AS moved(id, dispatch_id, digest)
WHERE EXISTS (SELECT FROM sending_message AS other
              WHERE other.dispatch_id = moved.dispatch_id AND other.address_digest = decode(moved.digest, 'hex')
                AND NOT other.state = 'withheld' AND other.id <> moved.id)
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where a message goes that may not go out. until: when it may be claimed again, where that is known."""

    state: str
    reason: str = ""
    until: datetime | None = None


def dispatch_lock(cursor: CursorWrapper, dispatch_ids: Iterable[int], *, shared: bool) -> None:
    """Hold a dispatch's orders (pause, cancel) as they are until the transaction ends; `shared` for who only reads.

    An advisory lock, which is fair: a row lock that many senders share can keep a cancellation waiting for ever.
    """
    function = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
    keys = [_DISPATCH_LOCK | dispatch_id for dispatch_id in sorted(set(dispatch_ids))]
    for key in keys:
        cursor.execute(f"SELECT {function}(%s)", [key])


def gate_pass(*, sender_id: UUID, items: Sequence[Prepared], before: Sequence[Result] = ()) -> list[Passed]:
    """Move claimed messages to `sending`, or to where their verdict says. Returns those that go out, in order.

    before: what came of the window before, recorded in the same transaction: one commit for both. A message whose claim
    was lost (fence, state or lease) is left alone. Raises django.db.Error and MasterKeyMissing: nothing has moved.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        results_write(cursor, before, sender_id=sender_id)
        found = _read(cursor, items)
        verdicts = _verdicts(items, found)
        _once_for_a_person(cursor, items, verdicts)
        items = _as_it_is_now(cursor, items, found, verdicts)
        _caps_hold(cursor, items, found, verdicts)
        going = [item for item in items if item.claimed.id not in verdicts]
        numbers = _into_sending(cursor, going, found)
        _digests_follow(_turn_away(cursor, items, verdicts, source=State.CLAIMED), verdicts)
    return [Passed(item, numbers[item.claimed.id]) for item in going if item.claimed.id in numbers]


def gate_ask_again(*, sender_id: UUID, items: Sequence[Passed]) -> list[Passed]:
    """Ask once more about messages in `sending` that have not been handed over; take back those that may not go out.

    Returns those that may, with a fresh lease. Caps are not counted again: these messages are in the count.
    """
    prepared = [item.prepared for item in items]
    with transaction.atomic(), connection.cursor() as cursor:
        found = _read(cursor, prepared)
        verdicts = _verdicts(prepared, found)
        for one in prepared:
            if one.claimed.id not in verdicts and not _still_so(one, found):
                verdicts[one.claimed.id] = Verdict(State.QUEUED)
        taken_back = _turn_away(cursor, prepared, verdicts, source=State.SENDING)
        _digests_follow(taken_back, verdicts)
        back = [item for item in items if item.prepared.claimed.id in taken_back]
        if back:
            ids, numbers = [item.prepared.claimed.id for item in back], [item.number for item in back]
            cursor.execute(_NOT_TRIED, [sender_id, ids, numbers])
        going = [item for item in items if item.prepared.claimed.id not in verdicts]
        cursor.execute(
            _STILL_OURS,
            [
                settings.SEND_LEASE_SECONDS,
                [item.prepared.claimed.id for item in going],
                [item.prepared.claimed.fence for item in going],
            ],
        )
        ours = {row[0] for row in cursor.fetchall()}
    return [item for item in going if item.prepared.claimed.id in ours]


@dataclass(frozen=True, slots=True)
class _Found:
    """What was read under the locks: when, the dispatches, which of them are late, each message's answer, the addresses
    that open, which of the messages may tell that they were opened and clicked, the terms of digests where somebody
    wants one, and digests that show what was switched off since."""

    at: datetime
    dispatches: Mapping[int, Dispatch]
    late: frozenset[int]
    answers: Mapping[UUID, GateAnswer]
    addresses: Mapping[UUID, str]
    trackable: frozenset[UUID]
    digest: DigestTerms | None
    changed: Set[UUID]
    zones: Mapping[int, ZoneInfo]


def _read(cursor: CursorWrapper, items: Sequence[Prepared]) -> _Found:
    """Lock, then read."""
    cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
    dispatch_ids = {item.claimed.dispatch_id for item in items}
    dispatch_lock(cursor, dispatch_ids, shared=True)
    gate_lock(profile_ids=[item.claimed.profile_id for item in items])
    rows = Dispatch.objects.filter(pk__in=dispatch_ids).annotate(
        late=ExpressionWrapper(Q(not_after__lte=Now()), output_field=BooleanField()), read_at=Now()
    )
    dispatches = {row.pk: row for row in rows}
    groups: defaultdict[tuple[str, str, bool, str, str], list[Prepared]] = defaultdict(list)
    for item in items:
        dispatch = dispatches[item.claimed.dispatch_id]
        terms = dispatch.purpose, dispatch.channel, dispatch.needs_consent, dispatch.topic, dispatch.mail_kind
        groups[terms].append(item)
    answers: dict[UUID, GateAnswer] = {}
    addresses: dict[UUID, str] = {}
    for (purpose, channel, needs_consent, topic, mail_kind), group in groups.items():
        by_person = gate_read(
            profile_ids=sorted({item.claimed.profile_id for item in group}),
            purpose=purpose,
            channel=channel,
            needs_consent=needs_consent,
            topic=topic,
        )
        answers.update({item.claimed.id: by_person[item.claimed.profile_id] for item in group})
        if mail_is_elsewhere(mail_kind):
            goes_to = addresses_elsewhere(mail_kind=mail_kind, message_ids=[item.claimed.id for item in group])
            own = {item.claimed.id: (answers[item.claimed.id], goes_to.get(item.claimed.id, "")) for item in group}
            answers.update(gate_elsewhere(own))
            addresses |= goes_to
            continue
        held = {person: (answer.digest, answer.sealed) for person, answer in by_person.items() if answer.allowed}
        kind = ADDRESS_KIND.get(Channel(channel), "")
        opened = addresses_open(kind, held) if kind else dict.fromkeys(held, "")
        addresses |= {
            item.claimed.id: opened[item.claimed.profile_id] for item in group if item.claimed.profile_id in opened
        }
    mails = {item.claimed.id for item in items if dispatches[item.claimed.dispatch_id].channel == Channel.EMAIL}
    for message_id in traps_met({key: address for key, address in addresses.items() if key in mails}):
        answers[message_id] = replace(answers[message_id], allowed=False, reason="suppressed")
    late = frozenset(pk for pk, row in dispatches.items() if row.late)
    some_collect = any(answer.frequency != "each" for answer in answers.values())
    digests = [item.claimed.id for item in items if dispatches[item.claimed.dispatch_id].mail_kind == MailKind.DIGEST]
    return _Found(
        at=max(row.read_at for row in dispatches.values()),
        dispatches=dict(dispatches),
        late=late,
        answers=answers,
        addresses=addresses,
        digest=digest_terms() if some_collect else None,
        changed=digests_changed(digests),
        trackable=_trackable(items, dispatches),
        zones=_zones(items, dispatches),
    )


def _zones(items: Sequence[Prepared], dispatches: Mapping[int, Dispatch]) -> Mapping[int, ZoneInfo]:
    """The time zones of people whose message has hours or days of its own."""
    people = {item.claimed.profile_id for item in items if dispatches[item.claimed.dispatch_id].hours}
    return zones_read(profile_ids=sorted(people)) if people else {}


def _trackable(items: Sequence[Prepared], dispatches: Mapping[int, Dispatch]) -> frozenset[UUID]:
    """Which of the messages that were made to be followed may be so now: following is a consent of its own."""
    by_channel: defaultdict[str, list[Prepared]] = defaultdict(list)
    for item in items:
        if item.tracked:
            by_channel[dispatches[item.claimed.dispatch_id].channel].append(item)
    found: set[UUID] = set()
    for channel, group in by_channel.items():
        people = granted_read(
            profile_ids=sorted({item.claimed.profile_id for item in group}), purpose=TRACKING, channel=channel
        )
        found.update(item.claimed.id for item in group if item.claimed.profile_id in people)
    return frozenset(found)


def _still_so(item: Prepared, found: _Found) -> bool:
    """Whether a message is as it should be now: for the person's address, and followed only where they agree."""
    return found.addresses.get(item.claimed.id, "") == item.address and (
        not item.tracked or item.claimed.id in found.trackable
    )


def _verdicts(items: Sequence[Prepared], found: _Found) -> dict[UUID, Verdict]:
    """Who may not go out, for what the run's terms and the person's choices say."""
    verdicts: dict[UUID, Verdict] = {}
    for item in items:
        dispatch = found.dispatches[item.claimed.dispatch_id]
        answer = found.answers[item.claimed.id]
        if dispatch.state == Dispatch.State.CANCELLED:
            verdicts[item.claimed.id] = Verdict(State.CANCELLED)
        elif dispatch.state == Dispatch.State.PAUSED:
            verdicts[item.claimed.id] = Verdict(State.QUEUED)
        elif dispatch.pk in found.late:
            verdicts[item.claimed.id] = Verdict(State.WITHHELD, "too_late")
        elif not answer.allowed:
            verdicts[item.claimed.id] = Verdict(State.WITHHELD, answer.reason)
        elif why := _digest_reason(item, dispatch, answer, found):
            verdicts[item.claimed.id] = Verdict(State.WITHHELD, why)
        elif until := _asleep_until(item, dispatch, answer, found):
            in_time = until <= dispatch.not_after
            verdicts[item.claimed.id] = (
                Verdict(State.QUEUED, until=until) if in_time else Verdict(State.WITHHELD, "quiet_hours")
            )
        elif item.claimed.id not in found.addresses:
            verdicts[item.claimed.id] = Verdict(State.WITHHELD, "sealed_address")
    return verdicts


def _asleep_until(item: Prepared, dispatch: Dispatch, answer: GateAnswer, found: _Found) -> datetime | None:
    """Until when it may not go out: the playbook's hours and days, and the quiet hours of the person; None: it may."""
    own = answer.quiet, zone_choose(answer.zone, "")
    if not dispatch.hours:
        return quiet_until(own[0], at=found.at, zone=own[1])
    zone = found.zones.get(item.claimed.profile_id) or zone_choose("", dispatch.hours["zone"])
    asleep = Asleep((quiet_of(dispatch.hours.get("quiet")), zone), own, tuple(dispatch.hours.get("days", ())))
    return asleep_until(asleep, at=found.at)


def _digest_reason(item: Prepared, dispatch: Dispatch, answer: GateAnswer, found: _Found) -> str:
    """Why a message does not go out for the sake of digests, "" where it does: its person wants it in one by now; or it
    is one, and shows what they have switched off since."""
    if item.claimed.id in found.changed:
        return DIGEST_CHANGED
    terms = found.digest
    if terms is None or dispatch.mail_kind or answer.frequency == "each":
        return ""
    return DIGEST if (terms.purpose, terms.channel) == (dispatch.purpose, dispatch.channel) else ""


def _digests_follow(moved: Set[UUID], verdicts: Mapping[UUID, Verdict]) -> None:
    """What does not go out by itself any more is kept for the digest; what a digest showed is weighed again."""
    withheld = {message_id: verdicts[message_id].reason for message_id in moved}
    if kept := [message_id for message_id, reason in withheld.items() if reason == DIGEST]:
        singles_keep(kept)
    if again := [message_id for message_id, reason in withheld.items() if reason == DIGEST_CHANGED]:
        digests_reopen(again)


def _once_for_a_person(cursor: CursorWrapper, items: Sequence[Prepared], verdicts: dict[UUID, Verdict]) -> None:
    """Withhold what a person got, or may have got, by the same run before a profile was merged into theirs."""
    going = [item.claimed for item in items if item.claimed.id not in verdicts]
    if not going:
        return
    cursor.execute(
        _MERGED_HAS_IT,
        [
            [one.id for one in going],
            [one.dispatch_id for one in going],
            [one.profile_id for one in going],
            [str(state) for state in COUNTED],
        ],
    )
    for row in cursor.fetchall():
        verdicts[row[0]] = Verdict(State.WITHHELD, MERGED)


def _as_it_is_now(
    cursor: CursorWrapper, items: Sequence[Prepared], found: _Found, verdicts: dict[UUID, Verdict]
) -> list[Prepared]:
    """The items, rendered anew where the person's address is not the one it was when they were prepared, or they no
    longer agree to be followed.

    An address that another message of the run has meanwhile is a second message to one inbox: withheld.
    """
    moved = {
        item.claimed.id: item
        for item in items
        if item.claimed.id not in verdicts and item.claimed.address_digest != found.answers[item.claimed.id].digest
    }
    if moved:
        cursor.execute(
            _ADDRESS_TAKEN,
            [
                list(moved),
                [item.claimed.dispatch_id for item in moved.values()],
                [found.answers[message_id].digest.hex() for message_id in moved],
            ],
        )
        taken = {row[0] for row in cursor.fetchall()}
        seen: set[tuple[int, bytes]] = set()
        for message_id, item in moved.items():
            key = (item.claimed.dispatch_id, found.answers[message_id].digest)
            if message_id in taken or key in seen:
                verdicts[message_id] = Verdict(State.WITHHELD, "duplicate_address")
            seen.add(key)
    present: list[Prepared] = []
    for item in items:
        if item.claimed.id in verdicts or _still_so(item, found):
            present.append(item)
            continue
        try:
            present.append(
                message_prepare(
                    item.claimed,
                    found.dispatches[item.claimed.dispatch_id],
                    address=found.addresses[item.claimed.id],
                    at=item.dated_at,
                    may_track=item.claimed.id in found.trackable,
                )
            )
        except PermanentError as error:
            verdicts[item.claimed.id] = Verdict(State.WITHHELD, error.code)
            present.append(item)
    return present


def _caps_hold(cursor: CursorWrapper, items: Sequence[Prepared], found: _Found, verdicts: dict[UUID, Verdict]) -> None:
    """Withhold what would be above a cap or a limit of contact, counted under the locks (`caps.py`)."""
    rest = [item for item in items if item.claimed.id not in verdicts]
    often = items_over(cursor, rest)
    verdicts.update((message_id, Verdict(State.WITHHELD, ITEM_LIMIT)) for message_id in often)
    rest = [item for item in rest if item.claimed.id not in often]
    over = caps_over(cursor, rest, found.dispatches)
    verdicts.update(
        (item.claimed.id, Verdict(State.WITHHELD, why)) for item in rest if (why := over.get(item.claimed.id))
    )


def _into_sending(cursor: CursorWrapper, going: Sequence[Prepared], found: _Found) -> dict[UUID, int]:
    """The step, which is the intent. Returns the attempt's number by message."""
    if not going:
        return {}
    cursor.execute(
        _SENDING,
        {
            "lease": settings.SEND_LEASE_SECONDS,
            "from": leaving(State.CLAIMED, to=State.SENDING),
            "ids": [item.claimed.id for item in going],
            "fences": [item.claimed.fence for item in going],
            "address_digests": [found.answers[item.claimed.id].digest.hex() for item in going],
            "key_ids": [item.key_id for item in going],
            "dates": [item.dated_at for item in going],
            "digests": [item.digest for item in going],
            "sizes": [len(item.content) for item in going],
            "tracked": [item.tracked for item in going],
        },
    )
    return dict(cursor.fetchall())


def _turn_away(
    cursor: CursorWrapper, items: Sequence[Prepared], verdicts: Mapping[UUID, Verdict], *, source: State
) -> set[UUID]:
    """Move those with a verdict to where it says. Returns which were moved."""
    away = [item for item in items if item.claimed.id in verdicts]
    if not away:
        return set()
    for state in {verdicts[item.claimed.id].state for item in away}:
        leaving(source, to=state)
    cursor.execute(
        _TURN_AWAY,
        [
            [item.claimed.id for item in away],
            [item.claimed.fence for item in away],
            [verdicts[item.claimed.id].state for item in away],
            [verdicts[item.claimed.id].reason for item in away],
            [verdicts[item.claimed.id].until for item in away],
            [str(source)],
        ],
    )
    return {row[0] for row in cursor.fetchall()}
