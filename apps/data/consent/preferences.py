"""What people choose beside consent: topics, channels, frequency, quiet hours, time zone, language, interests, a pause.

A change locks the gate of the person first, as an opt-out does: so it commits before the gate reads, and is seen, or
after the message was in `sending`. It is one row of `PreferenceChange`, by which it can be undone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from functools import partial
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db import connection, transaction

from apps.data.profiles.changes import Placed
from apps.data.profiles.merging import family_of
from apps.data.profiles.normalize import language_tag
from apps.data.profiles.tasks import changes_order
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid, NotFound
from apps.foundation.core.live import live_publish
from apps.foundation.core.outbox import outbox_put
from apps.foundation.core.queue import enqueue_on_commit
from apps.foundation.core.wall_clock import Quiet, zone_choose, zone_known, zones_by_country

from .models import Channel, ConsentRecord, Interest, Preference, PreferenceChange, Topic
from .services import gate_lock_person, gate_turn

Kind = PreferenceChange.Kind
Frequency = Preference.Frequency

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
PAUSE_MOST: Final = timedelta(days=366)
"""Who wants no message for longer leaves."""

_ZONES: Final = """
SELECT person.id, coalesce(nullif(preference.time_zone, ''), person.time_zone), person.country
FROM profiles_profile AS person LEFT JOIN consent_preference AS preference ON preference.profile_id = person.id
WHERE person.id = ANY(%s)
"""
_QUIET: Final = """
SELECT preference.profile_id, preference.quiet_start, preference.quiet_end, preference.time_zone, person.time_zone
FROM consent_preference AS preference JOIN profiles_profile AS person ON person.id = preference.profile_id
WHERE preference.profile_id = ANY(%s) AND preference.quiet_start IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One thing that a person wants otherwise.

    value: True or False (on or off) for a topic, channel or interest, which `subject` names; a code of `Frequency`;
    `{"start": "22:00", "end": "07:00"}` or None for quiet hours; a name, or "" for what the profile says, for time zone
    and language; for a pause the moment of its end, ISO 8601 with its zone, or None for no pause.
    """

    kind: PreferenceChange.Kind
    value: Any
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a person chose; the defaults are those of who chose nothing. version: when it changed last, in microseconds,
    as the feed of changes tells it; 0 of who chose nothing."""

    topics_off: frozenset[str] = frozenset()
    channels_off: frozenset[str] = frozenset()
    interests: tuple[str, ...] = ()
    frequency: str = Frequency.EACH.value
    quiet: Quiet | None = None
    time_zone: str = ""
    language: str = ""
    paused_until: datetime | None = None
    version: int = field(default=0, compare=False)


# --- reads ---


def preferences_read(*, profile_ids: Sequence[int]) -> dict[int, Chosen]:
    """What each of these people chose, all of them."""
    rows = {row.pk: row for row in Preference.objects.filter(pk__in=profile_ids)}
    return {profile_id: _chosen(rows.get(profile_id)) for profile_id in profile_ids}


def _chosen(row: Preference | None) -> Chosen:
    if row is None:
        return Chosen()
    quiet = None if row.quiet_start is None or row.quiet_end is None else Quiet(row.quiet_start, row.quiet_end)
    return Chosen(
        topics_off=frozenset(row.topics_off),
        channels_off=frozenset(row.channels_off),
        interests=tuple(row.interests),
        frequency=row.frequency,
        quiet=quiet,
        time_zone=row.time_zone,
        language=row.language,
        paused_until=row.paused_until,
        version=_version(row),
    )


def _version(row: Preference) -> int:
    return (row.changed_at - _EPOCH) // timedelta(microseconds=1)


def preferences_plain(chosen: Chosen) -> dict[str, Any]:
    """What a person chose, as other systems read it."""
    quiet = chosen.quiet
    return {
        "topics_off": sorted(chosen.topics_off),
        "channels_off": sorted(chosen.channels_off),
        "interests": list(chosen.interests),
        "frequency": chosen.frequency,
        "quiet_hours": quiet and {"start": f"{quiet.start:%H:%M}", "end": f"{quiet.end:%H:%M}"},
        "time_zone": chosen.time_zone,
        "language": chosen.language,
        "paused_until": chosen.paused_until and chosen.paused_until.astimezone(UTC).isoformat(),
    }


def zones_read(*, profile_ids: Sequence[int]) -> dict[int, ZoneInfo]:
    """The time zones of people where they are known: what they chose, else their profile's, else their country's."""
    with connection.cursor() as cursor:
        cursor.execute(_ZONES, [list(profile_ids)])
        countries = zones_by_country()
        return {
            pk: zone
            for pk, name, country in cursor.fetchall()
            if (zone := zone_known(name) or countries.get(country)) is not None
        }


