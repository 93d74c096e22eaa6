"""What one person is shown: the first tier of a slot that holds, and the language. Pure; decisions and template tests
ask the same functions.

This is the hot path of deciding: what is passed over is put down while it is looked at, nothing is asked twice.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from apps.decisioning.audiences.contracts import PersonFacts, Rule
from apps.decisioning.audiences.rules import rule_matches

from .contracts import TierSpec

PERSONAL: Final = frozenset({"personal", "category"})
"""Tiers that are chosen by what the person bought or looked at: not for who withdrew `PERSONALISATION`."""
PERSONALISATION: Final = "personalisation"
"""The purpose that says so."""
COLLECTED: Final = "digest"
"""The list of what was collected for a person's digest: shown whatever there is of it, one thing at least."""

_MOST_LEAVES = 4
"""Leaves of a rule that are kept as the reason; a rule of two hundred must not make a decision of 20 kB."""


@dataclass(frozen=True, slots=True)
class Validity:
    """From when (included) until when (not included) a block may be shown; None for no such end."""

    begins: datetime | None
    ends: datetime | None

    @classmethod
    def of(cls, tier: TierSpec) -> "Validity | None":
        """The validity that a pinned tier carries; None for always."""
        begins, ends = tier.get("valid_from"), tier.get("valid_until")
        if not begins and not ends:
            return None
        return cls(datetime.fromisoformat(begins) if begins else None, datetime.fromisoformat(ends) if ends else None)

    def fault(self, moment: datetime) -> str:
        """Why it may not be shown at a moment: since when it is over, or from when it is; "" where it may."""
        if self.begins is not None and moment < self.begins:
            return f"from {self.begins:%Y-%m-%d %H:%M} UTC"
        if self.ends is not None and moment >= self.ends:
            return f"until {self.ends:%Y-%m-%d %H:%M} UTC"
        return ""


@dataclass(frozen=True, slots=True)
class Tier:
    """One tier of a slot, ready to be asked.

    block: the id that the compiled template knows it by; valid: when its block may be shown, None for always.
    """

    name: str
    tier: str
    block: str
    rule: Rule | None
    source: str | None
    count: int
    valid: Validity | None = None


def tier_choose(
    tiers: Sequence[Tier],
    facts: PersonFacts | None,
    cards: Mapping[str, Sequence[Any]],
    moment: datetime | None = None,
    *,
    impersonal: bool = False,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first tier that holds, as the template takes it, and what was passed over.

    facts: what rules look at, None when nothing is known; cards: items by list, best first; moment: that of
    deciding, at which a tier's block must be valid; None takes every block for valid; impersonal: the person does not
    want what is shown to be chosen by what they did.
    The reason is `{"at": index, "no": [for each tier passed over its reason], "why": why the rule held}`, without
    what is empty; nothing at all for a slot of one tier.
    """
    passed: list[Any] = []
    for index, tier in enumerate(tiers):
        because: list[dict[str, Any]] = []
        if tier.valid is not None and moment is not None and (when := tier.valid.fault(moment)):
            passed.append({"valid": when})
            continue
        if impersonal and tier.tier in PERSONAL:
            passed.append({"consent": PERSONALISATION})
            continue
        if tier.rule is not None:
            if facts is None:
                passed.append({"facts": "none"})
                continue
            match = rule_matches(tier.rule, facts)
            because = leaves_kept(match.because)
            if not match.matched:
                passed.append(because)
                continue
        chosen: dict[str, Any] = {"block": tier.block, "tier": tier.tier}
        if tier.source is not None:
            given = cards.get(tier.source, ())
            if len(given) < (1 if tier.source == COLLECTED else tier.count):
                passed.append({"items": len(given), "of": tier.count})
                continue
            chosen["items"] = list(given[: tier.count])
        if len(tiers) == 1:
            return chosen, {}
        why = {"at": index, "no": passed} if passed else {"at": index}
        return chosen, {**why, "why": because} if because else why
    raise AssertionError("a slot ends in a static tier: whoever pins it sees to it")


def leaves_kept(because: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The leaves that settled a rule, as a decision keeps them."""
    return [{"field": leaf["field"], "is": leaf["is"], "wanted": leaf["wanted"]} for leaf in because[:_MOST_LEAVES]]


def language_choose(wanted: str, offered: Iterable[str], default: str) -> str:
    """The offered language nearest to the wanted one: pt-BR, then pt (RFC 4647, 3.4), then the brand's own."""
    by_tag = {tag.lower(): tag for tag in offered}
    tag = wanted.strip().lower().replace("_", "-")
    while tag:
        if tag in by_tag:
            return by_tag[tag]
        tag = tag.rpartition("-")[0]
    return default


def languages_common(contents: Iterable[Mapping[str, Any]], default: str) -> list[str]:
    """The languages a message can come in: those that every block with words has, or has without region (de for de-AT),
    so that no message mixes two.

    contents: what each block says, by language. The default comes first, and always: what lacks it is told when the
    message is compiled.
    """
    spoken = [worded for content in contents if (worded := {language for language, words in content.items() if words})]
    every = set[str]().union(*spoken)
    common = {language for language in every if all(_says(worded, language) for worded in spoken)}
    return [default, *sorted(common - {default})]


def _says(worded: Collection[str], language: str) -> bool:
    """Whether a block says it in a language, or in that without region: de-AT falls back to de."""
    return language in worded or language.split("-")[0] in worded
