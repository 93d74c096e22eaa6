"""The decision for one person: pure, so that the same inputs give the same answer, here and years later.

Order: consent → holdout → eligibility → exclusions → caps → ranking → tiers → static. Not sending is an outcome with a
reason. `reading.py` brings what it looks at, for a batch and for one person alike; `replay.py` asks it again.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, Final
from zoneinfo import ZoneInfo

from apps.decisioning.audiences.contracts import PersonFacts, Rule
from apps.decisioning.audiences.rules import rule_matches, rule_parse
from apps.decisioning.content.choosing import (
    COLLECTED,
    PERSONAL,
    Tier,
    Validity,
    language_choose,
    leaves_kept,
    tier_choose,
)
from apps.decisioning.content.contracts import tier_block
from apps.decisioning.playbooks.contracts import CapSpec, PlaybookSpec
from apps.decisioning.playbooks.engine import QUIET_HOURS
from apps.decisioning.playbooks.rules import leading_slot
from apps.decisioning.recommendations.contracts import Candidate
from apps.foundation.core.text import is_blank
from apps.foundation.core.wall_clock import Quiet, days_until, quiet_both_until, quiet_of, zone_choose

from .contracts import Choice

SEND = "send"
FREQUENCY_CAP = "frequency_cap"
NO_CONSENT = "no_consent"
DIGEST = "digest"
DIGEST_EMPTY = "digest_empty"
DIGEST_CHANGED = "digest_changed"
HOLDOUT = "holdout"
NOT_IN_AUDIENCE = "not_in_audience"
OPEN_TICKET = "open_ticket"
CONTACT_LIMIT = "contact_limit"
OUTRANKED = "outranked"

BLOCKED: Final = "blocked"
BRAND_SAFETY: Final = "brand_safety"
SHOWN_OFTEN: Final = "shown_often"
ITEM_LIMIT = "item_limit"

EVERYTHING: Final = ""
"""The name under which people are held out of all playbooks."""

_LONGEST_VALUE = 500
_SHARES: Final = 1 << 64


_UTC = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class Plan:
    """A playbook version, ready to decide: what holds for everybody of a run.

    compiled: id of the compiled template by language; tokens: names of the profile values it prints, by language;
    leading: the slot whose tier stands for the message; zone: for the quiet hours of people whose own is not known;
    topic: what it is about, "" for none; collecting: the slots of a digest that show what was
    collected;
    system: whether it is system mail; holdout, holdout_all: percent of people who get nothing, of this playbook and of
    all; audience: who may get it, asked of each person, None where a snapshot said so before; heeds_tickets: whoever
    waits for help gets nothing; blocked: numbers of items that are never shown; unsafe: words in small letters that no
    item's title or category may hold; days: weekdays on which it goes out, none for all; transactional: by its budget,
    so that live sources may be asked; brand, placement: their codes, for what editors picked for them; mark: what no
    other plan has, "" for one that is not a version's.
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
    playbook: str = ""
    holdout: float = 0
    holdout_all: float = 0
    audience: Rule | None = None
    heeds_tickets: bool = False
    blocked: frozenset[str] = frozenset()
    unsafe: tuple[str, ...] = ()
    days: tuple[str, ...] = ()
    transactional: bool = False
    brand: str = ""
    placement: str = ""
    mark: str = ""

    @property
    def collects(self) -> bool:
        """Whether it is a digest, which shows what was collected."""
        return bool(self.collecting)

    @property
    def personal(self) -> bool:
        """Whether any of its tiers is chosen by what people did."""
        return any(tier.tier in PERSONAL for _, tiers in self.slots for tier in tiers)


