"""What the taxonomy accepts as a block's name, for each tier; the patterns are a setting."""

import re
from typing import Final

from django.conf import settings

ANY: Final = (r"\w[^<>{}\[\]]*", "Begin with a letter or digit; no brackets.")


def name_rule(tier: str) -> tuple[str, str]:
    """The pattern that a whole name must match in a tier, and what it asks for in words."""
    patterns: dict[str, tuple[str, str]] = settings.BLOCK_NAME_PATTERNS
    return patterns.get(tier) or patterns.get("*") or ANY


def name_fault(name: str, tier: str) -> str:
    """What is wrong with a name in a tier, for people; "" if nothing is."""
    pattern, said = name_rule(tier)
    return "" if re.fullmatch(pattern, name) else f"is not as names of this tier are. {said}"
