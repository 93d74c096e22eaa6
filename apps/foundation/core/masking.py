"""Taking addresses out of words that others wrote, before they are kept or logged."""

import re
from typing import Final

MASK: Final = "•••"
_ADDRESS = re.compile(r"[^\s<>()\[\],;:\"'|=]+@[^\s<>()\[\],;:\"'|=]+")
"""Whatever has an @ in it, up to what surrounds addresses in an answer: rather too much than too little."""
_SHORTEST_NAME: Final = 3


def addresses_mask(text: str, *known: str) -> str:
    """`text` with each address in it as `•••`: `<a@b.example>: no such user` → `<•••>: no such user`.

    known: addresses that it may name in another way, such as by the part before the @ alone, in whatever case.
    """
    said = text.lower()
    for address in known:
        local, at, _ = address.rpartition("@")
        for word in (address, local if len(local) >= _SHORTEST_NAME else ""):
            if at and word and word.lower() in said:  # seldom; a pattern for each recipient would cost most of a send
                text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", MASK, text, flags=re.IGNORECASE)
    return _ADDRESS.sub(MASK, text) if "@" in text else text
