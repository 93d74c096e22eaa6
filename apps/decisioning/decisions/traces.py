"""The trace of an answer: what its links begin with where their person agreed to be followed.

It names the answer and its compiled template, signed, and nothing of the person. Items have the numbers that they have
in a message (`content.traces`); where each leads is kept with the answer, never in the link.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from django.conf import settings

from apps.decisioning.content.traces import slot_numbers
from apps.foundation.core.signing import BadToken, token_read, token_sign

SCOPE: Final = "d"
"""What the token is good for; also its path."""


def answer_trace_read(token: str) -> tuple[UUID, int]:
    """The answer's id and the compiled template's id. Raises BadToken."""
    payload = token_read(SCOPE, token)
    if len(payload) != 24:
        raise BadToken("not a trace")
    return UUID(bytes=payload[8:]), int.from_bytes(payload[:8], "big")


def items_traced(
    said: Sequence[dict[str, Any]], slots: Mapping[str, Any], *, answer_id: UUID, compiled_id: int
) -> None:
    """Give each item with an address in what is said a link that tells that it was followed. slots: as decided."""
    token = token_sign(SCOPE, compiled_id.to_bytes(8, "big") + answer_id.bytes)
    numbers = slot_numbers(slots)
    for slot in said:
        if "items" in slot:
            first = numbers[slot["slot"]]
            slot["items"] = [
                {**item, "link": f"{settings.BASE_URL}/{SCOPE}/{token}/{first + place}"} if item.get("url") else item
                for place, item in enumerate(slot["items"])
            ]
