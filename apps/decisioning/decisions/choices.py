"""What the engine chose, kept for whoever is alike in all that it looks at.

A choice is found by a digest of everything that it depends on but the catalog: the version, the moment as far as blocks
begin and end, the set of recommendations, what editors picked, and of a person what rules asked for, language, taste
and what they were shown often enough. Of the catalog it keeps which items were looked at, and a mark over what was said
of them; it is found only where the same is said now. So it is never stale: whoever differs in anything has another one.
What hangs on the person alone (consent, draws, caps, their own values) is no part of it.

Whether a choice was found or made, the same is decided, and kept in the same bytes.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final

import orjson
from django.conf import settings

from apps.decisioning.audiences.contracts import PersonFacts
from apps.decisioning.recommendations.contracts import Candidate, PersonTaste
from apps.decisioning.recommendations.selectors import candidates_known
from apps.foundation.core.caches import Cache

from .contracts import Choice
from .engine import Person, Plan, Verdict
from .keeping import Wanted, alike_pack, value_pack
from .prepared import prepared_read
from .sealing import choice_of

_choices: Final = Cache[bytes, Choice](
    "choices", "catalog", "CACHE_RECOMMENDATIONS_SECONDS", most=settings.CHOICES_IN_MEMORY
)


def scene_of(plan: Plan, *, set_id: int | None, picks: object, at: datetime) -> bytes:
    """A digest of what choices by a plan depend on that is the same for everybody at a moment; b"" for a plan of which
    none are kept: of what is not a version's, what asks live sources, and digests.

    picks: what editors picked, as the ranker takes it; None where it is not asked for.
    """
    if not plan.mark or plan.transactional or plan.collects:
        return b""
    return blake2b(orjson.dumps([plan.mark, set_id, picks, validity_at(plan, at)]), digest_size=32).digest()


def validity_at(plan: Plan, at: datetime) -> tuple[str, ...]:
    """What of a plan's tiers hangs on the moment, as it is at one."""
    return tuple(tier.valid.fault(at) for _, tiers in plan.slots for tier in tiers if tier.valid is not None)


def alike_key(scene: bytes, plan: Plan, person: Person, *, taste: PersonTaste, often: Collection[bytes]) -> bytes:
    """A digest of all that a choice depends on, of one person in a scene. often: items that they were shown often
    enough, by digest."""
    facts = person.facts
    looked_at = [
        person.language,
        person.impersonal,
        taste.country if "country" in plan.sources else "",
        taste.top_category,
        taste.recent_items,
        sorted(item.hex() for item in often) if often else (),
        None if facts is None else _facts_told(facts),
    ]
    return blake2b(orjson.dumps(looked_at), digest_size=16, key=scene).digest()


def _facts_told(facts: PersonFacts) -> list[Any]:
    """All that rules may look at, each value with its kind."""
    return [
        {name: value_pack(value) for name, value in facts.attributes.items()},
        list(facts.counts.values()),
        list(facts.consents.values()),
        list(facts.asked.values()),
        list(facts.interests.values()),
        {name: value_pack(value) for name, value in facts.features.items()},
        facts.audiences,
    ]


def choices_known(keys: Iterable[bytes], stamps: Mapping[str, str], *, prepared: bool = False) -> dict[bytes, Choice]:
    """The choices that are kept under these digests and hold now. stamps: as they were read before; prepared: whether
    some were made ahead, so that Redis is asked for what this process does not have."""
    return _choices.many(dict.fromkeys(keys), stamps, lambda missing: _look_again(missing, stamps, prepared))


def _look_again(keys: Sequence[bytes], stamps: Mapping[str, str], prepared: bool) -> dict[bytes, Choice]:
    """Those that were made by another state of the catalog, and those that other processes made, that hold now."""
    found = _holding({key: choice for key in keys if (choice := _choices.last(key)) is not None}, stamps)
    if prepared:
        found |= _holding(prepared_read([key for key in keys if key not in found]), stamps)
    return found


def _holding(kept: Mapping[bytes, Choice], stamps: Mapping[str, str]) -> dict[bytes, Choice]:
    """Those of whose items the catalog says the same now."""
    items = dict.fromkeys(item for choice in kept.values() for item in choice.looked)
    known = candidates_known(list(items), stamps) if items else {}
    return {key: choice for key, choice in kept.items() if choice.mark == _items_mark(choice.looked, known)}


def choice_keep(key: bytes, stamps: Mapping[str, str], choice: Choice) -> None:
    """Keep a choice that was made. stamps: as they were read before."""
    _choices.put(key, stamps, choice)


def choice_make(plan: Plan, wanted: Wanted, person: Person, verdict: Verdict, set_id: int | None) -> Choice:
    """What of an answer everybody alike shares, as it is kept. verdict: to send."""
    seen = alike_pack(plan, wanted, person)
    lists = seen.get("l", {})
    looked = [one for source, found in person.cards.items() for one in found[: len(lists[source])]]
    inputs = {"language": verdict.inputs["language"], "slots": verdict.inputs["slots"]}
    reasons = verdict.reasons if set_id is None else {**verdict.reasons, "set": set_id}
    return choice_of(
        compiled=verdict.compiled,
        tier=verdict.tier,
        looked=tuple(one.item for one in looked),
        mark=_mark(looked),
        alike=(inputs, reasons, seen),
    )


def _items_mark(items: Sequence[int], known: Mapping[int, Candidate]) -> bytes | None:
    found = [known[item] for item in items if item in known]
    return _mark(found) if len(found) == len(items) else None


def _mark(candidates: Iterable[Candidate]) -> bytes:
    return blake2b(b"".join(one.mark for one in candidates), digest_size=16).digest()
