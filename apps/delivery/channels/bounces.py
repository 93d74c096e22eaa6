"""Reading what mail servers send back: delivery status (RFC 3464), complaints (RFC 5965), answers by machines
(RFC 3834), and bounces that are only words. Pure.

Whatever comes in is somebody else's: nothing is believed but what a message of ours is said to have met, and whose
message it is the signed return path says, not what stands in here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.errors import MessageError
from email.message import Message
from html import unescape
from typing import Final

from .verdicts import reply_in, status_in, tells, verdict_of

MOST: Final = 1024 * 1024
"""Bytes that are read; a bounce that holds more holds our own message behind it."""
_TEXT_MOST: Final = 20_000
_HTML_MOST: Final = 300_000
_LINE_END: Final = ("br", "p>", "p ", "div", "tr", "li")
_UNSEEN: Final = {"style": "</style", "script": "</script", "!--": "-->"}
"""What is not shown, by how it begins, and how it ends."""
_PEOPLE_MOST: Final = 50


@dataclass(frozen=True, slots=True)
class Heard:
    """What was said of one recipient.

    kind: of Anymail's words (`bounced`, `deferred`, `delivered`, `complained`, `unsubscribed`, `autoresponded`), ""
    for what says nothing; recipient: "" where none is named; structured: it came by a delivery-status part.
    """

    kind: str
    recipient: str = ""
    bounce: str = ""
    reason: str = ""
    status: str = ""
    text: str = ""
    structured: bool = False


_FIELDS: Final = re.compile(
    r"^(?:final-recipient|original-recipient|action|status|diagnostic-code|x-actual-recipient):", re.I | re.M
)
_CUT: Final = re.compile(
    r"^[ \t]*(?:-{2,}|={2,}|\*{2,})?[ \t]*(?:(?:below (?:this line )?is|this is|included is|enclosed is) a copy of|"
    r"(?:original|returned|unsent|undelivered) message|message headers? follow|original message follows|"
    r"header of (?:the )?(?:original|message)|(?:the )?(?:original|unsent) message (?:follows|header)|"
    r"your (?:original )?message (?:follows|was:)|the header (?:page )?of)[^\n]*$|"
    r"^(?:received|return-path): [^\n]*$",
    re.I | re.M,
)
"""Where the words of a report end, and the message begins that it returns."""
_ADDRESS: Final = re.compile(r"<?([^\s<>,;:()\[\]]{1,64}@[A-Za-z0-9.-]{1,250}[A-Za-z0-9])>?")
_AFTER_US: Final = re.compile(
    r"delivery (?:status )?(?:notification|report|failure)|undeliver|returned mail|failure notice|mail delivery|"
    r"could not be delivered|mail ?system error|unzustellbar|delivery has failed|delayed mail|"
    r"permanent delivery failure",
    re.I,
)
_DAEMON: Final = re.compile(r"mailer-?daemon|post_?master|mail ?delivery|(?:^|[<\s])<>", re.I)
_DELAY: Final = re.compile(
    r"\(delay\)|delayed mail|warning: (?:could not|message)|has been delayed|warning (?:message )?only|"
    r"still being retried|will (?:be retried|keep trying|continue trying)",
    re.I,
)
_DATA: Final = re.compile(
    r"^>>> data\s*$|smtp command\s*\n\s*data\s*$|in reply to (?:end of )?data|after end of data", re.I | re.M
)
_NONE_LEFT: Final = re.compile(
    r"no (?:valid )?recipients?|need rcpt|\b503\b|bad sequence|must precede|rcpt first", re.I
)
"""What a server says to DATA when it refused every recipient; 503 is a command out of sequence (RFC 5321, 4.2.3)."""


def bounce_read(content: bytes) -> list[Heard]:
    """All that a message says of messages before it; empty when it says nothing of the kind, or can't be read."""
    try:
        return _read(content[:MOST])
    except (RecursionError, LookupError, ValueError, MessageError):
        return []  # what Python's parser makes of broken MIME; nothing of it can be believed


def _read(content: bytes) -> list[Heard]:
    message = message_from_bytes(content, policy=policy.compat32)
    parts = list(_outer_parts(message))
    complaint = _complaint(message, parts)
    if complaint is not None:
        return [complaint]
    words = _words(message, parts, content)
    blocks = [block for part in parts if _kind(part) == "message/delivery-status" for block in _blocks(_raw(part))]
    structured = bool(blocks)
    blocks = blocks or _blocks(words)
    heard = [found for block in blocks if (found := _by_status(block, words, structured)) is not None]
    if heard:
        return heard
    if _by_machine(message):
        return [Heard("autoresponded")]
    return _by_words(message, words)


# --- parts ---


def _kind(part: Message) -> str:
    return part.get_content_type()


