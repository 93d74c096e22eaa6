"""What a dry run counts, and which people it shows. Pure.

A *kind* is what one person stands for: the step, the outcome and, for those who get something, the language and the
place of the tier in each slot. Every figure is a sum over kinds, so counts of batches add up in any order.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from apps.decisioning.decisions.engine import SEND, Verdict

SAMPLES = 20
"""People to page through."""
RENDER_FAILED = "render_failed"
SIZE_STEP = 100
"""Bytes to which sizes are counted: enough for a median, and few numbers."""


@dataclass(frozen=True, slots=True, order=True)
class Kind:
    """What somebody stands for. tiers: (slot, place of its tier from 0) for each slot, empty without a message."""

    step: str
    outcome: str
    language: str = ""
    tiers: tuple[tuple[str, int], ...] = ()

    def to_json(self) -> list[Any]:
        """As JSON."""
        return [self.step, self.outcome, self.language, [list(tier) for tier in self.tiers]]

    @classmethod
    def from_json(cls, data: Sequence[Any]) -> "Kind":
        """From JSON."""
        step, outcome, language, tiers = data
        return cls(step, outcome, language, tuple((slot, place) for slot, place in tiers))

    def marks(self) -> set[tuple[str, ...]]:
        """All that a sample of this kind shows."""
        marks: set[tuple[str, ...]] = {("outcome", self.step, self.outcome)}
        if self.language:
            marks.add(("language", self.step, self.language))
        return marks | {("tier", self.step, slot, str(place)) for slot, place in self.tiers}


def kind_of(step: str, verdict: Verdict, *, failed: str = "") -> Kind:
    """The kind of somebody. failed: why their message can't be made, "" when it can."""
    if verdict.outcome != SEND or failed:
        return Kind(step, failed or verdict.outcome)
    reasons = verdict.reasons.get("slots", {})
    return Kind(
        step,
        SEND,
        verdict.inputs["language"],
        tuple((slot, reasons.get(slot, {}).get("at", 0)) for slot in sorted(verdict.inputs["slots"])),
    )


@dataclass
class Tally:
    """Counts of some people. Sizes are bytes: of whole messages, and of their HTML, of which Gmail shows 102 kB.

    gone: people who do not exist any more; doubled: of those who would get a message, how many share the address of
    another, so that a run withholds theirs (only known where everybody is counted); ways: how many go each way of a
    branch, as `step/then`, or leave before a step, as `step/left`; sizes: messages by size, rounded
    down to SIZE_STEP; seconds: of deciding and making messages, by one worker.
    """

    people: int = 0
    gone: int = 0
    kinds: dict[Kind, int] = field(default_factory=dict)
    sizes: dict[int, int] = field(default_factory=dict)
    largest: int = 0
    largest_html: int = 0
    clipped: int = 0
    doubled: int = 0
    ways: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    def way_add(self, step: str, way: str) -> None:
        """One more who goes a way."""
        self.ways[f"{step}/{way}"] = self.ways.get(f"{step}/{way}", 0) + 1

    def kind_add(self, kind: Kind) -> None:
        """One more of a kind."""
        self.kinds[kind] = self.kinds.get(kind, 0) + 1

    def size_add(self, *, message: int, html: int, clipped_over: int) -> None:
        """One more message."""
        step = message // SIZE_STEP * SIZE_STEP
        self.sizes[step] = self.sizes.get(step, 0) + 1
        self.largest = max(self.largest, message)
        self.largest_html = max(self.largest_html, html)
        self.clipped += html > clipped_over

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "people": self.people,
            "gone": self.gone,
            "kinds": [[*kind.to_json(), count] for kind, count in sorted(self.kinds.items())],
            "sizes": sorted(self.sizes.items()),
            "largest": self.largest,
            "largest_html": self.largest_html,
            "clipped": self.clipped,
            "doubled": self.doubled,
            "ways": self.ways,
            "seconds": round(self.seconds, 4),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Tally":
        """From JSON; nothing counted from an empty one."""
        if not data:
            return cls()
        return cls(
            people=data["people"],
            gone=data["gone"],
            kinds={Kind.from_json(entry[:4]): entry[4] for entry in data["kinds"]},
            sizes=dict(data["sizes"]),
            largest=data["largest"],
            largest_html=data["largest_html"],
            clipped=data["clipped"],
            doubled=data.get("doubled", 0),
            ways=dict(data.get("ways", {})),
            seconds=data["seconds"],
        )

    @classmethod
    def total(cls, parts: Iterable["Tally"]) -> "Tally":
        """All parts together."""
        whole = cls()
        for part in parts:
            whole.people += part.people
            whole.gone += part.gone
            whole.clipped += part.clipped
            whole.doubled += part.doubled
            whole.seconds += part.seconds
            whole.largest = max(whole.largest, part.largest)
            whole.largest_html = max(whole.largest_html, part.largest_html)
            for way, count in part.ways.items():
                whole.ways[way] = whole.ways.get(way, 0) + count
            for kind, count in part.kinds.items():
                whole.kinds[kind] = whole.kinds.get(kind, 0) + count
            for size, count in part.sizes.items():
                whole.sizes[size] = whole.sizes.get(size, 0) + count
        return whole

    def by(self, mark: Callable[[Kind], str | None]) -> dict[str, int]:
        """Counts by what `mark` says of a kind; kinds of which it says None are left out."""
        counts: dict[str, int] = {}
        for kind, count in self.kinds.items():
            name = mark(kind)
            if name is not None:
                counts[name] = counts.get(name, 0) + count
        return counts

    def outcomes(self, step: str) -> dict[str, int]:
        """People of a step by outcome."""
        return self.by(lambda kind: kind.outcome if kind.step == step else None)

    def languages(self, step: str) -> dict[str, int]:
        """Messages of a step by language."""
        return self.by(lambda kind: kind.language or None if kind.step == step else None)

    def tiers(self, step: str, slot: str) -> dict[str, int]:
        """Messages of a step by the place of the tier of a slot."""

        def place(kind: Kind) -> str | None:
            return next((str(at) for name, at in kind.tiers if name == slot), None) if kind.step == step else None

        return self.by(place)

    @property
    def messages(self) -> int:
        """Messages that would go out."""
        return sum(count for kind, count in self.kinds.items() if kind.outcome == SEND) - self.doubled

    @property
    def median(self) -> int:
        """Bytes of the message in the middle, to SIZE_STEP; 0 without any."""
        return median_of(self.sizes)


