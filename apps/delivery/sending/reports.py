"""What is heard of messages after they were handed over: each report once, and what follows from it.

Written down first, then applied, an event at a time where something follows for the person: so a process that dies
between the two leaves an event that the sweep applies. Bounces for good and complaints suppress the address at once,
under the gate like every opt-out; bounces for now do after repeats. The hot path (deliveries, opens, clicks by the
thousand) is a few statements for all of them.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q

from apps.data.consent.models import Channel, ConsentRecord, Suppression
from apps.data.consent.selectors import ADDRESS_KIND
from apps.data.consent.services import consent_withdraw, gate_lock, suppression_add_digest
from apps.data.profiles.addresses import digest_holders
from apps.data.profiles.merging import survivor_of
from apps.data.profiles.normalize import email_normalize, phone_normalize
from apps.data.profiles.vault import Erased, Place, vault_open
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Invalid
from apps.foundation.core.live import live_publish
from apps.foundation.core.masking import addresses_mask
from apps.foundation.core.signing import address_digests

from .contracts import Report
from .models import EventRaw, Message, MessageEvent
from .rules import LEADS_TO, PASSED_ON, leaving, sources_of

State = Message.State
Kind = MessageEvent.Kind

RAW_TABLE: Final = "sending_eventraw"
RAW_MOST: Final = 64 * 1024
"""Bytes of what was said that are kept; the rest is cut."""
WAIT_FOR_RECORD: Final = timedelta(days=1)
"""So long an event waits for its message's sender to write down that it went out."""
_UNRECORDED: Final = (State.QUEUED, State.CLAIMED, State.SENDING, State.RETRY)

_WRITE = """
INSERT INTO sending_messageevent (message_id, kind, occurred_at, recorded_at, source, bounce, reason, code, response,
                                  link, machine, passed_on_at)
SELECT message_id, kind, occurred_at, clock_timestamp(), source, bounce, reason, code, response, link, machine,
       CASE WHEN kind = ANY(%(passed_on)s) AND machine = '' THEN NULL ELSE clock_timestamp() END
FROM unnest(%(messages)s::uuid[], %(kinds)s::text[], %(times)s::timestamptz[], %(sources)s::text[], %(bounces)s::text[],
            %(reasons)s::text[], %(codes)s::text[], %(responses)s::text[], %(links)s::int[], %(machines)s::text[])
     AS report(message_id, kind, occurred_at, source, bounce, reason, code, response, link, machine)
ON CONFLICT (source) DO NOTHING RETURNING id, source
"""

_MOVE = """
UPDATE sending_message AS message
SET state = %s, sender_id = NULL, lease_until = NULL, finished_at = coalesce(message.finished_at, clock_timestamp())
WHERE message.id = ANY(%s) AND message.state = ANY(%s)
"""

_EVIDENCE = """
UPDATE sending_deliveryattempt AS attempt
SET outcome = 'accepted', response = 'known by what came back', finished_at = clock_timestamp()
FROM sending_message AS message
WHERE message.id = ANY(%s) AND attempt.message_id = message.id AND attempt.number = message.attempts
  AND attempt.outcome = 'unknown'
"""

_SOFT = """
SELECT count(DISTINCT event.message_id)
FROM sending_message AS message JOIN sending_messageevent AS event ON event.message_id = message.id
WHERE message.profile_id = %(profile)s AND message.address_digest = %(digest)s AND event.kind = 'bounced'
  AND event.bounce = 'soft' AND event.occurred_at > %(since)s
  AND event.occurred_at > coalesce((
    SELECT max(good.occurred_at) FROM sending_message AS other
    JOIN sending_messageevent AS good ON good.message_id = other.id
    WHERE other.profile_id = %(profile)s AND other.address_digest = %(digest)s
      AND good.kind IN ('delivered', 'opened', 'clicked')), '-infinity')
"""


@dataclass(frozen=True, slots=True)
class _Known:
    """A message that reports are about."""

    profile_id: int
    channel: str
    digest: bytes


def reports_take(reports: Sequence[Report]) -> int:
    """Write down what was not known yet, and do what follows. Returns how many reports were new.

    Reports of messages that are not ours, or of another address than the message went to, change nothing. Raises
    django.db.Error and MasterKeyMissing: whoever told us must tell again.
    """
    known = _known_read(reports)
    fresh = [report for report in reports if report.message_id in known and _is_about(report, known[report.message_id])]
    if not fresh:
        return 0
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            _WRITE,
            {
                "passed_on": list(PASSED_ON),
                "messages": [report.message_id for report in fresh],
                "kinds": [report.kind for report in fresh],
                "times": [report.occurred_at for report in fresh],
                "sources": [report.source for report in fresh],
                "bounces": [report.bounce for report in fresh],
                "reasons": [report.reason[:24] for report in fresh],
                "codes": [addresses_mask(report.code)[:20] for report in fresh],
                "responses": [_readable(report) for report in fresh],
                "links": [report.link for report in fresh],
                "machines": [report.machine for report in fresh],
            },
        )
        ids: dict[str, int] = {source: pk for pk, source in cursor.fetchall()}
        _raws_keep({ids[one.source]: (known[one.message_id].profile_id, one.raw) for one in fresh if one.source in ids})
    events_apply(event_ids=list(ids.values()))
    return len(ids)


