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
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from apps.data.consent.contracts import GateAnswer
from apps.data.consent.models import Channel
from apps.data.consent.preferences import zones_read
from apps.data.consent.selectors import ADDRESS_KIND, gate_elsewhere, gate_read_followed
from apps.data.consent.services import gate_lock
from apps.data.consent.verdicts import traps_met
from apps.data.profiles.addresses import addresses_again
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
from apps.foundation.core.postgres import array_text, ids_text, planned_rows, texts_text
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

_DISPATCHES = """
SELECT dispatch.*, not_after <= statement_timestamp() AS late, statement_timestamp() AS read_at
FROM sending_dispatch AS dispatch WHERE id = ANY(%s::bigint[])
"""

_SENDING = f"""
UPDATE sending_message AS message
SET state = 'sending', attempts = message.attempts + 1, sending_at = clock_timestamp(),
    lease_until = clock_timestamp() + make_interval(secs => %(lease)s),
    address_digest = nullif(decode(passed.address_digest, 'hex'), ''::bytea),
    key_id = passed.key_id, dated_at = passed.dated_at,
    content_digest = passed.digest, size = passed.size, tracked = passed.tracked
FROM unnest(%(ids)s::uuid[], %(fences)s::bigint[], %(address_digests)s::text[],
            %(key_ids)s::text[], %(dates)s::timestamptz[], %(digests)s::text[], %(sizes)s::int[],
            %(tracked)s::bool[]) WITH ORDINALITY
     AS passed(id, fence, address_digest, key_id, dated_at, digest, size, tracked, place)
WHERE message.id = passed.id AND message.fence = passed.fence AND {AMONG.format("%(from)s")}
  AND message.lease_until > clock_timestamp()
RETURNING passed.place, message.attempts
"""  # noqa: S608  # constants

_TURN_AWAY = """
UPDATE sending_message AS message
SET state = verdict.state, reason = verdict.reason, sender_id = NULL, lease_until = NULL,
    not_before = coalesce(verdict.until, message.not_before),
    finished_at = CASE WHEN verdict.state = 'queued' THEN NULL ELSE clock_timestamp() END
FROM unnest(%s::uuid[], %s::bigint[], %s::text[], %s::text[], %s::timestamptz[])
     AS verdict(id, fence, state, reason, until)
WHERE message.id = verdict.id AND message.fence = verdict.fence AND message.state = ANY(%s)
RETURNING message.id::text
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
RETURNING message.id::text
"""

_MERGED_HAS_IT = """
SELECT absorbed.merged_into_id, other.dispatch_id FROM profiles_profile AS absorbed
JOIN sending_message AS other ON other.dispatch_id = ANY(%(dispatches)s::bigint[]) AND other.profile_id = absorbed.id
WHERE absorbed.merged_into_id = ANY(%(people)s::bigint[]) AND other.state = ANY(%(states)s::text[])
"""