@dataclass(slots=True)  # not frozen: it is filled in as it is read (`reading.py`)
class Person:
    """What is known of one person at the moment of deciding. Nobody changes it once it was read.

    seed: what chance is drawn by, their number; gate: "" when a message may go out, else why not (with the fault of
    an address: `invalid_address:no_mail`), None when the gate gave no answer; ticket: they wait for help; limits: of
    contact, for each its name, how many they got, how many they may get, in how many days; often: numbers of items that
    they were shown as often as may be;
    messages: how many of the purpose they got within the cap's days;
    values: of the profile, by name; cards: candidates by source, best first;
    impersonal: they withdrew personalisation; tracked: they agreed that opens and clicks are followed; frequency: that
    of their digest where the message is collected for it, "" where it comes by itself; collected: for a digest, what
    was weighed for it, as its reasons keep it; alike: a digest of all that a choice depends on, b"" where none is kept;
    choice: that of everybody alike, where it is known: then there are no cards.
    """

    gate: str | None
    messages: int = 0
    language: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    facts: PersonFacts | None = None
    cards: Mapping[str, Sequence[Candidate]] = field(default_factory=dict)
    impersonal: bool = False
    tracked: bool = False
    frequency: str = ""
    collected: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    ticket: bool = False
    limits: Sequence[Sequence[Any]] = ()
    often: frozenset[str] = frozenset()
    alike: bytes = b""
    choice: Choice | None = None


@dataclass(frozen=True, slots=True)
class Asleep:
    """When somebody may not be written to: quiet hours of the playbook and their own, each with its zone. days: the
    weekdays on which the playbook writes, none for all."""

    playbook: tuple[Quiet | None, ZoneInfo]
    own: tuple[Quiet | None, ZoneInfo]
    days: tuple[str, ...] = ()


@dataclass(slots=True)  # not frozen: it is made for each person of a batch, which takes a third so
class Verdict:
    """What was decided: see `models.Decision`. Nobody changes it. choice: what everybody alike shares of it, None for
    nothing."""

    outcome: str
    compiled: int | None
    tier: str
    inputs: dict[str, Any]
    reasons: dict[str, Any]
    choice: Choice | None = field(default=None, compare=False)


def plan_make(
    spec: PlaybookSpec,
    compiled: Mapping[str, int],
    tokens: Mapping[str, Sequence[str]],
    *,
    holdout_all: float = 0,
    asks_audience: bool = False,
) -> Plan:
    """The plan of a version. holdout_all: percent of people who get nothing of any playbook that needs consent;
    asks_audience: whether each person is asked for, as no snapshot was made. Raises Invalid for a rule that can't be
    read."""
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
        playbook=spec.get("playbook", ""),
        holdout=0 if owed_to_all(spec) else spec.get("holdout", 0),
        holdout_all=0 if owed_to_all(spec) else holdout_all,
        audience=rule_parse(spec["audience_rule"]) if asks_audience else None,
        heeds_tickets=spec.get("heeds_tickets", False),
        blocked=frozenset(spec.get("blocked_items", ())),
        days=tuple(spec.get("send_days", ())),
        transactional=spec.get("budget") == "transactional",
        brand=spec["brand"].get("code", ""),
        placement=spec.get("placement", ""),
        unsafe=tuple(word.lower() for word in spec["brand"].get("unsafe_words", ())),
    )


def owed_to_all(spec: PlaybookSpec) -> bool:
    """Whether nobody is held out of a playbook: system mail, and what is transactional."""
    return bool(spec.get("mail_kind")) or spec.get("budget") == "transactional"


def drawn(of: str, seed: int) -> float:
    """A person's lot in a draw, from 0 (included) to 100 (not included): always the same, and another in each draw."""
    lot = blake2b(f"{of}\n{seed}".encode(), digest_size=8, person=b"holdout").digest()
    return int.from_bytes(lot, "big") / _SHARES * 100


def held_out(plan: Plan, seed: int) -> dict[str, Any]:
    """Whether a person is held out, and of what: the draw and its percent; nothing for who is not."""
    if plan.holdout_all and drawn(EVERYTHING, seed) < plan.holdout_all:
        return {"of": "everything", "percent": plan.holdout_all}
    if plan.holdout and drawn(plan.playbook, seed) < plan.holdout:
        return {"of": "playbook", "percent": plan.holdout}
    return {}


