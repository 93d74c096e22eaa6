"""What mail providers report by webhook: whether it is them who speak, and what they say, in Anymail's words.

Anymail knows each provider's words and makes them one vocabulary; who may speak is looked at here: Amazon SNS by its
signature and the topic, SendGrid by its signature, Postmark and Mailjet by a secret in the address they were given.
Opens and clicks of theirs are left out: following is a consent of its own, and our own links tell of it (promise 8).
"""

import hashlib
import hmac
import json
import re
import warnings
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from anymail.exceptions import AnymailConfigurationError, AnymailError
from anymail.signals import AnymailTrackingEvent, EventType, RejectReason
from anymail.webhooks.amazon_ses import AmazonSESTrackingWebhookView
from anymail.webhooks.mailjet import MailjetTrackingWebhookView
from anymail.webhooks.postmark import PostmarkTrackingWebhookView
from anymail.webhooks.sendgrid import SendGridTrackingWebhookView
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key
from django.utils.dateparse import parse_datetime

from apps.foundation.core.clock import now

from .fetching import fetch
from .verdicts import HARD, OTHER, SOFT, status_in, verdict_of

PROVIDERS: Final = ("ses", "sendgrid", "postmark", "mailjet")
METADATA: Final = "tessera"
"""The name under which a message that goes out by a provider carries its id."""
TOLERANCE_SECONDS: Final = 300
"""How far SendGrid's clock may be off."""


class BadReport(Exception):
    """Not what the provider sends, or not by it. The text says why, without what was sent."""


@dataclass(frozen=True, slots=True)
class ProviderReport:
    """What a provider said of one recipient. kind: of Anymail's words, "" for what changes nothing; message_id: None
    for what is none of our messages; name: the same for the same thing said again.
    """

    kind: str
    message_id: UUID | None
    recipient: str
    occurred_at: datetime
    name: str
    bounce: str = ""
    reason: str = ""
    code: str = ""
    response: str = ""
    raw: bytes = b""


# --- who speaks ---

_SNS_HOST: Final = re.compile(r"sns\.[a-z0-9-]{4,30}\.amazonaws\.com(?:\.cn)?")
_SNS_SIGNED: Final = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
"""What Amazon SNS signs of each type, in this order («Verifying the signatures of Amazon SNS messages»)."""
_certificates: dict[str, x509.Certificate] = {}


def sns_check(body: bytes, *, topics: Collection[str]) -> dict[str, Any]:
    """A message of Amazon SNS about one of our topics, its signature looked at.

    Raises BadReport; OSError when Amazon's certificate can't be had.
    """
    said = _json(body)
    if not isinstance(said, dict) or said.get("Type") not in _SNS_SIGNED:
        raise BadReport("not a message of Amazon SNS")
    if said.get("TopicArn") not in topics:
        raise BadReport("the topic is none of ours")
    url = _amazon(str(said.get("SigningCertURL", "")))
    if not urlsplit(url).path.endswith(".pem"):
        raise BadReport("the certificate is not Amazon's")
    signed = "".join(f"{name}\n{said[name]}\n" for name in _SNS_SIGNED[said["Type"]] if name in said)
    algorithm = {"1": SHA1, "2": SHA256}.get(str(said.get("SignatureVersion")))  # SHA-1 is what SNS signs by default
    if algorithm is None:
        raise BadReport("an unknown version of the signature")
    try:
        key = _certificate(url).public_key()
        if not isinstance(key, rsa.RSAPublicKey):
            raise BadReport("the certificate is not Amazon's")
        key.verify(b64decode(str(said.get("Signature", ""))), signed.encode(), padding.PKCS1v15(), algorithm())
    except (InvalidSignature, Base64Error, ValueError, UnsupportedAlgorithm):
        raise BadReport("the signature is wrong") from None
    return said


def sns_confirm(said: Mapping[str, Any]) -> None:
    """Confirm a subscription to one of our topics, as a checked message asks. Raises BadReport, OSError."""
    fetch(_amazon(str(said.get("SubscribeURL", ""))))


