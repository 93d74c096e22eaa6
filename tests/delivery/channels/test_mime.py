"""The bytes of a message: read back by the standard library, whatever is put in."""

import email
import email.policy
import email.utils
import hashlib
import quopri
import re
import unicodedata
from datetime import UTC, datetime
from email.header import decode_header, make_header
from email.message import EmailMessage
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.delivery.channels import mime
from apps.delivery.channels.mime import Letter, header_clean, letter_bytes, letter_dotted
from apps.delivery.channels.smtp_line import _stuffed
from apps.foundation.core.errors import PermanentError
from tests.examples import tries

ID = UUID("01920000-0000-7000-8000-000000000001")
LINK = "https://shop.example/u/k1.AAAA-_"
HOSTILE = [
    "=?utf-8?q?Hi=0D=0ABcc=3A_victim@example.com?=",
    "Hi\r\nBcc: victim@example.com",
    "Hi\nBcc: victim@example.com\n\nbody",
    "Hi\x00there",
    "Hi\u2028Bcc: a@b\u2029x",
    "\u202eevil\u2066x\u2069",
    "{{7*7}}",
    "a" * 2000,
    "ä" * 300,
    "word " * 200,
    '"quoted" <a@b>, c@d; (comment) \\',
    "🎉" * 40,
    "=?utf-8?b?????=",
    "\ud800 lone",
    "\x85\x9f C1",
    "   spaces   ",
]


def letter(**changes: object) -> Letter:
    """A whole letter, with changes."""
    values: dict[str, object] = {
        "message_id": ID,
        "from_name": "The Shop",
        "from_email": "news@shop.example",
        "reply_to": "help@shop.example",
        "to": "customer@example.com",
        "subject": "News",
        "text": "Hello\n",
        "html": ("<p>Hello</p>",),
        "dated_at": datetime(2026, 11, 22, 10, 0, tzinfo=UTC),
        "unsubscribe_url": LINK,
        "list_label": "marketing",
    }
    return Letter(**{**values, **changes})  # type: ignore[arg-type]


def parsed(content: bytes) -> EmailMessage:
    """What a reader sees."""
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def mailbox(content: bytes) -> tuple[str, str]:
    """Name and address of From. Not by the newer parser: until Python 3.13 it keeps the space between two encoded
    words of a name, against RFC 2047, 6.2.
    """
    raw = email.message_from_bytes(content)["From"].replace("\r\n", "")
    name, address = email.utils.parseaddr(raw)
    return str(make_header(decode_header(name))), address


HEADERS = [
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "Reply-To",
    "List-Id",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "MIME-Version",
    "Content-Type",
]


def test_a_letter_has_every_header_it_should() -> None:
    message = parsed(letter_bytes(letter()))
    assert message.keys() == HEADERS
    assert message["From"] == "The Shop <news@shop.example>"
    assert message["To"] == "customer@example.com"
    assert message["Date"] == "Sun, 22 Nov 2026 10:00:00 +0000"
    assert message["Message-ID"] == f"<{ID}@shop.example>"
    assert message["Reply-To"] == "help@shop.example"
    assert message["List-Id"] == "<marketing.shop.example>"
    # RFC 8058, 3.1: one HTTPS link in List-Unsubscribe, and exactly this second header
    assert message["List-Unsubscribe"] == f"<{LINK}>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    text, html = message.iter_parts()
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")


def test_mail_that_nobody_can_leave_has_no_list_headers() -> None:
    message = parsed(letter_bytes(letter(unsubscribe_url="", list_label="", reply_to="")))
    assert [name for name in message if name.startswith("List")] == []
    assert message["Reply-To"] is None


def test_the_same_letter_gives_the_same_bytes() -> None:
    digests = {
        hashlib.sha256(letter_bytes(letter(subject="Größe", html=("<p>ü</p>" * 99, "Zoë")))).digest() for _ in range(9)
    }
    assert len(digests) == 1


def lines_are_lawful(content: bytes) -> None:
    """RFC 5322, 2.1.1 and 2.3: CRLF ends lines, none is above 998; RFC 2047, 2: 76 with an encoded word."""
    assert b"\n" not in content.replace(b"\r\n", b"")
    assert b"\r" not in content.replace(b"\r\n", b"")
    assert b"\0" not in content
    for line in content.split(b"\r\n"):
        assert len(line) <= 998
        if b"=?utf-8?b?" in line:
            assert len(line) <= 76
    head = content.partition(b"\r\n\r\n")[0]
    assert head.isascii()
    for line in head.split(b"\r\n"):
        assert len(line) <= 78 or b" " not in line.strip()
        assert line.strip()


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(text: str) -> None:
    message = parsed(content := letter_bytes(letter(subject=text, from_name=text)))
    lines_are_lawful(content)
    assert message.keys() == HEADERS
    assert message["Subject"] == header_clean(text)
    assert mailbox(content) == (header_clean(text), "news@shop.example")
    assert len(message["From"].addresses) == 1


@given(subject=st.text(max_size=300), name=st.text(max_size=120))
def test_any_subject_and_name_read_back_the_same(subject: str, name: str) -> None:
    message = parsed(content := letter_bytes(letter(subject=subject, from_name=name)))
    lines_are_lawful(content)
    assert message.keys() == HEADERS
    assert str(message["Subject"]) == header_clean(subject)
    assert [one.addr_spec for one in message["From"].addresses] == ["news@shop.example"]
    assert mailbox(content) == (header_clean(name), "news@shop.example")
    assert "\r" not in header_clean(subject)
    assert "\n" not in header_clean(subject)


TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
tricks = st.lists(
    st.one_of(
        st.text(max_size=20),
        st.characters(categories=["Cc", "Cf", "Zl", "Zp", "Cs"]),
        st.sampled_from(["=?", "?=", "=?utf-8?q?", "=?utf-8?b?QmNjOiBhQGIu?=", "=0D=0ABcc:_a@b.example", "\r\n", "\n",
                         "Bcc: a@b.example", "\x85", "\u2028", "\u202e", "\0", "<a@b.example>", ",", '"', "\\", ":"]),
    ),
    max_size=12,
).map("".join)  # fmt: skip


@given(subject=tricks, name=tricks)
@settings(max_examples=tries(60), deadline=None)
def test_no_trick_makes_a_header_however_often_it_is_decoded(subject: str, name: str) -> None:
    """Python 3.11's own parser, then its writer, which makes headers of what was encoded (CVE-2024-6923)."""
    message = parsed(letter_bytes(letter(subject=subject, from_name=name)))
    for _ in range(3):
        assert message.keys() == HEADERS
        assert [one.addr_spec for one in message["From"].addresses] == ["news@shop.example"]
        for header in ("Subject", "From"):
            value = str(message[header])
            assert not any(unicodedata.category(c) in ("Cc", "Zl", "Zp", "Cs") for c in value)
            assert not any(
                c in value for c in "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
            )
            assert "=?" not in value
        message = parsed(message.as_bytes())


@given(
    text=st.text(max_size=2000),
    html=st.lists(st.text(max_size=300).filter(lambda piece: not piece.endswith("\r")), min_size=1, max_size=9),
)
def test_any_body_reads_back_the_same_however_it_is_cut(text: str, html: list[str]) -> None:
    message = parsed(content := letter_bytes(letter(text=text, html=tuple(html))))
    lines_are_lawful(content)
    plain, rich = message.iter_parts()
    for part, said in ((plain, text), (rich, "".join(html))):
        raw = part.get_payload(decode=True)
        assert isinstance(raw, bytes)
        lines = said.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")
        assert raw == lines.encode("utf-8", "replace")
        body = part.as_bytes().partition(b"\n\n")[2]
        assert max(map(len, body.splitlines()), default=0) <= 76  # RFC 2045, 6.7, rule 5


@pytest.mark.parametrize(
    "address",
    [
        "",
        "nobody",
        "a b@example.com",
        "a@b\r\nBcc: c@d",
        "<a@example.com>",
        "a@example.com,b@example.com",
        "a@-x-",
        "@x",
    ],
)
def test_what_is_no_address_reaches_no_header(address: str) -> None:
    with pytest.raises(PermanentError) as caught:
        letter_bytes(letter(to=address))
    assert caught.value.code == "invalid_address"


def test_a_domain_beyond_ascii_goes_as_idna() -> None:
    assert parsed(letter_bytes(letter(to="anna@bücher.example")))["To"] == "anna@xn--bcher-kva.example"


@pytest.mark.parametrize("link", ["https://x.example/a b", "https://x.example/\r\nX: y", "javascript:alert(1)", "x>"])
def test_a_link_that_would_break_its_header_is_refused(link: str) -> None:
    with pytest.raises(ValueError, match="not a link"):
        letter_bytes(letter(unsubscribe_url=link))


def test_size_stays_near_what_is_in_it() -> None:
    html = '<p class="more">Größe und mehr</p>' * 700
    content = letter_bytes(letter(html=(html,), text="Größe\n" * 100))
    assert len(content) < len(html.encode()) * 1.4 + 3000


DOTTED = st.one_of(
    st.text(st.sampled_from(".\n\r =ä"), max_size=200),
    st.sampled_from(["", ".", "..", "\n.", ".\n.\n", "x" * 73 + "..."]),
)


@settings(deadline=None)
@given(text=DOTTED, html=st.lists(DOTTED, min_size=1, max_size=5).filter(lambda pieces: len(pieces) % 2 == 1))
def test_where_lines_begin_with_a_dot_is_known_or_looked_for(text: str, html: list[str]) -> None:
    made = letter(text=text, html=tuple(html))
    for _ in range(2):  # as it is the first time, and of what is kept
        content, dots = letter_dotted(made)
        assert content == letter_bytes(made)
        assert _stuffed(content, dots) == _stuffed(content, None)


def test_a_style_that_begins_with_a_dot_is_known_and_what_is_ones_own_is_looked_for() -> None:
    content, dots = letter_dotted(letter(html=("<style>\n.a { }\n.b { }\n", "own", "\n.c</style>")))
    assert dots is not None
    assert [content[dot : dot + 2] for dot in dots] == [b".a", b".b", b".c"]
    assert letter_dotted(letter(html=("<p>", "\n.own", "</p>")))[1] is None
    assert letter_dotted(letter(text=".text\n"))[1] is None


@settings(deadline=None, max_examples=tries(400))
@given(st.one_of(st.text(st.sampled_from("a.= ~\n\tß_"), max_size=160), st.text(st.sampled_from("a. "), max_size=160)))
def test_a_piece_of_which_nothing_is_quoted_becomes_what_any_other_way_gives(text: str) -> None:
    quoted = mime._quoted_piece(text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mime, "_AS_IT_IS", re.compile(r"(?!)"))
        assert mime._quoted_piece(text) == quoted
    assert quopri.decodestring(quoted.replace(b"\r\n", b"\n")).decode() == text
    assert all(len(line) <= 76 for line in quoted.split(b"\r\n"))