_ADDRESS_TAKEN = """
SELECT moved.id::text FROM unnest(%s::uuid[], %s::bigint[], %s::text[]) AS moved(id, dispatch_id, digest)
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
        _once_for_a_person(items, verdicts)
        items = _as_it_is_now(cursor, items, found, verdicts)
        _caps_hold(cursor, items, found, verdicts)
        going = [item for item in items if item.claimed.key not in verdicts]
        numbers = _into_sending(going, found)
        _digests_follow(_turn_away(cursor, items, verdicts, source=State.CLAIMED), verdicts)
    return [Passed(item, numbers[item.claimed.key]) for item in going if item.claimed.key in numbers]


def gate_ask_again(*, sender_id: UUID, items: Sequence[Passed]) -> list[Passed]:
    """Ask once more about messages in `sending` that have not been handed over; take back those that may not go out.

    Returns those that may, with a fresh lease. Caps are not counted again: these messages are in the count.
    """
    prepared = [item.prepared for item in items]
    with transaction.atomic(), connection.cursor() as cursor:
        found = _read(cursor, prepared)
        verdicts = _verdicts(prepared, found)
        for one in prepared:
            if one.claimed.key not in verdicts and not _still_so(one, found):
                verdicts[one.claimed.key] = Verdict(State.QUEUED)
        taken_back = _turn_away(cursor, prepared, verdicts, source=State.SENDING)
        _digests_follow(taken_back, verdicts)
        back = [item for item in items if item.prepared.claimed.key in taken_back]
        if back:
            ids, numbers = [item.prepared.claimed.key for item in back], [item.number for item in back]
            cursor.execute(_NOT_TRIED, [sender_id, ids, numbers])
        going = [item for item in items if item.prepared.claimed.key not in verdicts]
        cursor.execute(
            _STILL_OURS,
            [
                settings.SEND_LEASE_SECONDS,
                array_text([item.prepared.claimed.key for item in going]),
                ids_text([item.prepared.claimed.fence for item in going]),
            ],
        )
        ours = {row[0] for row in cursor.fetchall()}
    return [item for item in going if item.prepared.claimed.key in ours]


@dataclass(frozen=True, slots=True)
class _Found:
    """What was read under the locks: when, the dispatches, which of them are late, each message's answer, the addresses
    that open, which of the messages may tell that they were opened and clicked, the terms of digests where somebody
    wants one, and digests that show what was switched off since."""

    at: datetime
    dispatches: Mapping[int, Dispatch]
    late: frozenset[int]
    answers: Mapping[str, GateAnswer]
    addresses: Mapping[str, str]
    trackable: frozenset[str]
    digest: DigestTerms | None
    changed: Set[str]
    zones: Mapping[int, ZoneInfo]


def _read(cursor: CursorWrapper, items: Sequence[Prepared]) -> _Found:
    """Lock, then read."""
    cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
    dispatch_ids = {item.claimed.dispatch_id for item in items}
    dispatch_lock(cursor, dispatch_ids, shared=True)
    gate_lock(profile_ids=[item.claimed.profile_id for item in items])
    rows: list[Any] = list(Dispatch.objects.raw(_DISPATCHES, [ids_text(dispatch_ids)]))
    dispatches: dict[int, Dispatch] = {row.pk: row for row in rows}
    groups: defaultdict[tuple[str, str, bool, str, str], list[Prepared]] = defaultdict(list)
    for item in items:
        dispatch = dispatches[item.claimed.dispatch_id]
        terms = dispatch.purpose, dispatch.channel, dispatch.needs_consent, dispatch.topic, dispatch.mail_kind
        groups[terms].append(item)
    answers: dict[str, GateAnswer] = {}
    addresses: dict[str, str] = {}
    trackable: set[str] = set()
    for (purpose, channel, needs_consent, topic, mail_kind), group in groups.items():
        read = gate_read_followed(
            profile_ids=sorted({item.claimed.profile_id for item in group}),
            purpose=purpose,
            channel=channel,
            needs_consent=needs_consent,
            topic=topic,
        )
        by_person = {person: answer for person, (answer, _) in read.items()}
        trackable |= {item.claimed.key for item in group if item.tracked and read[item.claimed.profile_id][1]}
        answers.update({item.claimed.key: by_person[item.claimed.profile_id] for item in group})
        if mail_is_elsewhere(mail_kind):
            ids = {item.claimed.id: item.claimed.key for item in group}
            elsewhere = addresses_elsewhere(mail_kind=mail_kind, message_ids=list(ids))
            goes_to = {ids[message_id]: address for message_id, address in elsewhere.items()}
            own = {item.claimed.key: (answers[item.claimed.key], goes_to.get(item.claimed.key, "")) for item in group}
            answers.update(gate_elsewhere(own))
            addresses |= goes_to
            continue
        held = {person: (answer.digest, answer.sealed) for person, answer in by_person.items() if answer.allowed}
        kind = ADDRESS_KIND.get(Channel(channel), "")
        before = {item.claimed.profile_id: item.claimed.opened for item in group}
        opened = addresses_again(kind, held, before) if kind else dict.fromkeys(held, "")
        addresses |= {
            item.claimed.key: opened[item.claimed.profile_id] for item in group if item.claimed.profile_id in opened
        }
    mails = {item.claimed.key for item in items if dispatches[item.claimed.dispatch_id].channel == Channel.EMAIL}
    for message_id in traps_met({key: address for key, address in addresses.items() if key in mails}):
        answers[message_id] = answers[message_id]._replace(allowed=False, reason="suppressed")
    late = frozenset(row.pk for row in rows if row.late)
    some_collect = any(answer.frequency != "each" for answer in answers.values())
    digests = [item.claimed.id for item in items if dispatches[item.claimed.dispatch_id].mail_kind == MailKind.DIGEST]
    return _Found(
        at=max(row.read_at for row in rows),
        dispatches=dispatches,
        late=late,
        answers=answers,
        addresses=addresses,
        digest=digest_terms() if some_collect else None,
        changed=frozenset(map(str, digests_changed(digests))),
        trackable=frozenset(trackable),
        zones=_zones(items, dispatches),
    )


def _zones(items: Sequence[Prepared], dispatches: Mapping[int, Dispatch]) -> Mapping[int, ZoneInfo]:
    """The time zones of people whose message has hours or days of its own."""
    people = {item.claimed.profile_id for item in items if dispatches[item.claimed.dispatch_id].hours}
    return zones_read(profile_ids=sorted(people)) if people else {}


def _still_so(item: Prepared, found: _Found) -> bool:
    """Whether a message is as it should be now: for the person's address, and followed only where they agree."""
    return found.addresses.get(item.claimed.key, "") == item.address and (
        not item.tracked or item.claimed.key in found.trackable
    )