def withheld_because(plan: Plan, person: Person, *, early: bool = False) -> tuple[str, dict[str, Any]]:
    """Why a person gets nothing, with the value that lost; ("", {}) when nothing stands against it. early: whom the
    audience takes in is not known yet."""
    if person.gate is None:  # what can't be known is not consent: promise 1
        return NO_CONSENT, {"gate": "no answer"}
    if person.gate:
        reason, _, fault = person.gate.partition(":")
        return reason, {"gate": reason, **({"address": fault} if fault else {})}
    if (plan.holdout or plan.holdout_all) and (held := held_out(plan, person.seed)):
        return HOLDOUT, {"holdout": held}
    if plan.audience is not None and not early:
        if person.facts is None:
            return NOT_IN_AUDIENCE, {"audience": "nothing is known"}
        match = rule_matches(plan.audience, person.facts)
        if not match.matched:
            return NOT_IN_AUDIENCE, {"audience": leaves_kept(match.because)}
    if plan.heeds_tickets and person.ticket:
        return OPEN_TICKET, {"ticket": True}
    if plan.cap is not None and person.messages >= plan.cap["count"]:
        return FREQUENCY_CAP, {"cap": {"got": person.messages, **plan.cap}}
    for name, got, count, days in person.limits:
        if got >= count:
            return CONTACT_LIMIT, {"limit": {"of": name, "got": got, "count": count, "days": days}}
    return "", {}


def asleep_until(asleep: Asleep, *, at: datetime) -> datetime | None:
    """When a moment comes at which somebody may be written to, None when `at` is one. Looks two weeks ahead."""
    end = at
    while end < at + timedelta(days=14):
        later = quiet_both_until(asleep.playbook, asleep.own, at=end)
        later = later or days_until(asleep.days, at=end, zone=asleep.playbook[1])
        if later is None:
            return None if end == at else end
        end = later
    return end


def awake(asleep: Asleep, *, at: datetime, deadline: datetime) -> tuple[datetime | None, Verdict | None]:
    """When they may be written to, None for at once; and the verdict where that is after the deadline."""
    end = asleep_until(asleep, at=at)
    if end is None or end <= deadline:
        return end, None
    return end, Verdict(
        QUIET_HOURS, None, "", {}, {"quiet": {"until": end.isoformat(), "deadline": deadline.isoformat()}}
    )


def item_fault(plan: Plan, candidate: Candidate, often: Collection[str] = ()) -> str:
    """Why a candidate may not be shown, "" where it may. often: items that the person was shown often enough."""
    if candidate.gone:
        return candidate.gone
    card = candidate.card
    if card["sku"] in plan.blocked:
        return BLOCKED
    if card["sku"] in often:
        return SHOWN_OFTEN
    if plan.unsafe:
        words = f"{card['title']}\n{candidate.category}".lower()
        if any(word in words for word in plan.unsafe):
            return BRAND_SAFETY
    return ""


def shown(plan: Plan, candidates: Iterable[Candidate], often: Collection[str] = ()) -> list[Any]:
    """The cards of the candidates that may be shown, best first, as many as a slot takes."""
    cards: list[Any] = []
    for candidate in candidates:
        if len(cards) == plan.most_items:
            break
        if not item_fault(plan, candidate, often):
            cards.append(candidate.card)
    return cards


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
    cards = {source: shown(plan, candidates, person.often) for source, candidates in person.cards.items()}
    slots: dict[str, Any] = {}
    explained: dict[str, Any] = {}
    leading = ""
    for name, tiers in plan.slots:
        slots[name], why = tier_choose(tiers, person.facts, cards, moment, impersonal=person.impersonal)
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


def chosen_again(plan: Plan, person: Person, choice: Choice) -> Verdict:
    """What `decide` says of a person whom nothing stands against, from the choice of everybody alike."""
    inputs: dict[str, Any] = {
        "language": choice.language,
        "profile": _tokens(plan.tokens.get(choice.language, ()), person.values),
        "slots": choice.slots,
    }
    if person.tracked:
        inputs["tracked"] = True
    return Verdict(SEND, choice.compiled, choice.tier, inputs, choice.reasons, choice)


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