def median_of(sizes: Mapping[int, int]) -> int:
    """The lower median of values by count; 0 of nothing."""
    middle = (sum(sizes.values()) + 1) // 2
    seen = 0
    for size in sorted(sizes):
        seen += sizes[size]
        if seen >= middle > 0:
            return size
    return 0


def margin_of(*, counted: int, people: int) -> float:
    """How far a share of a sample may be from that of everybody, in percentage points, in 19 of 20 samples.

    The widest, of a share of one half: 1.96·√(¼/n), with the correction for a finite population
    (Cochran, Sampling Techniques, 2.6). 0 when everybody was counted.
    """
    if counted >= people or counted == 0:
        return 0.0
    return 196 * math.sqrt(0.25 / counted * (people - counted) / (people - 1))


def samples_choose(kinds: Mapping[Kind, Sequence[int]], counts: Mapping[Kind, int]) -> list[tuple[Kind, int]]:
    """At most SAMPLES people, each with their kind, so that as much as can be is seen of what there is.

    First whatever shows most that no other shows yet (each step, outcome, language and tier once), of equals the more
    frequent kind; then kinds in turn, the most frequent first. Ordered by step, messages before withheld.
    kinds: ids of some people of each kind.
    """
    left = {kind: list(dict.fromkeys(ids)) for kind, ids in kinds.items() if ids}
    missing = {mark for kind in left for mark in kind.marks()}
    chosen: list[tuple[Kind, int]] = []

    def frequent(kind: Kind) -> tuple[int, Kind]:
        return -counts.get(kind, 0), kind

    while missing and len(chosen) < SAMPLES:
        kind = min(left, key=lambda kind: (-len(kind.marks() & missing), *frequent(kind)))
        if not kind.marks() & missing:
            break
        missing -= kind.marks()
        chosen.append((kind, left[kind].pop(0)))
        left = {kind: ids for kind, ids in left.items() if ids}
        if not left:
            break
    while left and len(chosen) < SAMPLES:
        for kind in sorted(left, key=frequent)[: SAMPLES - len(chosen)]:
            chosen.append((kind, left[kind].pop(0)))
        left = {kind: ids for kind, ids in left.items() if ids}
    return sorted(chosen, key=lambda one: (one[0].step, one[0].outcome != SEND, *frequent(one[0])))


def kinds_merge(parts: Iterable[Mapping[str, Any]]) -> dict[Kind, list[int]]:
    """Ids by kind of several batches, in the order of the parts, at most SAMPLES of each kind."""
    merged: dict[Kind, list[int]] = {}
    for part in parts:
        for entry in part.get("kinds", ()):
            ids = merged.setdefault(Kind.from_json(entry[:4]), [])
            ids.extend(entry[4][: SAMPLES - len(ids)])
    return merged


def kinds_to_json(kinds: Mapping[Kind, Sequence[int]]) -> dict[str, Any]:
    """Ids by kind as JSON."""
    return {"kinds": [[*kind.to_json(), list(ids[:SAMPLES])] for kind, ids in sorted(kinds.items())]}


@dataclass(frozen=True, slots=True)
class Estimate:
    """How long a run may take, in seconds, and what that rests on.

    deciding: of deciding and making the messages, as measured by one worker in the dry run; sending: of handing them
    over, as measured in earlier runs, None where there are none. They overlap: the slower one counts.
    """

    deciding: float
    sending: float | None

    @property
    def seconds(self) -> float:
        """Of the whole run."""
        return max(self.deciding, self.sending or 0.0)


def estimate_of(tally: Tally, *, people: int, per_second: float | None) -> Estimate | None:
    """How long a run for so many people may take. per_second: messages handed over, as measured; None if never.

    None when nothing was measured.
    """
    if not tally.people or tally.seconds <= 0:
        return None
    messages = tally.messages * people / tally.people
    return Estimate(
        deciding=tally.seconds * people / tally.people, sending=messages / per_second if per_second else None
    )
