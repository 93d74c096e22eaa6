"""What providers report is understood, and only from them."""

import json
from base64 import b64encode
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from apps.delivery.channels import provider_reports
from apps.delivery.channels.provider_reports import (
    BadReport,
    body_read,
    reports_read,
    secret_check,
    sendgrid_check,
    sns_check,
    sns_confirm,
    sns_event,
)
from tests.online_retail import FILE

PAYLOADS = FILE.parent / "esp_webhook_payloads.jsonl"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:bounces"
CERTIFICATE_URL = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0a1b2c.pem"
AT = datetime(2026, 11, 28, 9, tzinfo=UTC)
RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
SENDGRID_KEY = b64encode(EC_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


@pytest.fixture(autouse=True)
def amazon(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Amazon's certificate, without Amazon; what was asked for."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(RSA_KEY.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(RSA_KEY, SHA256())
    )
    asked: list[str] = []

    def fetched(url: str) -> bytes:
        asked.append(url)
        return made.public_bytes(Encoding.PEM)

    monkeypatch.setattr(provider_reports, "fetch", fetched)
    provider_reports._certificates.clear()
    return asked


def sns(message: object, *, version: str = "2", **more: Any) -> bytes:
    """A message of Amazon SNS, signed."""
    said: dict[str, Any] = {
        "Type": "Notification",
        "MessageId": "8f6dee70-c885-558a-be7d-bd48bbf5335e",
        "TopicArn": TOPIC,
        "Message": message if isinstance(message, str) else json.dumps(message),
        "Timestamp": "2026-11-28T09:00:00.000Z",
        "SignatureVersion": version,
        "SigningCertURL": CERTIFICATE_URL,
        **more,
    }
    signed = "".join(f"{name}\n{said[name]}\n" for name in provider_reports._SNS_SIGNED[said["Type"]] if name in said)
    algorithm = SHA1() if version == "1" else SHA256()  # noqa: S303  # what SNS signs by default
    said.setdefault("Signature", b64encode(RSA_KEY.sign(signed.encode(), padding.PKCS1v15(), algorithm)).decode())
    return json.dumps(said).encode()


def payloads() -> list[dict[str, Any]]:
    return [json.loads(line) for line in PAYLOADS.read_text().splitlines()] if PAYLOADS.exists() else []


@pytest.mark.skipif(not PAYLOADS.exists(), reason="the real payloads are not here")
def test_every_real_payload_is_understood() -> None:
    found: Counter[str] = Counter()
    for row in payloads():
        provider, said = row["esp"].removesuffix("_webhooks").removeprefix("amazon_"), row["payload"]
        if said.get("Type") == "Notification" if isinstance(said, dict) else False:
            said = json.loads(said["Message"])
        if "incorrect_received" in row["test"]:  # mail that came in, sent to the wrong address
            with pytest.raises(BadReport):
                reports_read(provider, said)
            found["refused"] += 1
            continue
        for report in reports_read(provider, said):
            found[f"{report.kind} {report.bounce}".strip()] += 1
            assert report.occurred_at.tzinfo is not None
            assert report.raw
            assert len(report.name) <= 60
    assert found == {
        "delivered": 6,
        "deferred": 2,
        "bounced hard": 10,
        "rejected": 1,
        "failed": 1,
        "complained": 3,
        "unsubscribed": 4,
        "": 11,  # sent, opened, clicked, subscribed: nothing of theirs is taken
        "refused": 1,
    }


def test_the_same_said_again_has_the_same_name_and_something_else_has_another() -> None:
    said = {
        "event": "bounce",
        "email": "anna@shop.example",
        "timestamp": 1461095246,
        "status": "5.1.1",
        "reason": "550",
    }

    assert reports_read("sendgrid", [said])[0].name == reports_read("sendgrid", [dict(reversed(said.items()))])[0].name
    assert reports_read("sendgrid", [said])[0].name != reports_read("sendgrid", [{**said, "timestamp": 1}])[0].name


def test_which_message_it_is_about() -> None:
    message_id = uuid4()
    bounce = {
        "bounceType": "Permanent",
        "bounceSubType": "General",
        "bouncedRecipients": [{"emailAddress": "a@b.example"}],
    }
    common = {"notificationType": "Bounce", "bounce": bounce}
    told: list[tuple[str, Any]] = [
        ("sendgrid", {"event": "bounce", "email": "a@b.example", "timestamp": 1, "tessera": str(message_id)}),
        (
            "sendgrid",
            {"event": "bounce", "email": "a@b.example", "timestamp": 1, "smtp-id": f"<{message_id}@b.example>"},
        ),
        ("ses", {**common, "mail": {"headers": [{"name": "Message-ID", "value": f"<{message_id}@b.example>"}]}}),
        ("ses", {**common, "mail": {"headers": [{"name": "X-Metadata", "value": f'{{"tessera": "{message_id}"}}'}]}}),
        ("postmark", {"RecordType": "Bounce", "Type": "HardBounce", "Metadata": {"tessera": str(message_id)}}),
        ("mailjet", {"event": "bounce", "hard_bounce": True, "Payload": f'{{"tessera": "{message_id}"}}'}),
    ]
    for provider, said in told:
        (report,) = reports_read(provider, said)
        assert (provider, report.message_id) == (provider, message_id)
    assert reports_read("mailjet", {"event": "bounce", "Payload": "none"})[0].message_id is None


@pytest.mark.parametrize(
    ("provider", "said", "bounce"),
    [
        ("sendgrid", {"event": "bounce", "status": "5.2.2", "reason": "552 5.2.2 mailbox full"}, "soft"),
        ("sendgrid", {"event": "bounce", "type": "blocked", "status": "5.7.1", "reason": "554 5.7.1 spam"}, "other"),
        ("postmark", {"RecordType": "Bounce", "Type": "SoftBounce"}, "soft"),
        ("mailjet", {"event": "bounce", "hard_bounce": False, "error": "quota exceeded"}, "soft"),
        ("mailjet", {"event": "bounce", "hard_bounce": True, "error": "user unknown"}, "hard"),
    ],
)
def test_whether_a_bounce_is_for_good(provider: str, said: dict[str, Any], bounce: str) -> None:
    assert [one.bounce for one in reports_read(provider, {"email": "a@b.example", "timestamp": 1, **said})] == [bounce]


@pytest.mark.parametrize("version", ["1", "2"])
def test_amazon_speaks_by_its_signature_about_topics_of_ours(version: str, amazon: list[str]) -> None:
    said = sns_check(sns({"notificationType": "Delivery"}, version=version, Subject="a subject"), topics=[TOPIC])

    assert sns_event(said) == {"notificationType": "Delivery"}
    sns_check(sns({}, version=version), topics=[TOPIC])
    assert amazon == [CERTIFICATE_URL]  # kept


def changed(body: bytes, **fields: Any) -> bytes:
    return json.dumps({**json.loads(body), **fields}).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"not json",
        b"[]",
        changed(sns({}), Message="{}2"),
        changed(sns({}), Signature="AAAA"),
        changed(sns({}), Signature="é"),
        changed(sns({}), SignatureVersion="3"),
        changed(sns({}), TopicArn="arn:aws:sns:eu-west-1:999999999999:theirs"),
        sns({}, TopicArn="arn:aws:sns:eu-west-1:999999999999:theirs"),
        sns({}, SigningCertURL="https://sns.eu-west-1.amazonaws.com.evil.example/a.pem"),
        sns({}, SigningCertURL="http://sns.eu-west-1.amazonaws.com/a.pem"),
        sns({}, SigningCertURL="https://user@sns.eu-west-1.amazonaws.com/a.pem"),
        sns({}, SigningCertURL="https://sns.eu-west-1.amazonaws.com:8443/a.pem"),
        sns({}, SigningCertURL="https://sns.eu-west-1.amazonaws.com/a.html"),
        sns({}, SigningCertURL="https://bucket.s3.amazonaws.com/a.pem"),
        sns({}, SigningCertURL="https://[::1"),
    ],
)
def test_others_do_not_speak_for_amazon(body: bytes) -> None:
    with pytest.raises(BadReport):
        sns_check(body, topics=[TOPIC])


