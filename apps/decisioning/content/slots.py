"""The tiers of a template's slots, as a playbook pins them: what must hold before anything is compiled.

Each slot ends in a static tier without conditions, so that there is always something to show (design, "Blocks and
templates").
"""

from collections.abc import Mapping, Sequence

from .compiling import BlockSource
from .contracts import Problem, TierSpec


def slots_problems(named: Sequence[str], slots: Mapping[str, Sequence[TierSpec]]) -> list[Problem]:
    problems = [
        Problem(f"slot {name}", 0, "", "is not in the template: remove it") for name in slots if name not in named
    ]
    for name in named:
        tiers = slots.get(name) or ()
        if not tiers or tiers[-1]["tier"] != "static":
            problems.append(Problem(f"slot {name}", 0, "", "must end in a static tier, which can always be shown"))
            continue
        for number, tier in enumerate(tiers, 1):
            conditional = tier["when"] is not None or tier["source"] is not None
            if tier["tier"] == "static" and (tier.get("valid_from") or tier.get("valid_until")):
                mend = "shows a block that is not valid for good: a static tier must always hold, so give it another"
                problems.append(Problem(f"slot {name}", 0, tier["name"], mend))
            if tier["tier"] == "static" and (conditional or number < len(tiers)):
                problems.append(
                    Problem(f"slot {name}", 0, tier["name"], "a static tier has no condition and stands last")
                )
            elif tier["tier"] != "static" and not conditional:
                problems.append(
                    Problem(
                        f"slot {name}",
                        0,
                        tier["name"],
                        "needs a condition, or what stands behind it never shows",
                    )
                )
            if tier["source"] is not None and tier["count"] < 1:
                problems.append(Problem(f"slot {name}", 0, tier["name"], "asks for no products: set count"))
    return problems


def tier_problems(name: str, tiers: Sequence[TierSpec], blocks: Mapping[int, BlockSource]) -> list[Problem]:
    problems = []
    for tier in tiers:
        block = blocks[tier["block_version"]]
        if block.products and tier["source"] is None:
            problems.append(
                Problem(f"slot {name}", 0, tier["name"], f"shows products ({block.name}): name the list they come from")
            )
        elif not block.products and tier["source"] is not None:
            problems.append(Problem(f"slot {name}", 0, tier["name"], f"asks for products, but {block.name} shows none"))
    return problems
