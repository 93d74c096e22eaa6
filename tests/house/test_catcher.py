"""The mail catcher: takes every mail byte for byte, and shows hostile ones harmlessly."""

import email
import email.policy
import http.client
import os
import smtplib
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

import pytest

from bin.lib.catcher_page import list_page
from bin.lib.mailbox import Mailbox, header_decode, mail_parse
from bin.lib.servers import free_port
from bin.lib.venv import ROOT

from .conftest import wait_for


@dataclass
class Catcher:
    """A running catcher."""

    folder: Path
    smtp_port: int
    page_port: int

    def get(self, path: str, host: str = "127.0.0.1") -> tuple[int, str, dict[str, str]]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.page_port, timeout=20)) as client:
            client.request("GET", path, headers={"Host": host})
            answer = client.getresponse()
            return answer.status, answer.read().decode(), {k.lower(): v for k, v in answer.getheaders()}

    def accepted(self) -> list[str]:
        return (self.folder / "accepted.log").read_text().splitlines()

    def last(self) -> tuple[str, bytes]:
        """Id and source of the mail that came last."""
        mailbox = Mailbox(self.folder)
        return mailbox.entries[-1].id, mailbox.source(mailbox.entries[-1])

    def send(self, source: bytes, recipients: tuple[str, ...] = ("ann@example.com",)) -> str:
        """Sends a mail and gives its id."""
        with smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=20) as client:
            client.sendmail("shop@example.com", recipients, source)
        return self.last()[0]


