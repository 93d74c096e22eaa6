"""What mail servers send back is understood: by real bounces, by the standards, and whatever somebody makes of MIME."""

import csv
import hashlib
from collections import defaultdict
from email import message_from_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.delivery.channels.bounces import Heard, bounce_read
from apps.delivery.channels.verdicts import verdict_of
from tests.examples import tries
from tests.online_retail import FILE

BOUNCES = FILE.parent / "bounces"


def dsn(
    action: str = "failed",
    status: str = "5.1.1",
    diagnostic: str = "smtp; 550 5.1.1 User unknown",
    text: str = "No.",
) -> bytes:
    """A report as RFC 3464 has it."""
    return (
        "From: MAILER-DAEMON@mx.example\r\nSubject: Undelivered\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="x"\r\n\r\n'
        f"--x\r\nContent-Type: text/plain\r\n\r\n{text}\r\n"
        "--x\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n"
        "Original-Recipient: rfc822; anna@shop.example\r\nFinal-Recipient: rfc822; anna@elsewhere.example\r\n"
        f"Action: {action}\r\nStatus: {status}\r\nDiagnostic-Code: {diagnostic}\r\n\r\n"
        "--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: 550 5.1.1 user unknown\r\n\r\nHello\r\n--x--\r\n"
    ).encode()


def complaint(kind: str = "abuse") -> bytes:
    """A report as RFC 5965 has it."""
    return (
        'Content-Type: multipart/report; report-type=feedback-report; boundary="x"\r\nMIME-Version: 1.0\r\n\r\n'
        "--x\r\nContent-Type: text/plain\r\n\r\nThis is a complaint.\r\n"
        "--x\r\nContent-Type: message/feedback-report\r\n\r\n"
        f"Feedback-Type: {kind}\r\nVersion: 1\r\nUser-Agent: Some/1.0\r\nOriginal-Rcpt-To: <anna@shop.example>\r\n\r\n"
        "--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: News\r\n\r\nHello\r\n--x--\r\n"
    ).encode()


@pytest.mark.skipif(not BOUNCES.exists(), reason="the real bounces are not here")
def test_real_bounces_are_judged_as_people_judged_them(capsys: pytest.CaptureFixture[str]) -> None:
    """Rules were written by looking at one half of the files (by the hash of their names); both are told apart here."""
    agreed: defaultdict[tuple[str, str], list[bool]] = defaultdict(list)
    with (BOUNCES / "labels.csv").open() as labels:
        for row in csv.DictReader(labels):
            content = (BOUNCES / "eml" / row["file"]).read_bytes()
            parts = message_from_bytes(content).walk()
            kind = "by status" if any(p.get_content_type() == "message/delivery-status" for p in parts) else "by words"
            half = "other half" if hashlib.sha256(row["file"].encode()).digest()[0] % 2 else "looked at"
            heard, place = bounce_read(content), int(row["recipient_index"])
            one = heard[place] if place < len(heard) else (heard[-1] if heard else Heard(""))
            hard = one.kind == "bounced" and one.bounce == "hard"
            agreed[kind, half].append(hard == (row["hardbounce"] == "1"))
    shares = {}
    for kind in ("by status", "by words"):
        both = [ok for half in ("looked at", "other half") for ok in agreed[kind, half]]
        shares[kind] = sum(both) / len(both)
        halves = ", ".join(f"{half} {sum(of)}/{len(of)}" for (k, half), of in sorted(agreed.items()) if k == kind)
        with capsys.disabled():
            print(f"\nbounces {kind}: {shares[kind]:.3f} of {len(both)} ({halves})")  # noqa: T201  # it is asked for
    assert shares["by status"] >= 0.95
    assert shares["by words"] >= 0.85


@pytest.mark.parametrize(
    ("status", "diagnostic", "bounce", "reason"),
    [
        ("5.1.1", "smtp; 550 5.1.1 <anna@shop.example>: User unknown", "hard", "no_such_user"),
        ("5.1.1", "smtp; 552 5.2.2 Over quota", "soft", "mailbox_full"),
        ("5.1.1", "smtp; 550 5.7.1 IP address blacklisted", "other", "reputation"),
        ("5.1.2", "smtp; 550 Host unknown", "hard", "no_such_domain"),
        ("5.1.10", "smtp; 556 5.1.10 null MX", "hard", "takes_no_mail"),
        ("5.1.6", "smtp; 551 5.1.6 gone", "hard", "has_moved"),
        ("5.2.1", "smtp; 550 5.2.1 The email account is disabled", "soft", "disabled"),
        ("5.2.2", "smtp; 552 5.2.2", "soft", "mailbox_full"),
        ("5.7.26", "smtp; 550 5.7.26 DMARC", "other", "authentication"),
        ("5.7.1", "smtp; 554 5.7.1 Message rejected as spam", "other", "spam"),
        ("5.7.1", "smtp; 554 5.7.1 Relay access denied", "other", "relaying"),
        ("5.3.4", "smtp; 552 message too large", "other", "too_large"),
        ("4.4.7", "smtp; 451 4.4.7 expired", "soft", "expired"),
        ("4.4.4", "smtp; 450 4.4.4 Domain not found", "soft", "no_such_domain"),
        ("5.0.0", "x-unix; procmail: no such user", "soft", "system"),
        ("5.0.0", "smtp; 550 something that nobody knows", "soft", "undetermined"),
    ],
)
def test_what_a_refusal_means(status: str, diagnostic: str, bounce: str, reason: str) -> None:
    (heard,) = bounce_read(dsn(status=status, diagnostic=diagnostic))

    assert (heard.kind, heard.bounce, heard.reason) == ("bounced", bounce, reason)
    assert heard.structured
    assert heard.recipient == "anna@shop.example"


