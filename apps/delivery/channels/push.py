"""Web Push (RFC 8030): one message to one browser, by the push service that the browser's maker runs.

There are as many providers as there are makers of browsers, and a subscription belongs to one of them: none can stand
in for another. One that fails is left alone for a while, and its messages wait, while those of the others go out. A
message may be asked for twice: the push service keeps one of a Topic, and the browser shows one of a tag.
"""

import json
import secrets
import time
from collections.abc import Callable, Collection
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec

from apps.decisioning.content.short_messages import push_said
from apps.foundation.core.errors import PermanentError, RetryableError
from apps.foundation.core.outward import AddressRefused, target_read

from .addresses import INVALID
from .breaker import Breaker
from .contracts import Envelope, Receipt
from .errors import Withdrawn
from .push_crypto import MOST, Subscription, b64, encrypt, key_read, unb64, vapid_header
from .webhook import webhook_post

GONE: Final = "gone"
"""The code of a subscription that is no more: whoever holds it may let go of it."""
TIMEOUT_SECONDS: Final = 10.0
TTL_SECONDS: Final = 24 * 3600
"""How long a push service keeps a message for a browser that is off."""
_VAPID_SECONDS: Final = 12 * 3600

_breakers: dict[str, Breaker] = {}
"""Of each push service, in this process."""


def push_bytes(*, title: str, text: str, passed_over: Collection[str], message_id: str, image: str = "") -> bytes:
    """What a notification says: its title, the text up to its first link, and that link to be opened by a press.

    passed_over: links to leave and to the preferences, which are no content; image: the address of its picture, "" for
    none. Raises PermanentError `too_long`.
    """
    said, first = push_said(text, passed_over=passed_over)
    parts = {"title": title, "body": said, "url": first, "tag": message_id, **({"image": image} if image else {})}
    raw = json.dumps(parts, ensure_ascii=False, separators=(",", ":")).encode()
    if len(raw) > MOST:
        raise PermanentError("too_long", f"{len(raw)} bytes, and a push message has {MOST}")
    return raw


def subscription_read(value: str) -> Subscription:
    """A subscription out of JSON as browsers give it. Raises ValueError, without what was given in it."""
    try:
        said = json.loads(value)
        found = Subscription(str(said["endpoint"]), unb64(said["keys"]["p256dh"]), unb64(said["keys"]["auth"]))
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), found.p256dh)
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        raise ValueError("not a subscription as browsers give it") from None
    if len(found.auth) != 16 or len(found.p256dh) != 65 or len(found.endpoint) > 500:
        raise ValueError("not a subscription as browsers give it")
    return found


def subscription_text(value: str, *, inside: Collection[str] = ()) -> str:
    """A subscription in its one spelling. inside: as for webhooks. Raises ValueError."""
    found = subscription_read(value)
    try:
        target_read(found.endpoint, inside=inside)
    except AddressRefused as error:
        raise ValueError(str(error)) from None
    said: dict[str, Any] = {"endpoint": found.endpoint, "keys": {"auth": b64(found.auth), "p256dh": b64(found.p256dh)}}
    return json.dumps(said, separators=(",", ":"), sort_keys=True)


class PushChannel:
    """Messages to browsers, each by its own push service."""

    def __init__(
        self, *, key: str, contact: str, inside: Collection[str] = (), timeout: float = TIMEOUT_SECONDS
    ) -> None:
        """key, contact: of VAPID; inside: as for webhooks. Raises ValueError for a key that is none."""
        self._key, self._contact, self._inside, self._timeout = key_read(key), contact, inside, timeout

    def open(self) -> None:
        """Nothing to do: whether a push service is there is told by its first message."""

    def close(self) -> None:
        """Nothing to let go of."""

    def hand_over(self, envelope: Envelope, before_end: Callable[[], bool]) -> Receipt:
        """Hand one message over; its recipient is the subscription, its content what `push_bytes` made.

        Never raises Unavailable: one push service that is away stops no other.
        """
        try:
            to = subscription_read(envelope.recipient)
            body = encrypt(
                envelope.content, to, own=ec.generate_private_key(ec.SECP256R1()), salt=secrets.token_bytes(16)
            )
        except ValueError as error:
            raise PermanentError(INVALID, str(error)) from None
        parts = urlsplit(to.endpoint)
        origin = f"{parts.scheme}://{parts.netloc}"
        breaker = _breakers.setdefault(origin, Breaker())
        if not breaker.allows(time.monotonic()):
            raise RetryableError("service_away", "its push service is left alone for a while")
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Encoding": "aes128gcm",
            "TTL": str(TTL_SECONDS),
            "Urgency": "normal",
            "Topic": envelope.key.replace("-", "")[:32],
            "Authorization": vapid_header(
                self._key, audience=origin, contact=self._contact, expires=int(time.time()) + _VAPID_SECONDS
            ),
        }
        if not before_end():
            raise Withdrawn
        answer = webhook_post(to.endpoint, body=body, headers=headers, inside=self._inside, timeout=self._timeout)
        if answer.error == "address_refused":
            raise PermanentError(INVALID, "its push service has no public address")
        status = answer.status
        if status is None or status in (408, 425, 429) or status >= 500:
            breaker.failed(time.monotonic())
            raise RetryableError(answer.error if status is None else str(status), "the push service did not take it")
        breaker.worked()
        if status in (404, 410):
            raise RetryableError(GONE, "the browser takes no messages any more")
        if not answer.taken:
            raise PermanentError(str(status), "the push service refused it")
        return Receipt("accepted", str(status))
