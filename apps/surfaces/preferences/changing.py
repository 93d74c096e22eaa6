"""One step on the preference page: from the fields of its form to the change, and to what undoes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from django.db import transaction
from django.utils.translation import get_language

from apps.data.consent.contracts import Circumstances, Origin
from apps.data.consent.models import Channel, ConsentRecord, ConsentState, Preference, PreferenceChange, Purpose
from apps.data.consent.preferences import Wanted, preference_undo, preferences_change
from apps.data.consent.services import consent_grant, consent_withdraw, consent_withdraw_all
from apps.data.consent.wordings import circumstances_of, wording_read
from apps.data.profiles.mail import MailKind, mail_ready
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict

Kind = PreferenceChange.Kind
Fields = Mapping[str, Sequence[str]]

PAUSE: Final = timedelta(days=30)
_SWITCHES: Final = (Kind.TOPIC, Kind.CHANNEL, Kind.INTEREST)


@dataclass(frozen=True, slots=True)
class Done:
    """What a step did. do: agree, withdraw, leave, change, undo, or late where it could not be undone any more;
    consents: purposes and channels, as `marketing:email`; changes: ids of `PreferenceChange`.
    """

    do: str
    consents: tuple[str, ...] = ()
    changes: tuple[int, ...] = ()

    def query(self) -> str:
        """As the address of the page carries it to where it is told."""
        told = [("consent", one) for one in self.consents] + [("change", str(pk)) for pk in self.changes]
        return urlencode([("done", self.do), *told])


def done_read(fields: Fields) -> Done | None:
    """What `Done.query` wrote; None where nothing of the kind is there."""
    do = _one(fields, "done")
    if do not in ("agree", "withdraw", "leave", "change", "undo", "late"):
        return None
    return Done(do, tuple(fields.get("consent", [])[:50]), _ids(fields))


def step_take(
    *, profile_id: int, message_id: UUID, fields: Fields, origin: Origin | None = None, gpc: bool | None = None
) -> Done | None:
    """Do what a form of the page asks for; None for what is none of its forms. Raises Invalid.

    gpc: whether the browser asks not to follow its person: what they agree to all the same, they know.
    """
    do = _one(fields, "do")
    how: dict[str, Any] = {
        "method": ConsentRecord.Method.PREFERENCES,
        "source": f"preference page, by the link of message {message_id}",
    }
    if do in ("agree", "withdraw"):
        return _consent(profile_id, do, fields, {**how, "origin": origin}, gpc)
    if do == "leave":
        return _leave(profile_id, {**how, "origin": origin, "circumstances": Circumstances(gpc=gpc)})
    if do == "undo":
        return _undo(profile_id, _ids(fields), how)
    changes = _wanted(do, fields)
    if changes is None:
        return None
    made = preferences_change(profile_id=profile_id, changes=changes, **how)
    return Done("change", changes=tuple(change.pk for change in made))


def _consent(profile_id: int, do: str, fields: Fields, how: dict[str, Any], gpc: bool | None) -> Done | None:
    """Agree or withdraw. The wording that the page showed is kept with each grant."""
    purposes = set(Purpose.objects.filter(needs_consent=True).values_list("code", flat=True))
    asked = []
    for one in [*(f"{code}:{Channel.EMAIL}" for code in fields.get("purpose", [])), *fields.get("consent", [])]:
        purpose, _colon, channel = one.partition(":")
        if purpose in purposes and channel in Channel.values and one not in asked:
            asked.append(one)
    if not asked:
        return None
    with transaction.atomic():
        for one in asked:
            purpose, _colon, channel = one.partition(":")
            if do == "agree":
                shown = wording_read(
                    purpose=purpose, channel=channel, locale=get_language(), digest=_one(fields, f"shown_{purpose}")
                )
                circumstances = circumstances_of(shown, gpc=gpc)
                consent_grant(
                    profile_id=profile_id, purpose=purpose, channel=channel, circumstances=circumstances, **how
                )
            else:
                circumstances = Circumstances(gpc=gpc)
                consent_withdraw(
                    profile_id=profile_id, purpose=purpose, channel=channel, circumstances=circumstances, **how
                )
    return Done(do, consents=tuple(asked))


def _leave(profile_id: int, how: dict[str, Any]) -> Done:
    """Withdraw everything on every channel; undoing brings back what was on, and nothing else."""
    with transaction.atomic():
        on = ConsentState.objects.filter(profile_id=profile_id, granted=True, purpose__needs_consent=True)
        was = [f"{purpose}:{channel}" for purpose, channel in on.order_by("pk").values_list("purpose_id", "channel")]
        for channel in Channel.values:
            consent_withdraw_all(profile_id=profile_id, channel=channel, **how)
    return Done("leave", consents=tuple(was))


def _undo(profile_id: int, ids: Sequence[int], how: dict[str, Any]) -> Done | None:
    if not ids:
        return None
    try:
        with transaction.atomic():
            for change_id in reversed(ids):
                preference_undo(profile_id=profile_id, change_id=change_id, **how)
    except Conflict:
        return Done("late")
    return Done("undo", changes=tuple(ids))


def _wanted(do: str, fields: Fields) -> list[Wanted] | None:
    value = _one(fields, "value")
    if do in _SWITCHES:
        return [Wanted(Kind(do), value == "on", _one(fields, "subject"))] if value in ("on", "off") else None
    if do == Kind.FREQUENCY:
        # what is not offered is not taken: without a digest its messages would be kept for nothing
        offered = value == Preference.Frequency.EACH or mail_ready(MailKind.DIGEST)
        return [Wanted(Kind.FREQUENCY, value)] if offered else None
    if do == Kind.LANGUAGE or do == Kind.TIME_ZONE:
        return [Wanted(Kind(do), value)]
    if do == Kind.QUIET:
        return [Wanted(Kind.QUIET, None if value == "off" else {name: _one(fields, name) for name in ("start", "end")})]
    if do == Kind.PAUSE:
        return [Wanted(Kind.PAUSE, None if value == "off" else (now() + PAUSE).isoformat())]
    return None


def _one(fields: Fields, name: str) -> str:
    return next(iter(fields.get(name, [])), "")


def _ids(fields: Fields) -> tuple[int, ...]:
    return tuple(int(text) for text in fields.get("change", [])[:10] if text.isdecimal() and len(text) < 19)
