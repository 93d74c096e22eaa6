"""Which profiles may be the same person, by how alike they are: the model of Fellegi and Sunter, without labels. Pure.

Each field of a pair falls into a level of agreement. m says how often pairs of one person are at a level, u how often
pairs of two are. u is counted over pairs drawn by chance, m is fitted by expectation and maximisation (EM) over the
pairs that some key brings together; pairs that none does count as two persons. What a pair's levels say is added up as
log2(m / u). That two agree on a rare name says more than on a common one: u of an agreement is the value's own share.

I. P. Fellegi, A. B. Sunter: A Theory for Record Linkage. Journal of the American Statistical Association 64 (1969),
1183-1210. W. E. Winkler: String Comparator Metrics and Enhanced Decision Rules (1990) for names; term frequencies and
u from chance pairs as in R. Linacre et al.: Splink, International Journal of Population Data Science 7:3 (2022).
"""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import log2
from typing import Final

from rapidfuzz.distance import OSA, JaroWinkler

Values = Mapping[str, Collection[str]]
"""What is known of somebody: texts by field, normalized; several for addresses and devices. A field without any is left
out, and says nothing."""
Levels = tuple[int, ...]
"""How a pair agrees, field by field in the order of FIELDS: 0 wholly, then less; UNKNOWN where either lacks it."""

UNKNOWN: Final = -1


@dataclass(frozen=True, slots=True)
class Field:
    """A field to compare by. level: of two texts, from 0 (the same) to `levels - 1` (different); words: what each but
    the last is called; rare: whether it matters how common a value is."""

    name: str
    words: tuple[str, ...]
    level: Callable[[str, str], int]
    rare: bool = True

    @property
    def levels(self) -> int:
        return len(self.words) + 1


def _name(one: str, other: str) -> int:
    if one == other:
        return 0
    alike = JaroWinkler.similarity(one, other)
    return 1 if alike >= 0.92 else 2 if alike >= 0.8 else 3


def _place(one: str, other: str) -> int:
    return 0 if one == other else 1 if JaroWinkler.similarity(one, other) >= 0.9 else 2


def _digits(one: str, other: str) -> int:
    if one == other:
        return 0
    apart = OSA.distance(one, other, score_cutoff=2)
    return min(apart, 3)


def _code(one: str, other: str) -> int:
    return 0 if one == other else 1 if OSA.distance(one, other, score_cutoff=1) == 1 else 2


def _email(one: str, other: str) -> int:
    if one == other:
        return 0
    if one.partition("@")[0] == other.partition("@")[0]:
        return 1
    return 2 if JaroWinkler.similarity(one, other) >= 0.9 else 3


def _same(one: str, other: str) -> int:
    return 0 if one == other else 1


FIELDS: Final = (
    Field("first_name", ("same first name", "first names nearly the same", "first names alike"), _name),
    Field("last_name", ("same last name", "last names nearly the same", "last names alike"), _name),
    Field("birth_date", ("same birth date", "birth dates one character apart", "birth dates two apart"), _digits),
    Field("city", ("same town", "towns alike"), _place),
    Field("postcode", ("same postcode", "postcodes one character apart"), _code),
    Field("street", ("same street and number", "streets alike"), _place),
    Field("email", ("same e-mail address", "same e-mail name elsewhere", "e-mail addresses alike"), _email),
    Field("phone", ("same phone number", "phone numbers one digit apart"), _code),
    Field("device", ("same device",), _same),
    Field("ip", ("same IP address",), _same),
)


def levels_of(one: Values, other: Values) -> Levels:
    """How two agree; of several values of a field, the pair that agrees best."""
    found = []
    for what in FIELDS:
        mine, theirs = one.get(what.name), other.get(what.name)
        if not mine or not theirs:
            found.append(UNKNOWN)
        else:
            found.append(min(what.level(a, b) for a in mine for b in theirs))
    return tuple(found)


# --- who is compared ---


def keys_of(values: Values) -> set[str]:
    """By what somebody is brought together with others: each agreement that two of one person are likely to share."""
    first, last = _one(values, "first_name"), _one(values, "last_name")
    born, city, postcode = (_one(values, name) for name in ("birth_date", "city", "postcode"))
    found = {f"{name}:{value}" for name in ("email", "phone", "device", "ip") for value in values.get(name, ())}
    found |= {f"local:{value.partition('@')[0]}" for value in values.get("email", ())}
    for kind, parts in (
        ("names", (first[:4], last[:4])),
        ("swapped", tuple(sorted((first[:3], last[:3])))),
        ("born", (born,)),
        ("first-year", (first, born[:4])),
        ("last-year", (last, born[:4])),
        ("first-day", (first, born[4:])),
        ("last-day", (last, born[4:])),
        ("last-place", (last[:4], postcode or city)),
        ("first-place", (first, postcode or city)),
        ("street", (_one(values, "street"),)),
    ):
        if all(parts):
            found.add(f"{kind}:{'|'.join(parts)}")
    return found