def _verdicts(items: Sequence[Prepared], found: _Found) -> dict[str, Verdict]:
    """Who may not go out, for what the run's terms and the person's choices say."""
    verdicts: dict[str, Verdict] = {}
    for item in items:
        dispatch = found.dispatches[item.claimed.dispatch_id]
        answer = found.answers[item.claimed.key]
        if dispatch.state == Dispatch.State.CANCELLED:
            verdicts[item.claimed.key] = Verdict(State.CANCELLED)
        elif dispatch.state == Dispatch.State.PAUSED:
            verdicts[item.claimed.key] = Verdict(State.QUEUED)
        elif dispatch.pk in found.late:
            verdicts[item.claimed.key] = Verdict(State.WITHHELD, "too_late")
        elif not answer.allowed:
            verdicts[item.claimed.key] = Verdict(State.WITHHELD, answer.reason)
        elif why := _digest_reason(item, dispatch, answer, found):
            verdicts[item.claimed.key] = Verdict(State.WITHHELD, why)
        elif until := _asleep_until(item, dispatch, answer, found):
            in_time = until <= dispatch.not_after
            verdicts[item.claimed.key] = (
                Verdict(State.QUEUED, until=until) if in_time else Verdict(State.WITHHELD, "quiet_hours")
            )
        elif item.claimed.key not in found.addresses:
            verdicts[item.claimed.key] = Verdict(State.WITHHELD, "sealed_address")
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
    if item.claimed.key in found.changed:
        return DIGEST_CHANGED
    terms = found.digest
    if terms is None or dispatch.mail_kind or answer.frequency == "each":
        return ""
    return DIGEST if (terms.purpose, terms.channel) == (dispatch.purpose, dispatch.channel) else ""


def _digests_follow(moved: Set[str], verdicts: Mapping[str, Verdict]) -> None:
    """What does not go out by itself any more is kept for the digest; what a digest showed is weighed again."""
    withheld = {message_id: verdicts[message_id].reason for message_id in moved}
    if kept := [UUID(message_id) for message_id, reason in withheld.items() if reason == DIGEST]:
        singles_keep(kept)
    if again := [UUID(message_id) for message_id, reason in withheld.items() if reason == DIGEST_CHANGED]:
        digests_reopen(again)


