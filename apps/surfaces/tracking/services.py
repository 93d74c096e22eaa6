"""From what was seen to the ledger, and from the ledger to the events of people.

Only of people who agree to be followed at that moment: what was seen of others is not written down at all.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from apps.data.consent.selectors import TRACKING, granted_read
from apps.data.events.services import event_record
from apps.decisioning.content.rendering import destination_of
from apps.decisioning.content.selectors import compiled_load
from apps.decisioning.content.traces import ITEMS
from apps.decisioning.decisions.generic import pinned
from apps.decisioning.decisions.models import Answer, Decision
from apps.decisioning.decisions.sealing import ANSWERS, Kept, decisions_open
from apps.decisioning.decisions.traces import answer_leads, answer_shown
from apps.delivery.sending.contracts import Report
from apps.delivery.sending.models import Message, MessageEvent
from apps.delivery.sending.reports import reports_take
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Invalid, NotFound
from apps.foundation.core.ids import uuid7

from .contracts import Seen
from .rules import AROUND, looks_once, machines_found
from .stream import seen_read, seen_taken

logger = logging.getLogger(__name__)

Kind = MessageEvent.Kind

BATCH: Final = 2_000
PASSED_ON_AT_ONCE: Final = 500
_LOCK: Final = 0x7AC4 << 40
_FOLLOWED: Final = (Kind.OPENED, Kind.CLICKED)
NAMES: Final = {
    Kind.OPENED: "Email Opened",
    Kind.CLICKED: "Email Clicked",
    Kind.BOUNCED: "Email Bounced",
    Kind.COMPLAINED: "Email Marked as Spam",
    Kind.UNSUBSCRIBED: "Unsubscribed",
}
"""What each is called among the events of a person."""
ITEM_CLICKED: Final = "Item Clicked"
"""The same, of an item that an answer of the API showed."""
LINK_CLICKED: Final = "Link Clicked"
"""And of a link that a block of an answer has itself."""


def seen_take(*, at: datetime | None = None) -> int:
    """Judge what was seen some seconds ago, and write it down. Returns how many looks were taken from the stream.

    By one worker at a time. Killed after writing and before taking it from the stream, it writes nothing twice: each
    look has its name. Raises redis.RedisError.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        if not cursor.fetchone()[0]:
            return 0
        # as far ahead as machines are told by; what is younger stays for the next time
        ahead = seen_read(count=2 * BATCH)
        ripe_at = (at or now()) - timedelta(seconds=settings.TRACKING_SETTLE_SECONDS)
        ripe = [one for one in ahead if one.at <= ripe_at][:BATCH]
        if not ripe:
            return 0
        _write(ripe, younger=ahead[len(ripe) :])
    seen_taken(one.id for one in ripe)
    return len(ripe)


def seen_write(*, message_id: UUID, kind: str, link: int | None, machine: str) -> None:
    """Write down at once what was seen, where there is no stream: told from a machine by itself alone."""
    with transaction.atomic():
        _write([Seen(str(uuid7()), message_id, kind, now(), link, machine)], younger=[])


def _write(seen: Sequence[Seen], *, younger: Sequence[Seen]) -> None:
    ids = {one.message_id for one in seen}
    rows = {
        pk: (profile_id, channel, sent)
        for pk, profile_id, channel, sent in Message.objects.filter(pk__in=ids, tracked=True).values_list(
            "pk", "profile_id", "channel", "sending_at"
        )
    }
    if answers := [one for one in seen if one.message_id not in rows and one.kind == Kind.CLICKED]:
        _answers_note(answers, younger)
    agreed = _agreed((profile_id, channel) for profile_id, channel, _ in rows.values())
    mine = [one for one in seen if one.message_id in rows and _may_follow(rows[one.message_id], agreed)]
    earlier = _earlier(mine)
    machines = machines_found(
        mine,
        others=[*earlier, *(one for one in younger if one.message_id in rows)],
        handed_over={message_id: sent for message_id, (_, _, sent) in rows.items()},
    )
    reports_take(
        [
            Report(
                message_id=one.message_id,
                kind=one.kind,
                occurred_at=one.at,
                source=f"seen:{one.id}",
                link=one.link,
                machine=machines.get(one.id, ""),
            )
            for one in looks_once(mine, others=earlier)
        ]
    )


def _agreed(people: Iterable[tuple[int, str]]) -> dict[str, frozenset[int]]:
    """Of people and channels, who agrees to be followed there now, by channel."""
    by_channel: defaultdict[str, set[int]] = defaultdict(set)
    for profile_id, channel in people:
        by_channel[channel].add(profile_id)
    return {
        channel: granted_read(profile_ids=sorted(some), purpose=TRACKING, channel=channel)
        for channel, some in by_channel.items()
    }


