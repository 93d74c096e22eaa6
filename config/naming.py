"""What a block may be called: the setting `BLOCK_NAME_PATTERNS`, read and checked when the settings are."""

import re

from environs import EnvError


def patterns_read(data: object) -> dict[str, tuple[str, str]]:
    """The setting `BLOCK_NAME_PATTERNS`: tier, or `*` for the others, to pattern and words. Raises EnvError."""
    if not isinstance(data, dict):
        raise EnvError("BLOCK_NAME_PATTERNS must be a JSON object: tier to [pattern, words]")
    for tier, entry in data.items():
        if not isinstance(entry, list) or len(entry) != 2 or not all(isinstance(part, str) and part for part in entry):
            raise EnvError(f"BLOCK_NAME_PATTERNS: {tier} must be [pattern, words that explain it]")
        try:
            re.compile(entry[0])
        except re.error as error:
            raise EnvError(f"BLOCK_NAME_PATTERNS: the pattern of {tier} is none: {error}") from None
    return {str(tier): (entry[0], entry[1]) for tier, entry in data.items()}
