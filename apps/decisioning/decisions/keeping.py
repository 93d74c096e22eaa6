"""What the engine looked at for one person, as a decision keeps it, and back: so that it can be asked again. Pure.

Small on purpose, for there are ten million of them an hour: only what a plan asks for, only candidates that were looked
at, and of those the number alone where the card stands in the answer or was not shown. `answer_mark` binds all of it:
one value changed, and it is another.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Any, Final

import orjson

from apps.decisioning.audiences.contracts import (
    AskedAgain,
    Attribute,
    Consent,
    Count,
    Counted,
    FeatureIs,
    InAudience,
    Interest,
    PersonFacts,
    Sensitive,
    rule_leaves,
)
from apps.decisioning.playbooks.contracts import PlaybookSpec
from apps.decisioning.recommendations.contracts import Candidate, ItemCard
from apps.foundation.core.wall_clock import Quiet, zone_choose

from .contracts import Choice
from .engine import HOLDOUT, SHOWN_OFTEN, Asleep, Person, Plan, Verdict, item_fault, owed_to_all

MARK: Final = "x"
WITHHELD: Final = "w"
QUIET: Final = "q"
_EXACT: Final = 2**53
"""Whole numbers beyond are kept as text: not every reader of JSON holds them."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the rules of a plan ask for, in an order that holds for as long as the version does."""

    attributes: Sequence[str]
    counts: Sequence[Counted]
    consents: Sequence[tuple[str, str]]
    asked: Sequence[tuple[str, str]]
    interests: Sequence[str]
    features: Sequence[str] = ()
    audiences: Sequence[str] = ()


class Incomplete(Exception):
    """A decision does not keep all that its rules asked for: it was made before that was kept."""


def wanted_of(plan: Plan) -> Wanted:
    """What the rules of a plan ask for."""
    rules = plan.rules if plan.audience is None else (*plan.rules, plan.audience)
    leaves = [leaf for rule in rules for leaf in rule_leaves(rule)]
    return Wanted(
        list(dict.fromkeys(leaf.name for leaf in leaves if isinstance(leaf, Attribute))),
        list(dict.fromkeys(leaf.what for leaf in leaves if isinstance(leaf, Count))),
        list(dict.fromkeys((leaf.purpose, leaf.channel) for leaf in leaves if isinstance(leaf, Consent))),
        list(dict.fromkeys((leaf.purpose, leaf.channel) for leaf in leaves if isinstance(leaf, AskedAgain))),
        list(dict.fromkeys(leaf.code for leaf in leaves if isinstance(leaf, Interest))),
        list(dict.fromkeys(leaf.feature for leaf in leaves if isinstance(leaf, FeatureIs))),
        list(dict.fromkeys(leaf.audience for leaf in leaves if isinstance(leaf, InAudience))),
    )


def person_pack(plan: Plan, wanted: Wanted, person: Person, choice: Choice | None = None) -> dict[str, Any]:
    """What was looked at, without what stands in the answer. What says nothing is left out. choice: what was chosen for
    everybody alike, where it is at hand: it has its own part of this (`seen`), which is not told again."""
    own = own_pack(plan, person)
    return own if choice is not None else own | alike_pack(plan, wanted, person)


def own_pack(plan: Plan, person: Person) -> dict[str, Any]:
    """Of what was looked at, what hangs on the person alone."""
    kept: dict[str, Any] = {}
    if person.gate != "":
        kept["g"] = person.gate
    if plan.holdout_all:
        kept["h"] = plan.holdout_all
    if plan.audience is not None:
        kept["e"] = True
    if person.ticket:
        kept["t"] = True
    if person.limits:
        kept["b"] = [list(one) for one in person.limits]
    if person.messages:
        kept["m"] = person.messages
    if person.frequency:
        kept["f"] = person.frequency
    if person.collected:
        kept["c"] = dict(person.collected)
    return kept


def alike_pack(plan: Plan, wanted: Wanted, person: Person) -> dict[str, Any]:
    """Of what was looked at, what a choice depends on: the same for everybody who is alike (`choices.py`)."""
    kept: dict[str, Any] = {}
    if person.language:
        kept["n"] = person.language
    if person.impersonal:
        kept["i"] = True
    if person.facts is not None:
        kept["a"] = _facts_pack(wanted, person.facts)
    if person.cards:
        kept["l"] = {source: _candidates_pack(plan, found, person.often) for source, found in person.cards.items()}
    return kept