def test_a_subscription_is_confirmed_at_amazon_only(amazon: list[str]) -> None:
    url = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=x"
    common = {"Type": "SubscriptionConfirmation", "Token": "x"}
    sns_confirm(sns_check(sns("please", SubscribeURL=url, **common), topics=[TOPIC]))
    assert amazon[-1] == url
    with pytest.raises(BadReport):
        sns_confirm({"SubscribeURL": "https://evil.example/"})
    assert sns_event({"Message": "Successfully validated SNS topic for Amazon SES event publishing."}) is None


def test_sendgrid_speaks_by_its_signature_and_not_of_long_ago() -> None:
    body, stamp = b'[{"event": "bounce"}]', str(int(AT.timestamp()))
    signature = b64encode(EC_KEY.sign(stamp.encode() + body, ec.ECDSA(SHA256()))).decode()
    headers = {
        "X-Twilio-Email-Event-Webhook-Signature": signature,
        "X-Twilio-Email-Event-Webhook-Timestamp": stamp,
    }
    sendgrid_check(body, headers, key=SENDGRID_KEY, at=AT)
    for wrong_body, wrong, at in (
        (body + b" ", headers, AT),
        (body, {**headers, "X-Twilio-Email-Event-Webhook-Signature": "AAAA"}, AT),
        (body, {**headers, "X-Twilio-Email-Event-Webhook-Signature": "é"}, AT),
        (body, {**headers, "X-Twilio-Email-Event-Webhook-Timestamp": str(int(stamp) + 1)}, AT),
        (body, {}, AT),
        (body, headers, AT + timedelta(minutes=10)),
    ):
        with pytest.raises(BadReport):
            sendgrid_check(wrong_body, wrong, key=SENDGRID_KEY, at=at)


def test_a_secret_is_given_whole() -> None:
    def basic(text: str) -> dict[str, str]:
        return {"Authorization": f"Basic {b64encode(text.encode()).decode()}"}

    secret_check(basic("hook:s3cret"), secret="hook:s3cret")
    for headers in ({}, basic("hook:"), basic(""), {"Authorization": "Bearer x"}, {"Authorization": "Basic é"}):
        with pytest.raises(BadReport):
            secret_check(headers, secret="hook:s3cret")
    with pytest.raises(BadReport):
        secret_check(basic(""), secret="")


@pytest.mark.parametrize("provider", ["ses", "sendgrid", "postmark", "mailjet"])
@pytest.mark.parametrize("body", [b"{", b"1", b"null", b'"x"', b"[1]", b"[[]]", b"[" * 100_000, b"\xff", b"{}"])
def test_what_is_of_no_form_is_refused_or_says_nothing(provider: str, body: bytes) -> None:
    try:
        reports = reports_read(provider, body_read(body))
    except BadReport:
        return
    assert [one.kind for one in reports if one.kind] == []
    assert all(one.message_id is None or isinstance(one.message_id, UUID) for one in reports)
