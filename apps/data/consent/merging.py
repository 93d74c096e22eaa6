"""What consent merges: the stricter side of what was agreed to, and of what was wished.

A withdrawal on either side holds for the person; an agreement holds where the other side said nothing. The ledger says
so by lines of its own, and an undone merge takes those back by others: nothing in it is ever changed. The absorbed
one's own lines and state stay as they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from django.conf import settings

from apps.data.profiles.merge_rows import rows_kept, rows_put_back
from apps.data.profiles.models import Change, ChangePending
from apps.data.profiles.registry import MergePart, Merging, identifier_pointers, merge_locks, merge_parts
from apps.foundation.core.clock import now

from .contracts import Circumstances
from .ledger import SEALED, seal_of
from .models import Action, ConsentPending, ConsentRecord, ConsentState, Preference
from .services import consent_withdraw, gate_lock, gate_turn, records_follow

_Method = ConsentRecord.Method
_OFTEN: Final = (Preference.Frequency.EACH, Preference.Frequency.DAILY, Preference.Frequency.WEEKLY)
_STATES: Final = "consent_consentstate"
_WISHES: Final = "consent_preference"


def merging_register() -> None:
    """Called when the app is ready."""
    merge_locks.append(lambda profile_ids: gate_lock(profile_ids=profile_ids))
    identifier_pointers.append(("consent_optin", "identifier_id"))
    merge_parts.append(MergePart("consent", _consent_take, _consent_give))
    merge_parts.append(MergePart("preferences", _wishes_take, _wishes_give))


def merge_source(merge_id: int) -> str:
    """What the ledger's lines of a merge name as their source."""
    return f"merge {merge_id}"


def _states(profile_id: int) -> dict[tuple[str, str], ConsentState]:
    rows = ConsentState.objects.filter(profile_id=profile_id).select_related("record").order_by("pk")
    return {(row.purpose_id, row.channel): row for row in rows}


def _write(profile_id: int, state: ConsentState, action: Action, source: str, at: datetime) -> ConsentRecord:
    """A line of the ledger about what another line said. `state`: where that stands."""
    said = state.record
    values = {name: getattr(said, name) for name in SEALED}
    if action != Action.GRANT:  # nothing was shown to anybody: it follows from what was said before
        values |= asdict(Circumstances())
    values |= {
        "profile_id": profile_id,
        "action": str(action),
        "method": str(_Method.MERGE),
        "source": source,
        "evidence": f"as record {said.pk} of profile {said.profile_id} says",
        "actor_id": None,
        "origin_digest": b"",
        "occurred_at": said.occurred_at if action == Action.GRANT else at,
        "recorded_at": at,
    }
    record = ConsentRecord.objects.create(**values, seal=seal_of(settings.LEDGER_KEY, values))
    ConsentPending.objects.create(record=record)
    return record


def _consent_take(merging: Merging) -> dict[str, Any]:
    kept, absorbed = _states(merging.kept), _states(merging.absorbed)
    before = rows_kept(_STATES, "profile_id = %s", [merging.kept])
    at, written = now(), []
    for choice, other in absorbed.items():
        own = kept.get(choice)
        if own is not None and (other.granted or not own.granted):
            continue
        action = Action.GRANT if other.granted else Action.WITHDRAW
        record = _write(merging.kept, other, action, merge_source(merging.merge_id), at)
        ConsentState.objects.update_or_create(
            profile_id=merging.kept,
            purpose_id=choice[0],
            channel=choice[1],
            defaults={"granted": other.granted, "record": record, "changed_at": record.occurred_at},
        )
        written.append(record)
    records_follow(merging.kept, written)
    gate_turn([merging.kept, merging.absorbed])
    return {"before": before, "records": [record.pk for record in written]}


def _consent_give(merging: Merging, told: Mapping[str, Any]) -> None:
    at = now()
    before = {(row["purpose_id"], row["channel"]): row for row in told["before"]}
    written = []
    for state in _states(merging.kept).values():
        if state.record_id not in told["records"]:
            continue
        void = _write(merging.kept, state, Action.VOID, merge_source(merging.merge_id), at)
        written.append(void)
        state.delete()
        if row := before.get((state.purpose_id, state.channel)):
            rows_put_back(_STATES, [row])
        # what holds again is told with the line that said so: the one that it came by is older than what was told last
        ChangePending.objects.create(
            kind=Change.Kind.CONSENT,
            profile_id=merging.kept,
            purpose=state.purpose_id,
            channel=state.channel,
            granted=row["granted"] if row else None,
            version=void.pk,
        )
    records_follow(merging.kept, written)
    gate_turn([merging.kept, merging.absorbed])
    _withdrawn_since(merging, told["records"])


def _withdrawn_since(merging: Merging, by_merge: Sequence[int]) -> None:
    """What the person withdrew while they were one holds for both."""
    since = ConsentRecord.objects.filter(
        profile_id=merging.kept, action=Action.WITHDRAW, recorded_at__gt=merging.since
    ).exclude(pk__in=by_merge)
    withdrawn = {(one.purpose_id, one.channel) for one in since}
    for (purpose, channel), state in _states(merging.kept).items():
        if (purpose, channel) in withdrawn and not state.granted:
            consent_withdraw(
                profile_id=merging.absorbed,
                purpose=purpose,
                channel=channel,
                method=_Method.MERGE,
                source=merge_source(merging.merge_id),
                evidence=f"as record {state.record_id} of profile {merging.kept} says",
                itself=True,
            )


# --- what people choose beside consent ---


def _wishes_take(merging: Merging) -> dict[str, Any]:
    other = Preference.objects.filter(pk=merging.absorbed).first()
    before = rows_kept(_WISHES, "profile_id = %s", [merging.kept])
    if other is None:
        return {}
    row = Preference.objects.filter(pk=merging.kept).first() or Preference(profile_id=merging.kept)
    row.topics_off = sorted({*row.topics_off, *other.topics_off})
    row.channels_off = sorted({*row.channels_off, *other.channels_off})
    row.interests = row.interests or other.interests
    row.frequency = max(row.frequency, other.frequency, key=lambda one: _OFTEN.index(Preference.Frequency(one)))
    if row.quiet_start is None:
        row.quiet_start, row.quiet_end = other.quiet_start, other.quiet_end
    row.time_zone, row.language = row.time_zone or other.time_zone, row.language or other.language
    row.paused_until = max(filter(None, (row.paused_until, other.paused_until)), default=None)
    row.changed_at = now()
    row.save()
    return {"before": before, "after": rows_kept(_WISHES, "profile_id = %s", [merging.kept])}


def _wishes_give(merging: Merging, told: Mapping[str, Any]) -> None:
    """As it was, unless the person chose otherwise since: that stays."""
    if told and rows_kept(_WISHES, "profile_id = %s", [merging.kept]) == told["after"]:
        Preference.objects.filter(pk=merging.kept).delete()
        rows_put_back(_WISHES, [{**row, "changed_at": now().isoformat()} for row in told["before"]])
