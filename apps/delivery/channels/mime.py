"""The bytes of a message (RFC 5322, RFC 2045 to 2047, RFC 2369, RFC 2919, RFC 8058).

Made here and not by the standard library's `email`: that takes 1.9 ms a message, and its headers can be broken out of
by an encoded word (CVE-2024-6923). The same letter gives the same bytes, always.

Headers are strict: what enters one is a single line without control characters and without characters that turn the
direction of writing, and nothing in it begins an encoded word of somebody else's; what is not plain ASCII is encoded
whole.
"""

import re
from base64 import b64encode
from binascii import b2a_qp
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from itertools import accumulate
from typing import Final, NamedTuple
from uuid import UUID

from .addresses import address_for_wire

_PLAIN = re.compile(r"[!-~]+(?: [!-~]+)*")
_GONE = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_SPACES = re.compile("[\x00-\x20\x7f-\x9f\u2028\u2029]+")
_LONE = re.compile("[\ud800-\udfff]")
_PHRASE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_TOKEN = re.compile(r"[A-Za-z0-9._-]+")
_URL = re.compile(r"https?://[!#-;=?-~]{1,900}")

_TEXT_HEAD: Final = (
    b"\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
)
_HTML_HEAD: Final = _TEXT_HEAD.replace(b"plain", b"html")
_SOFT: Final = b"=\r\n"
_QUOTED_LINE: Final = 76
_AS_IT_IS = re.compile(r"[ !-<>-~]*[!-\-/-<>-~]")
"""A piece of which nothing is quoted. White space and a dot may be, where a line ends with them."""

LINE: Final = 78
"""Characters that a line should not exceed (RFC 5322, 2.1.1); one with an encoded word may have 76 (RFC 2047, 2)."""
_WORD_OPEN, _WORD_CLOSE = "=?utf-8?b?", "?="


class Letter(NamedTuple):
    """Everything that an e-mail's bytes depend on.

    html: in pieces, of which many letters share the first, the third and so on (`Rendered.html_pieces`);
    dated_at: aware; unsubscribe_url: where one POST leaves (RFC 8058), "" for mail that nobody can leave;
    list_label: the first part of the List-Id, "" for none.
    """

    message_id: UUID
    from_name: str
    from_email: str
    reply_to: str
    to: str
    subject: str
    text: str
    html: tuple[str, ...]
    dated_at: datetime
    unsubscribe_url: str
    list_label: str


def header_clean(text: str) -> str:
    """`text` as it will read in a header: one line, no space at its ends, no control characters, no encoded word.

    An encoded word would be encoded whole and read back as it was, but there are readers that decode twice.
    """
    if not _PLAIN.fullmatch(text):
        text = _SPACES.sub(" ", _LONE.sub("\ufffd", _GONE.sub("", text))).strip()
    return text.replace("=?", "= ?") if "=?" in text else text


def _encoded_words(text: str, used: int) -> str:
    """`text` as encoded words (RFC 2047, B), folded; `used`: characters that stand before it on its line.

    No character is split between two words, and no line is above 76.
    """
    words: list[str] = []
    chunk = bytearray()
    room = _word_room(used)
    for character in text:
        raw = character.encode()
        if len(chunk) + len(raw) > room:
            words.append(f"{_WORD_OPEN}{b64encode(chunk).decode()}{_WORD_CLOSE}" if chunk else "")
            chunk.clear()
            room = _word_room(1)
        chunk += raw
    words.append(f"{_WORD_OPEN}{b64encode(chunk).decode()}{_WORD_CLOSE}")
    return "\r\n ".join(words)


def _word_room(used: int) -> int:
    """Bytes that an encoded word may carry after `used` characters; words end at 75 (RFC 2047, 2)."""
    return max(0, min(75, 76 - used) - len(_WORD_OPEN) - len(_WORD_CLOSE)) // 4 * 3