def listens(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def catcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catcher]:
    folder = tmp_path_factory.mktemp("mail")
    smtp, page = free_port(), free_port()
    command = [sys.executable, "-m", "bin.lib.catcher", str(folder), "--smtp-port", str(smtp), "--page-port", str(page)]
    process = subprocess.Popen(
        [*command, "--images-from", "http://127.0.0.1:8000"], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    wait_for(lambda: listens(smtp) and listens(page))
    yield Catcher(folder, smtp, page)
    process.terminate()
    assert process.wait(10) == 0


def mail(subject: str = "Hello", text: str = "Text\r\n", html: str | None = None) -> bytes:
    message = EmailMessage(policy=email.policy.SMTP)
    message["From"] = "Shop <shop@example.com>"
    message["To"] = "Ann <ann@example.com>"
    message["Subject"] = subject
    message["Message-ID"] = "<1@shop.example>"
    message.set_content(text)
    if html is not None:
        message.add_alternative(html, subtype="html")
    return message.as_bytes()


def test_a_mail_is_kept_byte_for_byte_and_logged_for_each_recipient(catcher: Catcher) -> None:
    # given a mail with lines that begin with dots, also its first and its last
    source = b".Odd: 1\r\nMessage-ID: <dots@x>\r\nSubject: dots\r\n\r\n.\r\n..\r\n...x\r\nend\r\n."
    before = len(catcher.accepted())

    # when
    catcher.send(source, ("ann@example.com", "ben@example.com"))

    # then
    assert catcher.last()[1] == source + b"\r\n"
    assert catcher.accepted()[before:] == ["<dots@x>\tann@example.com", "<dots@x>\tben@example.com"]


def test_pipelined_commands_are_answered_in_their_order(catcher: Catcher) -> None:
    with socket.create_connection(("127.0.0.1", catcher.smtp_port), timeout=20) as link:
        lines = link.makefile("rb")
        assert lines.readline().startswith(b"220 ")
        link.sendall(b"EHLO test\r\n")
        offers: list[bytes] = []
        while not offers or offers[-1][3:4] == b"-":
            offers.append(lines.readline())
        assert {b"250-PIPELINING\r\n", b"250-8BITMIME\r\n", b"250-SMTPUTF8\r\n"} <= set(offers)

        # when two mails are sent, the second's envelope with the first's text
        envelope = b"MAIL FROM:<a@x.example> BODY=8BITMIME\r\nRCPT TO:<b@x.example>\r\nDATA\r\n"
        link.sendall(envelope)
        assert [lines.readline()[:3] for _ in range(3)] == [b"250", b"250", b"354"]
        link.sendall(b"Subject: one\r\nMessage-ID: <one@x>\r\n\r\n1\r\n.\r\n" + envelope)
        assert [lines.readline()[:3] for _ in range(4)] == [b"250", b"250", b"250", b"354"]
        link.sendall(b"Subject: two\r\nMessage-ID: <two@x>\r\n\r\n2\r\n.\r\nRSET\r\nNOOP\r\nQUIT\r\n")
        assert [lines.readline()[:3] for _ in range(4)] == [b"250", b"250", b"250", b"221"]

    assert catcher.accepted()[-2:] == ["<one@x>\tb@x.example", "<two@x>\tb@x.example"]


def test_an_empty_mail_and_utf8_addresses_are_taken(catcher: Catcher) -> None:
    with socket.create_connection(("127.0.0.1", catcher.smtp_port), timeout=20) as link:
        lines = link.makefile("rb")
        link.sendall(b"HELO test\r\nEHLO test\r\nMAIL FROM:<> SMTPUTF8\r\n")
        link.sendall("RCPT TO:<jörg@müller.example>\r\n".encode() + b"DATA\r\n")
        link.sendall(b".\r\nQUIT\r\n")
        answers = lines.read()

    assert b"250 2.0.0 Kept as" in answers
    assert catcher.last()[1] == b""
    assert catcher.accepted()[-1] == "\tjörg@müller.example"


def test_only_crlf_ends_a_mail(catcher: Catcher) -> None:
    # given what SMTP smuggling tries: other ends of line around the dot
    smuggled = b"Subject: s\r\n\r\na\n.\nMAIL FROM:<evil@x.example>\n.\r\nb\r.\rc\r\n"
    before = len(catcher.accepted())
    with socket.create_connection(("127.0.0.1", catcher.smtp_port), timeout=20) as link:
        lines = link.makefile("rb")
        link.sendall(b"EHLO t\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@x.example>\r\nDATA\r\n")
        link.sendall(smuggled + b".\r\nQUIT\r\n")
        lines.read()

    assert len(catcher.accepted()) == before + 1
    assert catcher.last()[1] == smuggled


def test_a_line_that_no_relay_takes_is_refused(catcher: Catcher) -> None:
    before = len(catcher.accepted())

    with pytest.raises(smtplib.SMTPDataError) as refused:
        catcher.send(b"Subject: long\r\n\r\n" + b"x" * 999)

    assert refused.value.smtp_code == 500
    assert len(catcher.accepted()) == before
    catcher.send(b"Subject: long\r\n\r\n" + b"x" * 998)


def test_headers_that_python_would_turn_into_others_stay_text(catcher: Catcher) -> None:
    entry = catcher.send(b"Subject: =?utf-8?q?Hi=0D=0ABcc=3Aevil@x.example?=\r\nMessage-ID: <inj@x>\r\n\r\nx\r\n")

    status, page, _ = catcher.get(f"/message/{entry}?view=headers")
    assert status == 200
    assert "<dd>Hi Bcc:evil@x.example</dd>" in page
    assert "<dt>Bcc</dt>" not in page


def test_what_comes_from_outside_is_escaped_everywhere(catcher: Catcher) -> None:
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    source = mail(evil, text=evil, html=f"<p>{evil}</p>")
    source = source.replace(b"Shop <shop@example.com>", b'"<script>alert(2)</script>" <shop@example.com>')
    entry = catcher.send(source)

    for path in ("/", "/?q=alert", f"/message/{entry}", *(f"/message/{entry}?view={v}" for v in ("text", "headers"))):
        status, page, headers = catcher.get(path)
        assert status == 200
        assert "<script" not in page
        assert "<img" not in page
        assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
    _, page, _ = catcher.get("/?q=%22%3E%3Cscript%3Ealert(3)%3C/script%3E")
    assert "<script" not in page


def test_a_mails_html_is_shown_in_a_sandbox_that_loads_nothing(catcher: Catcher) -> None:
    entry = catcher.send(mail(html="<script>alert(1)</script><img src='http://tracker.example/x.png'><p>Hello</p>"))

    status, page, headers = catcher.get(f"/message/{entry}")
    assert status == 200
    assert f'<iframe title="The message as sent" src="/message/{entry}/html" sandbox="allow-popups ' in page
    status, frame, headers = catcher.get(f"/message/{entry}/html")
    assert status == 200
    assert "<p>Hello</p>" in frame
    assert headers["content-security-policy"] == (
        "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; "
        "img-src data: http://127.0.0.1:8000; frame-ancestors 'self'"
    )
    assert headers["content-type"] == "text/html; charset=utf-8"
    status, _, headers = catcher.get(f"/message/{entry}/source")
    assert (status, headers["content-type"], headers["x-content-type-options"]) == (
        200,
        "text/plain; charset=utf-8",
        "nosniff",
    )


@pytest.mark.parametrize(
    "path",
    [
        "/message/../accepted.log",
        "/message/%2e%2e/accepted",
        "/message/2026-01-01/../../x/source",
        "/message/",
        "/message/x/y/html",
        "/secrets.json",
        "/%00",
        "//evil.example/",
    ],
)
def test_nothing_but_mails_is_served(catcher: Catcher, path: str) -> None:
    assert catcher.get(path)[0] == 404


def test_another_name_for_this_machine_is_refused(catcher: Catcher) -> None:
    assert catcher.get("/", host="evil.example")[0] == 403
    assert catcher.get("/", host=f"localhost:{catcher.page_port}")[0] == 200


HOSTILE = {
    "no headers at all": b"just a line\r\n",
    "only binary": os.urandom(900).replace(b"\r", b"").replace(b"\n", b""),
    "nul": b"Subject: a\0b\r\n\r\n\0\r\n",
    "unknown charset": b"Content-Type: text/plain; charset=x-nonsense\r\nSubject: =?x-nonsense?q?a?=\r\n\r\n\xff\r\n",
    "broken encoded word": b"Subject: =?utf-8?b?!!!?= =?utf-8?q?=ZZ?=\r\n\r\nx\r\n",
    "broken base64": b"Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n=a=b=c\r\n",
    "no boundary": b"Content-Type: multipart/mixed\r\n\r\nx\r\n",
    "boundary never comes": b'Content-Type: multipart/mixed; boundary="b"\r\n\r\nx\r\n',
    "deep": b"".join(b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (n, n) for n in range(1000)),
    "uuencode": b"Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin 666 x\r\n#zzz\r\n",
    "odd parameters": b"Content-Type: text/plain; charset*0*=''; =; charset*1=%ff\r\nFrom: <<<@@>>>\r\n\r\nx\r\n",
    "many headers": b"".join(b"X-%d: y\r\n" % n for n in range(5000)) + b"\r\nx\r\n",
    "control characters": "Subject: a\u2028b\u202ec\x1b[31m\r\n\r\nx\r\n".encode(),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_mails_can_be_looked_at(catcher: Catcher, name: str) -> None:
    entry = catcher.send(HOSTILE[name])

    assert catcher.get("/")[0] == 200
    for view in ("", "html", "text", "headers", "source"):
        assert catcher.get(f"/message/{entry}?view={view}")[0] == 200
    assert catcher.get(f"/message/{entry}/html")[0] in {200, 404}


def test_the_list_finds_and_turns_pages(tmp_path: Path) -> None:
    # given
    mailbox = Mailbox(tmp_path)
    for number in range(120):
        mailbox.add(b"Subject: Number %d\r\n\r\n" % number, sender="a@x", recipients=[f"person{number}@example.com"])

    # when
    first, last, found = (list_page(mailbox, *what).decode() for what in (("", 1), ("", 99), ("NUMBER person77@", 1)))

    # then
    assert first.count("<li>") == 50
    assert "Number 119" in first
    assert 'href="/?page=2"' in first
    assert last.count("<li>") == 20
    assert "Page 3 of 3" in last
    assert found.count("<li>") == 1
    assert "1 mail found" in found


def test_mails_are_found_again_by_the_next_start_and_a_torn_line_is_passed_over(tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path)
    first = mailbox.add(b"Subject: one\r\n\r\n1", sender="a@x", recipients=["b@x"])
    with next(tmp_path.glob("*/index.jsonl")).open("a") as index:
        index.write('{"id": "torn')
        index.write("\n")
    second = mailbox.add(b"Subject: two\r\n\r\n2", sender="a@x", recipients=["b@x"])

    again = Mailbox(tmp_path)

    assert [entry.id for entry in again.entries] == [first.id, second.id]
    assert again.source(again.entries[0]) == b"Subject: one\r\n\r\n1"
    assert first.id < second.id


def test_headers_are_decoded_for_people() -> None:
    assert (
        header_decode("=?utf-8?q?Gr=C3=BC=C3=9Fe?= =?utf-8?q?_aus?=\r\n =?iso-8859-1?q?_K=F6ln?=") == "Grüße aus Köln"
    )
    assert header_decode("=?utf-8?q?a=0D=0Ab?=") == "a b"


def test_a_mail_in_another_charset_is_shown_in_unicode() -> None:
    parsed = mail_parse(b"Content-Type: text/plain; charset=iso-8859-1\r\n\r\nK\xf6ln\r\n")

    assert parsed is not None
    assert parsed.text == "Köln\r\n"
