"""What one person is shown: the first tier of a slot that holds, and the language. Pure; decisions and template tests
ask the same functions.

This is the hot path of deciding: what is passed over is put down while it is looked at, nothing is asked twice.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.decisioning.audiences.contracts import PersonFacts, Rule
from apps.decisioning.audiences.rules import rule_matches

_MOST_LEAVES = 4
"""Leaves of a rule that are kept as the reason; a rule of two hundred must not make a decision of 20 kB."""


@dataclass(frozen=True, slots=True)
class Tier:
    """One tier of a slot, ready to be asked. block: the id that the compiled template knows it by."""

    name: str
    tier: str
    block: str
    rule: Rule | None
    source: str | None
    count: int


def tier_choose(
    tiers: Sequence[Tier], facts: PersonFacts | None, cards: Mapping[str, Sequence[Any]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first tier that holds, as the template takes it, and what was passed over.

    facts: what rules look at, None when nothing is known; cards: items by list, best first.
    The reason is `{"at": index, "no": [for each tier passed over its reason], "why": why the rule held}`, without
    what is empty; nothing at all for a slot of one tier.
    """
    passed: list[Any] = []
    for index, tier in enumerate(tiers):
        because: list[dict[str, Any]] = []
        if tier.rule is not None:
            if facts is None:
                passed.append({"facts": "none"})
                continue
            match = rule_matches(tier.rule, facts)
            because = [
                {"field": leaf["field"], "is": leaf["is"], "wanted": leaf["wanted"]}
                for leaf in match.because[:_MOST_LEAVES]
            ]
            if not match.matched:
                passed.append(because)
                continue
        chosen: dict[str, Any] = {"block": tier.block, "tier": tier.tier}
        if tier.source is not None:
            given = cards.get(tier.source, ())
            if len(given) < tier.count:
                passed.append({"items": len(given), "of": tier.count})
                continue
            chosen["items"] = list(given[: tier.count])
        if len(tiers) == 1:
            return chosen, {}
        why = {"at": index, "no": passed} if passed else {"at": index}
        return chosen, {**why, "why": because} if because else why
    raise AssertionError("a slot ends in a static tier: whoever pins it sees to it")


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
    """The languages a message can come in: those that every block with words has, so that no message mixes two.

    contents: what each block says, by language. The default comes first, and always: what lacks it is told when the
    message is compiled.
    """
    spoken = [{language for language, words in content.items() if words} for content in contents]
    common = set.intersection(*worded) if (worded := [languages for languages in spoken if languages]) else set()
    return [default, *sorted(common - {default})]
