"""What deciding looks at, read at once for all people of a batch, or for one. Reads only; `engine.py` decides.

Who gets nothing is known step by step, and nothing more is read of them: consent first, then the draw of holdouts,
whom the audience takes in, open tickets and caps, and then all that a message is made of.
The hot path: a constant number of reads whatever the number of people, dicts and tuples in between.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, cast

from django.conf import settings
from django.db.backends.utils import CursorWrapper

from apps.data.consent.contracts import GateAnswer
from apps.data.consent.models import Purpose
from apps.data.consent.preferences import languages_chosen
from apps.data.consent.selectors import TRACKING, gate_read, granted_read, withdrawn_read
from apps.data.events.tickets import tickets_open
from apps.data.features.selectors import features_read
from apps.data.profiles.attributes import values_read
from apps.decisioning.audiences.contracts import PROFILE_COLUMNS
from apps.decisioning.audiences.selectors import facts_load
from apps.decisioning.content.choosing import COLLECTED, PERSONALISATION
from apps.decisioning.recommendations.contracts import Candidate, ItemCard, PersonTaste, ShownAt
from apps.decisioning.recommendations.rankers import features_of, needs_no_set
from apps.decisioning.recommendations.selectors import candidates_for, latest_set

from .digests import digest_terms
from .engine import Person, Plan, withheld_because
from .limits import Limit, item_digest, limits_of
from .registry import contact_counters, item_counters, message_counters
from .weighing import Weighed, pieces_weigh


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read: people who exist, by ascending id, and the recommendation set."""

    people: dict[int, Person]
    set_id: int | None


def people_read(
    cursor: CursorWrapper,
    *,
    plan: Plan,
    purpose: str,
    channel: str,
    profile_ids: Sequence[int],
    as_of: datetime,
    at: datetime,
    hidden: Collection[str] = (),
) -> Reading:
    """Read what a plan looks at, of people who exist. Digests hold what they weigh until the transaction ends.

    hidden: attributes that stay unknown; as_of: the moment whose facts count; at: now, from which caps count back.
    """
    values = _profiles_read(profile_ids, plan, hidden)
    ids = sorted(values)
    needs_consent = Purpose.objects.values_list("needs_consent", flat=True).get(pk=purpose)
    gate = gate_read(
        profile_ids=ids,
        purpose=purpose,
        channel=channel,
        needs_consent=needs_consent,
        topic=plan.topic,
        at=at,
    )
    reasons = {profile_id: answer.reason if not answer.allowed else "" for profile_id, answer in gate.items()}
    people = {profile_id: Person(gate=reasons.get(profile_id), seed=profile_id) for profile_id in ids}
    early = replace(plan, audience=None)  # whom the audience takes in is not known yet
    asked = [profile_id for profile_id in ids if not withheld_because(early, people[profile_id])[0]]
    if plan.audience is not None and asked:
        facts = facts_load(rules=(*plan.rules, plan.audience), profile_ids=asked, as_of=as_of)
    else:
        facts = facts_load(rules=plan.rules, profile_ids=asked, as_of=as_of) if plan.rules and asked else {}
    tickets = tickets_open(asked) if plan.heeds_tickets and asked else set()
    got = _messages_count(plan, asked, purpose, at)
    limits = limits_of([(purpose, channel, needs_consent)]).get((purpose, channel), ()) if not plan.system else ()
    contacts = _contacts_count(limits, asked)
    for profile_id in asked:
        people[profile_id] = replace(
            people[profile_id],
            facts=facts.get(profile_id),
            ticket=profile_id in tickets,
            messages=got.get(profile_id, 0),
            limits=[
                [limit.name, contacts[profile_id][place], limit.count, limit.counted.days]
                for place, limit in enumerate(limits)
                if profile_id in contacts
            ],
        )
    rest = [profile_id for profile_id in asked if not withheld_because(plan, people[profile_id])[0]]
    if not rest:
        return Reading(people, None)
    frequencies = _collected_for(plan, purpose, channel, gate)
    weighed = pieces_weigh(cursor, profile_ids=rest, at=at, most=plan.most_items) if plan.collects else {}
    impersonal: set[int] = set()
    if plan.personal:
        impersonal = withdrawn_read(profile_ids=rest, purpose=PERSONALISATION, channel=channel)
    tracked = granted_read(profile_ids=rest, purpose=TRACKING, channel=channel, at=at)
    cards, set_id = _candidates_read(plan, rest, values, as_of, impersonal, at)
    often = _shown_often(rest) if plan.sources else {}
    for profile_id in rest:
        people[profile_id] = replace(
            people[profile_id],
            language=values[profile_id]["language"],
            values=values[profile_id],
            cards={**cards.get(profile_id, {}), **_cards_of(weighed.get(profile_id))},
            impersonal=profile_id in impersonal,
            tracked=profile_id in tracked,
            often=_often_of(cards.get(profile_id, {}), often.get(profile_id, set())),
            frequency=frequencies.get(profile_id, ""),
            collected=weighed[profile_id].told() if profile_id in weighed else {},
        )
    return Reading(people, set_id)


