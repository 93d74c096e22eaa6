"""Hand-over to a mail provider's API, by Anymail: one message at a time over one HTTP session.

The message's own bytes are taken apart again, since these APIs want its parts. What can come of it is what comes of
SMTP (`errors.py`): before the request went out nothing was taken; after it, only an answer tells. A provider that knows
a message again by a key of ours (Resend) may be asked twice; of the others, a silence stays unknown.
"""

import json
import warnings
from collections.abc import Callable, Mapping
from email import message_from_bytes, policy
from email.message import EmailMessage as Parsed
from importlib import import_module
from typing import Any, Final

import requests
from anymail.exceptions import (
    AnymailAPIError,
    AnymailConfigurationError,
    AnymailError,
    AnymailRecipientsRefused,
    AnymailRequestsAPIError,
    AnymailSerializationError,
    AnymailUnsupportedFeature,
)
from django.core.mail import EmailMultiAlternatives

from apps.foundation.core.errors import PermanentError, RetryableError
from apps.foundation.core.masking import addresses_mask

from .addresses import INVALID, address_for_wire
from .contracts import Envelope, Receipt
from .errors import OutcomeUnknown, Unavailable, Withdrawn
from .provider_reports import METADATA

PROVIDERS: Final = frozenset(
    {"brevo", "mailersend", "mailgun", "mailjet", "mailtrap", "mandrill", "postmark", "resend", "sendgrid", "sparkpost"}
)
"""Anymail's that need nothing more than itself."""
_KNOWS_AGAIN: Final = {"resend": "Idempotency-Key"}
"""Providers that take a message once for one key, and the header that it stands in."""
_FOLLOWS: Final = frozenset({"mailersend", "mailgun", "mailjet", "mandrill", "postmark", "sendgrid", "sparkpost"})
"""Providers that can be told, message by message, not to follow opens and clicks; of others it is set up there."""
_CARRIED: Final = ("List-Unsubscribe", "List-Unsubscribe-Post", "List-Id", "Message-ID")
_SILENT: Final = frozenset({500, 502, 504})
"""Answers that leave open whether the message was taken."""
TIMEOUT_SECONDS: Final = 30.0


