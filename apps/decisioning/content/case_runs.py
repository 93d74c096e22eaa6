"""Running template tests: one engine for the admin, the command line and pytest. Pure: no database, no clock.

A case goes the way of a real message: language, the first tier of each slot that holds (the functions that decisions
ask), the compiled sources, the renderer. What the person is shown is held against what the case expects.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from apps.data.features.definitions import FEATURES, FeatureValue
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
    Rule,
    rule_leaves,
)
from apps.decisioning.audiences.rules import rule_parse

from .cases import PARTS, Arrangement, Case, Happened, TierAsked
from .checking import STAND_IN
from .choosing import Tier, language_choose, languages_common, tier_choose
from .compiling import BlockSource, Compilation, TemplateSource, slots_named
from .contracts import BrandSpec, CompiledSources, Problem, TierSpec
from .errors import RenderError
from .notation import Path
from .pieces import SourceRefused
from .plain_text import html_words
from .rendering import render
from .slots import slots_problems, tier_problems
from .steps import step
from .trials import LINKS
from .watching import Branch, Watcher

AS_OF: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)
"""The moment at which a case asks its rules, unless it names one: never today, so that it answers the same tomorrow."""


@dataclass(frozen=True, slots=True)
class Suite:
    """A template with all that its cases need. blocks: by the name that the arrangement calls them by."""

    template: TemplateSource
    brand: BrandSpec | None
    arrangement: Arrangement
    blocks: Mapping[str, BlockSource]
    cases: Sequence[Case]


@dataclass(frozen=True, slots=True)
class Failure:
    """An expectation that was not met. path: where it stands in the case; said: what came instead."""

    path: Path
    said: str


@dataclass(frozen=True, slots=True)
class SlotShown:
    """What answered in a slot. index: of its tier; items: how many were shown."""

    index: int
    tier: str
    name: str
    block: str
    items: int


@dataclass(slots=True)
class CaseResult:
    """What came of a case; it passed if nothing failed. subject, html, text: only of the case asked to be shown."""

    name: str
    failures: list[Failure] = field(default_factory=list)
    language: str = ""
    slots: dict[str, SlotShown] = field(default_factory=dict)
    fallbacks: tuple[str, ...] = ()
    branches: tuple[Branch, ...] = ()
    subject: str = ""
    html: str = ""
    text: str = ""

    @property
    def passed(self) -> bool:
        """Whether all that was expected came."""
        return not self.failures


@dataclass(frozen=True, slots=True)
class TierCover:
    """A tier of a slot, and the cases that hold it: those that expect it there, and pass."""

    slot: str
    index: int
    asked: TierAsked
    cases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BranchCover:
    """A branch, and the passing cases that take it."""

    branch: Branch
    cases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a suite. problems: why its cases can't be run at all; then there are no results."""

    problems: Sequence[Problem]
    results: Sequence[CaseResult] = ()
    tiers: Sequence[TierCover] = ()
    branches: Sequence[BranchCover] = ()

    @property
    def failed(self) -> list[CaseResult]:
        """The cases that did not pass."""
        return [result for result in self.results if not result.passed]

    @property
    def uncovered(self) -> list[TierCover]:
        """The tiers that no case holds."""
        return [tier for tier in self.tiers if not tier.cases]

    @property
    def passed(self) -> bool:
        """Whether the template may be published: all cases pass, and all slots and tiers are covered."""
        return not (self.problems or self.failed or self.uncovered)

    def publish_problems(self) -> list[Problem]:
        """What stands against publishing the template; a branch that no case takes does not."""
        problems = list(self.problems)
        problems += [
            Problem(f"case {result.name}", 0, "", f"fails: {result.failures[0].said}") for result in self.failed
        ]
        problems += [
            Problem(
                f"slot {cover.slot}",
                0,
                tier_title(cover.asked, cover.index),
                "is covered by no case: write one that expects it",
            )
            for cover in self.uncovered
        ]
        return problems