def _amazon(url: str) -> str:
    """An address of Amazon SNS itself. Raises BadReport for any other."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise BadReport("not an address of Amazon") from None
    if parts.scheme != "https" or not _SNS_HOST.fullmatch(host) or port not in (None, 443) or parts.username:
        raise BadReport("not an address of Amazon")
    return url


def _certificate(url: str) -> x509.Certificate:
    found = _certificates.get(url)
    if found is None:
        found = x509.load_pem_x509_certificate(fetch(url))
        if len(_certificates) > 20:
            _certificates.clear()
        _certificates[url] = found
    if not found.not_valid_before_utc <= now() <= found.not_valid_after_utc:
        raise BadReport("the certificate is out of date")
    return found


def sendgrid_check(body: bytes, headers: Mapping[str, str], *, key: str, at: datetime) -> None:
    """Whether SendGrid signed a body (ECDSA over timestamp and body). key: base64, as SendGrid shows it. Raises
    BadReport.
    """
    signature = headers.get("X-Twilio-Email-Event-Webhook-Signature", "")
    stamp = headers.get("X-Twilio-Email-Event-Webhook-Timestamp", "")
    if not (stamp.isascii() and stamp.isdigit() and abs(at.timestamp() - int(stamp)) <= TOLERANCE_SECONDS):
        raise BadReport("the timestamp is missing or too far from now")
    try:
        public = load_der_public_key(b64decode(key))
        if not isinstance(public, ec.EllipticCurvePublicKey):
            raise BadReport("the key is none of SendGrid's")
        public.verify(b64decode(signature), stamp.encode() + body, ec.ECDSA(SHA256()))
    except (InvalidSignature, Base64Error, ValueError, UnsupportedAlgorithm):
        raise BadReport("the signature is wrong") from None


def secret_check(headers: Mapping[str, str], *, secret: str) -> None:
    """Whether a request has our secret, `user:password`, as Basic authentication (RFC 7617). Raises BadReport."""
    scheme, _, given = headers.get("Authorization", "").partition(" ")
    try:
        said = b64decode(given, validate=True)
    except (Base64Error, ValueError):
        said = b""
    if scheme.lower() != "basic" or not secret or not hmac.compare_digest(said, secret.encode()):
        raise BadReport("the secret is wrong")


# --- what they say ---


class _Ses(AmazonSESTrackingWebhookView):
    def __init__(self) -> None:
        """Anymail's would ask for boto3, which understanding does not need."""


_KINDS: Final = {
    EventType.DELIVERED: "delivered",
    EventType.DEFERRED: "deferred",
    EventType.BOUNCED: "bounced",
    EventType.REJECTED: "rejected",
    EventType.FAILED: "failed",
    EventType.COMPLAINED: "complained",
    EventType.UNSUBSCRIBED: "unsubscribed",
    EventType.AUTORESPONDED: "autoresponded",
}
"""What is taken of Anymail's types; the others change nothing here."""


_REFUSED: Final = {
    RejectReason.BOUNCED: ("bounced", HARD),
    RejectReason.INVALID: ("bounced", HARD),
    RejectReason.UNSUBSCRIBED: ("unsubscribed", ""),
    RejectReason.SPAM: ("complained", ""),
}
"""What it means that a provider did not even try: it remembers what came of an earlier message."""


def reports_read(provider: str, said: object) -> list[ProviderReport]:
    """What a provider says. said: the body's JSON; of Amazon SES the event inside the message of SNS.

    Raises BadReport for what is not of its form.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Anymail warns of a secret that it is not asked to look at
            events = _events(provider, said)
        return [_report(provider, event) for event in events]
    except (AnymailError, AnymailConfigurationError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise BadReport(f"not of the form that {provider} has: {type(error).__name__}") from None


def body_read(body: bytes) -> object:
    """A body's JSON. Raises BadReport."""
    return _json(body)


