"""What a person's pages show of their choices."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils.dates import WEEKDAYS
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from apps.data.consent.asking import asked_again
from apps.data.consent.models import Channel, ConsentState, Interest, Purpose, Topic
from apps.data.consent.offering import offered_in, words_in
from apps.data.consent.preferences import Chosen, preferences_read, zones_read
from apps.data.consent.selectors import ADDRESS_KIND, gate_read
from apps.data.consent.wordings import wordings_shown
from apps.data.profiles.addresses import addresses_read, kinds_held, value_mask
from apps.data.profiles.errors import MasterKeyMissing
from apps.data.profiles.merging import family_of
from apps.data.profiles.models import Profile
from apps.decisioning.content.models import Brand
from apps.decisioning.content.page_look import words_of
from apps.decisioning.decisions.digests import digest_terms
from apps.decisioning.decisions.models import Decision, DigestPiece
from apps.delivery.sending.models import Message
from apps.foundation.core.clock import now
from apps.foundation.core.wall_clock import WEEKDAYS as WEEKDAY_CODES
from apps.foundation.core.wall_clock import zone_names

from .speaking import Tongue, language_of_person, tongues

logger = logging.getLogger(__name__)

DEFAULT_PURPOSE = "marketing"

CHANNELS: Mapping[str, Any] = {
    Channel.EMAIL: _("E-mail"),
    Channel.SMS: _("Text messages"),
    Channel.PUSH: _("Notifications of the app"),
    Channel.WEB: _("On our website"),
}

_AREAS = (
    "Africa",
    "America",
    "Antarctica",
    "Arctic",
    "Asia",
    "Atlantic",
    "Australia",
    "Europe",
    "Indian",
    "Pacific",
)


@dataclass(frozen=True, slots=True)
class Choice:
    """One purpose on one channel, as the person sees it.

    since: when it was last chosen, None if never; again: what they agreed to says something else by now, and holds
    until `until`, None: no more; shown: digest of the description, as the page's forms carry it.
    """

    purpose: str
    name: str
    description: str
    on: bool
    since: datetime | None
    again: bool = False
    until: datetime | None = None
    shown: str = ""


@dataclass(frozen=True, slots=True)
class Switch:
    """A topic, a channel or an interest, on or off."""

    code: str
    name: str
    description: str
    on: bool


@dataclass(frozen=True, slots=True)
class DigestOffer:
    """That messages of a purpose can come in a digest. name: of the purpose; at: its time of day; day: its weekday, in
    words; waiting: how many are collected at present."""

    name: str
    at: time
    day: str
    waiting: int


@dataclass(frozen=True, slots=True)
class Frame:
    """What every page of a person shows around it, and their choices.

    address: masked; accent: the brand's colour as 1a5446, "" for ours; words: the brand's own, by `page_look.WORDS`.
    """

    address: str
    suppressed: bool
    brand: str
    accent: str
    words: Mapping[str, str]
    postal_address: str
    choices: Sequence[Choice]


@dataclass(frozen=True, slots=True)
class PreferencePage(Frame):
    """All that can be chosen. always_on: name and description of purposes that need no consent; zone: the person's
    time zone, "" when it is not known; often: what can come in a digest, None while there is none; language: of these
    pages, in which messages come where they can.
    """

    always_on: Sequence[tuple[str, str]] = ()
    topics: Sequence[Switch] = ()
    channels: Sequence[Switch] = ()
    interests: Sequence[Switch] = ()
    chosen: Chosen = field(default_factory=Chosen)
    paused: bool = False
    zone: str = ""
    language: str = ""
    often: DigestOffer | None = None
    tongues: Sequence[Tongue] = ()


def _address(profile_id: int) -> str:
    """The person's address; "" without one, and where it can't be read, which must keep nobody from leaving."""
    try:
        return addresses_read(profile_ids=[profile_id], kind=ADDRESS_KIND[Channel.EMAIL]).get(profile_id, "")
    except MasterKeyMissing as error:
        logger.error("a page shows no address: %s", error.message)
        return ""


def profile_exists(profile_id: int) -> bool:
    """Whether the person of a link is still there. Ids beyond the database's range are nobody's."""
    return profile_id < 2**63 and Profile.objects.filter(pk=profile_id).exists()


def purpose_words(purpose: Purpose) -> tuple[str, str]:
    """Name and description of a purpose in the page's language."""
    return words_in(purpose, get_language())


def choices_read(*, profile_id: int, channel: Channel) -> list[Choice]:
    """What the person chose on a channel, for each purpose that needs consent, in the page's order."""
    states = {state.purpose_id: state for state in ConsentState.objects.filter(profile_id=profile_id, channel=channel)}
    outdated = asked_again(profile_id=profile_id)
    shown = wordings_shown(channel=channel, locale=get_language())
    choices = []
    for purpose in Purpose.objects.filter(needs_consent=True):
        state, again = states.get(purpose.code), outdated.get((purpose.code, channel))
        choices.append(
            Choice(
                purpose=purpose.code,
                name=purpose_words(purpose)[0],
                description=shown[purpose.code].text,
                on=state is not None and state.granted and (again is None or again.until is not None),
                since=state.changed_at if state is not None else None,
                again=again is not None,
                until=again.until if again is not None else None,
                shown=shown[purpose.code].digest,
            )
        )
    return choices


