"""What deciding looks at, read at once for all people of a batch, or for one. Reads only; `engine.py` decides.

Who gets nothing is known step by step, and nothing more is read of them: consent first, then the draw of holdouts,
whom the audience takes in, open tickets and caps, and then all that a message is made of.
The hot path: one statement of all that is always looked at, from the parts that the apps below say; a constant number
of others whatever the number of people; dicts and tuples in between.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from time import monotonic
from typing import Any, Final, cast

from django.conf import settings
from django.db.backends.utils import CursorWrapper

from apps.data.consent.selectors import (
    GATE,
    LANGUAGE,
    TRACKED,
    consent_needed,
    gate_params,
    gate_told,
    withdrawn_part,
)
from apps.data.events.tickets import OPEN_TICKET
from apps.data.features.online import CopiesAhead
from apps.data.features.selectors import features_ask, features_read
from apps.data.inbound.live import live_names, live_people
from apps.data.profiles.attribute_values import value_read
from apps.data.profiles.attributes import held_part, held_told, json_read, shapes_known, value_open
from apps.data.profiles.contracts import AttributeShape, AttributesHeld
from apps.data.profiles.vault import KEY, Vault, vault_of
from apps.decisioning.audiences.contracts import PROFILE_COLUMNS, PersonFacts, Sensitive
from apps.decisioning.audiences.selectors import attributes_asked, facts_load
from apps.decisioning.content.choosing import COLLECTED, PERSONALISATION
from apps.decisioning.recommendations.contracts import Candidate, ItemCard, PersonTaste, ShownAt
from apps.decisioning.recommendations.rankers import features_of, looks_at_picks, needs_no_set, picks_read
from apps.decisioning.recommendations.selectors import candidates_for, set_newest
from apps.foundation.core.postgres import Part, people_select
from apps.foundation.core.stamps import STAMPS, stamps_of

from .choices import alike_key, choices_known, scene_of
from .contracts import Choice
from .digests import digest_terms
from .engine import Person, Plan, withheld_because
from .limits import Limit, item_digest, limits_of
from .registry import contact_counters, item_counters, message_counters
from .weighing import Weighed, pieces_weigh

_STAMPS: Final = Part(columns=(STAMPS,))
_IMPERSONAL: Final = withdrawn_part(PERSONALISATION)
_NO_TASTE: Final = PersonTaste()
_NO: Final = Part(columns=("FALSE",))
"""What a plan does not look at."""
_FEW: Final = 100


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read: people who exist, by ascending id, the recommendation set, and people's keys. stamps: of what is
    kept in memory, as they were then; None where nobody was there."""

    people: dict[int, Person]
    set_id: int | None
    vault: Vault
    stamps: Mapping[str, str] | None = None


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
    prepared: bool = False,
) -> Reading:
    """Read what a plan looks at, of people who exist. Digests hold what they weigh until the transaction ends.

    hidden: attributes that stay unknown; as_of: the moment whose facts count; at: now, from which caps count back;
    prepared: whether choices were made ahead.
    For few people, whom somebody waits for, Redis is asked for what they did while PostgreSQL reads the rest.
    """
    few = plan.sources and len(profile_ids) <= _FEW
    asked_ahead = features_ask(profile_ids=profile_ids, as_of=as_of) if few else None
    with asked_ahead or nullcontext() as ahead:
        rules = plan.rules if plan.audience is None else (*plan.rules, plan.audience)
        columns, names = _named(plan)
        impersonal_part = _IMPERSONAL if plan.personal else _NO
        ticket_part = OPEN_TICKET if plan.heeds_tickets else _NO
        parts = [_STAMPS, GATE, LANGUAGE, TRACKED, impersonal_part, KEY, ticket_part, held_part(names, columns)]
        params = gate_params(purpose=purpose, channel=channel, topic=plan.topic, at=at) | {"names": list(names)}
        rows = dict(sorted(people_select(parts, profile_ids, params).items()))
        if not rows:
            return Reading({}, None, vault_of(()))
        stamps = stamps_of(next(iter(rows.values()))[0][0])
        needs_consent = consent_needed(purpose, stamps)
        people, wanting = _gates_tell(rows, channel, needs_consent)
        asked = [one for one, person in people.items() if not withheld_because(plan, person, early=True)[0]]
        vault = vault_of((profile_id, row[5]) for profile_id, row in rows.items())
        held = {one: held_told(rows[one][7], names, columns) for one in asked}
        facts: dict[int, PersonFacts] = {}
        if rules and asked:
            facts = facts_load(rules=rules, profile_ids=asked, as_of=as_of, held=held, stamps=stamps)
        said_live, live_left = _live_read(plan, asked, facts, hidden, stamps)
        got = _messages_count(plan, asked, purpose, at)
        limits = limits_of([(purpose, channel, needs_consent)]).get((purpose, channel), ()) if not plan.system else ()
        contacts = _contacts_count(limits, asked)
        for one in asked:
            person = people[one]
            person.facts = facts.get(one)
            person.ticket = plan.heeds_tickets and rows[one][6][0]
            person.messages = got.get(one, 0)
            if one in contacts:
                person.limits = [
                    [limit.name, count, limit.count, limit.counted.days]
                    for limit, count in zip(limits, contacts[one], strict=True)
                ]
        rest = [one for one in asked if not withheld_because(plan, people[one])[0]]
        if not rest:
            return Reading(people, None, vault, stamps)
        values = _values_of(plan, rest, rows, held, vault, hidden)
        for one in said_live.keys() & values.keys():
            values[one] |= said_live[one]
        frequencies = _collected_for(plan, purpose, channel, wanting)
        weighed = pieces_weigh(cursor, profile_ids=rest, at=at, most=plan.most_items) if plan.collects else {}
        impersonal = {one for one in rest if rows[one][4][0]} if plan.personal else set()
        tastes, set_id = _tastes_read(plan, rest, values, as_of, impersonal, stamps, ahead)
    shown_at = ShownAt(plan.brand, plan.placement, at)
    picks = picks_read(shown_at) if looks_at_picks(plan.sources) else None
    often = _shown_often(rest) if plan.sources else {}
    scene = scene_of(plan, set_id=set_id, picks=picks, at=at)
    for one in rest:
        person = people[one]
        person.language = values[one]["language"]
        person.values = values[one]
        person.impersonal = one in impersonal
        person.tracked = rows[one][3][0]
        person.frequency = frequencies.get(one, "")
        if one in weighed:
            person.collected = weighed[one].told()
        if scene and not person.frequency:
            person.alike = alike_key(scene, plan, person, taste=tastes.get(one, _NO_TASTE), often=often.get(one, ()))
    keys = {one: key for one in rest if (key := people[one].alike)}
    known = choices_known(keys.values(), stamps, prepared=prepared) if keys else {}
    for one, key in keys.items():
        people[one].choice = known.get(key)
    cards: dict[int, dict[str, list[Candidate]]] = {}
    if asking := {one: tastes[one] for one in _asking(rest, keys, known) if one in tastes}:
        cards = candidates_for(
            set_id=set_id,
            people=asking,
            sources=plan.sources,
            count=plan.most_items,
            live_seconds=live_left,
            shown_at=shown_at,
            stamps=stamps,
            picks=picks,
        )
    for one, mine in cards.items():
        people[one].cards = mine
        people[one].often = _often_of(mine, often.get(one, set()))
    for one, pieces in weighed.items():
        people[one].cards = {**people[one].cards, **_cards_of(pieces)}
    return Reading(people, set_id, vault, stamps)


