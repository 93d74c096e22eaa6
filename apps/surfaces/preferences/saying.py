"""What the preference page says after a step, and the fields of the form that undoes it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils.formats import date_format
from django.utils.text import get_text_list
from django.utils.timezone import localtime
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

from apps.data.consent.models import Channel, ConsentState, Interest, Preference, PreferenceChange, Purpose, Topic
from apps.data.consent.offering import words_in
from apps.data.consent.preferences import change_newest

from .changing import Done
from .selectors import CHANNELS, purpose_words
from .speaking import DAY

Kind = PreferenceChange.Kind


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence for the person, "" for none, and the fields that undo what it tells of."""

    text: str = ""
    undo: Sequence[tuple[str, str]] = ()


def said_of(*, profile_id: int, done: Done | None) -> Said:
    """What to say of a step; nothing where it does not hold (any more)."""
    if done is None:
        return Said()
    if done.do == "late":
        return Said(_("It was changed again since, so there is nothing to undo. Please set it as you want it to be."))
    if done.do in ("change", "undo"):
        return _changes_said(profile_id, done)
    return _consents_said(profile_id, done)


def _consents_said(profile_id: int, done: Done) -> Said:
    on = {
        f"{purpose}:{channel}"
        for purpose, channel in ConsentState.objects.filter(profile_id=profile_id, granted=True).values_list(
            "purpose_id", "channel"
        )
    }
    known = {purpose.code: purpose for purpose in Purpose.objects.filter(needs_consent=True)}
    asked = [one for one in done.consents if one.partition(":")[0] in known and one.partition(":")[2] in Channel.values]
    names = get_text_list(
        list(dict.fromkeys(purpose_words(known[one.partition(":")[0]])[0] for one in asked)), _("and")
    )
    undo = [("consent", one) for one in asked]
    if done.do == "leave" and not on:
        text = _("Done: you left everything. You get none of these messages any more.")
        return Said(text, [("do", "agree"), *undo] if asked else ())
    if done.do == "withdraw" and asked and not on & set(asked):
        text = ngettext("Done: %(names)s is off from now on.", "Done: %(names)s are off from now on.", len(asked))
        return Said(text % {"names": names}, [("do", "agree"), *undo])
    if done.do == "agree" and asked and on >= set(asked):
        text = ngettext("Done: %(names)s is on from now on.", "Done: %(names)s are on from now on.", len(asked))
        return Said(text % {"names": names}, [("do", "withdraw"), *undo])
    return Said()


def _changes_said(profile_id: int, done: Done) -> Said:
    if done.do == "undo":
        return Said(_("Undone: it is again as it was before."))
    if not done.changes:
        return Said(_("It was so already: nothing had to be changed."))
    changes = list(PreferenceChange.objects.filter(profile_id=profile_id, pk__in=done.changes).order_by("id"))
    newest = [
        change
        for change in changes
        if change_newest(profile_id=profile_id, kind=change.kind, subject=change.subject) == change
    ]
    if not newest or len(newest) < len(changes):
        return Said()
    return Said(_change_said(newest[0]), [("do", "undo"), *(("change", str(change.pk)) for change in newest)])


def _change_said(change: PreferenceChange) -> str:
    after: Any = change.after
    if change.kind in (Kind.TOPIC, Kind.CHANNEL, Kind.INTEREST):
        return _switch_said(change)
    if change.kind == Kind.QUIET:
        if after is None:
            return _("Done: no quiet hours any more.")
        hours = {"start": str(after["start"]), "end": str(after["end"])}
        return _("Done: it is quiet from %(start)s to %(end)s.") % hours
    if change.kind == Kind.FREQUENCY:
        return _often_said(change)
    if change.kind == Kind.TIME_ZONE:
        return _("Done: your time zone is %(zone)s.") % {"zone": after.replace("_", " ") or "UTC"}
    if change.kind == Kind.LANGUAGE:
        title = dict(settings.LANGUAGES).get(after, after)
        return _("Done: messages come in this language where they can: %(language)s.") % {"language": title}
    if change.kind == Kind.PAUSE:
        if after is None:
            return _("Done: the pause is over.")
        day = date_format(localtime(datetime.fromisoformat(after)), str(DAY))
        return _("Done: nothing comes until %(day)s, but what belongs to your orders.") % {"day": day}
    return _("Done: it holds from now on.")


def _often_said(change: PreferenceChange) -> str:
    if change.after == Preference.Frequency.DAILY:
        return _("Done: they come collected, once a day.")
    if change.after == Preference.Frequency.WEEKLY:
        return _("Done: they come collected, once a week.")
    return _("Done: each message comes by itself. What was collected comes at once, in a last collected message.")


def _switch_said(change: PreferenceChange) -> str:
    if change.kind == Kind.CHANNEL:
        name = str(CHANNELS.get(Channel(change.subject), change.subject))
    else:
        model: Any = Topic if change.kind == Kind.TOPIC else Interest
        row = model.objects.filter(pk=change.subject).first()
        name = words_in(row, get_language())[0] if row is not None else change.subject
    if change.kind == Kind.INTEREST:
        text = (
            _("Done: “%(name)s” is one of your interests.")
            if change.after
            else _("Done: “%(name)s” is none of your interests any more.")
        )
    else:
        text = _("Done: “%(name)s” is on from now on.") if change.after else _("Done: “%(name)s” is off from now on.")
    return text % {"name": name}
