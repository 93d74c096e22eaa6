"""The decision for one person: pure, so that the same inputs give the same answer, here and years later.

Order: consent → eligibility → caps → ranking → tiers → static. Holdout comes between consent and eligibility once
there are experiments. Not sending is an outcome with a reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from apps.decisioning.audiences.contracts import PersonFacts, Rule
from apps.decisioning.audiences.rules import rule_matches, rule_parse
from apps.decisioning.playbooks.contracts import CapSpec, PlaybookSpec
from apps.decisioning.playbooks.rules import leading_slot
from apps.decisioning.recommendations.contracts import ItemCard
from apps.foundation.core.text import is_blank

SEND = "send"
FREQUENCY_CAP = "frequency_cap"
NO_CONSENT = "no_consent"

_MOST_LEAVES = 4
"""Leaves of a rule that are kept as the reason; a rule of two hundred must not make a decision of 20 kB."""
_LONGEST_VALUE = 500


@dataclass(frozen=True, slots=True)
class Tier:
    """One tier of a slot, ready to be asked."""

    name: str
    tier: str
    block: str
    rule: Rule | None
    source: str | None
    count: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A playbook version, ready to decide: what holds for everybody of a run.

    compiled: id of the compiled template by language; tokens: names of the profile values it prints, by language;
    leading: the slot whose tier stands for the message.
    """

    slots: tuple[tuple[str, tuple[Tier, ...]], ...]
    leading: str
    compiled: Mapping[str, int]
    tokens: Mapping[str, tuple[str, ...]]
    default_language: str
    cap: CapSpec | None
    rules: tuple[Rule, ...] = ()
    sources: tuple[str, ...] = ()
    most_items: int = 0


@dataclass(frozen=True, slots=True)
class Person:
    """What is known of one person at the moment of deciding.

    gate: "" when a message may go out, else why not, None when the gate gave no answer; messages: how many of the
    purpose they got within the cap's days; values: of the profile, by name; cards: by source, best first.
    """

    gate: str | None
    messages: int = 0
    language: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    facts: PersonFacts | None = None
    cards: Mapping[str, Sequence[ItemCard]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided: see `models.Decision`."""

    outcome: str
    compiled: int | None
    tier: str
    inputs: dict[str, Any]
    reasons: dict[str, Any]


def plan_make(spec: PlaybookSpec, compiled: Mapping[str, int], tokens: Mapping[str, Sequence[str]]) -> Plan:
    """The plan of a version. Raises Invalid for a rule that can't be read."""
    slots = tuple(
        (
            name,
            tuple(
                Tier(
                    name=tier["name"],
                    tier=tier["tier"],
                    block=str(tier["block_version"]),
                    rule=None if tier["when"] is None else rule_parse(tier["when"]),
                    source=tier["source"],
                    count=tier["count"],
                )
                for tier in tiers
            ),
        )
        for name, tiers in sorted(spec["slots"].items())
    )
    tiers = [tier for _, of_slot in slots for tier in of_slot]
    return Plan(
        slots=slots,
        leading=leading_slot(spec) if slots else "",
        compiled=dict(compiled),
        tokens={language: tuple(names) for language, names in tokens.items()},
        default_language=spec["brand"]["default_language"],
        cap=spec["cap"],
        rules=tuple(tier.rule for tier in tiers if tier.rule is not None),
        sources=tuple(dict.fromkeys(tier.source for tier in tiers if tier.source is not None)),
        most_items=max((tier.count for tier in tiers), default=0),
    )


def withheld_because(plan: Plan, person: Person) -> tuple[str, dict[str, Any]]:
    """Why a person gets nothing, with the value that lost; ("", {}) when nothing stands against it."""
    if person.gate is None:  # what can't be known is not consent: promise 1
        return NO_CONSENT, {"gate": "no answer"}
    if person.gate:
        return person.gate, {"gate": person.gate}
    if plan.cap is not None and person.messages >= plan.cap["count"]:
        return FREQUENCY_CAP, {"cap": {"got": person.messages, **plan.cap}}
    return "", {}


def decide(plan: Plan, person: Person) -> Verdict:
    """Decide for one person."""
    outcome, reasons = withheld_because(plan, person)
    if outcome:
        return Verdict(outcome, None, "", {}, reasons)
    language = language_choose(person.language, plan.compiled, plan.default_language)
    slots: dict[str, Any] = {}
    explained: dict[str, Any] = {}
    leading = ""
    for name, tiers in plan.slots:
        slots[name], why = _tier_choose(tiers, person)
        if why:
            explained[name] = why
        if name == plan.leading:
            leading = slots[name]["tier"]
    profile = _tokens(plan.tokens.get(language, ()), person.values)
    inputs = {"language": language, "profile": profile, "slots": slots}
    reasons = {"slots": explained}
    if person.language and person.language != language:
        reasons["language"] = person.language[:40]
    return Verdict(SEND, plan.compiled[language], leading, inputs, reasons)


def language_choose(wanted: str, offered: Mapping[str, Any], default: str) -> str:
    """The offered language nearest to the wanted one: pt-BR, then pt (RFC 4647, 3.4), then the brand's own."""
    by_tag = {tag.lower(): tag for tag in offered}
    tag = wanted.strip().lower().replace("_", "-")
    while tag:
        if tag in by_tag:
            return by_tag[tag]
        tag = tag.rpartition("-")[0]
    return default


def _tokens(names: Sequence[str], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that the template prints, without the blank ones: for those it has its fallback."""
    found = {}
    for name in names:
        value = values.get(name)
        if isinstance(value, str):
            value = value[:_LONGEST_VALUE]
        elif not isinstance(value, bool | int | float):
            continue
        if not is_blank(value):
            found[name] = value
    return found


def _tier_choose(tiers: Sequence[Tier], person: Person) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first tier that holds, as the template takes it, and what was passed over.

    The reason is `{"at": index, "no": [for each tier passed over its reason], "why": why the rule held}`, without
    what is empty; nothing at all for a slot of one tier.
    """
    passed: list[Any] = []
    for index, tier in enumerate(tiers):
        because: list[dict[str, Any]] = []
        if tier.rule is not None:
            if person.facts is None:
                passed.append({"facts": "none"})
                continue
            match = rule_matches(tier.rule, person.facts)
            because = [
                {"field": leaf["field"], "is": leaf["is"], "wanted": leaf["wanted"]}
                for leaf in match.because[:_MOST_LEAVES]
            ]
            if not match.matched:
                passed.append(because)
                continue
        chosen: dict[str, Any] = {"block": tier.block, "tier": tier.tier}
        if tier.source is not None:
            cards = person.cards.get(tier.source, ())
            if len(cards) < tier.count:
                passed.append({"items": len(cards), "of": tier.count})
                continue
            chosen["items"] = list(cards[: tier.count])
        if len(tiers) == 1:
            return chosen, {}
        why = {"at": index, "no": passed} if passed else {"at": index}
        return chosen, {**why, "why": because} if because else why
    raise AssertionError("a slot ends in a static tier: playbooks see to it")