def _folded(text: str, used: int) -> str | None:
    """Plain ASCII folded at its spaces into lines of at most 78, or None where that can't be."""
    lines = [""]
    length = used
    for word in text.split(" "):
        space = 1 if lines[-1] else 0
        if lines[-1] and length + space + len(word) > LINE:
            lines.append(word)
            length = 1 + len(word)
        else:
            lines[-1] += " " * space + word
            length += space + len(word)
        if length > LINE:
            return None
    return "\r\n ".join(lines)


def header_text(name: str, text: str) -> str:
    """A header of free text (RFC 5322, `unstructured`), folded, without its last CRLF."""
    text = header_clean(text)
    used = len(name) + 2
    if text.isascii():
        if used + len(text) <= LINE:
            return f"{name}: {text}"
        folded = _folded(text, used)
        if folded is not None:
            return f"{name}: {folded}"
    return f"{name}: {_encoded_words(text, used)}"


def header_mailbox(name: str, display: str, address: str) -> str:
    """A header of one mailbox (RFC 5322, 3.4). Raises PermanentError for an address that can't stand there."""
    address = address_for_wire(address)
    display = header_clean(display)
    if not display:
        return f"{name}: {address}"
    used = len(name) + 2
    if display.isascii() and used + len(display) + 2 <= LINE:
        if _PHRASE.fullmatch(display):
            phrase = display
        else:
            phrase = '"' + display.replace("\\", "\\\\").replace('"', '\\"') + '"'
        if used + len(phrase) > LINE:
            phrase = _encoded_words(display, used)
    else:
        phrase = _encoded_words(display, used)
    last = used + len(phrase) if "\r\n" not in phrase else len(phrase) - phrase.rindex("\n") - 1
    fold = "\r\n " if last + len(address) + 3 > LINE - 2 else " "
    return f"{name}: {phrase}{fold}<{address}>"