def tier_title(tier: TierAsked, index: int) -> str:
    """A tier as people are told of it: `2. country, “Germany, Austria”`."""
    named = f", “{tier.name}”" if tier.name and tier.name != tier.tier else ""
    return f"{index + 1}. {tier.tier}{named}"


def suite_run(suite: Suite, *, show: str = "") -> Report:
    """Run all cases of a template. show: the case whose rendered message is wanted too."""
    run = SuiteRun(suite)
    if run.problems:
        return Report(run.problems)
    report = run.report(suite.cases)
    for result in report.results:
        result.branches = ()  # told by what covers them; a hundred messages would be more than a child may answer
        if result.name != show:
            result.subject = result.html = result.text = ""
    return report


class SuiteRun:
    """A suite made ready: each language is compiled once, when it is first needed."""

    def __init__(self, suite: Suite) -> None:
        self._suite = suite
        self._brand = suite.brand or STAND_IN
        self.problems = self._problems()
        self._compiled: dict[str, tuple[CompiledSources, Watcher] | list[Problem]] = {}
        if self.problems:
            return
        self._ids = {name: str(number) for number, name in enumerate(sorted(suite.blocks), 1)}
        self.tiers = {name: self._plan(tiers) for name, tiers in suite.arrangement.slots.items()}
        self._rules = [tier.rule for tiers in self.tiers.values() for tier in tiers if tier.rule is not None]
        used = {tier.block for tiers in suite.arrangement.slots.values() for tier in tiers}
        self.languages = languages_common(
            (suite.blocks[name].content for name in sorted(used)), self._brand["default_language"]
        )

    def report(self, cases: Sequence[Case]) -> Report:
        """All cases run, and what they cover."""
        results = [self.case_run(case) for case in cases]
        held = {
            (slot, result.slots[slot].index, case.name)
            for case, result in zip(cases, results, strict=True)
            if result.passed
            for slot in case.slots
        }
        tiers = [
            TierCover(slot, index, asked, tuple(case.name for case in cases if (slot, index, case.name) in held))
            for slot, of_slot in self._suite.arrangement.slots.items()
            for index, asked in enumerate(of_slot)
        ]
        compiled = [made for made in self._compiled.values() if isinstance(made, tuple)]
        branches = sorted({branch for _, watcher in compiled for branch in watcher.branches})
        covers = [
            BranchCover(branch, tuple(result.name for result in results if result.passed and branch in result.branches))
            for branch in branches
        ]
        return Report((), results, tiers, covers)

    def case_run(self, case: Case) -> CaseResult:
        """One case, from persona to message, held against what it expects."""
        step(f"case {case.name}")
        result = CaseResult(case.name)
        language = language_choose(
            str(case.persona.get("language") or ""), self.languages, self._brand["default_language"]
        )
        result.language = language
        slots, result.slots = self.slots_choose(case)
        made = self._compile(language)
        if isinstance(made, list):
            result.failures.append(Failure((), "; ".join(str(problem) for problem in made[:3])))
            return result
        compiled, watcher = made
        profile = {name: case.persona[name] for name in compiled.tokens if name in case.persona}
        context = {"profile": profile, "slots": slots, "links": LINKS}
        try:
            rendered = render(compiled, context)
            branches, fallbacks = watcher.look(context)
        except RenderError as error:
            result.failures.append(Failure((), error.message))
            return result
        result.subject, result.html, result.text = rendered.subject, rendered.html, rendered.text
        result.branches, result.fallbacks = tuple(sorted(branches)), tuple(sorted(fallbacks))
        result.failures.extend(_failures(case, result))
        return result

    def slots_choose(self, case: Case) -> tuple[dict[str, Any], dict[str, SlotShown]]:
        """What a decision would put into each slot: for the template, and in words."""
        facts, cards = case_facts(case, self._rules), self._cards(case)
        slots: dict[str, Any] = {}
        shown: dict[str, SlotShown] = {}
        for name, tiers in self.tiers.items():
            slots[name], why = tier_choose(tiers, facts, cards)
            index = why.get("at", 0)
            asked = self._suite.arrangement.slots[name][index]
            shown[name] = SlotShown(index, asked.tier, asked.name, asked.block, len(slots[name].get("items", ())))
        return slots, shown

    # --- making ready ---

    def _problems(self) -> list[Problem]:
        suite = self._suite
        try:
            named = slots_named(suite.template)
        except SourceRefused as refused:
            return [refused.problem]
        problems = [
            Problem(f"slot {name}", 0, tier.block, "is no block that there is")
            for name, tiers in suite.arrangement.slots.items()
            for tier in tiers
            if tier.block not in suite.blocks
        ]
        if problems:
            return problems
        specs, numbered = self._specs()
        problems = slots_problems(named, specs)
        if not problems:
            for name in named:
                problems.extend(tier_problems(name, specs[name], numbered))
        return problems

    def _specs(self) -> tuple[dict[str, list[TierSpec]], dict[int, BlockSource]]:
        """The arrangement as a playbook version pins it."""
        ids = {name: number for number, name in enumerate(sorted(self._suite.blocks), 1)}
        specs: dict[str, list[TierSpec]] = {
            slot: [
                {
                    "tier": tier.tier,
                    "name": tier.name,
                    "block_version": ids[tier.block],
                    "when": tier.when,
                    "source": tier.source,
                    "count": tier.count,
                }
                for tier in tiers
            ]
            for slot, tiers in self._suite.arrangement.slots.items()
        }
        return specs, {ids[name]: block for name, block in self._suite.blocks.items()}

    def _plan(self, tiers: Sequence[TierAsked]) -> tuple[Tier, ...]:
        return tuple(
            Tier(
                name=tier.name,
                tier=tier.tier,
                block=self._ids[tier.block],
                rule=None if tier.when is None else rule_parse(tier.when),
                source=tier.source,
                count=tier.count,
            )
            for tier in tiers
        )

    def _compile(self, language: str) -> tuple[CompiledSources, Watcher] | list[Problem]:
        if language not in self._compiled:
            standing = {}
            for name, tiers in self._suite.arrangement.slots.items():
                static = tiers[-1].block
                chosen = dict.fromkeys(tier.block for tier in tiers[:-1] if tier.block != static)
                standing[name] = [self._source(block) for block in (*chosen, static)]
            work = Compilation(
                self._suite.template,
                brand=self._brand,
                slots=standing,
                language=language,
                hosts=self._brand["link_hosts"] if self._suite.brand is not None else None,
            )
            compiled = work.compile()
            self._compiled[language] = work.problems if compiled is None else (compiled, Watcher(compiled, work.pieces))
        return self._compiled[language]

    def _source(self, name: str) -> BlockSource:
        block = self._suite.blocks[name]
        return BlockSource(self._ids[name], block.name, block.fields, block.content, block.layout, block.text_layout)

    def _cards(self, case: Case) -> dict[str, list[dict[str, Any]]]:
        shop = self._brand["shop_url"]
        return {
            name: items_sample(name, given, shop) if isinstance(given, int) else given
            for name, given in case.lists.items()
        }


