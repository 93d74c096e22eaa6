"""A person as staff see them: who it is, what they agreed to, and what became of their messages."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from apps.data.consent.models import (
    Action,
    Channel,
    ConsentRecord,
    ConsentState,
    Interest,
    Preference,
    Purpose,
    Suppression,
    Topic,
    WordingText,
)
from apps.data.consent.preferences import preferences_read
from apps.data.consent.selectors import gate_read
from apps.data.events.models import Event, Order
from apps.data.privacy.models import AddressChange, RightsRequest
from apps.data.profiles.addresses import addresses_read, value_mask
from apps.data.profiles.attributes import attributes_shown
from apps.data.profiles.contracts import AttributeShown
from apps.data.profiles.errors import MasterKeyMissing
from apps.data.profiles.merging import family_of
from apps.data.profiles.models import Identifier, Profile
from apps.decisioning.decisions.models import Decision
from apps.decisioning.playbooks.models import Journey
from apps.decisioning.playbooks.steps import step_title
from apps.delivery.sending.models import Message

from .words import reason_in_words, state_in_words

LATELY = 10
"""Rows of each list."""

SEE = "profiles.view_profile"
SEE_ADDRESS = "profiles.view_identifier"
SEE_SENSITIVE = "profiles.view_sealedattribute"

May = Callable[[str], bool]
"""Whether the one who looks has a right."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person agreed to for one purpose on one channel. record: the line of the ledger that says so.

    now: what the gate would say to a message for it, "" where it may go; "-" where nothing is sent on that channel.
    """

    purpose: str
    channel: str
    needs_consent: bool
    granted: bool | None
    record: ConsentRecord | None
    now: str

    @property
    def words(self) -> str:
        """Its state in words."""
        if not self.needs_consent:
            return _("Needs no consent")
        if self.granted is None:
            return _("Never asked")
        return _("On") if self.granted else _("Off")

    @property
    def may_go(self) -> bool:
        """Whether a message for it would go out now."""
        return self.now == ""

    @property
    def withheld(self) -> str:
        """Why a message for it would not go out now, in words."""
        return reason_in_words(self.now) if self.now not in ("", "-") else ""


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """A line of the ledger as a sentence, and the text that was shown, "" where that is not known."""

    words: str
    record: ConsentRecord
    wording: str


@dataclass(frozen=True, slots=True)
class MessageLine:
    """One decision about the person, and what became of it."""

    id: UUID
    playbook: str
    occasion: str
    run_id: int
    state: str
    state_words: str
    reason_words: str
    at: datetime


@dataclass(frozen=True, slots=True)
class JourneyLine:
    """A journey under way: at which step, and when it is looked at again."""

    playbook: str
    step: str
    entered_at: datetime
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class Happening:
    """Something the person did: an event or an order."""

    words: str
    detail: str
    at: datetime


@dataclass(frozen=True, slots=True)
class PersonShown:
    """All that the page of a person shows. A list is None for those who may not see it.

    known_by: kind and value, masked for those who may not read addresses; attributes: sensitive ones without a value
    for those who may not see it; problem: why attributes can't be shown, else "".
    """

    profile: Profile
    name: str
    known_by: Sequence[tuple[str, str]]
    attributes: Sequence[AttributeShown]
    problem: str
    suppressed: Suppression | None
    choices: Sequence[Choice] | None
    wishes: Sequence[tuple[str, str]] | None
    history: Sequence[HistoryLine] | None
    messages: Sequence[MessageLine] | None
    journeys: Sequence[JourneyLine] | None
    happenings: Sequence[Happening] | None
    requests: Sequence[RightsRequest] | None
    address_changes: Sequence[AddressChange] | None

    @property
    def said(self) -> str:
        """What a screen reader is told once it reads otherwise: what the person agreed to."""
        return ". ".join(f"{choice.purpose}, {choice.channel}: {choice.words}" for choice in self.choices or ())


def person_shown(profile: Profile, may: May) -> PersonShown:
    """The page of a person for somebody with these rights: a constant number of reads, none of them cached."""
    attributes, problem = _attributes(profile.pk, whole=may(SEE_SENSITIVE))
    return PersonShown(
        profile=profile,
        name=" ".join(filter(None, (profile.first_name, profile.last_name))),
        known_by=_known_by(profile.pk, whole=may(SEE_ADDRESS)),
        attributes=attributes,
        problem=problem,
        suppressed=_suppression(profile.pk) if may("consent.view_suppression") else None,
        choices=_choices(profile.pk) if may("consent.view_consentstate") else None,
        wishes=_wishes(profile.pk) if may("consent.view_consentstate") else None,
        history=_history(profile.pk) if may("consent.view_consentrecord") else None,
        messages=_messages(profile.pk) if may("sending.view_message") and may("decisions.view_decision") else None,
        journeys=_journeys(profile.pk) if may("playbooks.view_run") else None,
        happenings=_happenings(profile.pk) if may("events.view_event") and may("events.view_order") else None,
        requests=list(RightsRequest.objects.filter(profile=profile)[:LATELY])
        if may("privacy.view_rightsrequest")
        else None,
        address_changes=list(AddressChange.objects.filter(profile=profile).order_by("-asked_at")[:LATELY])
        if may("privacy.view_rightsrequest")
        else None,
    )


def _known_by(profile_id: int, *, whole: bool) -> list[tuple[str, str]]:
    found = []
    for kind in (Identifier.Kind.EMAIL, Identifier.Kind.PHONE):
        try:
            value = addresses_read(profile_ids=[profile_id], kind=kind.value).get(profile_id, "")
        except MasterKeyMissing as error:
            return [(_("Addresses"), error.message)]
        if value:
            found.append((str(kind.label).capitalize(), value if whole else value_mask(kind, value)))
    return found


def _attributes(profile_id: int, *, whole: bool) -> tuple[list[AttributeShown], str]:
    try:
        return attributes_shown(profile_id=profile_id, whole=whole), ""
    except MasterKeyMissing as error:
        return [], error.message


def _suppression(profile_id: int) -> Suppression | None:
    digests = Identifier.objects.filter(profile_id=profile_id, main=True).values("digest")
    return Suppression.objects.filter(digest__in=digests).select_related("actor").first()


def _choices(profile_id: int) -> list[Choice]:
    states = {
        (state.purpose_id, state.channel): state
        for state in ConsentState.objects.filter(profile_id=profile_id).select_related("record")
    }
    found = []
    for purpose in Purpose.objects.all():
        for channel in Channel:
            state = states.get((purpose.code, channel.value))
            if state is None and channel != Channel.EMAIL:
                continue
            answer = gate_read(
                profile_ids=[profile_id],
                purpose=purpose.code,
                channel=channel.value,
                needs_consent=purpose.needs_consent,
            )[profile_id]
            found.append(
                Choice(
                    purpose=purpose.name,
                    channel=str(channel.label),
                    needs_consent=purpose.needs_consent,
                    granted=state.granted if state is not None else None,
                    record=state.record if state is not None else None,
                    now=answer.reason if channel == Channel.EMAIL else "-",
                )
            )
    return found


def _wishes(profile_id: int) -> list[tuple[str, str]]:
    """What the person chose beside consent, each with what it is; empty for those who chose nothing."""
    chosen = preferences_read(profile_ids=[profile_id])[profile_id]
    topics = Topic.objects.filter(pk__in=chosen.topics_off).values_list("name", flat=True)
    interests = Interest.objects.filter(pk__in=chosen.interests).values_list("name", flat=True)
    channels = [str(channel.label) for channel in Channel if channel.value in chosen.channels_off]
    quiet = chosen.quiet
    frequency = Preference.Frequency(chosen.frequency)
    found = [
        (_("Pause until"), f"{chosen.paused_until:%d %b %Y, %H:%M} UTC" if chosen.paused_until else ""),
        (_("Topics switched off"), ", ".join(topics)),
        (_("Channels switched off"), ", ".join(channels)),
        (_("How often"), "" if frequency == Preference.Frequency.EACH else str(frequency.label).capitalize()),
        (_("Quiet hours"), f"{quiet.start:%H:%M} – {quiet.end:%H:%M}" if quiet is not None else ""),
        (_("Time zone"), chosen.time_zone),
        (_("Language"), chosen.language),
        (_("Interests"), ", ".join(interests)),
    ]
    return [(name, value) for name, value in found if value]


def _history(profile_id: int) -> list[HistoryLine]:
    records = list(
        ConsentRecord.objects.filter(profile_id__in=family_of(profile_id))
        .select_related("purpose", "actor")
        .order_by("-pk")[:LATELY]
    )
    digests = {record.wording_digest for record in records if record.wording_digest}
    texts = dict(WordingText.objects.filter(digest__in=digests).values_list("digest", "text"))
    return [HistoryLine(_record_in_words(record), record, texts.get(record.wording_digest, "")) for record in records]


def _record_in_words(record: ConsentRecord) -> str:
    """A line of the ledger as a sentence."""
    who = {"purpose": record.purpose.name, "channel": record.get_channel_display()}
    if record.action == Action.GRANT:
        return _("Agreed to “%(purpose)s” by %(channel)s") % who
    if record.action == Action.VOID:
        return _("What a merge had said of “%(purpose)s” by %(channel)s was taken back") % who
    return _("Withdrew “%(purpose)s” by %(channel)s") % who


def _messages(profile_id: int) -> list[MessageLine]:
    decisions = list(
        Decision.objects.filter(profile_id__in=family_of(profile_id))
        .select_related("run__playbook")
        .only("id", "outcome", "decided_at", "run__occasion_key", "run__playbook__name")
        .order_by("-pk")[:LATELY]
    )
    messages = Message.objects.in_bulk([decision.pk for decision in decisions])
    return [_message_line(decision, messages.get(decision.pk)) for decision in decisions]


def _message_line(decision: Decision, message: Message | None) -> MessageLine:
    state, reason = ("decided", "") if decision.outcome == "send" else ("withheld", decision.outcome)
    if message is not None:
        state, reason = message.state, message.reason
    return MessageLine(
        id=decision.pk,
        playbook=decision.run.playbook.name,
        occasion=decision.run.occasion_key,
        run_id=decision.run_id,
        state=state,
        state_words=state_in_words(state),
        reason_words=reason_in_words(reason) if reason else "",
        at=(message.sending_at if message is not None else None) or decision.decided_at,
    )


def _journeys(profile_id: int) -> list[JourneyLine]:
    rows = Journey.objects.filter(profile_id=profile_id, state=Journey.State.ACTIVE).select_related(
        "playbook", "version"
    )
    return [
        JourneyLine(row.playbook.name, step_title(row.version.spec, row.step) or row.step, row.entered_at, row.due_at)
        for row in rows[:LATELY]
    ]


def _happenings(profile_id: int) -> list[Happening]:
    events: Any = Event.objects.filter(profile_id=profile_id).order_by("-occurred_at")[:LATELY]
    orders: Any = Order.objects.filter(profile_id=profile_id).order_by("-placed_at")[:LATELY]
    found = [Happening(event.name, "", event.occurred_at) for event in events]
    for order in orders:
        sum_of = f"{order.revenue.normalize():f} {order.currency}".strip()
        words = _("Order %(number)s") % {"number": order.external_id}
        found.append(Happening(words, f"{order.get_status_display()}, {sum_of}", order.placed_at))
    return sorted(found, key=lambda one: one.at, reverse=True)[:LATELY]