def _known_read(reports: Sequence[Report]) -> dict[UUID, _Known]:
    rows = Message.objects.filter(pk__in={report.message_id for report in reports})
    return {
        pk: _Known(profile_id, channel, bytes(digest or b""))
        for pk, profile_id, channel, digest in rows.values_list("pk", "profile_id", "channel", "address_digest")
    }


def _is_about(report: Report, known: _Known) -> bool:
    """Whether a report speaks of the address that its message went to, as far as it names one."""
    if not report.recipient:
        return True
    kind = ADDRESS_KIND.get(Channel(known.channel), "")
    try:
        value = email_normalize(report.recipient) if kind == "email" else phone_normalize(report.recipient)
    except Invalid:
        return False
    return known.digest in address_digests(kind, value)


def _readable(report: Report) -> str:
    text = " ".join(report.response.replace("\0", " ").split())
    return addresses_mask(text, *([report.recipient] if report.recipient else []))[:500]


def _raws_keep(said: Mapping[int, tuple[int, bytes]]) -> None:
    """Keep what was said, sealed; of somebody who was erased meanwhile nothing."""
    said = {event_id: (profile_id, raw) for event_id, (profile_id, raw) in said.items() if raw}
    vault = vault_open(profile_id for profile_id, _ in said.values())
    rows = []
    for event_id, (profile_id, raw) in said.items():
        try:
            sealed = vault.seal(profile_id, Place(RAW_TABLE, "sealed", str(event_id)), raw[:RAW_MOST])
        except Erased:
            continue
        rows.append(EventRaw(event_id=event_id, profile_id=profile_id, sealed=sealed))
    EventRaw.objects.bulk_create(rows)


def raw_open(raw: EventRaw) -> bytes:
    """What was said. Raises Erased, Tampered, MasterKeyMissing."""
    vault = vault_open([raw.profile_id])
    return vault.open(raw.profile_id, Place(RAW_TABLE, "sealed", str(raw.pk)), bytes(raw.sealed))


def events_apply(*, event_ids: Sequence[int]) -> int:
    """Do what follows from events: their messages move, addresses are suppressed. Returns how many were applied.

    Twice, or by several at once, changes nothing more. An event whose message's sender has not recorded yet that it
    went out waits for the sweep.
    """
    events = list(MessageEvent.objects.filter(pk__in=event_ids, applied_at=None).order_by("pk"))
    plain = [event for event in events if event.kind not in (Kind.BOUNCED, Kind.COMPLAINED, Kind.UNSUBSCRIBED)]
    applied = _apply_plain(plain) if plain else 0
    for event in events:
        if event not in plain:
            applied += _apply_to_person(event.pk)
    return applied


def events_apply_due(*, limit: int = 1000) -> int:
    """Apply what was left: its message was not recorded as sent yet, or a process died. Returns how many."""
    due = MessageEvent.objects.filter(applied_at=None).order_by("pk").values_list("pk", flat=True)
    return events_apply(event_ids=list(due[:limit]))


def _apply_plain(events: Sequence[MessageEvent]) -> int:
    """Events from which nothing follows but their message's state, all in one transaction."""
    with transaction.atomic():
        states = _messages_lock([event.message_id for event in events])
        ready = [event for event in events if not _must_wait(event, states)]
        _move(ready, states)
        return MessageEvent.objects.filter(pk__in=[event.pk for event in ready], applied_at=None).update(
            applied_at=now()
        )


def _apply_to_person(event_id: int) -> int:
    """A bounce, a complaint or an opt-out at the provider: the gates first, as every opt-out does."""
    with transaction.atomic():
        found = MessageEvent.objects.select_related("message").get(pk=event_id)
        message = found.message
        digest, kind = bytes(message.address_digest or b""), ADDRESS_KIND.get(Channel(message.channel), "")
        holders = digest_holders(kind=kind, digests=[digest]) if digest else []
        gate_lock(profile_ids=[*holders, survivor_of(message.profile_id)])
        event = MessageEvent.objects.select_for_update().get(pk=event_id)
        states = _messages_lock([event.message_id])
        if event.applied_at is not None:
            return 0
        if digest:
            _suppress(event, message, kind, digest)
        if event.kind in (Kind.COMPLAINED, Kind.UNSUBSCRIBED) and states[event.message_id][1]:
            consent_withdraw(
                profile_id=message.profile_id,
                purpose=message.purpose,
                channel=message.channel,
                method=ConsentRecord.Method.COMPLAINT
                if event.kind == Kind.COMPLAINED
                else ConsentRecord.Method.ONE_CLICK,
                source=f"{event.get_kind_display()}: message {message.pk}",
                occurred_at=event.recorded_at,
            )
        if _must_wait(event, states):  # what protects the person does not
            return 0
        _move([event], states)
        event.applied_at = now()
        event.save(update_fields=["applied_at"])
    return 1