def quiet_read(*, profile_ids: Sequence[int]) -> dict[int, tuple[Quiet, ZoneInfo]]:
    """The quiet hours of those who chose some, with the zone in which they hold."""
    with connection.cursor() as cursor:
        cursor.execute(_QUIET, [list(profile_ids)])
        return {
            pk: (Quiet(start, end), zone_choose(chosen, known)) for pk, start, end, chosen, known in cursor.fetchall()
        }


# --- writes ---


def preference_change(
    *,
    profile_id: int,
    kind: PreferenceChange.Kind,
    value: Any,
    subject: str = "",
    method: ConsentRecord.Method,
    source: str,
) -> PreferenceChange | None:
    """Change one preference; see `Wanted` for the values. None when it holds already: nothing is recorded then.

    Once this has committed, it holds for the next decision and the next hand-over. Raises Invalid.
    """
    made = preferences_change(
        profile_id=profile_id, changes=[Wanted(kind, value, subject)], method=method, source=source
    )
    return made[0] if made else None


def preferences_change(
    *,
    profile_id: int,
    changes: Sequence[Wanted],
    method: ConsentRecord.Method,
    source: str,
    seen: int | None = None,
) -> list[PreferenceChange]:
    """Change several preferences of a person, all or none. Returns the changes; what holds already is left out.

    seen: their version (`Chosen`) as the caller read it; another one is a Conflict. Raises Invalid, Conflict.
    """
    wanted = [_checked(change) for change in changes]
    with transaction.atomic():
        profile_id = gate_lock_person(profile_id=profile_id)
        there = Preference.objects.filter(pk=profile_id).first()
        if seen is not None and seen != (0 if there is None else _version(there)):
            raise Conflict("changed_meanwhile", "What they prefer was changed meanwhile: read it again")
        row = there or Preference(profile_id=profile_id)
        made = [
            change
            for one in wanted
            if (change := _apply(row, one.kind, one.subject, one.value, method=method, source=source)) is not None
        ]
        _told(row, made)
    return made


def preference_undo(
    *, profile_id: int, change_id: int, method: ConsentRecord.Method, source: str
) -> PreferenceChange | None:
    """Put back what a change replaced. None when it was undone already, or holds already: nothing is recorded then.

    Raises NotFound for what is not a change of this person, Conflict when the same was changed again since.
    """
    with transaction.atomic():
        profile_id = gate_lock_person(profile_id=profile_id)
        change = PreferenceChange.objects.filter(pk=change_id, profile_id__in=family_of(profile_id)).first()
        if change is None:
            raise NotFound("change_unknown", "There is no such change to undo")
        newest = change_newest(profile_id=profile_id, kind=change.kind, subject=change.subject)
        if newest is not None and newest.undoes_id == change.pk:
            return None
        if newest != change:
            raise Conflict("change_not_newest", "It was changed again since: set it as you want it to be")
        row = Preference.objects.filter(pk=profile_id).first() or Preference(profile_id=profile_id)
        undone = _apply(row, Kind(change.kind), change.subject, change.before, method=method, source=source, of=change)
        _told(row, [undone] if undone is not None else [])
    return undone


Listener = Callable[[int, Sequence[PreferenceChange]], None]
_listeners: list[Listener] = []


def preferences_listen(listener: Listener) -> None:
    """Have `listener` called with a profile's id and what was changed, in the transaction of the change.

    For apps above this one, in their `ready()`: what follows from a choice holds with it, or neither does.
    """
    if listener not in _listeners:
        _listeners.append(listener)


def change_newest(*, profile_id: int, kind: str, subject: str) -> PreferenceChange | None:
    """The last change of one preference."""
    return PreferenceChange.objects.filter(profile_id=profile_id, kind=kind, subject=subject).order_by("-id").first()


def _apply(
    row: Preference,
    kind: PreferenceChange.Kind,
    subject: str,
    value: Any,
    *,
    method: ConsentRecord.Method,
    source: str,
    of: PreferenceChange | None = None,
) -> PreferenceChange | None:
    before = value_of(row, kind, subject)
    if before == value:
        return None
    _set(row, kind, subject, value)
    return PreferenceChange.objects.create(
        profile_id=row.pk,
        kind=kind,
        subject=subject,
        before=before,
        after=value,
        method=method,
        source=source[:200],
        undoes=of,
    )


def _told(row: Preference, made: Sequence[PreferenceChange]) -> None:
    if not made:
        return
    row.changed_at = now()
    row.save()
    gate_turn([row.pk])
    for listener in _listeners:
        listener(row.pk, made)
    transaction.on_commit(partial(live_publish, f"profile-{row.pk}"))
    enqueue_on_commit(changes_order)


