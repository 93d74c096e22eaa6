"""Return paths: the envelope sender of each message is an address of its own, signed, to which bounces come.

`b-` and 42 letters and digits, always: the message's id and the first 10 bytes of HMAC-SHA256, in base32 and small
letters, since mail servers may change the case of what stands before the @ (RFC 5321, 2.4, says they must not). Whoever
does not know a message's return path can't speak of it.
"""

import hmac
from base64 import b32decode, b32encode
from binascii import Error as Base32Error
from typing import Final
from uuid import UUID

from django.conf import settings

from apps.foundation.core.signing import BadToken, signing_keys

_PREFIX: Final = "b-"
_TAG: Final = 10
_SCOPE: Final = b"return\0"
COMPLAINTS: Final = "complaints"
"""The name before the @ to which mailbox providers may send complaints (feedback loops)."""


def return_path(*, message_id: UUID, key_id: str, otherwise: str) -> str:
    """Where a message's bounces come to; `otherwise` where no BOUNCE_DOMAIN is set. Raises BadToken for a lost key."""
    if not settings.BOUNCE_DOMAIN:
        return otherwise
    key = signing_keys().get(key_id)
    if key is None:
        raise BadToken("the key is gone")
    token = b32encode(message_id.bytes + _tag(key, message_id.bytes)).rstrip(b"=").decode().lower()
    return f"{_PREFIX}{token}@{settings.BOUNCE_DOMAIN}"


def return_path_read(address: str) -> UUID:
    """Whose bounces come to an address. Raises BadToken for one that is not signed by a key of ours."""
    local, _, domain = address.strip().strip("<>").rpartition("@")
    body = local.lower().removeprefix(_PREFIX)
    if domain.lower() != settings.BOUNCE_DOMAIN.lower() or len(local) != len(_PREFIX) + 42 or not local.isascii():
        raise BadToken("not a return path")
    try:
        raw = b32decode(body.upper() + "=" * (-len(body) % 8))
    except (Base32Error, ValueError):
        raise BadToken("not a return path") from None
    message, tag = raw[:16], raw[16:]
    if not any(hmac.compare_digest(_tag(key, message), tag) for key in signing_keys().values()):
        raise BadToken("the signature is wrong")
    return UUID(bytes=message)


def _tag(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, _SCOPE + message, "sha256")[:_TAG]
