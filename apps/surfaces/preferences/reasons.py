"""Why a person got their messages, and what is known about them: in their words."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from apps.data.events.models import Order
from apps.data.profiles.attributes import attributes_shown
from apps.data.profiles.merging import family_of
from apps.data.profiles.models import Profile
from apps.decisioning.audiences.models import Audience
from apps.decisioning.audiences.rules import rule_matches, rule_parse
from apps.decisioning.audiences.selectors import facts_load
from apps.decisioning.decisions.digests import digest_told
from apps.decisioning.decisions.engine import SEND
from apps.decisioning.decisions.models import Decision
from apps.decisioning.decisions.selectors import made_by_model
from apps.delivery.sending.models import Message
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Invalid
from apps.foundation.core.text import is_blank

from .selectors import Choice, PreferencePage, Switch
from .speaking import country_name

LAST = 5
"""Messages that the page tells of."""

TIERS_IN_WORDS = {
    "personal": gettext_lazy("Its suggestions were picked from what you bought or looked at."),
    "category": gettext_lazy("Its suggestions are favourites from a kind of product that you buy."),
    "country": gettext_lazy("Its suggestions are favourites in your country."),
    "segment": gettext_lazy("Its content was chosen for a group of customers that you belong to."),
    "site": gettext_lazy("Its suggestions are what our customers like best at present."),
    "static": gettext_lazy("Its content is the same for everybody."),
}


@dataclass(frozen=True, slots=True)
class Why:
    """Why a person got a message. chosen_by_model, written_by_model: what a computer model did for it.

    agreed: the choice it rests on, None where that is off by now; here: whether the page was opened from it.
    """

    playbook: str
    sent_at: datetime | None
    tier: str
    agreed: Choice | None
    needs_consent: bool
    chosen_by_model: bool
    written_by_model: bool
    here: bool
    collected: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """One thing that is known. value: for people."""

    label: str
    value: Any


def whys_read(*, profile_id: int, message_id: UUID, choices: Sequence[Choice]) -> list[Why]:
    """Why a person got their last messages, that of the link first, then the newest."""
    numbers = family_of(profile_id)
    decisions = Decision.objects.filter(profile_id__in=numbers, outcome=SEND).select_related(
        "run__version", "run__playbook__purpose"
    )
    sent = dict(
        Message.objects.filter(profile_id__in=numbers, sending_at__isnull=False).values_list("pk", "sending_at")
    )
    found = {decision.pk: decision for decision in decisions.filter(pk=message_id)}
    found |= {one.pk: one for one in decisions.filter(pk__in=sent).order_by("-decided_at")[:LAST]}
    return [_why(decision, sent.get(pk), choices, here=pk == message_id) for pk, decision in found.items()][:LAST]


def _why(decision: Decision, sent_at: datetime | None, choices: Sequence[Choice], *, here: bool) -> Why:
    playbook = decision.run.playbook
    chosen, written = made_by_model(decision)
    return Why(
        playbook=playbook.name,
        sent_at=sent_at,
        tier=str(TIERS_IN_WORDS.get(decision.tier, "")),
        agreed=next((choice for choice in choices if choice.purpose == playbook.purpose_id and choice.on), None),
        needs_consent=playbook.purpose.needs_consent,
        chosen_by_model=chosen,
        written_by_model=written,
        here=here,
        collected=tuple(dict.fromkeys(piece.playbook for piece in digest_told(decision.pk).pieces if not piece.reason)),
    )


def known_read(*, profile_id: int, page: PreferencePage) -> list[Known]:
    """What is known about a person, in words; what is not known is left out."""
    profile = Profile.objects.get(pk=profile_id)
    name = " ".join(part for part in (profile.first_name, profile.last_name) if not is_blank(part))
    known = [
        Known(_("Name"), name),
        Known(_("E-mail address"), page.address),
        Known(_("Country"), country_name(profile.country)),
        Known(_("Time zone"), page.zone.replace("_", " ")),
        Known(_("Where we know you from"), profile.source),
        Known(_("Orders"), _orders(profile_id)),
        Known(_("Interests"), _listed(page.interests)),
        Known(_("Groups of customers that you belong to"), ", ".join(_groups(profile_id))),
        *(
            Known(one.label, one.value or _("known; your copy of your data says what"))
            for one in attributes_shown(profile_id=profile_id, whole=False)
        ),
    ]
    return [one for one in known if not is_blank(one.value)]


def _listed(switches: Sequence[Switch]) -> str:
    return ", ".join(switch.name for switch in switches if switch.on)


def _orders(profile_id: int) -> str:
    bought = Order.objects.filter(profile_id=profile_id, status=Order.Status.PURCHASE)
    count = bought.aggregate(Count("pk"))["pk__count"]
    return ngettext("%(count)d order", "%(count)d orders", count) % {"count": count} if count else ""


def _groups(profile_id: int) -> list[str]:
    """The names of the audiences that messages go to at present and that the person, unlike others, is in."""
    rules = {}
    audiences = Audience.objects.filter(playbooks__published__isnull=False).exclude(rule={"all": []}).distinct()
    for name, rule in audiences.values_list("name", "rule"):
        try:
            rules[name] = rule_parse(rule)
        except Invalid:
            continue  # its playbook decides nothing either
    facts = facts_load(rules=list(rules.values()), profile_ids=[profile_id], as_of=now()).get(profile_id)
    if facts is None:
        return []
    return sorted(name for name, rule in rules.items() if rule_matches(rule, facts).matched)
