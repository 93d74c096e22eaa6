"""Standard Webhooks 1.0.0 (standardwebhooks.com): how a webhook is signed, and how a signature is verified. Pure.

A secret is `whsec_` and base64 of 24 to 64 bytes. Signed is `id.timestamp.body`, by HMAC-SHA256; the header holds one
signature for each secret that is good at the moment, so that secrets can be changed without a gap.
"""

import hmac
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable, Mapping
from typing import Final

PREFIX: Final = "whsec_"
TOLERANCE_SECONDS: Final = 300
"""How far the clock of the sender may be off; older ones are replays."""


class BadSignature(ValueError):
    """The webhook was not signed by whom we know, or is too old."""


def secret_text(key: bytes) -> str:
    """A secret as people get it."""
    return PREFIX + b64encode(key).decode()


def secret_key(secret: str) -> bytes:
    """The bytes of a secret. Raises ValueError."""
    try:
        key = b64decode(secret.removeprefix(PREFIX), validate=True)
    except (Base64Error, ValueError):
        raise ValueError("a secret is whsec_ and base64") from None
    if not 24 <= len(key) <= 64:
        raise ValueError("a secret has 24 to 64 bytes")
    return key


def _signature(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    return "v1," + b64encode(hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, "sha256")).decode()


def headers_signed(*, keys: Iterable[bytes], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers of a webhook, signed with each key. timestamp: seconds since 1970."""
    signatures = " ".join(_signature(key, message_id, timestamp, body) for key in keys)
    return {"webhook-id": message_id, "webhook-timestamp": str(timestamp), "webhook-signature": signatures}


def webhook_verify(*, keys: Iterable[bytes], headers: Mapping[str, str], body: bytes, at: float) -> str:
    """The id of a webhook that was signed with one of `keys`. at: now, in seconds since 1970. Raises BadSignature."""
    lower = {name.lower(): value for name, value in headers.items()}
    message_id, stamp = lower.get("webhook-id", ""), lower.get("webhook-timestamp", "")
    if not message_id or not (stamp.isascii() and stamp.isdigit() and len(stamp) < 16):
        raise BadSignature("webhook-id and webhook-timestamp are needed")
    if abs(at - int(stamp)) > TOLERANCE_SECONDS:
        raise BadSignature("the timestamp is too far from now")
    given = lower.get("webhook-signature", "").encode().split()
    good = [_signature(key, message_id, int(stamp), body).encode() for key in keys]
    if not any(hmac.compare_digest(one, other) for one in given[:20] for other in good):
        raise BadSignature("no signature is right")
    return message_id
