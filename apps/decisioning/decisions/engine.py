"""The decision for one person: pure, so that the same inputs give the same answer, here and years later.

Order: consent → eligibility → caps → ranking → tiers → static. Holdout comes between consent and eligibility once
there are experiments. Not sending is an outcome with a reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from apps.decisioning.audiences.contracts import PersonFacts, Rule
from apps.decisioning.audiences.rules import rule_parse
from apps.decisioning.content.choosing import COLLECTED, PERSONAL, Tier, Validity, language_choose, tier_choose
from apps.decisioning.content.contracts import tier_block
from apps.decisioning.playbooks.contracts import CapSpec, PlaybookSpec
from apps.decisioning.playbooks.rules import leading_slot
from apps.decisioning.recommendations.contracts import ItemCard
from apps.foundation.core.text import is_blank
from apps.foundation.core.wall_clock import Quiet, quiet_of, zone_choose

SEND = "send"
FREQUENCY_CAP = "frequency_cap"
NO_CONSENT = "no_consent"
DIGEST = "digest"
DIGEST_EMPTY = "digest_empty"
DIGEST_CHANGED = "digest_changed"

_LONGEST_VALUE = 500


_UTC = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class Plan:
    """A playbook version, ready to decide: what holds for everybody of a run.

    compiled: id of the compiled template by language; tokens: names of the profile values it prints, by language;
    leading: the slot whose tier stands for the message; zone: for the quiet hours of people whose own is not known;
    topic: what it is about, "" for none; collecting: the slots of a digest that show what was
    collected;
    system: whether it is system mail.
    """

    slots: tuple[tuple[str, tuple[Tier, ...]], ...]
    leading: str
    compiled: Mapping[str, int]
    tokens: Mapping[str, tuple[str, ...]]
    default_language: str
    cap: CapSpec | None
    quiet: Quiet | None = None
    zone: ZoneInfo = _UTC
    topic: str = ""
    rules: tuple[Rule, ...] = ()
    sources: tuple[str, ...] = ()
    most_items: int = 0
    collecting: frozenset[str] = frozenset()
    system: bool = False

    @property
    def collects(self) -> bool:
        """Whether it is a digest, which shows what was collected."""
        return bool(self.collecting)

    @property
    def personal(self) -> bool:
        """Whether any of its tiers is chosen by what people did."""
        return any(tier.tier in PERSONAL for _, tiers in self.slots for tier in tiers)


@dataclass(frozen=True, slots=True)
class Person:
    """What is known of one person at the moment of deciding.

    gate: "" when a message may go out, else why not, None when the gate gave no answer; messages: how many of the
    purpose they got within the cap's days; values: of the profile, by name; cards: by source, best first;
    impersonal: they withdrew personalisation; tracked: they agreed that opens and clicks are followed; frequency: that
    of their digest where the message is collected for it, "" where it comes by itself; collected: for a digest, what
    was weighed for it, as its reasons keep it.
    """

    gate: str | None
    messages: int = 0
    language: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    facts: PersonFacts | None = None
    cards: Mapping[str, Sequence[ItemCard]] = field(default_factory=dict)
    impersonal: bool = False
    tracked: bool = False
    frequency: str = ""
    collected: Mapping[str, Any] = field(default_factory=dict)


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
                    block=tier_block(tier),
                    rule=None if tier["when"] is None else rule_parse(tier["when"]),
                    source=tier["source"],
                    count=tier["count"],
                    valid=Validity.of(tier),
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
        quiet=quiet_of(spec.get("quiet")),
        zone=zone_choose("", spec.get("time_zone", "")),
        topic=spec.get("topic", ""),
        rules=tuple(tier.rule for tier in tiers if tier.rule is not None),
        sources=tuple(dict.fromkeys(tier.source for tier in tiers if tier.source not in (None, COLLECTED))),
        most_items=max((tier.count for tier in tiers), default=0),
        system=bool(spec.get("mail_kind")),
        collecting=frozenset(name for name, of_slot in slots if any(tier.source == COLLECTED for tier in of_slot)),
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


def _digest_of(plan: Plan, person: Person, verdict: Verdict) -> Verdict:
    """What becomes of a message that would go out, where there are digests: it is one, or is kept for one."""
    if plan.collects:
        if not person.cards.get(COLLECTED):
            return Verdict(DIGEST_EMPTY, None, "", {}, {"digest": dict(person.collected)})
        if not any(name in plan.collecting and slot.get("items") for name, slot in verdict.inputs["slots"].items()):
            return Verdict(DIGEST_EMPTY, None, "", {}, {"digest": {"shown": [], "left": []}})  # its block is over
        return replace(verdict, reasons={**verdict.reasons, "digest": dict(person.collected)})
    if person.frequency:
        return replace(verdict, outcome=DIGEST, reasons={**verdict.reasons, "frequency": person.frequency})
    return verdict


def decide(plan: Plan, person: Person, moment: datetime | None = None) -> Verdict:
    """Decide for one person. moment: that of deciding, at which blocks must be valid."""
    outcome, reasons = withheld_because(plan, person)
    if outcome:
        return Verdict(outcome, None, "", {}, reasons)
    language = language_choose(person.language, plan.compiled, plan.default_language)
    slots: dict[str, Any] = {}
    explained: dict[str, Any] = {}
    leading = ""
    for name, tiers in plan.slots:
        slots[name], why = tier_choose(tiers, person.facts, person.cards, moment, impersonal=person.impersonal)
        if why:
            explained[name] = why
        if name == plan.leading:
            leading = slots[name]["tier"]
    profile = _tokens(plan.tokens.get(language, ()), person.values)
    inputs: dict[str, Any] = {"language": language, "profile": profile, "slots": slots}
    if person.tracked:
        inputs["tracked"] = True
    reasons = {"slots": explained}
    if person.language and person.language != language:
        reasons["language"] = person.language[:40]
    return _digest_of(plan, person, Verdict(SEND, plan.compiled[language], leading, inputs, reasons))


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
