"""The trace of a message: what its links begin with where their person agreed to be followed.

It names the message and its compiled template, signed, and nothing of the person. One signature stands for all links of
a message: whoever has one of them could follow the others as well, and where they lead is stored, never in the link.
"""

from typing import Final
from uuid import UUID

from django.conf import settings

from apps.foundation.core.signing import BadToken, token_read, token_sign

SCOPE: Final = "l"
"""What the token is good for; also its path."""


def trace_url(*, message_id: UUID, compiled_id: int, key_id: str) -> str:
    """The same arguments give the same again. Raises BadToken for a lost key."""
    token = token_sign(SCOPE, compiled_id.to_bytes(8, "big") + message_id.bytes, key_id=key_id)
    return f"{settings.BASE_URL}/{SCOPE}/{token}"


def trace_read(token: str) -> tuple[UUID, int]:
    """The message id and the compiled template's id. Raises BadToken."""
    payload = token_read(SCOPE, token)
    if len(payload) != 24:
        raise BadToken("not a trace")
    return UUID(bytes=payload[8:]), int.from_bytes(payload[:8], "big")