def _gates_tell(
    rows: Mapping[int, Sequence[Sequence[Any]]], channel: str, needs_consent: bool
) -> tuple[dict[int, Person], dict[int, str]]:
    """People with what the gate says of each, and how often those want to be written to who want a digest."""
    people: dict[int, Person] = {}
    wanting: dict[int, str] = {}
    for profile_id, row in rows.items():
        said = gate_told(row[1], channel=channel, needs_consent=needs_consent)
        people[profile_id] = Person(gate=said.held_up_by, seed=profile_id)
        if said.frequency != "each":
            wanting[profile_id] = said.frequency
    return people, wanting


def _live_read(
    plan: Plan,
    profile_ids: Sequence[int],
    facts: dict[int, PersonFacts],
    hidden: Collection[str],
    stamps: Mapping[str, str],
) -> tuple[dict[int, dict[str, Any]], float]:
    """What the live source of people says of what the message prints, by profile id and name; in facts it is put in
    place of what is stored. And how many of the seconds for live sources are left.

    Only decisions of transactional playbooks ask; without an answer what is stored stands, and a template's fallback
    behind it. A sensitive attribute is printed, and never looked at by rules.
    """
    printed: dict[int, dict[str, Any]] = {}
    if not plan.transactional:
        return printed, 0.0
    ends = monotonic() + settings.LIVE_SECONDS
    names = live_names() - set(hidden)
    tokens = _printed(plan) & names
    if tokens or any(names & one.attributes.keys() for one in facts.values()):
        shapes = shapes_known(names, stamps)
        for profile_id, said in live_people(profile_ids, seconds=settings.LIVE_SECONDS).items():
            fitting = {name: value for name, value in said.items() if _fits(shapes.get(name), value)}
            printed[profile_id] = {name: _printable(fitting[name]) for name in tokens & fitting.keys()}
            if profile_id in facts:
                stored = facts[profile_id].attributes
                news = {name: fitting[name] for name in names & fitting.keys() & stored.keys()}
                asked = {name: value for name, value in news.items() if not isinstance(stored[name], Sensitive)}
                facts[profile_id] = replace(facts[profile_id], attributes={**stored, **asked})
    return printed, max(0.0, ends - monotonic())