def _answers_note(seen: Sequence[Seen], younger: Sequence[Seen]) -> None:
    """Make events of the people whose links in answers were followed, told from machines in the same way. The look has
    an id of its own, and the same one within a minute is the same: the event is recorded once."""
    rows = {row.pk: row for row in Answer.objects.filter(pk__in={one.message_id for one in seen})}
    people = {pk: (row.profile_id, pinned(row.version_id).spec["channel"], None) for pk, row in rows.items()}
    agreed = _agreed((profile_id, channel) for profile_id, channel, _ in people.values())
    mine = [one for one in seen if one.message_id in rows and _may_follow(people[one.message_id], agreed)]
    machines = machines_found(mine, others=[one for one in younger if one.message_id in rows], handed_over={})
    kept = decisions_open((rows[pk] for pk in {one.message_id for one in mine}), table=ANSWERS)
    for one in looks_once(mine, others=()):
        found = kept[one.message_id]
        if one.id in machines or found is None or not found.inputs.get("tracked") or one.link is None:
            continue
        row = rows[one.message_id]
        try:
            shown = answer_shown(row.version_id, found.inputs)
            led = answer_leads(shown, compiled_load(row.compiled_id or 0), one.link)
        except (LookupError, NotFound):
            continue  # a number that the answer has not: nobody was led anywhere
        what = {"slot": led.slot, "field": led.field} if led.field else {"sku": led.sku}
        event_record(
            profile_id=row.profile_id,
            name=LINK_CLICKED if led.field else ITEM_CLICKED,
            message_id=f"answer:{row.pk}:{one.link}:{int(one.at.timestamp()) // 60}",
            occurred_at=min(one.at, now()),
            properties={"decision": str(row.pk), "placement": row.placement, "url": led.url, **what},
        )


def _may_follow(row: tuple[int, str, datetime | None], agreed: dict[str, frozenset[int]]) -> bool:
    profile_id, channel, _ = row
    return profile_id in agreed[channel]


def _earlier(seen: Sequence[Seen]) -> list[Seen]:
    """What is in the ledger already of the same messages, from shortly before."""
    if not seen:
        return []
    rows = MessageEvent.objects.filter(
        message_id__in={one.message_id for one in seen},
        kind__in=_FOLLOWED,
        occurred_at__gte=min(one.at for one in seen) - AROUND,
    ).exclude(source__in=[f"seen:{one.id}" for one in seen])
    return [Seen(row.source, row.message_id, row.kind, row.occurred_at, row.link, row.machine) for row in rows]


def events_pass_on(*, limit: int = PASSED_ON_AT_ONCE) -> int:
    """Make events of the people of what came back, each once. Returns how many were passed on.

    Opens and clicks only of who still agrees to be followed.
    """
    with transaction.atomic():
        due = MessageEvent.objects.filter(passed_on_at=None).select_related("message", "message__dispatch")
        events = list(due.order_by("pk").select_for_update(of=("self",), skip_locked=True)[:limit])
        decided = _decided(events)
        agreed: dict[str, frozenset[int]] = {
            channel: granted_read(
                profile_ids=sorted({one.message.profile_id for one in events if one.message.channel == channel}),
                purpose=TRACKING,
                channel=channel,
            )
            for channel in {one.message.channel for one in events}
        }
        for one in events:
            person = one.message.profile_id
            if one.kind in _FOLLOWED and person not in agreed[one.message.channel]:
                continue
            _pass_on(one, decided.get(one.message_id))
        MessageEvent.objects.filter(pk__in=[one.pk for one in events]).update(passed_on_at=now())
    return len(events)


def _decided(events: Iterable[MessageEvent]) -> dict[UUID, Kept | None]:
    """What was decided of the messages whose items were followed."""
    ids = {one.message_id for one in events if one.link is not None and one.link >= ITEMS}
    return decisions_open(Decision.objects.filter(pk__in=ids)) if ids else {}


def _pass_on(event: MessageEvent, kept: Kept | None) -> None:
    properties: dict[str, Any] = {"message": str(event.message_id), "run": event.message.dispatch.run_id}
    if event.kind == Kind.CLICKED and event.link is not None and event.message.compiled_id is not None:
        properties["link"] = event.link
        slots = (kept.inputs.get("slots") if kept is not None else None) or {}
        try:
            properties["url"] = destination_of(compiled_load(event.message.compiled_id), slots, event.link)
        except LookupError:
            return  # a number that the message has not: nobody was led anywhere
        if event.link >= ITEMS:
            properties["sku"] = _sku(slots, event.link)
    if event.kind == Kind.BOUNCED:
        properties["bounce"] = event.bounce
    try:
        event_record(
            profile_id=event.message.profile_id,
            name=NAMES[Kind(event.kind)],
            message_id=f"message-event:{event.pk}",
            occurred_at=min(event.occurred_at, now()),
            properties=properties,
        )
    except Invalid as error:
        logger.error("message event %s is no event of its person: %s", event.pk, error.code)


def _sku(slots: dict[str, Any], link: int) -> str:
    """Which item a link of this number showed."""
    name = sorted(slots)[link // ITEMS - 1]
    return str(slots[name]["items"][link % ITEMS].get("sku") or "")
