"""SMS by Twilio: hand-over over its REST API, and its own calls about what came of it and what people answer.

Its API for messages knows no idempotency key. So a silence stays unknown and is tried nowhere else; Twilio's own call
about that message, whose address here names it and is signed, settles it later.
"""

import base64
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import requests

from apps.foundation.core.errors import PermanentError, RetryableError
from apps.foundation.core.masking import MASK

from .addresses import INVALID
from .contracts import Envelope, Receipt
from .errors import OutcomeUnknown, Unavailable, Withdrawn
from .esp import was_not_sent

API: Final = "https://api.twilio.com"
TIMEOUT_SECONDS: Final = 15.0
_E164: Final = re.compile(r"\+[1-9]\d{6,14}")
_SILENT: Final = frozenset({500, 502, 504})
_NO_NUMBER: Final = frozenset({21211, 21214, 21217, 21219, 21265, 21407, 21421, 21614})
"""What is said of a number that takes no SMS."""
_OURS: Final = frozenset({20003, 20404, 21212, 21603, 21606, 21607, 21608, 21659, 21660, 21701, 21703, 21704, 21705})
"""What is said of the account and its sender: no message is to blame."""
_LATER: Final = frozenset({20429, 21611, 30001, 30022})
OPTED_OUT: Final = 21610
_HARD: Final = frozenset({21211, 21614, 30005, 30006})
_SOFT: Final = frozenset({30001, 30003, 30008, 30010, 30017})
_STOP: Final = frozenset({"stop", "stopall", "unsubscribe", "cancel", "end", "quit", "revoke", "optout"})
"""Twilio's own words for an opt-out; what follows the first word does not matter here: only the whole text counts."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account at Twilio, and who its messages are from: a number, or a messaging service (`MG…`)."""

    account_sid: str
    auth_token: str
    sender: str
    api_url: str = API

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "Account":
        """From SMS_PROVIDERS. Raises ValueError, never with the token in it."""
        known = {"account_sid", "auth_token", "from", "api_url"}
        if set(options) - known or not all(isinstance(value, str) for value in options.values()):
            raise ValueError(f"twilio has {', '.join(sorted(known))}, each a text")
        sid, token, sender = (options.get(name, "") for name in ("account_sid", "auth_token", "from"))
        if not re.fullmatch(r"AC[0-9a-fA-F]{32}", sid) or len(token) < 16:
            raise ValueError("twilio needs account_sid (AC and 32 digits) and auth_token")
        if not (_E164.fullmatch(sender) or re.fullmatch(r"MG[0-9a-fA-F]{32}|(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}", sender)):
            raise ValueError("twilio needs from: a number such as +43720123456, a name, or a messaging service (MG…)")
        return cls(sid, token, sender, str(options.get("api_url", API)).rstrip("/"))