def _fits(shape: AttributeShape | None, value: Any) -> bool:
    """Whether a value is as its attribute is defined; one that nobody defined may be anything."""
    try:
        return shape is None or value_read(shape, value) is not None
    except ValueError:
        return False


def _printable(value: Any) -> Any:
    """A number as templates print it: whole where it is."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value


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


def _collected_for(plan: Plan, purpose: str, channel: str, wanted: Mapping[int, str]) -> Mapping[int, str]:
    """Who wants such a message in a digest, with how often. Nobody without a published digest; system mail never is."""
    if not wanted or plan.system:
        return {}
    terms = digest_terms()
    return wanted if terms is not None and (terms.purpose, terms.channel) == (purpose, channel) else {}


def _cards_of(weighed: Weighed | None) -> dict[str, list[Candidate]]:
    if weighed is None or not weighed.cards:
        return {}
    return {COLLECTED: [Candidate(cast(ItemCard, card)) for card in weighed.cards]}


def _printed(plan: Plan) -> set[str]:
    return {name for names in plan.tokens.values() for name in names}


def _named(plan: Plan) -> tuple[list[str], list[str]]:
    """What is read of profiles: columns, and other attributes; of what the message prints and what rules ask."""
    rules = plan.rules if plan.audience is None else (*plan.rules, plan.audience)
    columns, names = attributes_asked(rules)
    printed = _printed(plan)
    wanted = printed | {"country", "language", *columns}
    return [name for name in PROFILE_COLUMNS if name in wanted], sorted({*names, *printed} - set(PROFILE_COLUMNS))


def _values_of(
    plan: Plan,
    profile_ids: Sequence[int],
    rows: Mapping[int, Sequence[Sequence[Any]]],
    held: Mapping[int, AttributesHeld],
    vault: Vault,
    hidden: Collection[str],
) -> dict[int, dict[str, Any]]:
    """Country, language and the values that the message prints, by profile id; sensitive ones opened."""
    printed = _printed(plan) | {"country", "language"}
    first = held[profile_ids[0]]
    columns = [name for name in first.columns if name in printed]
    names = [name for name in first.clear if name in printed]
    found = {}
    for profile_id in profile_ids:
        one = held[profile_id]
        values = {name: one.columns[name] for name in columns}
        for name in names:
            text = one.clear[name]
            values[name] = None if text is None else json_read(text)
        for name in one.sealed.keys() & printed:
            values[name] = value_open(vault, profile_id, one.sealed[name])
        for name in hidden:
            if name in values:
                values[name] = None
        values["language"] = rows[profile_id][2][0] or values["language"]
        found[profile_id] = values
    return found


def _asking(rest: Sequence[int], keys: Mapping[int, bytes], known: Mapping[bytes, Choice]) -> list[int]:
    """For whom the engine is asked: whoever has no choice yet, and of those who are alike the first."""
    asked: list[int] = []
    seen = set(known)
    for profile_id in rest:
        key = keys.get(profile_id, b"")
        if not key or key not in seen:
            asked.append(profile_id)
            seen.add(key)
    return asked


def _tastes_read(
    plan: Plan,
    profile_ids: Sequence[int],
    values: dict[int, dict[str, Any]],
    as_of: datetime,
    impersonal: set[int],
    stamps: Mapping[str, str],
    ahead: CopiesAhead | None,
) -> tuple[dict[int, PersonTaste], int | None]:
    """What lists go by of each, by profile id, and the set they come from, None where there is none; nothing where no
    list is asked for. impersonal: of whom nothing that they did is looked at; they have what everybody has."""
    if not plan.sources or not profile_ids:
        return {}, None
    newest = set_newest(stamps)
    if newest is None and not needs_no_set(plan.sources):
        return {}, None
    features = features_read(
        profile_ids=[profile_id for profile_id in profile_ids if profile_id not in impersonal],
        names=features_of(plan.sources),
        as_of=as_of,
        ahead=ahead,
    )
    tastes = {}
    for profile_id in profile_ids:
        known: Mapping[str, Any] = features.get(profile_id, {})
        tastes[profile_id] = PersonTaste(
            country=values[profile_id]["country"],
            top_category=known.get("top_category") or "",
            recent_items=tuple(known.get("recent_items") or ()),
        )
    return tastes, newest
