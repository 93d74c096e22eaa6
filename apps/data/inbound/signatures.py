"""Whether a webhook is from whom it says, as each system signs. Pure."""

import hmac
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

TOLERANCE_SECONDS: Final = 300


def signature_is_right(
    kind: str, *, secret: str, headers: Mapping[str, str], body: bytes, at: datetime | None = None
) -> bool:
    """Whether the secret signed a body. kind: `shopify`, `woocommerce` or `zendesk`; at: now.

    All are base64 of an HMAC-SHA256 over the body; Zendesk's over its timestamp too, which must be of these minutes.
    """
    names = {
        "shopify": "X-Shopify-Hmac-Sha256",
        "woocommerce": "X-WC-Webhook-Signature",
        "zendesk": "X-Zendesk-Webhook-Signature",
    }
    given, signed = headers.get(names[kind], ""), body
    if kind == "zendesk":
        stamp = headers.get("X-Zendesk-Webhook-Signature-Timestamp", "")
        try:
            moment = datetime.fromisoformat(stamp)
        except ValueError:
            return False
        if (
            moment.tzinfo is None
            or at is None
            or abs((at.astimezone(UTC) - moment).total_seconds()) > TOLERANCE_SECONDS
        ):
            return False
        signed = stamp.encode() + body
    right = b64encode(hmac.digest(secret.encode(), signed, "sha256"))
    return bool(secret) and hmac.compare_digest(right, given.encode())