class TwilioChannel:
    """One account, over a session that stays open. Not for use by several threads."""

    def __init__(self, account: Account, *, callback_url: str, timeout: float = TIMEOUT_SECONDS) -> None:
        """callback_url: where Twilio tells what came of a message; the message's id is put behind it."""
        self._account, self._callback, self._timeout = account, callback_url, timeout
        self._session: requests.Session | None = None

    def open(self) -> None:
        """Make a session; whether Twilio is there is told by the first message."""
        if self._session is None:
            self._session = requests.Session()
            self._session.auth = (self._account.account_sid, self._account.auth_token)

    def close(self) -> None:
        """Let go of the session."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def hand_over(self, envelope: Envelope, before_end: Callable[[], bool]) -> Receipt:
        """Hand one message over; its content is the text. Raises as `smtp.SmtpChannel.hand_over`."""
        if not _E164.fullmatch(envelope.recipient):
            raise PermanentError(INVALID, "not a phone number")
        sender = self._account.sender
        form = {
            "To": envelope.recipient,
            ("MessagingServiceSid" if sender.startswith("MG") else "From"): sender,
            "Body": envelope.content.decode(),
            "StatusCallback": f"{self._callback}{envelope.key}",
        }
        self.open()
        assert self._session is not None  # noqa: S101  # it was opened
        if not before_end():
            raise Withdrawn
        url = f"{self._account.api_url}/2010-04-01/Accounts/{self._account.account_sid}/Messages.json"
        try:
            response = self._session.post(url, data=form, timeout=self._timeout, allow_redirects=False)
            said = _said(response)
        except requests.RequestException as error:
            self.close()
            if was_not_sent(error):
                raise Unavailable("connect", type(error).__name__) from error
            raise OutcomeUnknown("no answer", type(error).__name__) from error
        return _receipt(response.status_code, said, envelope.recipient)


def _said(response: requests.Response) -> dict[str, Any]:
    try:
        said = response.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _receipt(status: int, said: Mapping[str, Any], recipient: str) -> Receipt:
    """What an answer means."""
    code = said.get("code") or said.get("error_code")
    words = " ".join(str(said.get("message") or "").split()).replace(recipient, MASK)[:400]
    if status in (200, 201) and said.get("sid") and said.get("status") not in ("failed", "undelivered"):
        return Receipt("accepted", str(said["sid"])[:200])
    if status in _SILENT or (200 <= status < 300 and not said.get("sid")):
        raise OutcomeUnknown(str(status), words)
    if code in _OURS or status in (401, 403, 404) or 300 <= status < 400:
        raise Unavailable(str(code or status), words)
    if code in _LATER or status in (408, 425, 429) or status >= 500:
        raise RetryableError(str(code or status), words)
    if code == OPTED_OUT:
        raise PermanentError("opted_out", words)
    raise PermanentError(INVALID if code in _NO_NUMBER else str(code or status), words)


# --- what Twilio tells us ---


@dataclass(frozen=True, slots=True)
class SmsReport:
    """What came of a message, in Anymail's words. kind: "" while it is under way."""

    kind: str
    bounce: str
    code: str
    status: str
    recipient: str
    name: str


def signature_is_right(account: Account, *, url: str, form: Mapping[str, list[str]], signature: str) -> bool:
    """Whether Twilio signed a call: HMAC-SHA1 over the address that it called and what it posted, sorted by name.

    Source: Twilio, «Webhooks security». A name that comes twice has its different values one after the other, sorted.
    """
    signed = url + "".join(name + value for name in sorted(form) for value in sorted(set(form[name])))
    right = base64.b64encode(hmac.digest(account.auth_token.encode(), signed.encode(), "sha1"))
    return hmac.compare_digest(right, signature.encode())


def report_read(form: Mapping[str, list[str]]) -> SmsReport:
    """What a status callback says. A number that opted out at Twilio, and one that does not exist, are told."""
    said = {name: values[0] for name, values in form.items() if values}
    status, text = said.get("MessageStatus", ""), said.get("ErrorCode", "")
    code = int(text) if text.isascii() and text.isdigit() else 0
    kind, bounce = {"delivered": "delivered", "read": "delivered"}.get(status, ""), ""
    if status in ("failed", "undelivered"):
        kind, bounce = "bounced", "hard" if code in _HARD else "soft" if code in _SOFT else "other"
        if code == OPTED_OUT:
            kind, bounce = "unsubscribed", ""
    return SmsReport(
        kind, bounce, text[:20], status, said.get("To", ""), f"{said.get('MessageSid', '')}:{status}"[:100]
    )


def wants_no_more(form: Mapping[str, list[str]]) -> bool:
    """Whether somebody's answer is an opt-out: as Twilio marks it, or by one of its words and nothing else."""
    told = (form.get("OptOutType") or [""])[0].upper()
    text = (form.get("Body") or [""])[0]
    return told == "STOP" or re.sub(r"[^a-z]+", "", text.lower()) in _STOP
