"""The mails that the catcher took: files, an index of them, and how one is read.

Below the mail folder there is one folder for each day with the mails as `.eml` files, whose names sort by time, and
`index.jsonl` with one line for each. `accepted.log` has a line for each mail and recipient that was acknowledged:
Message-ID, tab, address. It is what a relay's log is, and what a sender's own record can be compared with.
"""

import email.header
import email.message
import email.parser
import email.policy
import json
import os
import re
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

HEADER = re.compile(rb"^(subject|from|to|message-id):[ \t]*(.*(?:\r?\n[ \t].*)*)", re.IGNORECASE | re.MULTILINE)
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


def one_line(text: str) -> str:
    """Text as it can be shown in one line: no control characters, no half characters."""
    return CONTROL.sub(" ", text).strip()


def header_decode(value: str) -> str:
    """A header's value with its encoded words (RFC 2047) decoded; what can't be is shown as it is."""
    value = re.sub(r"\r?\n[ \t]", " ", value)
    if "=?" not in value:
        return one_line(value)
    try:
        decoded = str(email.header.make_header(email.header.decode_header(value)))
    except (ValueError, LookupError, UnicodeError, AssertionError):
        decoded = value
    return one_line(decoded)


@dataclass(frozen=True)
class Entry:
    """One mail, as the list shows it."""

    id: str
    """Its folder and its name, `2026-11-22/20261122T101500.123456-000001`."""
    at: str
    sender: str
    recipients: tuple[str, ...]
    subject: str
    author: str
    message_id: str
    size: int
    sought: str = field(repr=False)
    """What a search looks through, in lower case."""


def _entry(line: str) -> Entry | None:
    """An entry from a line of the index; None for one that a power cut tore."""
    try:
        row = json.loads(line)
        subject, author = header_decode(row["subject"]), header_decode(row["from"])
        recipients = tuple(one_line(address) for address in row["recipients"])
        sought = " ".join([subject, author, row["message_id"], *recipients]).casefold()
        message_id = one_line(row["message_id"])
        return Entry(
            row["id"], row["at"], one_line(row["sender"]), recipients, subject, author, message_id, row["size"], sought
        )
    except (ValueError, KeyError, TypeError):
        return None


class Mailbox:
    """Keeps mails in a folder and finds them again. Safe for several threads of one process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._number = 0
        self._accepted = os.open(folder / "accepted.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._day = ""
        self._index = -1
        self.entries: list[Entry] = []
        for index in sorted(folder.glob("*/index.jsonl")):
            lines = index.read_text(encoding="utf-8", errors="replace").splitlines()
            self.entries += [entry for entry in map(_entry, lines) if entry]

    def add(self, content: bytes, *, sender: str, recipients: list[str]) -> Entry:
        """Keeps one mail: its file, its line in the index, then its lines in the log of what was accepted.

        Raises:
            OSError: it couldn't be written, and mustn't be acknowledged.
        """
        now = datetime.now(UTC)
        head = content.partition(b"\r\n\r\n")[0]
        found = {name.lower(): value for name, value in reversed(HEADER.findall(head))}
        texts = {name: found.get(name, b"").decode("utf-8", "replace").strip() for name in (b"subject", b"from")}
        message_id = one_line(found.get(b"message-id", b"").decode("utf-8", "replace"))
        recipients = [one_line(address) for address in recipients]
        with self._lock:
            self._number += 1
            day = now.strftime("%Y-%m-%d")
            if day != self._day:
                self._open_day(day)
            name = f"{now.strftime('%Y%m%dT%H%M%S.%f')}-{self._number:06d}"
            row = {
                "id": f"{day}/{name}",
                "at": now.isoformat(timespec="seconds"),
                "sender": sender.encode("utf-8", "replace").decode(),
                "recipients": recipients,
                "subject": texts[b"subject"],
                "from": texts[b"from"],
                "message_id": message_id,
                "size": len(content),
            }
            line = json.dumps(row, ensure_ascii=False)
            with (self.folder / day / f"{name}.eml").open("xb", buffering=0) as file:
                file.write(content)
            os.write(self._index, line.encode() + b"\n")
            os.write(self._accepted, "".join(f"{message_id}\t{address}\n" for address in recipients).encode())
            entry = _entry(line)
            if entry is None:
                raise OSError("the index has no room for this mail")
            self.entries.append(entry)
        return entry

    def _open_day(self, day: str) -> None:
        (self.folder / day).mkdir(mode=0o700, exist_ok=True)
        if self._index >= 0:
            os.close(self._index)
        self._index = os.open(self.folder / day / "index.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._day = day

    def search(self, words: str) -> list[Entry]:
        """The mails that have all the words in subject, addresses or Message-ID, newest first."""
        wanted = words.casefold().split()
        return [entry for entry in reversed(self.entries) if all(word in entry.sought for word in wanted)]

    def find(self, entry_id: str) -> Entry | None:
        """The entry with this id. Paths are made only of ids that are in the index."""
        return next((entry for entry in reversed(self.entries) if entry.id == entry_id), None)

    def source(self, entry: Entry) -> bytes:
        """The mail's bytes as they came."""
        return (self.folder / f"{entry.id}.eml").read_bytes()


@dataclass(frozen=True)
class Parsed:
    """A mail taken apart for reading."""

    headers: list[tuple[str, str]]
    html: str | None
    text: str | None
    parts: list[str]
    """Each part's type and size, in words."""
    defects: list[str]
    """What Python's parser found wrong."""


def mail_parse(content: bytes) -> Parsed | None:
    """Takes a mail apart; None if it is such that Python's parser gives up.

    The older policy is used: the newer one's parser of headers fails on hostile ones.
    """
    try:
        message = email.parser.BytesParser(policy=email.policy.compat32).parsebytes(content)
        headers = [(one_line(name), header_decode(str(value))) for name, value in message.items()]
        defects = [type(defect).__name__ for part in message.walk() for defect in part.defects]
        parts = [part for part in message.walk() if not part.is_multipart()]
        bodies: dict[str, str] = {}
        sizes = []
        for part in parts:
            payload = part.get_payload(decode=True)
            data = payload if isinstance(payload, bytes) else b""
            kind = part.get_content_type()
            sizes.append(f"{one_line(kind)}, {len(data):,} bytes")
            if kind in {"text/html", "text/plain"} and kind not in bodies:
                bodies[kind] = _text(data, part)
        return Parsed(headers, bodies.get("text/html"), bodies.get("text/plain"), sizes, defects)
    except (RecursionError, ValueError, LookupError, TypeError, AttributeError, AssertionError):
        return None


def _text(data: bytes, part: email.message.Message) -> str:
    try:
        charset = str(part.get_content_charset() or "utf-8")
        return data.decode(charset, "replace")
    except (LookupError, ValueError):
        return data.decode("utf-8", "replace")