def _one(values: Values, name: str) -> str:
    return next(iter(values.get(name, ())), "")


def pairs_of(people: Mapping[int, Values], *, most: int) -> set[tuple[int, int]]:
    """Pairs that share a key. A key that more than `most` have says nothing of them: it brings nobody together."""
    holders: defaultdict[str, list[int]] = defaultdict(list)
    for number, values in people.items():
        for key in keys_of(values):
            holders[key].append(number)
    found: set[tuple[int, int]] = set()
    for held in holders.values():
        if len(held) <= most:
            found.update(combinations(sorted(held), 2))
    return found


# --- the model ---


@dataclass(frozen=True, slots=True)
class Model:
    """prior: how often two taken by chance are one person; m, u: by field, of each level; shares: of each value of a
    field that more than one person has."""

    prior: float
    m: Mapping[str, Sequence[float]]
    u: Mapping[str, Sequence[float]]
    shares: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Score:
    """How likely a pair is one person (0 to 1); weight: log2 of the odds; reasons: what speaks for it and against, in
    words, each with its weight."""

    probability: float
    weight: float
    reasons: tuple[tuple[str, float], ...]


_LEAST: Final = 1e-5
_ROUNDS: Final = 200
_FIRST: Final = (0.85, 0.1, 0.04, 0.01)


def model_fit(
    people: Mapping[int, Values], pairs: Collection[tuple[int, int]], *, seed: int = 0, chance_pairs: int = 60_000
) -> Model:
    """Fit the model to people and the pairs that keys brought together. The same seed, the same model."""
    u = _u_count(people, seed, chance_pairs)
    m = {what.name: _first(what.levels) for what in FIELDS}
    patterns = Counter(levels_of(people[one], people[other]) for one, other in pairs)
    total = max(1.0, len(people) * (len(people) - 1) / 2)
    prior = min(0.5, max(1.0, len(people) / 10) / total)
    for _ in range(_ROUNDS):
        sums = {what.name: [1.0 * share for share in _first(what.levels)] for what in FIELDS}
        matches = 1.0
        for levels, count in patterns.items():
            odds = prior / (1 - prior)
            for what, level in zip(FIELDS, levels, strict=True):
                if level != UNKNOWN:
                    odds *= m[what.name][level] / u[what.name][level]
            expected = count * odds / (1 + odds)
            matches += expected
            for what, level in zip(FIELDS, levels, strict=True):
                if level != UNKNOWN:
                    sums[what.name][level] += expected
        fitted = {name: [max(one / sum(held), _LEAST) for one in held] for name, held in sums.items()}
        moved = max(abs(a - b) for name in m for a, b in zip(m[name], fitted[name], strict=True))
        m, prior = fitted, min(0.5, matches / total)
        if moved < 1e-6:
            break
    return Model(prior, m, u, _shares(people))


def _first(levels: int) -> list[float]:
    held = [*_FIRST[: levels - 1], _FIRST[-1]]
    return [one / sum(held) for one in held]


def _u_count(people: Mapping[int, Values], seed: int, chance_pairs: int) -> dict[str, list[float]]:
    numbers, chance = sorted(people), random.Random(seed)  # noqa: S311  # a sample, no secret
    seen = {what.name: [0.5] * what.levels for what in FIELDS}
    for _ in range(chance_pairs if len(numbers) > 1 else 0):
        one, other = chance.sample(numbers, 2)
        for what, level in zip(FIELDS, levels_of(people[one], people[other]), strict=True):
            if level != UNKNOWN:
                seen[what.name][level] += 1
    return {name: [max(one / sum(held), _LEAST) for one in held] for name, held in seen.items()}


def _shares(people: Mapping[int, Values]) -> dict[str, dict[str, float]]:
    found = {}
    for what in FIELDS:
        if not what.rare:
            continue
        counts = Counter(value for values in people.values() for value in values.get(what.name, ()))
        total = sum(counts.values())
        found[what.name] = {value: count / total for value, count in counts.items() if count > 1}
    return found


def score(model: Model, one: Values, other: Values) -> Score:
    """How likely these two are one person, and why."""
    weight = log2(model.prior / (1 - model.prior))
    reasons = []
    for what, level in zip(FIELDS, levels_of(one, other), strict=True):
        if level == UNKNOWN:
            continue
        m, u = model.m[what.name][level], model.u[what.name][level]
        if level == 0 and what.rare:
            same = set(one[what.name]) & set(other[what.name])
            u = max(_LEAST, min(model.shares[what.name].get(value, u) for value in same))
        adds = log2(m / u)
        weight += adds
        words = what.words[level] if level < len(what.words) else f"different {what.name.replace('_', ' ')}"
        reasons.append((words, round(adds, 1)))
    reasons.sort(key=lambda reason: -abs(reason[1]))
    return Score(1 / (1 + 2 ** -max(-900.0, min(900.0, weight))), weight, tuple(reasons))