def items_sample(name: str, count: int, shop_url: str) -> list[dict[str, Any]]:
    """Items as a list gives them; every second has no picture, every third no price."""
    return [
        {
            "sku": f"{name}-{number}",
            "title": f"Sample {number} of {name}",
            "price": "" if number % 3 == 0 else f"£{number}.90",
            "url": shop_url,
            "image_url": "" if number % 2 == 0 else f"{shop_url}sample-{number}.png",
        }
        for number in range(1, count + 1)
    ]


# --- what rules look at ---


def case_facts(case: Case, rules: Sequence[Rule]) -> PersonFacts:
    """What the rules look at, of a case's persona: as `facts_load` has it from the database."""
    leaves = [leaf for rule in rules for leaf in rule_leaves(rule)]
    as_of = datetime.fromisoformat(case.as_of) if case.as_of else AS_OF
    return PersonFacts(
        attributes={leaf.name: case.persona.get(leaf.name) for leaf in leaves if isinstance(leaf, Attribute)},
        counts={leaf.what: _counted(case, leaf.what, as_of) for leaf in leaves if isinstance(leaf, Count)},
        consents={
            (leaf.purpose, leaf.channel): (leaf.purpose, leaf.channel) in case.consents
            for leaf in leaves
            if isinstance(leaf, Consent)
        },
        asked={(leaf.purpose, leaf.channel): False for leaf in leaves if isinstance(leaf, AskedAgain)},
        interests={leaf.code: leaf.code in case.interests for leaf in leaves if isinstance(leaf, Interest)},
        features={leaf.feature: _feature(case, leaf.feature) for leaf in leaves if isinstance(leaf, FeatureIs)},
        audiences={leaf.audience: leaf.audience in case.audiences for leaf in leaves if isinstance(leaf, InAudience)},
    )