class EspChannel:
    """One provider, over a session that stays open. Not for use by several threads."""

    def __init__(self, provider: str, options: Mapping[str, Any], *, timeout: float = TIMEOUT_SECONDS) -> None:
        """options: of Anymail's backend, such as `server_token`. Raises ValueError for what can't be set up so."""
        if provider not in PROVIDERS:
            raise ValueError(f"there is no provider {provider!r}: take one of {', '.join(sorted(PROVIDERS))}")
        backend = import_module(f"anymail.backends.{provider}").EmailBackend
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of providers that Anymail no longer tries out itself
                self._backend = backend(**options, timeout=timeout)
        except (AnymailError, AnymailConfigurationError, TypeError) as error:
            raise ValueError(f"{provider}: {' '.join(str(error).split())[:200]}") from None
        self._key_header = _KNOWS_AGAIN.get(provider, "")
        self._follows = provider in _FOLLOWS

    def open(self) -> None:
        """Make a session; whether the provider is there is told by the first message."""
        self._backend.open()

    def hand_over(self, envelope: Envelope, before_end: Callable[[], bool]) -> Receipt:
        """Hand one message over; `before_end` is asked right before the request goes out.

        Raises as `smtp.SmtpChannel.hand_over`.
        """
        address_for_wire(envelope.recipient)
        message, key = _message(envelope, follows=self._follows)
        self.open()
        if self._key_header:
            self._backend.session.headers[self._key_header] = key
        if not before_end():
            raise Withdrawn
        try:
            self._backend.send_messages([message])
        except AnymailRecipientsRefused as error:
            raise PermanentError("refused", self._readable(error, envelope)) from error
        except (AnymailUnsupportedFeature, AnymailSerializationError) as error:
            raise PermanentError("unsupported", self._readable(error, envelope)) from error
        except AnymailAPIError as error:
            self._failed(error, envelope)
        status = message.anymail_status  # type: ignore[attr-defined]  # Anymail puts it there
        told = {one.status for one in status.recipients.values()}
        if told & {"invalid", "rejected", "failed"}:
            raise PermanentError(INVALID if told == {"invalid"} else "refused", ", ".join(sorted(map(str, told))))
        if not told or told - {"sent", "queued"}:
            self._unknown("unclear", ", ".join(sorted(map(str, told))), None)
        return Receipt("accepted", str(status.message_id or "")[:200])

    def close(self) -> None:
        """Let go of the session."""
        self._backend.close()

    def _failed(self, error: AnymailAPIError, envelope: Envelope) -> None:
        """What a failed call means. Always raises."""
        said = self._readable(error, envelope)
        status = error.status_code if isinstance(error, AnymailRequestsAPIError) else None
        if status is None:
            if was_not_sent(error):
                self.close()
                raise Unavailable("connect", said) from error
            self._unknown("no answer", said, error)
        elif status in (401, 403, 404):
            raise Unavailable(str(status), said) from error  # our set-up is at fault, not the message
        elif status in (408, 425, 429, 503):
            raise RetryableError(str(status), said) from error
        elif status in _SILENT or 200 <= status < 300:
            self._unknown(str(status), said, error)
        elif status >= 500:
            raise RetryableError(str(status), said) from error
        raise PermanentError(str(status), said) from error

    def _unknown(self, code: str, said: str, error: Exception | None) -> None:
        if self._key_header:  # asked again with the same key, it is the same message
            raise RetryableError(code, said) from error
        raise OutcomeUnknown(code, said) from error

    @staticmethod
    def _readable(error: Exception, envelope: Envelope) -> str:
        """A provider's words as one line, without the address, its request and its keys."""
        response = getattr(error, "response", None)
        text = response.text if isinstance(response, requests.Response) else type(error.__cause__ or error).__name__
        try:
            found = json.loads(text)
            text = str(found.get("Message") or found.get("message") or found.get("errors") or text)
        except (ValueError, AttributeError):
            pass
        return addresses_mask(" ".join(text.split()), envelope.recipient)[:400]


def was_not_sent(error: BaseException) -> bool:
    """Whether a failed request had not even a connection: only then it surely was not taken."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, requests.exceptions.ConnectTimeout | requests.exceptions.SSLError):
            return True
        if type(seen).__name__ in ("NewConnectionError", "NameResolutionError"):
            return True
        reason = getattr(seen, "reason", None)
        seen = seen.__cause__ or (reason if isinstance(reason, BaseException) else None) or seen.__context__
    return False


def _message(envelope: Envelope, *, follows: bool) -> tuple[EmailMultiAlternatives, str]:
    """A message's bytes as Django has it, and its id."""
    parsed = message_from_bytes(envelope.content, policy=policy.default)
    key = str(parsed["Message-ID"] or "").strip("<>").partition("@")[0]
    message = EmailMultiAlternatives(
        subject=str(parsed["Subject"] or ""),
        body=_part(parsed, "plain"),
        from_email=str(parsed["From"] or ""),
        to=[envelope.recipient],
        reply_to=[str(parsed["Reply-To"])] if parsed["Reply-To"] else None,
        headers={name: str(parsed[name]) for name in _CARRIED if parsed[name]},
    )
    html = _part(parsed, "html")
    if html:
        message.attach_alternative(html, "text/html")
    message.metadata = {METADATA: key}  # type: ignore[attr-defined]  # Anymail's: it comes back with each report
    if follows:  # following is ours, and by consent
        message.track_opens = message.track_clicks = False  # type: ignore[attr-defined]
    return message, key


def _part(parsed: Parsed, kind: str) -> str:
    part = parsed.get_body((kind,))
    return str(part.get_content()) if part is not None else ""
