"""Messages by a webhook of one's own: a system that hands them over by a way that Tessera does not know.

It stands among the providers of SMS and e-mail, as one of them. Each message is a POST of JSON, signed as Standard
Webhooks are; its `webhook-id` is the message's id, by which the other side knows again what it has already. So what
got no answer may be asked once more.
"""

import json
import time
from base64 import b64encode
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from apps.foundation.core.errors import PermanentError, RetryableError
from apps.foundation.core.outward import AddressRefused, target_read

from .addresses import INVALID
from .contracts import Envelope, Receipt
from .errors import Unavailable, Withdrawn
from .standard_webhooks import headers_signed, secret_key
from .webhook import webhook_post

TIMEOUT_SECONDS: Final = 15.0
_NOT_TRIED: Final = frozenset({"address_refused", "name_not_found", "no_address", "not_connected", "tls", "redirect"})


class MessageWebhook:
    """One system. Not for use by several threads."""

    def __init__(
        self,
        options: Mapping[str, Any],
        *,
        as_text: bool,
        inside: Collection[str] = (),
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        """options: `url` and `secret` (`whsec_…`); as_text: whether a message's content is a text; else it is base64.

        Raises ValueError, never with the secret in it.
        """
        if set(options) != {"url", "secret"} or not all(isinstance(value, str) for value in options.values()):
            raise ValueError("a webhook has url and secret (whsec_…)")
        try:
            target_read(options["url"], inside=inside)
        except AddressRefused as error:
            raise ValueError(f"webhook: {error}") from None
        self._url, self._key = options["url"], secret_key(options["secret"])
        self._as_text, self._inside, self._timeout = as_text, inside, timeout

    def open(self) -> None:
        """Nothing to do: whether the system is there is told by the first message."""

    def close(self) -> None:
        """Nothing to let go of."""

    def hand_over(self, envelope: Envelope, before_end: Callable[[], bool]) -> Receipt:
        """Hand one message over. Raises Unavailable, RetryableError, PermanentError, Withdrawn."""
        content = (
            {"text": envelope.content.decode()}
            if self._as_text
            else {"sender": envelope.sender, "mime": b64encode(envelope.content).decode()}
        )
        said = {"type": "message.send", "id": envelope.key, "to": envelope.recipient, **content}
        body = json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()
        headers = headers_signed(keys=[self._key], message_id=envelope.key, timestamp=int(time.time()), body=body)
        if not before_end():
            raise Withdrawn
        answer = webhook_post(self._url, body=body, headers=headers, inside=self._inside, timeout=self._timeout)
        if answer.taken:
            return Receipt("accepted", str(answer.status))
        if answer.error in _NOT_TRIED or answer.status in (401, 403, 404):
            raise Unavailable(str(answer.status or answer.error), "the system is away, or not set up so")
        if answer.status is None or answer.status in (408, 425, 429) or answer.status >= 500:
            raise RetryableError(str(answer.status or answer.error), "not taken now; asked again by the same id")
        code = INVALID if answer.status == 410 else str(answer.status)
        raise PermanentError(code, "the system refused it")
