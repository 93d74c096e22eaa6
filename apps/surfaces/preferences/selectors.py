"""What a person's pages show: their choices, and why they got a message."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from apps.data.consent.models import Channel, ConsentState, Purpose
from apps.data.consent.selectors import gate_read
from apps.data.profiles.models import Profile
from apps.decisioning.content.models import Brand
from apps.decisioning.decisions.models import Decision
from apps.delivery.sending.models import Message

DEFAULT_PURPOSE = "marketing"

TIERS_IN_WORDS = {
    "personal": _("Its suggestions were picked from what you bought or looked at."),
    "category": _("Its suggestions are favourites from a kind of product that you buy."),
    "country": _("Its suggestions are favourites in your country."),
    "segment": _("Its content was chosen for a group of customers that you belong to."),
    "site": _("Its suggestions are what our customers like best at present."),
    "static": _("Its content is the same for everybody."),
}


@dataclass(frozen=True, slots=True)
class Choice:
    """One purpose on one channel, as the person sees it. since: when it was last chosen, None if never."""

    purpose: str
    name: str
    description: str
    on: bool
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Why:
    """Why a person got a message, in plain words. Everything may be unknown but the playbook."""

    playbook: str
    sent_at: datetime | None
    tier: str
    agreed: Choice | None
    needs_consent: bool


@dataclass(frozen=True, slots=True)
class PreferencePage:
    """All that the preference page shows. address: masked; always_on: purposes that need no consent."""

    address: str
    suppressed: bool
    brand: str
    postal_address: str
    choices: Sequence[Choice]
    always_on: Sequence[Purpose]
    why: Why | None


def address_mask(address: str) -> str:
    """`c•••@example.com`: enough to know one's own, too little to learn another's. "" stays ""."""
    local, at, domain = address.rpartition("@")
    return f"{local[:1]}•••@{domain}" if at else ""


def profile_exists(profile_id: int) -> bool:
    """Whether the person of a link is still there. Ids beyond the database's range are nobody's."""
    return profile_id < 2**63 and Profile.objects.filter(pk=profile_id).exists()


def choices_read(*, profile_id: int, channel: Channel) -> list[Choice]:
    """What the person chose on a channel, for each purpose that needs consent, in the page's order."""
    states = {state.purpose_id: state for state in ConsentState.objects.filter(profile_id=profile_id, channel=channel)}
    return [
        Choice(
            purpose=purpose.code,
            name=purpose.name,
            description=purpose.description,
            on=purpose.code in states and states[purpose.code].granted,
            since=states[purpose.code].changed_at if purpose.code in states else None,
        )
        for purpose in Purpose.objects.filter(needs_consent=True)
    ]


def message_of(*, profile_id: int, message_id: UUID) -> Message | None:
    """The message that a link came with, if it is known and the person's own."""
    return Message.objects.filter(pk=message_id, profile_id=profile_id).first()


def purpose_to_leave(message: Message | None) -> Purpose:
    """What leaving by this message means: its purpose; marketing where that is unknown or needs no consent."""
    purpose = Purpose.objects.filter(code=message.purpose).first() if message is not None else None
    if purpose is None or not purpose.needs_consent:
        return Purpose.objects.get(code=DEFAULT_PURPOSE)
    return purpose


def page_read(*, profile_id: int, message_id: UUID) -> PreferencePage:
    """Everything for a person's preference page."""
    message = message_of(profile_id=profile_id, message_id=message_id)
    gate = gate_read(profile_ids=[profile_id], purpose=DEFAULT_PURPOSE, channel=Channel.EMAIL, needs_consent=False)
    choices = choices_read(profile_id=profile_id, channel=Channel.EMAIL)
    decision = (
        Decision.objects.filter(pk=message_id, profile_id=profile_id)
        .select_related("run__playbook__brand", "run__playbook__purpose")
        .first()
    )
    brand = decision.run.playbook.brand if decision is not None else Brand.objects.order_by("pk").first()
    return PreferencePage(
        address=address_mask(gate[profile_id].address),
        suppressed=gate[profile_id].reason == "suppressed",
        brand=brand.name if brand is not None else "",
        postal_address=brand.postal_address if brand is not None else "",
        choices=choices,
        always_on=list(Purpose.objects.filter(needs_consent=False)),
        why=_why(decision, message, choices) if decision is not None else None,
    )


def _why(decision: Decision, message: Message | None, choices: Sequence[Choice]) -> Why:
    playbook = decision.run.playbook
    return Why(
        playbook=playbook.name,
        sent_at=message.sending_at if message is not None else None,
        tier=str(TIERS_IN_WORDS.get(decision.tier, "")),
        agreed=next((choice for choice in choices if choice.purpose == playbook.purpose_id and choice.on), None),
        needs_consent=playbook.purpose.needs_consent,
    )