def test_what_is_said_to_the_content_is_a_filters_word() -> None:
    word = "smtp; 550 Unknown user anna@shop.example"
    said = "... while talking to mx.example.:\r\n>>> DATA\r\n<<< 550 Unknown user anna@shop.example"
    assert bounce_read(dsn("failed", "5.0.0", word, said))[0].bounce == "soft"
    # sent together with the recipient, it was the recipient that was refused
    pipelined = f"{said}\r\n<<< 503 5.5.1 Need RCPT (recipient)"
    assert bounce_read(dsn("failed", "5.0.0", word, pipelined))[0].bounce == "hard"


@pytest.mark.parametrize(
    ("action", "kind"),
    [("failed", "bounced"), ("delayed", "deferred"), ("delivered", "delivered"), ("relayed", "delivered")],
)
def test_what_happened_is_said_by_the_action(action: str, kind: str) -> None:
    assert [heard.kind for heard in bounce_read(dsn(action, "4.4.1", "smtp; 421 busy"))] == [kind]


@pytest.mark.parametrize(
    ("kind", "heard"),
    [
        ("abuse", "complained"),
        ("fraud", "complained"),
        ("opt-out", "unsubscribed"),
        ("not-spam", ""),
        ("auth-failure", ""),
    ],
)
def test_complaints(kind: str, heard: str) -> None:
    assert [one.kind for one in bounce_read(complaint(kind))] == [heard]
    assert bounce_read(complaint(kind))[0].recipient == "anna@shop.example"


def test_machines_that_answer_are_no_bounces_and_letters_say_nothing() -> None:
    away = b"From: anna@shop.example\r\nAuto-Submitted: auto-replied\r\nSubject: Re: News\r\n\r\nI am away."
    assert [one.kind for one in bounce_read(away)] == ["autoresponded"]
    assert bounce_read(b"From: anna@shop.example\r\nSubject: Re: News\r\n\r\nThank you, how lovely!") == []
    assert bounce_read(b"") == []


def test_the_message_that_is_returned_is_not_read_as_the_report() -> None:
    content = dsn("failed", "5.0.0", "smtp; 554 no words for it")

    assert bounce_read(content)[0].bounce == "soft"  # its subject says that a user is unknown


@pytest.mark.parametrize(
    "body",
    [b"<style " * 40_000, b"<" * 200_000, b"<script>" * 30_000, b"a@" * 200_000, b"-- \n" * 100_000, b"&lt" * 80_000],
    ids=["style", "brackets", "scripts", "addresses", "lines", "entities"],
)
@pytest.mark.parametrize("kind", ["html", "plain"])
def test_what_is_made_to_take_long_does_not(body: bytes, kind: str) -> None:
    content = b"From: MAILER-DAEMON@x.example\r\nContent-Type: text/" + kind.encode() + b"\r\n\r\n" + body

    assert all(heard.bounce != "hard" for heard in bounce_read(content))


def test_parts_within_parts_without_end_are_read_to_nothing() -> None:
    nested = b"".join(b'Content-Type: multipart/mixed; boundary="%d"\n\n--%d\n' % (at, at) for at in range(3000))

    assert bounce_read(nested) == []


@settings(max_examples=tries(150), deadline=None)
@given(st.binary(max_size=400), st.integers(0, 900), st.integers(0, 400))
def test_any_bytes_are_read_or_not_but_never_fail(noise: bytes, at: int, length: int) -> None:
    whole = dsn()
    for heard in bounce_read(whole[:at] + noise + whole[at + length :]):
        assert heard.bounce in ("", "hard", "soft", "other")


@settings(max_examples=tries(100), deadline=None)
@given(st.text(max_size=300), st.sampled_from(["", "5.1.1", "4.4.1", "5.0.0"]))
def test_any_words_have_a_verdict(text: str, status: str) -> None:
    verdict = verdict_of(text, status=status)

    assert verdict.bounce in ("hard", "soft", "other")
    assert verdict == verdict_of(text, status=status)