def person_unpack(
    plan: Plan, wanted: Wanted, kept: Mapping[str, Any], *, seed: int, inputs: Mapping[str, Any]
) -> tuple[Plan, Person]:
    """The plan and the person as the engine took them. inputs: those of the answer, which hold values and cards.
    Raises Incomplete."""
    cards = {
        item["sku"]: item for slot in inputs.get("slots", {}).values() for item in slot.get("items", ()) if item["sku"]
    }
    person = Person(
        gate=kept.get("g", ""),
        seed=seed,
        ticket=kept.get("t", False),
        messages=kept.get("m", 0),
        limits=kept.get("b", ()),
        often=frozenset(_often(kept)),
        language=kept.get("n", ""),
        values=inputs.get("profile", {}),
        facts=_facts_unpack(wanted, kept["a"]) if "a" in kept else None,
        cards={source: [_candidate(one, cards) for one in found] for source, found in kept.get("l", {}).items()},
        impersonal=kept.get("i", False),
        tracked=inputs.get("tracked", False),
        frequency=kept.get("f", ""),
        collected=kept.get("c", {}),
    )
    return replace(plan, holdout_all=kept.get("h", 0)), person


def _often(kept: Mapping[str, Any]) -> Iterator[str]:
    """Numbers of items that were passed over because they had been shown often enough."""
    for found in kept.get("l", {}).values():
        for one in found:
            if isinstance(one, list) and one[1] == SHOWN_OFTEN:
                yield one[0]


def _candidates_pack(plan: Plan, candidates: Sequence[Candidate], often: frozenset[str]) -> list[Any]:
    """Those that were looked at: by number, those passed over with why they were and what that was seen by."""
    kept: list[Any] = []
    taken = 0
    for candidate in candidates:
        if taken == plan.most_items:
            break
        card = candidate.card
        if fault := item_fault(plan, candidate, often):
            kept.append([card["sku"], fault, candidate.gone, card["title"], candidate.category])
            continue
        taken += 1
        kept.append(card["sku"] or dict(card))
    return kept


def _candidate(kept: Any, cards: Mapping[str, Any]) -> Candidate:
    if isinstance(kept, list):
        sku, _fault, gone, title, category = kept
        return Candidate(_card(sku, title), category, gone)
    if isinstance(kept, dict):
        return Candidate(kept)  # type: ignore[arg-type]  # as it was put down
    return Candidate(cards.get(kept) or _card(kept))


def _card(sku: str, title: str = "") -> ItemCard:
    return ItemCard(sku=sku, title=title, price="", url="", image_url="")


def _facts_pack(wanted: Wanted, facts: PersonFacts) -> list[Any]:
    return [
        [value_pack(facts.attributes[name]) for name in wanted.attributes],
        [facts.counts[what] for what in wanted.counts],
        [facts.consents[choice] for choice in wanted.consents],
        [facts.asked[choice] for choice in wanted.asked],
        [facts.interests[code] for code in wanted.interests],
        *([[value_pack(facts.features[name]) for name in wanted.features]] if wanted.features else ()),
        *([[facts.audiences[code] for code in wanted.audiences]] if wanted.audiences else ()),
    ]


def _facts_unpack(wanted: Wanted, kept: Sequence[Sequence[Any]]) -> PersonFacts:
    attributes, counts, consents, asked, interests, *more = kept
    if len(more) != bool(wanted.features) + bool(wanted.audiences):
        raise Incomplete
    features, audiences = more[0] if wanted.features else (), more[-1] if wanted.audiences else ()
    return PersonFacts(
        attributes=dict(zip(wanted.attributes, map(_value_unpack, attributes), strict=True)),
        counts=dict(zip(wanted.counts, counts, strict=True)),
        consents=dict(zip(wanted.consents, consents, strict=True)),
        asked=dict(zip(wanted.asked, asked, strict=True)),
        interests=dict(zip(wanted.interests, interests, strict=True)),
        features=dict(zip(wanted.features, map(_value_unpack, features), strict=True)),
        audiences=dict(zip(wanted.audiences, audiences, strict=True)),
    )


