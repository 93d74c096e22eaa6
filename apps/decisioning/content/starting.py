"""Starting cases: for each tier that no case covers a persona that gets there, with what it is shown now. Pure.

Rules are turned round: from what a rule wants a person is made up, and then asked like any other, so that nothing is
written that does not hold. What comes out says what is, not what should be: somebody reads it and keeps what is meant.
"""

import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import islice, product
from typing import Any, Final

from apps.data.features.definitions import FEATURES
from apps.decisioning.audiences.contracts import (
    All,
    AnyOf,
    Attribute,
    Consent,
    Count,
    FeatureIs,
    FeatureScalar,
    InAudience,
    Interest,
    Leaf,
    Not,
    Rule,
)

from .case_runs import AS_OF, Suite, SuiteRun
from .cases import Arrangement, Case, Happened, SlotExpected, moment_text
from .choosing import Tier
from .contracts import Problem

MAX_WAYS: Final = 24
_ABOUT = "Written as a start: read it, and say what it is to show."
_NAMES = {"first_name": "Anna", "last_name": "Berger"}
Need = tuple[Leaf, bool]


def cases_start(suite: Suite) -> tuple[list[Case], list[Problem]]:
    """New cases for the tiers that the suite's own do not cover, and what none could be made up for."""
    run = SuiteRun(suite)
    if run.problems:
        return [], list(run.problems)
    report = run.report(suite.cases)
    open_tiers = {(cover.slot, cover.index): cover.asked for cover in report.uncovered}
    taken = {case.name for case in suite.cases}
    written: list[Case] = []
    problems: list[Problem] = []
    while open_tiers:
        (slot, index), asked = next(iter(open_tiers.items()))
        found = _case_for(run, slot, index)
        if found is None:
            problems.append(
                Problem(
                    f"slot {slot}", 0, asked.name, "could not be reached by a made-up person: write this case by hand"
                )
            )
            del open_tiers[slot, index]
            continue
        nobody = replace(found, as_of="") == Case("")
        name = _free("nobody" if nobody else _slug(f"{slot} {asked.name}"), taken)
        case = _expecting(run, suite.arrangement, replace(found, name=name, about=_ABOUT), open_tiers)
        result = run.case_run(case)
        if not result.passed:
            problems.append(Problem(f"slot {slot}", 0, asked.name, result.failures[0].said))
            del open_tiers[slot, index]
            continue
        written.append(case)
        for name, shown in result.slots.items():
            open_tiers.pop((name, shown.index), None)
    return written, problems


def _expecting(run: SuiteRun, arrangement: Arrangement, case: Case, still_open: Collection[tuple[str, int]]) -> Case:
    """The case, expecting what it is shown now in the slots that it is written for."""
    result = run.case_run(replace(case, slots={}, texts={}, fallbacks=None))
    slots = {}
    for name, shown in result.slots.items():
        if (name, shown.index) not in still_open:
            continue
        alike = [tier for tier in arrangement.slots[name] if tier.tier == shown.tier]
        slots[name] = SlotExpected(
            tier=shown.tier,
            name=shown.name if len(alike) > 1 else "",
            block=shown.block,
            items=shown.items or None,
        )
    return replace(case, language=result.language, slots=slots, fallbacks=result.fallbacks)


def _case_for(run: SuiteRun, slot: str, index: int) -> Case | None:
    """A made-up person to whom this tier of the slot answers."""
    tiers = run.tiers[slot]
    for case in islice(_tried(tiers, index), 200):
        _, shown = run.slots_choose(case)
        if shown[slot].index == index:
            return case
    return None


def _tried(tiers: Sequence[Tier], index: int) -> Iterator[Case]:
    """People who might get the tier at `index`: it holds for them, and those before it do not."""
    wanted = tiers[index]
    before = [tier for tier in tiers[:index] if tier.rule is not None and tier.source is None]
    ways = _ways(wanted.rule, True) if wanted.rule is not None else [[]]
    # A tier before this one may be told apart by not holding; mostly a person of whom little is known will do.
    others = [[], *([need for tier in before for need in _ways(tier.rule, False)[0]] for _ in before[:1] if before)]
    lists: dict[str, int | list[dict[str, Any]]] = {wanted.source: wanted.count} if wanted.source else {}
    bare = wanted.rule is None and wanted.source is None
    for way, other in product(ways, others):
        needs = [*way, *other]
        for ago in _moments(needs):
            case = _person(needs, ago)
            yield replace(case, persona=case.persona if bare else {**_NAMES, **case.persona}, lists=lists)