def _outer_parts(message: Message) -> Iterator[Message]:
    """The parts of the report itself, not of the message that it returns."""
    kind = _kind(message)
    if kind in ("message/rfc822", "text/rfc822-headers"):
        return
    yield message
    if message.is_multipart() and kind != "message/delivery-status":
        payload = message.get_payload()
        if isinstance(payload, list):
            for part in payload:
                if isinstance(part, Message):
                    yield from _outer_parts(part)


def _raw(part: Message) -> str:
    """A part of fields as text; the parser makes a message of each group."""
    payload = part.get_payload()
    if isinstance(payload, list):
        groups = [group for group in payload if isinstance(group, Message)]
        return "\n\n".join("\n".join(f"{name}: {value}" for name, value in group.items()) for group in groups)
    decoded = part.get_payload(decode=True)
    return decoded.decode("utf-8", "replace") if isinstance(decoded, bytes) else str(payload or "")


def _text(part: Message) -> str:
    decoded = part.get_payload(decode=True)
    if not isinstance(decoded, bytes):
        return ""
    try:
        text = decoded.decode(part.get_content_charset() or "utf-8", "replace")
    except LookupError:
        text = decoded.decode("utf-8", "replace")
    if _kind(part) == "text/html":
        text = unescape(_html_text(text[:_HTML_MOST]))
    return text


def _html_text(html: str) -> str:
    """The words of HTML. By hand: it is broken at times, and parsers take time that grows with the square of that."""
    lower, kept, at = html.lower(), [], 0
    while (start := html.find("<", at)) >= 0:
        kept.append(html[at:start])
        name = lower[start + 1 : start + 8]
        stop = next((stop for begins, stop in _UNSEEN.items() if name.startswith(begins)), ">")
        end = lower.find(stop, start + 1)
        if end < 0:
            return "".join(kept)
        kept.append("\n" if name.lstrip("/").startswith(_LINE_END) else " ")
        at = end + (len(stop) if stop in (">", "-->") else 0)
    return "".join(kept) + html[at:]


def _words(message: Message, parts: list[Message], content: bytes) -> str:
    """What the report says in words, without the message that it returns."""
    plain = [_text(part) for part in parts if _kind(part) == "text/plain" and not part.is_multipart()]
    found = "\n".join(text for text in plain if text.strip())
    if not found.strip():
        found = "\n".join(_text(part) for part in parts if _kind(part) == "text/html")
    if not found.strip():  # broken MIME: whatever stands behind the header
        found = content.partition(b"\n\n")[2][:_TEXT_MOST].decode("utf-8", "replace")
    found = found.replace("\r\n", "\n")
    cut = _CUT.search(found)
    return (found[: cut.start()] if cut and found[: cut.start()].strip() else found)[:_TEXT_MOST]


# --- by fields ---


_WHO: Final = frozenset({"final-recipient", "original-recipient", "x-actual-recipient"})
_WHAT: Final = frozenset({"action", "status", "diagnostic-code"})


def _blocks(text: str) -> list[dict[str, str]]:
    """The groups of fields about recipients, by field name in small letters; folded lines joined."""
    if not _FIELDS.search(text):
        return []
    blocks: list[dict[str, str]] = []
    for group in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n").replace("\r", " ")):
        fields: dict[str, str] = {}
        last = ""
        for line in group.split("\n"):
            name, colon, value = line.partition(":")
            if line[:1] in (" ", "\t") and last:
                fields[last] += f" {line.strip()}"
            elif colon and re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", name):
                last = name.lower()
                if last == "final-recipient" and last in fields:  # somebody left out the empty line
                    blocks.append(fields)
                    fields = {}
                fields.setdefault(last, value.strip())
        blocks.append(fields)
    return [fields for fields in blocks if _WHO & fields.keys() and _WHAT & fields.keys()]


def _address_in(*values: str) -> str:
    for value in values:
        found = _ADDRESS.search(value)
        if found:
            return found[1]
    return ""


def _by_status(fields: dict[str, str], words: str, structured: bool) -> Heard | None:
    """What a group of fields says (RFC 3464, 2.3)."""
    action = fields.get("action", "failed").partition(" ")[0].partition("(")[0].strip().lower()
    status = status_in(fields.get("status", ""))
    kind, _, diagnostic = fields.get("diagnostic-code", "").partition(";")
    if not diagnostic:
        kind, diagnostic = "", kind
    recipient = _address_in(
        fields.get("original-recipient", ""), fields.get("final-recipient", ""), fields.get("x-actual-recipient", "")
    )
    if action in ("delivered", "relayed", "expanded"):
        return Heard("delivered", recipient, status=fields.get("status", "")[:9], structured=structured)
    if action == "delayed":
        return Heard("deferred", recipient, "", "", status, diagnostic.strip()[:500], structured)
    if action not in ("failed", ""):
        return None
    said = diagnostic.strip() or _near(words, recipient)
    local = kind.strip().lower() == "x-unix"
    after_data = _said_to_content(words)
    verdict = verdict_of(said, status=status, local=local, after_data=after_data, given_up=True)
    if verdict.reason == "undetermined" and words:
        verdict = verdict_of(f"{said} {_near(words, recipient)}", status=status, local=local, after_data=after_data)
    return Heard(
        "bounced", recipient, verdict.bounce, verdict.reason, status or status_in(said), said[:500], structured
    )