def value_pack(value: Any) -> Any:
    """A value as JSON holds it without loss: what it would change stands in an object that says its kind."""
    if value is None or type(value) is str:
        return value
    if isinstance(value, Sensitive):
        return {"s": sorted(value.tokens)}
    if isinstance(value, Decimal):
        return {"d": str(value)}
    if isinstance(value, datetime):
        return {"t": value.isoformat()}
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _EXACT:
        return {"n": str(value)}
    if isinstance(value, dict):
        return {"o": {key: value_pack(one) for key, one in value.items()}}
    return [value_pack(one) for one in value] if isinstance(value, list) else value


def _value_unpack(kept: Any) -> Any:
    if isinstance(kept, list):
        return [_value_unpack(one) for one in kept]
    if not isinstance(kept, dict):
        return kept
    [(kind, value)] = kept.items()
    if kind == "s":
        return Sensitive(frozenset(value))
    if kind == "o":
        return {key: _value_unpack(one) for key, one in value.items()}
    if kind == "t":
        return datetime.fromisoformat(value)
    return Decimal(value) if kind == "d" else int(value)


def asleep_pack(asleep: Asleep, deadline: datetime) -> list[Any]:
    """Somebody's quiet hours, and until when it could have gone out."""
    sides = [[*_hours(quiet), zone.key] for quiet, zone in (asleep.playbook, asleep.own)]
    return [*sides, deadline.isoformat(), list(asleep.days)]


def asleep_unpack(kept: Sequence[Any]) -> tuple[Asleep, datetime]:
    """What `asleep_pack` put down."""
    first, own, deadline, days = kept
    return Asleep(_side(first), _side(own), tuple(days)), datetime.fromisoformat(deadline)


def _hours(quiet: Quiet | None) -> list[str]:
    return [] if quiet is None else [quiet.start.isoformat(), quiet.end.isoformat()]


def _side(kept: Sequence[str]) -> tuple[Quiet | None, Any]:
    *hours, zone = kept
    return _quiet(hours), zone_choose(zone, "")


def _quiet(hours: Sequence[str]) -> Quiet | None:
    return None if not hours else Quiet(*(datetime.strptime(one, "%H:%M:%S").time() for one in hours))  # noqa: DTZ007


def propensity(spec: PlaybookSpec, seen: Mapping[str, Any], outcome: str) -> float:
    """The chance with which a person got this outcome, as it was before their lot was drawn; 1 where none was.

    It follows from the percents: the playbook's stands in its version, that of everything in what was looked at. All
    but the holdouts is certain. For who learns from decisions what they brought (inverse propensity weights: Horvitz
    and Thompson, 1952).
    """
    if "g" in seen or WITHHELD in seen or QUIET in seen or owed_to_all(spec):
        return 1.0  # it was over before anything was drawn
    kept_in: float = (1 - seen.get("h", 0) / 100) * (1 - spec.get("holdout", 0) / 100)
    return round(1 - kept_in if outcome == HOLDOUT else kept_in, 6)


def answer_mark(seen: Mapping[str, Any], verdict: Verdict, *, version: str, at: datetime) -> str:
    """What binds an answer to all that it was made of: what was looked at (as `person_pack` tells it), the version's
    digest, the moment."""
    looked_at: Mapping[str, Any] = seen
    if MARK in seen:
        looked_at = {name: value for name, value in seen.items() if name != MARK}
    inputs: Mapping[str, Any] = verdict.inputs
    reasons: Any = verdict.reasons
    if verdict.choice is not None:  # what everybody alike shares is written already
        slots, reasons, alike = verdict.choice.written
        inputs, looked_at = {**inputs, "slots": slots}, {**looked_at, **alike}
    whole = [looked_at, verdict.outcome, verdict.compiled, verdict.tier, inputs, reasons]
    moment = round(at.timestamp() * 1_000_000)
    text = orjson.dumps([whole, version, moment], option=orjson.OPT_SORT_KEYS)
    return blake2b(text, digest_size=8).hexdigest()