def preferences_tell(placed: Sequence[Placed]) -> None:
    """Tell the world outside of changes that got their places in the feed, each with all that its person chose by now:
    who takes the highest version alone has what holds, whichever comes first."""
    chosen = preferences_read(profile_ids=[one.profile_id for one in placed])
    outbox_put(
        "preference.changed",
        [{**one.news(), "preferences": preferences_plain(chosen[one.profile_id])} for one in placed],
    )


_SWITCHES: Final[Mapping[str, tuple[str, bool]]] = {
    Kind.TOPIC: ("topics_off", False),
    Kind.CHANNEL: ("channels_off", False),
    Kind.INTEREST: ("interests", True),
}
"""The field of each switch, and what being in it means."""
_PLAIN: Final[Mapping[str, str]] = {
    Kind.FREQUENCY: "frequency",
    Kind.TIME_ZONE: "time_zone",
    Kind.LANGUAGE: "language",
}


def value_of(row: Preference, kind: PreferenceChange.Kind, subject: str) -> Any:
    """What holds of one preference, as `Wanted` has its value."""
    if kind in _SWITCHES:
        field, inside = _SWITCHES[kind]
        return inside if subject in getattr(row, field) else not inside
    if kind in _PLAIN:
        return getattr(row, _PLAIN[kind])
    if kind == Kind.QUIET:
        if row.quiet_start is None or row.quiet_end is None:
            return None
        return {"start": f"{row.quiet_start:%H:%M}", "end": f"{row.quiet_end:%H:%M}"}
    return None if row.paused_until is None else row.paused_until.astimezone(UTC).isoformat()


def _set(row: Preference, kind: PreferenceChange.Kind, subject: str, value: Any) -> None:
    if kind in _SWITCHES:
        field, inside = _SWITCHES[kind]
        rest = [code for code in getattr(row, field) if code != subject]
        setattr(row, field, [*rest, subject] if value is inside else rest)
    elif kind in _PLAIN:
        setattr(row, _PLAIN[kind], value)
    elif kind == Kind.QUIET:
        row.quiet_start = None if value is None else time.fromisoformat(value["start"])
        row.quiet_end = None if value is None else time.fromisoformat(value["end"])
    else:
        row.paused_until = None if value is None else datetime.fromisoformat(value)


def _checked(wanted: Wanted) -> Wanted:
    """The change in its one spelling. Raises Invalid."""
    kind, value, subject = wanted.kind, wanted.value, wanted.subject
    if kind in _SWITCHES:
        known: Any = {Kind.TOPIC: Topic, Kind.INTEREST: Interest}.get(kind)
        if subject not in Channel.values if known is None else not known.objects.filter(pk=subject).exists():
            raise Invalid("preference_unknown", f"There is no {kind.label} {subject!r}")
        if not isinstance(value, bool):
            raise Invalid("preference_value", "Say true or false")
    elif subject:
        raise Invalid("preference_value", f"There is one {kind.label} for a person")
    elif kind == Kind.FREQUENCY:
        if value not in Frequency.values:
            raise Invalid("preference_value", f"Choose of {', '.join(Frequency.values)}")
    elif kind == Kind.TIME_ZONE:
        if value and (not isinstance(value, str) or zone_known(value) is None):
            raise Invalid("preference_value", "There is no such time zone: write one as in Europe/Vienna")
    elif kind == Kind.LANGUAGE:
        value = value and language_tag(str(value))
        if not isinstance(value, str) or (wanted.value and not value):
            raise Invalid("preference_value", "There is no such language: write one as de or pt-BR")
    elif kind == Kind.QUIET:
        value = _quiet_checked(value)
    else:
        value = _pause_checked(value)
    return Wanted(kind, value, subject)


def _quiet_checked(value: Any) -> dict[str, str] | None:
    if value is None:
        return None
    try:
        start, end = (f"{time.fromisoformat(value[name]):%H:%M}" for name in ("start", "end"))
    except (KeyError, TypeError, ValueError):
        raise Invalid("preference_value", "Give both ends of the quiet hours as 22:00") from None
    if start == end:
        raise Invalid("preference_value", "Quiet hours begin and end at different times")
    return {"start": start, "end": end}


def _pause_checked(value: Any) -> str | None:
    if value is None:
        return None
    try:
        until = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise Invalid("preference_value", "Give the end of the pause as a date and time") from None
    if until.tzinfo is None or not now() < until < now() + PAUSE_MOST:
        raise Invalid("preference_value", "A pause ends after now and within a year")
    return until.astimezone(UTC).isoformat()