def _messages_count(plan: Plan, profile_ids: Sequence[int], purpose: str, at: datetime) -> dict[int, int]:
    """How many messages of the purpose each got within the days of the plan's cap."""
    counts: dict[int, int] = {}
    if plan.cap is None or not profile_ids:
        return counts
    since = at - timedelta(days=plan.cap["days"])
    for counter in message_counters:
        for profile_id, count in counter(profile_ids=profile_ids, purpose=purpose, since=since).items():
            counts[profile_id] = counts.get(profile_id, 0) + count
    return counts


def _contacts_count(limits: Sequence[Limit], profile_ids: Sequence[int]) -> dict[int, Sequence[int]]:
    """How many messages each got that count for each limit; who is missing got none."""
    found: dict[int, Sequence[int]] = {}
    if not limits or not profile_ids:
        return found
    for counter in contact_counters:
        for profile_id, counts in counter(profile_ids=profile_ids, counted=[one.counted for one in limits]).items():
            found[profile_id] = [
                one + other for one, other in zip(counts, found.get(profile_id, [0] * len(counts)), strict=True)
            ]
    return found


def _shown_often(profile_ids: Sequence[int]) -> dict[int, set[bytes]]:
    """Items that each was shown as often as the limit of one item lets, by digest."""
    found: dict[int, set[bytes]] = {}
    if settings.ITEM_LIMIT is None:
        return found
    for counter in item_counters:
        for (profile_id, item), count in counter(profile_ids=profile_ids).items():
            if count >= settings.ITEM_LIMIT.count:
                found.setdefault(profile_id, set()).add(item)
    return found


def _often_of(cards: Mapping[str, Sequence[Candidate]], often: set[bytes]) -> frozenset[str]:
    if not often:
        return frozenset()
    skus = {candidate.card["sku"] for found in cards.values() for candidate in found}
    return frozenset(sku for sku in skus if item_digest(sku) in often)


def _collected_for(plan: Plan, purpose: str, channel: str, gate: Mapping[int, GateAnswer]) -> dict[int, str]:
    """Who wants such a message in a digest, with how often. Nobody without a published digest; system mail never is."""
    wanted = {profile_id: answer.frequency for profile_id, answer in gate.items() if answer.frequency != "each"}
    if not wanted or plan.system:
        return {}
    terms = digest_terms()
    return wanted if terms is not None and (terms.purpose, terms.channel) == (purpose, channel) else {}


def _cards_of(weighed: Weighed | None) -> dict[str, list[Candidate]]:
    if weighed is None or not weighed.cards:
        return {}
    return {COLLECTED: [Candidate(cast(ItemCard, card)) for card in weighed.cards]}


def _profiles_read(profile_ids: Sequence[int], plan: Plan, hidden: Collection[str]) -> dict[int, dict[str, Any]]:
    """Country, language and the values that the message prints, by profile id; sensitive ones opened."""
    tokens = {name for names in plan.tokens.values() for name in names}
    columns = [name for name in PROFILE_COLUMNS if name in tokens | {"country", "language"}]
    free = sorted(tokens - set(PROFILE_COLUMNS))
    found = values_read(profile_ids=profile_ids, names=free, columns=columns)
    for name in hidden:
        for values in found.values():
            if name in values:
                values[name] = None
    for profile_id, language in languages_chosen(profile_ids=list(found)).items():
        found[profile_id]["language"] = language
    return found


def _candidates_read(
    plan: Plan,
    profile_ids: Sequence[int],
    values: dict[int, dict[str, Any]],
    as_of: datetime,
    impersonal: set[int],
    at: datetime,
) -> tuple[dict[int, dict[str, list[Candidate]]], int | None]:
    """The lists that the tiers ask for, by profile id, and the set they come from, None where there is none.

    impersonal: of whom nothing that they did is looked at; they have what everybody has.
    """
    if not plan.sources or not profile_ids:
        return {}, None
    newest = latest_set()
    if newest is None and not needs_no_set(plan.sources):
        return {}, None
    features: dict[int, dict[str, Any]] = {
        profile_id: dict(known)
        for profile_id, known in features_read(
            profile_ids=[profile_id for profile_id in profile_ids if profile_id not in impersonal],
            names=features_of(plan.sources),
            as_of=as_of,
        ).items()
    }
    people = {
        profile_id: PersonTaste(
            country=values[profile_id]["country"],
            top_category=features.get(profile_id, {}).get("top_category") or "",
            recent_items=tuple(features.get(profile_id, {}).get("recent_items") or ()),
        )
        for profile_id in profile_ids
    }
    cards = candidates_for(
        set_id=newest.pk if newest is not None else None,
        people=people,
        sources=plan.sources,
        count=plan.most_items,
        live_seconds=settings.LIVE_SECONDS if plan.transactional else 0.0,
        shown_at=ShownAt(plan.brand, plan.placement, at),
    )
    return cards, newest.pk if newest is not None else None
