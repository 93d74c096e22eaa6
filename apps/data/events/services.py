"""Recording what Tessera itself knows that people did, and saying what events look like."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import Q

from apps.data.profiles.merging import people_hold
from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import right_require
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid, NotFound
from apps.foundation.core.postgres import copy_rows
from apps.foundation.governance.services import audit_record

from . import registry
from .contracts import RecordedEvent
from .duplicates import message_digest, messages_mark
from .models import Event, EventSchema, EventSchemaVersion
from .reading import AHEAD
from .schemas import validator_make
from .signals import events_recorded

logger = logging.getLogger(__name__)

_SCHEMAS_LOCK = 7304


def event_record(
    *,
    profile_id: int | None,
    name: str,
    message_id: str,
    occurred_at: datetime,
    properties: Mapping[str, Any] | None = None,
    recorded_at: datetime | None = None,
    source: str = "",
) -> bool:
    """Record that something happened to Tessera's own knowledge. False when the `message_id` was recorded within seven
    days already: nothing changes then. What others send comes by the stream (`accepting`).

    profile_id: None for somebody not known; recorded_at: now unless given; source: whose orders it speaks of, where it
    does. Runs the steps of `registry` and sends `events_recorded` on commit.
    Raises Invalid for an empty or overlong name or id, and for a moment without a time zone or in the future.
    """
    for what, text in (("event_name", name), ("message_id", message_id)):
        if not text.strip() or len(text) > 120 or "\0" in text:
            raise Invalid(what, "Write 1 to 120 characters")
    at = recorded_at or now()
    if occurred_at.tzinfo is None or occurred_at > at + AHEAD:
        raise Invalid("occurred_at", "The moment must have a time zone, and can't lie in the future")
    told = dict(properties or {})
    with transaction.atomic():
        with connection.cursor() as cursor:
            fresh = messages_mark(cursor, [message_digest("", message_id)])
        if not fresh:
            return False
        if profile_id is not None:
            profile_id = people_hold([profile_id])[profile_id]
        Event.objects.create(
            profile_id=profile_id,
            name=name,
            occurred_at=occurred_at,
            recorded_at=at,
            message_id=message_id,
            properties=told,
        )
        events_follow([RecordedEvent(profile_id, name, occurred_at, at, message_id, told, source)])
    return True


def events_record(
    cursor: CursorWrapper,
    *,
    name: str,
    people: Sequence[tuple[int, str]],
    occurred_at: datetime,
    properties: Mapping[str, Any],
) -> None:
    """Record that the same happened to some thousand people, as Tessera itself knows; in the caller's transaction.

    people: ids of profiles, each with an id of the message that the caller gives out once. What follows is as of any
    event.
    """
    at, told = now(), dict(properties)
    copy_rows(
        cursor,
        "events_event",
        ["profile_id", "name", "occurred_at", "recorded_at", "message_id", "properties"],
        ((profile_id, name, occurred_at, at, message_id, told) for profile_id, message_id in people),
    )
    if people:
        events_follow([RecordedEvent(one, name, occurred_at, at, message_id, told) for one, message_id in people])


def events_follow(events: Sequence[RecordedEvent]) -> None:
    """What follows when events were recorded. Called once for each, in the transaction that writes them."""
    for step in registry.batch_steps:
        step(events)
    transaction.on_commit(lambda: _tell(events))


def _tell(events: Sequence[RecordedEvent]) -> None:
    for step in registry.after_commit:
        try:
            step(events)
        except Exception:  # the events are recorded; whoever missed them has a sweep
            logger.exception("%s.%s failed after events were recorded", step.__module__, step.__qualname__)
    events_recorded.send_robust(Event, names=sorted({event.name for event in events}))


# --- schemas ---


def event_schema_save(
    *,
    by: User,
    name: str,
    schema_id: int | None = None,
    aliases: Sequence[str] = (),
    description: str = "",
    on_fault: str = EventSchema.OnFault.KEEP,
    purpose: str | None = None,
    owner_id: int | None = None,
    document: Any = None,
) -> EventSchema:
    """Make a schema, or change the one of an id. A document that differs from the newest becomes the next version.

    document: JSON Schema of the properties, None for none. Raises NotAllowed, NotFound, Invalid (`problems` in `extra`
    name the field), Conflict where a name or alias is another schema's.
    """
    right_require(by, "add" if schema_id is None else "change", EventSchema, what="change schemas of events")
    name, aliases = name.strip(), sorted({alias.strip() for alias in aliases if alias.strip()} - {name.strip()})
    _schema_check(name, aliases, document)
    with transaction.atomic():
        with connection.cursor() as cursor:  # few write schemas: one at a time, so that no name is two schemas'
            cursor.execute("SELECT pg_advisory_xact_lock(%s, 0)", [_SCHEMAS_LOCK])
        _names_free(schema_id, [name, *aliases])
        schema = EventSchema(pk=schema_id)
        if schema_id is not None:
            found = EventSchema.objects.select_for_update().filter(pk=schema_id).first()
            if found is None:
                raise NotFound("schema_unknown", "There is no such schema")
            schema = found
        schema.name, schema.aliases, schema.description = name, aliases, description.strip()
        schema.on_fault, schema.purpose_id, schema.owner_id = on_fault, purpose or None, owner_id
        schema.updated_at = now()
        schema.save()
        newest = schema.versions.order_by("-number").first()
        number = newest.number if newest is not None else 0
        if document != (newest.document if newest is not None else None):
            number += 1
            EventSchemaVersion.objects.create(schema=schema, number=number, document=document or {}, made_by=by)
        audit_record(
            action="events.schema.created" if schema_id is None else "events.schema.changed",
            actor=by,
            subject=schema,
            data={"version": number, "on_fault": on_fault},
        )
    return schema


def _schema_check(name: str, aliases: Sequence[str], document: Any) -> None:
    for field, text in (("name", name), *(("aliases", alias) for alias in aliases)):
        if not 0 < len(text) <= 120 or not text.isprintable():
            raise _at(field, "Write names of 1 to 120 characters")
    if document is not None:
        try:
            validator_make(document)
        except Invalid as error:
            raise _at("document", error.message) from None


def _names_free(schema_id: int | None, names: Sequence[str]) -> None:
    meant = EventSchema.objects.filter(Q(name__in=names) | Q(aliases__overlap=list(names)))
    other = (meant if schema_id is None else meant.exclude(pk=schema_id)).first()
    if other is not None:
        taken = next(name for name in names if name == other.name or name in other.aliases)
        field = "name" if taken == names[0] else "aliases"
        raise Conflict(
            "name_taken",
            f"{taken} is meant by another schema already: {other.name}",
            {"problems": [{"where": field, "line": 0, "token": "", "mend": f"{taken} is of {other.name} already"}]},
        )


def _at(field: str, mend: str) -> Invalid:
    return Invalid("schema_invalid", mend, {"problems": [{"where": field, "line": 0, "token": "", "mend": mend}]})