def _ways(rule: Rule | None, holds: bool) -> list[list[Need]]:
    """Ways in which a rule holds, or does not: for each what its leaves must be. At most MAX_WAYS."""
    if rule is None:
        return [[]]
    if isinstance(rule, Not):
        return _ways(rule.rule, not holds)
    if isinstance(rule, All | AnyOf):
        if isinstance(rule, All) is holds:
            parts = [_ways(child, holds) for child in rule.rules]
            return [[need for way in chosen for need in way] for chosen in islice(product(*parts), MAX_WAYS)]
        return [way for child in rule.rules for way in _ways(child, holds)][:MAX_WAYS] or [[]]
    return [[(rule, holds)]]


def _moments(needs: Sequence[Need]) -> list[float]:
    """How many days ago things may have happened, so that they are in some windows and not in others."""
    days = {leaf.what.window.within_days for leaf, _ in needs if isinstance(leaf, Count)}
    return [1, *sorted(day + 1 for day in days if day is not None)]


def _person(needs: Sequence[Need], ago: float) -> Case:
    persona: dict[str, Any] = {}
    orders: list[Happened] = []
    events: list[Happened] = []
    consents: list[tuple[str, str]] = []
    interests: set[str] = set()
    features: dict[str, Any] = {}
    audiences: set[str] = set()
    as_of = AS_OF
    for leaf, holds in needs:
        if isinstance(leaf, Attribute):
            value = _attribute_value(leaf, holds)
            if value is not None:
                persona.setdefault(leaf.name, value)
        elif isinstance(leaf, Consent):
            if leaf.granted is holds:
                consents.append((leaf.purpose, leaf.channel))
        elif isinstance(leaf, Interest):
            if leaf.chosen is holds:
                interests.add(leaf.code)
        elif isinstance(leaf, FeatureIs):
            if (value := _feature_value(leaf, holds)) is not None:
                features.setdefault(leaf.feature, value)
        elif isinstance(leaf, InAudience):
            if leaf.inside is holds:
                audiences.add(leaf.audience)
        elif isinstance(leaf, Count):
            count = _count_wanted(leaf, holds)
            window = leaf.what.window
            at = None
            days = ago if window.within_days is None else min(ago, window.within_days)
            if window.since is not None or window.before is not None:
                at = window.since or (window.before - timedelta(days=1) if window.before is not None else None)
                as_of = max(as_of, at or as_of)
            if count:
                happened = Happened(leaf.what.name, count, 1 if at else days, moment_text(at) if at else "")
                (orders if leaf.what.kind == "orders" else events).append(happened)
    return Case(
        "",
        persona=persona,
        orders=tuple(dict.fromkeys(orders)),
        events=tuple(dict.fromkeys(events)),
        consents=tuple(sorted(set(consents))),
        interests=tuple(sorted(interests)),
        features=features,
        audiences=tuple(sorted(audiences)),
        as_of=moment_text(as_of) if as_of != AS_OF else "",
    )


def _attribute_value(leaf: Attribute, holds: bool) -> Any:
    """A value for which the leaf holds (or not); None: leave it unknown."""
    if leaf.op == "known":
        return "known" if leaf.values[0] is holds else None
    if (leaf.op == "is_not") is holds:
        return None  # what is not known is not the value either, and in no list
    return _plain(leaf.values[0])


def _feature_value(leaf: FeatureIs, holds: bool) -> Any:
    """A value for which the leaf holds (or not), as a case has it; None: leave it at its default."""
    wanted, kind = leaf.values[0], FEATURES[leaf.feature].kind
    if leaf.op == "known":
        if wanted is not holds:
            return None
        there: dict[str, Any] = {"text": "known", "items": [1], "moment": moment_text(AS_OF - timedelta(days=1))}
        return there.get(kind, 1)
    if isinstance(wanted, bool):
        return wanted is holds
    if leaf.op == "contains":
        return [wanted] if holds else None
    if (leaf.op == "is_not") is not holds or (leaf.op in ("gte", "lte") and holds):
        return moment_text(wanted) if isinstance(wanted, datetime) else _plain(wanted)
    if isinstance(wanted, datetime):
        return moment_text(wanted - timedelta(days=1) if leaf.op == "gte" else wanted + timedelta(days=1))
    if isinstance(wanted, int | Decimal):
        taken = [one for one in leaf.values if isinstance(one, int | Decimal)]
        return _plain(min(taken) - 1 if leaf.op == "gte" else max(taken) + 1)
    return None


def _count_wanted(leaf: Count, holds: bool) -> int:
    if holds:
        return leaf.low
    return 0 if leaf.low else (leaf.high or 0) + 1


def _plain(value: FeatureScalar) -> Any:
    return float(value) if isinstance(value, Decimal) else value


def _slug(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60] or "case"


def _free(name: str, taken: set[str]) -> str:
    number, free = 2, name
    while free in taken:
        free, number = f"{name}-{number}", number + 1
    taken.add(free)
    return free