def _feature(case: Case, name: str) -> FeatureValue:
    """A feature's value as `features_read` has it: the one that the case gives, or its default."""
    if name not in case.features:
        return FEATURES[name].default
    value = case.features[name]
    if FEATURES[name].kind == "moment":
        return datetime.fromisoformat(value)
    return Decimal(repr(value)) if isinstance(value, float) else value


def _counted(case: Case, what: Counted, as_of: datetime) -> int:
    """since ≤ moment < before, moment ≥ as_of − within_days, and always moment ≤ as_of."""
    window = what.window
    earliest = [window.since, as_of - timedelta(days=window.within_days) if window.within_days is not None else None]
    start = max((moment for moment in earliest if moment is not None), default=None)

    def counts(one: Happened) -> bool:
        moment = datetime.fromisoformat(one.at) if one.at else as_of - timedelta(days=one.days_ago)
        named = what.name == one.name or (what.kind == "orders" and not what.name)
        return (
            named
            and moment <= as_of
            and (start is None or moment >= start)
            and (window.before is None or moment < window.before)
        )

    return sum(one.count for one in (case.orders if what.kind == "orders" else case.events) if counts(one))


# --- what was expected ---


def _failures(case: Case, result: CaseResult) -> list[Failure]:
    failures: list[Failure] = []
    if case.language and case.language != result.language:
        failures.append(Failure(("expect", "language"), f"expected {case.language}, got {result.language}"))
    for slot, expected in case.slots.items():
        shown = result.slots.get(slot)
        if shown is None:
            failures.append(Failure(("expect", "slots", slot), "the template has no such slot"))
            continue
        got = {"tier": shown.tier, "name": shown.name, "block": shown.block}
        for key, wanted in (("tier", expected.tier), ("name", expected.name), ("block", expected.block)):
            if wanted and wanted != got[key]:
                failures.append(
                    Failure(("expect", "slots", slot, key), f"slot {slot}: expected {key} {wanted}, got {got[key]}")
                )
        if expected.items is not None and expected.items != shown.items:
            failures.append(
                Failure(
                    ("expect", "slots", slot, "items"),
                    f"slot {slot}: expected {expected.items} items, got {shown.items}",
                )
            )
    words = " ".join(html_words(result.html).split())
    shown_in = {
        "subject": [result.subject],
        "html": [words, " ".join(result.html.split())],
        "text": [" ".join(result.text.split())],
    }
    for part in PARTS:
        texts = case.texts.get(part)
        if texts is None:
            continue
        for key, wanted_ones in (("contains", texts.contains), ("lacks", texts.lacks)):
            for number, wanted in enumerate(wanted_ones):
                there = any(" ".join(wanted.split()) in text for text in shown_in[part])
                if there is (key == "lacks"):
                    says = "is missing" if key == "contains" else "should not be there"
                    failures.append(Failure(("expect", part, key, number), f"{part}: {wanted!r} {says}"))
    if case.fallbacks is not None and case.fallbacks != result.fallbacks:
        shown_fallbacks = ", ".join(result.fallbacks) or "none"
        failures.append(
            Failure(
                ("expect", "fallbacks"),
                f"expected fallbacks for {', '.join(case.fallbacks) or 'none'}, got {shown_fallbacks}",
            )
        )
    return failures