def _lines(text: str) -> str:
    """`text` with every line ended by one LF."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _quoted_printable(text: str) -> bytes:
    return b2a_qp(_lines(text).encode("utf-8", "replace"), quotetabs=False, istext=True).replace(b"\n", b"\r\n")


@lru_cache(maxsize=1_024)
def _shared_piece(text: str) -> tuple[bytes, tuple[int, ...]]:
    """The same of a piece that many letters share, and where its lines begin with a dot."""
    quoted = _quoted_piece(text)
    return quoted, _dots(quoted)


@lru_cache(maxsize=512)
def _shared(texts: tuple[str, ...]) -> tuple[tuple[bytes, ...], tuple[tuple[int, int], ...]]:
    """The pieces that many letters share, and where in them lines begin with a dot: which piece, and which byte."""
    pieces = [_shared_piece(text) for text in texts]
    return tuple(quoted for quoted, _ in pieces), tuple(
        (at, byte) for at, (_, dots) in enumerate(pieces) for byte in dots
    )


def _dots(piece: bytes) -> tuple[int, ...]:
    """Where its lines begin with a dot; it begins a line itself."""
    if not _dotted(piece):
        return ()
    lines = accumulate((len(line) + 1 for line in piece.split(b"\n")), initial=0)
    return tuple(byte for byte in lines if piece[byte : byte + 1] == b".")


def _dotted(piece: bytes) -> bool:
    return piece.startswith(b".") or b"\n." in piece


def _html(pieces: tuple[str, ...]) -> tuple[list[bytes], tuple[tuple[int, int], ...] | None]:
    """Pieces of one text in quoted-printable, and where their lines begin with a dot (`_shared`), None where that is
    not known. Between two pieces the line is broken softly (RFC 2045, 6.7, rule 5), so that each is encoded by itself,
    whatever stands before it.
    """
    own = pieces[1::2]
    quoted = {piece: _quoted_piece(piece) for piece in set(own)}  # what stands there often is encoded once
    encoded = [b""] * len(pieces)
    encoded[::2], dots = _shared(pieces[::2])
    encoded[1::2] = [quoted[piece] for piece in own]
    for at in range(len(encoded) - 1, -1, -1):
        if encoded[at]:
            encoded[at] = encoded[at].removesuffix(_SOFT)
            break
    return encoded, None if _dotted(b"\n".join(quoted.values())) else dots


def _quoted_piece(text: str) -> bytes:
    """A piece in quoted-printable, to whose end anything may be put: a line that it leaves open is broken softly."""
    if _AS_IT_IS.fullmatch(text):  # as what is a person's own nearly always is
        lines = [text[at : at + _QUOTED_LINE - 1] for at in range(0, len(text), _QUOTED_LINE - 1)]
        return "=\r\n".join((*lines, "")).encode()
    quoted = _quoted_printable(text)
    if not quoted or quoted.endswith(b"\n"):
        return quoted
    if len(quoted) - (quoted.rfind(b"\n") + 1) > _QUOTED_LINE - 1:  # no room for the sign: what stands last goes on
        last = 3 if quoted[-3:-2] == b"=" else 1
        quoted = quoted[:-last] + _SOFT + quoted[-last:]
    return quoted + _SOFT


@lru_cache(maxsize=256)
def _sender(name: str, address: str, reply_to: str, list_label: str) -> tuple[str, str, str]:
    """What thousands of letters have in common: the sender's domain, the From header, those for answers and the list,
    each of these behind a CRLF. Raises PermanentError, ValueError."""
    domain, rest = address_for_wire(address).rpartition("@")[2], ""
    if reply_to:
        rest += "\r\n" + header_mailbox("Reply-To", "", reply_to)
    if list_label:
        if not _TOKEN.fullmatch(list_label):
            raise ValueError("a list label has letters, digits, dots and hyphens")
        rest += f"\r\nList-Id: <{list_label}.{domain}>"
    return domain, header_mailbox("From", name, address), rest


@lru_cache(maxsize=64)
def _dated(at: datetime) -> str:
    """The Date header: all letters of a claim have one."""
    return f"Date: {format_datetime(at.astimezone(UTC))}"


def letter_bytes(letter: Letter) -> bytes:
    """The message: multipart/alternative, the text first, then the HTML. Raises as `letter_dotted`."""
    return letter_dotted(letter)[0]


def letter_dotted(letter: Letter) -> tuple[bytes, Sequence[int] | None]:
    """The message, and where its lines begin with a dot, None where that is not known: who escapes them for the wire
    need not look through all of it.

    Raises PermanentError (`invalid_address`) for an address, ValueError for a list label or link that can't stand in
    a header; both of those are made by Tessera itself.
    """
    domain, sent_from, answers = _sender(letter.from_name, letter.from_email, letter.reply_to, letter.list_label)
    boundary = f"=_{letter.message_id.hex}"
    headers = [
        sent_from,
        header_mailbox("To", "", letter.to),
        header_text("Subject", letter.subject),
        _dated(letter.dated_at),
        f"Message-ID: <{letter.message_id}@{domain}>{answers}",
    ]
    if letter.unsubscribe_url:
        if not _URL.fullmatch(letter.unsubscribe_url):
            raise ValueError("not a link that a header can hold")
        headers.append(f"List-Unsubscribe: <{letter.unsubscribe_url}>")
        headers.append("List-Unsubscribe-Post: List-Unsubscribe=One-Click")
    headers.append("MIME-Version: 1.0")
    headers.append(f'Content-Type: multipart/alternative;\r\n boundary="{boundary}"')
    edge = f"\r\n--{boundary}".encode()
    text = _quoted_printable(letter.text)
    html, dots = _html(letter.html)
    begun = ("\r\n".join(headers).encode(), b"\r\n", edge, _TEXT_HEAD, text, edge, _HTML_HEAD)
    content = b"".join((*begun, *html, edge, b"--\r\n"))
    if dots is None or _dotted(text):
        return content, None
    if not dots:
        return content, ()
    starts = list(accumulate(map(len, html), initial=sum(map(len, begun))))
    return content, [starts[2 * at] + byte for at, byte in dots]