def sns_event(said: Mapping[str, Any]) -> object | None:
    """The event inside a checked message of SNS, None for one that only says that the topic is set up."""
    text = str(said.get("Message", ""))
    return None if text.startswith("Successfully validated SNS topic") else _json(text.encode())


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise BadReport("not JSON") from None


def _events(provider: str, said: object) -> Iterable[AnymailTrackingEvent]:
    if provider == "ses":
        return _Ses().esp_to_anymail_events(said, {})  # type: ignore[no-any-return]
    one_by_one: dict[str, Any] = {
        "sendgrid": SendGridTrackingWebhookView,
        "postmark": PostmarkTrackingWebhookView,
        "mailjet": MailjetTrackingWebhookView,
    }
    view = one_by_one[provider]()
    each = said if isinstance(said, list) else [said]
    return [view.esp_to_anymail_event(one) for one in each]


def _report(provider: str, event: AnymailTrackingEvent) -> ProviderReport:
    raw = json.dumps(event.esp_event, sort_keys=True, ensure_ascii=False).encode()
    recipient = str(event.recipient or "")
    name = hashlib.sha256(raw + b"\0" + recipient.encode()).hexdigest()[:48]
    kind = _KINDS.get(event.event_type, "")
    response = str(event.mta_response or event.description or "")
    bounce, reason = "", str(event.reject_reason or "")
    if kind == "rejected" and reason in _REFUSED:
        kind, bounce = _REFUSED[reason]
    elif kind == "bounced":
        bounce, reason = _bounce(provider, event.esp_event, response, reason)
    occurred_at = event.timestamp or _moment(event.esp_event)
    return ProviderReport(
        kind=kind,
        message_id=_message_id(event),
        recipient=recipient,
        occurred_at=min(occurred_at if occurred_at.tzinfo else occurred_at.replace(tzinfo=UTC), now()),
        name=f"{provider}:{name}",
        bounce=bounce,
        reason=reason,
        code=status_in(response) or str(event.esp_event.get("status") or ""),
        response=response,
        raw=raw,
    )


def _moment(said: Mapping[str, Any]) -> datetime:
    """When something of Amazon SES happened; now, where it does not say."""
    for part in ("bounce", "complaint", "delivery"):
        if isinstance(said.get(part), dict):
            return parse_datetime(str(said[part].get("timestamp"))) or now()
    return now()


def _bounce(provider: str, said: Mapping[str, Any], response: str, reason: str) -> tuple[str, str]:
    """Whether a bounce is for good: as the provider says where it does, else by the server's own words."""
    verdict = verdict_of(response, status=str(said.get("status") or ""))
    if provider == "ses":
        kind = said.get("bounce", {}).get("bounceType")
        bounce = {"Permanent": HARD, "Transient": SOFT}.get(str(kind), verdict.bounce)
        return bounce, verdict.reason if verdict.reason != "undetermined" else str(said["bounce"].get("bounceSubType"))
    if provider == "postmark":
        kind = said.get("Type") or said.get("SuppressionReason")
        return {"HardBounce": HARD, "SoftBounce": SOFT}.get(str(kind), OTHER), str(kind)
    if provider == "mailjet":
        return (HARD if said.get("hard_bounce") else SOFT), str(said.get("error") or reason)
    return verdict.bounce, verdict.reason


def _message_id(event: AnymailTrackingEvent) -> UUID | None:
    """Which message of ours: by what it carries along, or by its Message-ID where it went through SMTP."""
    said = event.esp_event
    headers = said.get("mail", {}).get("headers", []) if isinstance(said.get("mail"), dict) else []
    told = [
        (event.metadata or {}).get(METADATA),
        said.get("smtp-id"),
        *(one.get("value") for one in headers if str(one.get("name", "")).lower() == "message-id"),
    ]
    for value in told:
        try:
            return UUID(str(value or "").strip().strip("<>").partition("@")[0])
        except ValueError:
            continue
    return None