def message_of(*, profile_id: int, message_id: UUID) -> Message | None:
    """The message that a link came with, if it is known and the person's own."""
    return Message.objects.filter(pk=message_id, profile_id__in=family_of(profile_id)).first()


def purpose_to_leave(message: Message | None) -> Purpose:
    """What leaving by this message means: its purpose; marketing where that is unknown or needs no consent."""
    purpose = Purpose.objects.filter(code=message.purpose).first() if message is not None else None
    if purpose is None or not purpose.needs_consent:
        return Purpose.objects.get(code=DEFAULT_PURPOSE)
    return purpose


def frame_read(*, profile_id: int, message_id: UUID) -> Frame:
    """What stands around a page of a person who came by the link of a message."""
    return Frame(**_frame(profile_id, message_id))


def _frame(profile_id: int, message_id: UUID) -> dict[str, Any]:
    gate = gate_read(profile_ids=[profile_id], purpose=DEFAULT_PURPOSE, channel=Channel.EMAIL, needs_consent=False)
    brand = brand_of(profile_id=profile_id, message_id=message_id)
    words = words_of(brand.page_words, get_language()) if brand is not None else {}
    return {
        "address": value_mask("email", _address(profile_id)),
        "suppressed": gate[profile_id].reason == "suppressed",
        "brand": words.get("name") or (brand.name if brand is not None else ""),
        "accent": brand.page_accent.removeprefix("#").lower() if brand is not None else "",
        "words": words,
        "postal_address": brand.postal_address if brand is not None else "",
        "choices": choices_read(profile_id=profile_id, channel=Channel.EMAIL),
    }


def brand_of(*, profile_id: int, message_id: UUID) -> Brand | None:
    """The brand of a link's message; without it, of the person's last one; else the first there is."""
    decisions = Decision.objects.filter(profile_id__in=family_of(profile_id)).select_related("run__playbook__brand")
    decision = decisions.filter(pk=message_id).first() or decisions.filter(outcome="send").order_by("-id").first()
    return decision.run.playbook.brand if decision is not None else Brand.objects.order_by("pk").first()


def page_read(*, profile_id: int, message_id: UUID) -> PreferencePage:
    """Everything that a person can choose on their preference page."""
    chosen = preferences_read(profile_ids=[profile_id])[profile_id]
    language = get_language()
    zone = zones_read(profile_ids=[profile_id]).get(profile_id)
    return PreferencePage(
        **_frame(profile_id, message_id),
        always_on=[purpose_words(purpose) for purpose in Purpose.objects.filter(needs_consent=False)],
        topics=[
            Switch(code, name, about, code not in chosen.topics_off)
            for code, name, about in offered_in(Topic, language)
        ],
        channels=_channels(profile_id, chosen),
        interests=[
            Switch(code, name, about, code in chosen.interests) for code, name, about in offered_in(Interest, language)
        ],
        chosen=chosen,
        paused=chosen.paused_until is not None and chosen.paused_until > now(),
        zone=str(zone) if zone is not None else "",
        language=language_of_person(profile_id),
        often=_digest_offer(profile_id),
        tongues=tongues(),
    )


def _digest_offer(profile_id: int) -> DigestOffer | None:
    """What digests collect, None while there are none."""
    terms = digest_terms()
    if terms is None:
        return None
    return DigestOffer(
        name=purpose_words(Purpose.objects.get(pk=terms.purpose))[0],
        at=time(settings.DIGEST_HOUR),
        day=str(WEEKDAYS[WEEKDAY_CODES.index(settings.DIGEST_WEEKDAY)]),
        waiting=DigestPiece.objects.filter(profile_id=profile_id, state=DigestPiece.State.KEPT).count(),
    )


def _channels(profile_id: int, chosen: Chosen) -> list[Switch]:
    """The channels that could reach the person: by an address, a consent, or because they were switched off."""
    reach = {Channel.EMAIL, *chosen.channels_off}
    held = kinds_held(profile_id)
    reach |= {channel for channel, kind in ADDRESS_KIND.items() if kind in held}
    reach |= set(ConsentState.objects.filter(profile_id=profile_id, granted=True).values_list("channel", flat=True))
    return [
        Switch(str(code), str(name), "", code not in chosen.channels_off)
        for code, name in CHANNELS.items()
        if code in reach
    ]


def zones_offered() -> list[tuple[str, list[tuple[str, str]]]]:
    """The time zones to choose from, by area: name, and the place as it is shown."""
    groups: dict[str, list[tuple[str, str]]] = {area: [] for area in _AREAS}
    for name in sorted(zone_names()):
        area, _slash, place = name.partition("/")
        if place and area in groups:
            groups[area].append((name, place.replace("_", " ")))
    return list(groups.items())