def _suppress(event: MessageEvent, message: Message, kind: str, digest: bytes) -> None:
    """Suppress the message's address, if the event is a reason to."""
    reason: Suppression.Reason | None = None
    if event.kind == Kind.COMPLAINED:
        reason = Suppression.Reason.COMPLAINT
    elif event.kind == Kind.BOUNCED and event.bounce == MessageEvent.Bounce.HARD:
        reason = Suppression.Reason.BOUNCE
    elif event.kind == Kind.BOUNCED and event.bounce == MessageEvent.Bounce.SOFT:
        since = event.occurred_at - timedelta(days=settings.SOFT_BOUNCE_DAYS)
        with connection.cursor() as cursor:
            cursor.execute(_SOFT, {"profile": message.profile_id, "digest": digest, "since": since})
            if cursor.fetchone()[0] >= settings.SOFT_BOUNCES:
                reason = Suppression.Reason.BOUNCE
    if reason is not None:
        note = f"message {message.pk}: {event.reason or event.kind} {event.code}".strip()
        suppression_add_digest(kind=kind, digest=digest, reason=reason, note=note[:200])


_States = Mapping[UUID, tuple[str, bool]]
"""Of messages: their state, and whether their purpose needs consent."""


def _messages_lock(message_ids: Sequence[UUID]) -> dict[UUID, tuple[str, bool]]:
    rows = Message.objects.filter(pk__in=set(message_ids)).select_related("dispatch").order_by("pk")
    return {row.pk: (row.state, row.dispatch.needs_consent) for row in rows.select_for_update(of=("self",))}


def _must_wait(event: MessageEvent, states: _States) -> bool:
    """Whether its message's sender has not recorded yet that it went out. Not for ever: that may never be."""
    unrecorded = event.kind in LEADS_TO and states[event.message_id][0] in _UNRECORDED
    return unrecorded and now() - event.recorded_at < WAIT_FOR_RECORD


def _move(events: Sequence[MessageEvent], states: _States) -> None:
    """Bring messages to where their events lead, the mildest first; what stands in the way of the table stays."""
    by_target: defaultdict[str, set[UUID]] = defaultdict(set)
    for event in events:
        if event.kind in LEADS_TO:
            by_target[LEADS_TO[event.kind]].add(event.message_id)
    if not by_target:
        return
    uncertain = [pk for pk in set().union(*by_target.values()) if states[pk][0] == State.UNCERTAIN]
    with connection.cursor() as cursor:
        for target in (State.DELIVERED, State.BOUNCED, State.COMPLAINED):
            if by_target[target]:
                cursor.execute(_MOVE, [target, list(by_target[target]), leaving(*sources_of(target), to=target)])
        if uncertain:
            cursor.execute(_EVIDENCE, [uncertain])
    runs = Message.objects.filter(pk__in=set().union(*by_target.values())).values_list("dispatch__run_id", flat=True)
    told = [f"run-{run_id}" for run_id in set(runs)]
    transaction.on_commit(lambda: live_publish(*told))


def events_forget(before: datetime, limit: int) -> int:
    """Delete what was heard before a moment: at most `limit`. What followed from it stays."""
    old = MessageEvent.objects.filter(recorded_at__lt=before).order_by("recorded_at")
    gone, _kinds = MessageEvent.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:limit])).delete()
    return gone


def raws_forget(before: datetime, limit: int) -> int:
    """Delete the letter of what was heard before a moment: at most `limit`."""
    old = EventRaw.objects.filter(recorded_at__lt=before).order_by("recorded_at")
    gone, _kinds = EventRaw.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:limit])).delete()
    return gone


def person_forget(profile_id: int) -> int:
    """Of what came back from a person: the letter goes, what they opened and followed, and others' words."""
    own = MessageEvent.objects.filter(message__profile_id=profile_id)
    gone, _kinds = own.filter(Q(kind=Kind.OPENED) | Q(kind=Kind.CLICKED)).delete()
    letters, _kinds = EventRaw.objects.filter(profile_id=profile_id).delete()
    own.exclude(response="").update(response="")
    return gone + letters