# --- by words ---


def _near(words: str, recipient: str) -> str:
    """What is said in words about one recipient, as one line: from where it is named to where the next one is."""
    at = words.lower().find(recipient.lower()) if recipient else -1
    if at < 0:
        return " ".join(words.split())
    rest = words[at:]
    for found in _ADDRESS.finditer(rest, len(recipient)):
        line = rest[rest.rfind("\n", 0, found.start()) + 1 : found.start()]
        if found[1].lower() != recipient.lower() and line.strip(" \t<(-*") == "":
            return " ".join(rest[: found.start()].split())
    return " ".join(rest.split())


def _by_words(message: Message, words: str) -> list[Heard]:
    """A bounce without fields; nothing for a message that is none."""
    subject, sender = str(message.get("Subject", "")), str(message.get("From", ""))
    named = [name for header in ("X-Failed-Recipients",) if (name := str(message.get(header, "")))]
    if not (
        named or _AFTER_US.search(subject) or _DAEMON.search(sender) or _AFTER_US.search(words) or status_in(words)
    ):
        return []
    line = " ".join(words.split())
    if _DELAY.search(f"{subject} {line}"):
        return [Heard("deferred", _address_in(*named), "", "", status_in(line), line[:500])]
    people = [found[1] for found in _ADDRESS.finditer(", ".join(named))]
    if not people:
        for found in _ADDRESS.finditer(words):
            start = words[words.rfind("\n", 0, found.start()) + 1 : found.start()]
            if start.strip(" \t<(-*>.0123456789") in ("", "To:", "Recipient:") and found[1] not in people:
                people.append(found[1])
    after_data = _said_to_content(words)
    of_all = verdict_of(line, after_data=after_data)
    heard = []
    for recipient in people[:_PEOPLE_MOST] or [""]:
        said = _near(words, recipient)
        verdict = verdict_of(said, after_data=after_data) if tells(said) else of_all
        heard.append(
            Heard("bounced", recipient, verdict.bounce, verdict.reason, status_in(said) or reply_in(said), said[:500])
        )
    return heard


def _said_to_content(words: str) -> bool:
    """Whether the refusal came after the recipient had been taken. Not where commands went out together (RFC 2920):
    then the server says itself that it had no recipient left.
    """
    return bool(_DATA.search(words)) and not _NONE_LEFT.search(words)


def _by_machine(message: Message) -> bool:
    """Whether a machine answered for a person (RFC 3834, 5), and did not bounce."""
    auto = str(message.get("Auto-Submitted", "")).partition(";")[0].strip().lower()
    answered = auto == "auto-replied" and _kind(message) != "multipart/report"
    subject = str(message.get("Subject", "")).lower()
    by_name = bool(message.get("X-Autoreply") or message.get("X-Autorespond"))
    by_subject = subject.startswith(("auto:", "auto-reply", "automatic reply", "autoreply", "out of office"))
    bounced = _AFTER_US.search(subject) or message.get("X-Failed-Recipients") or _DAEMON.search(str(message["From"]))
    return bool((answered or by_name or by_subject) and not bounced)


# --- complaints ---

_FEEDBACK: Final = {
    "abuse": "complained", "fraud": "complained", "virus": "complained", "other": "complained",
    "complaint": "complained", "opt-out": "unsubscribed", "opt-out-list": "unsubscribed",
}  # fmt: skip
"""Types of feedback (RFC 5965, 3.5 and 7.3) and what they are; others say nothing of the person: `not-spam`,
`auth-failure` (RFC 6591), `dmarc`."""


def _complaint(message: Message, parts: list[Message]) -> Heard | None:
    """A report of feedback, or None."""
    for part in parts:
        if _kind(part) != "message/feedback-report":
            continue
        text = _raw(part)
        fields: dict[str, str] = {}
        for line in text.replace("\r\n", "\n").split("\n"):
            name, colon, value = line.partition(":")
            if colon:
                fields.setdefault(name.strip().lower(), value.strip())
        kind = fields.get("feedback-type", "").partition(";")[0].strip().lower()
        recipient = _address_in(fields.get("original-rcpt-to", ""), fields.get("removal-recipient", ""))
        return Heard(_FEEDBACK.get(kind, ""), recipient, reason=kind[:24])
    return None