def _once_for_a_person(items: Sequence[Prepared], verdicts: dict[str, Verdict]) -> None:
    """Withhold what a person got, or may have got, by the same run before a profile was merged into theirs."""
    going = [item.claimed for item in items if item.claimed.key not in verdicts]
    if not going:
        return
    params = {
        "dispatches": ids_text({one.dispatch_id for one in going}),
        "people": ids_text({one.profile_id for one in going}),
        "states": array_text(COUNTED),
    }
    if had := set(planned_rows(_MERGED_HAS_IT, params)):
        for one in going:
            if (one.profile_id, one.dispatch_id) in had:
                verdicts[one.key] = Verdict(State.WITHHELD, MERGED)


def _as_it_is_now(
    cursor: CursorWrapper, items: Sequence[Prepared], found: _Found, verdicts: dict[str, Verdict]
) -> list[Prepared]:
    """The items, rendered anew where the person's address is not the one it was when they were prepared, or they no
    longer agree to be followed.

    An address that another message of the run has meanwhile is a second message to one inbox: withheld.
    """
    moved = {
        item.claimed.key: item
        for item in items
        if item.claimed.key not in verdicts and item.claimed.address_digest != found.answers[item.claimed.key].digest
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
        if item.claimed.key in verdicts or _still_so(item, found):
            present.append(item)
            continue
        try:
            present.append(
                message_prepare(
                    item.claimed,
                    found.dispatches[item.claimed.dispatch_id],
                    address=found.addresses[item.claimed.key],
                    at=item.dated_at,
                    may_track=item.claimed.key in found.trackable,
                )
            )
        except PermanentError as error:
            verdicts[item.claimed.key] = Verdict(State.WITHHELD, error.code)
            present.append(item)
    return present


def _caps_hold(cursor: CursorWrapper, items: Sequence[Prepared], found: _Found, verdicts: dict[str, Verdict]) -> None:
    """Withhold what would be above a cap or a limit of contact, counted under the locks (`caps.py`)."""
    rest = [item for item in items if item.claimed.key not in verdicts]
    often = items_over(cursor, rest)
    verdicts.update((message_id, Verdict(State.WITHHELD, ITEM_LIMIT)) for message_id in often)
    rest = [item for item in rest if item.claimed.key not in often]
    over = caps_over(rest, found.dispatches)
    verdicts.update(
        (item.claimed.key, Verdict(State.WITHHELD, why)) for item in rest if (why := over.get(item.claimed.key))
    )


def _into_sending(going: Sequence[Prepared], found: _Found) -> dict[str, int]:
    """The step, which is the intent. Returns the attempt's number by message."""
    if not going:
        return {}
    moved = planned_rows(
        _SENDING,
        {
            "lease": settings.SEND_LEASE_SECONDS,
            "from": leaving(State.CLAIMED, to=State.SENDING),
            "ids": array_text([item.claimed.key for item in going]),
            "fences": ids_text([item.claimed.fence for item in going]),
            "address_digests": texts_text([found.answers[item.claimed.key].digest.hex() for item in going]),
            "key_ids": texts_text([item.key_id for item in going]),
            "dates": texts_text([item.dated_at.isoformat() for item in going]),
            "digests": array_text([item.digest for item in going]),
            "sizes": ids_text([len(item.content) for item in going]),
            "tracked": array_text(["t" if item.tracked else "f" for item in going]),
        },
    )
    return {going[place - 1].claimed.key: number for place, number in moved}


def _turn_away(
    cursor: CursorWrapper, items: Sequence[Prepared], verdicts: Mapping[str, Verdict], *, source: State
) -> set[str]:
    """Move those with a verdict to where it says. Returns which were moved."""
    away = [item for item in items if item.claimed.key in verdicts]
    if not away:
        return set()
    for state in {verdicts[item.claimed.key].state for item in away}:
        leaving(source, to=state)
    cursor.execute(
        _TURN_AWAY,
        [
            [item.claimed.key for item in away],
            [item.claimed.fence for item in away],
            [verdicts[item.claimed.key].state for item in away],
            [verdicts[item.claimed.key].reason for item in away],
            [verdicts[item.claimed.key].until for item in away],
            [str(source)],
        ],
    )
    return {row[0] for row in cursor.fetchall()}
