"""A sender's journal: what it began and what came of it, on its own disk, for the case that it dies.

One line before the last line of a message goes out (`begin`), one after the answer. Each is one unbuffered write to a
file opened for appending: what was written survives the death of the process, because it is in the kernel's page cache.
It is not synced to disk, so a crash of the whole machine may lose lines; whoever reads it must know whether the machine
was the same since (`boot_id`).

While the sender lives, it holds a lock on the file (flock). The kernel lets go of it when the process ends, however it
ends; so who gets the lock knows that the sender is dead, and keeps others from settling it at the same time.
"""

import fcntl
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from django.conf import settings


class JournalBusy(Exception):
    """The sender that writes this journal is alive, or somebody else settles it."""


@dataclass(slots=True)
class JournalEntry:
    """What a journal says of one attempt. outcome: "" when it was begun and no answer was noted."""

    outcome: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class JournalReading:
    """What a journal says, by message and number of the attempt. Who is not in it was not begun."""

    entries: Mapping[tuple[UUID, int], JournalEntry] = field(default_factory=dict)


def journal_path(sender_id: UUID) -> Path:
    """Where the journal of a sender of this machine is."""
    return Path(settings.DATA_DIR) / "journal" / f"{sender_id}.log"


class Journal:
    """The journal of a living sender."""

    def __init__(self, sender_id: UUID) -> None:
        """Make the file and lock it. Raises OSError when that can't be: then nothing may be sent."""
        self.path = journal_path(sender_id)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def begin(self, message_id: UUID | str, number: int) -> None:
        """Note that the message goes out now."""
        self._write(f"begin {message_id} {number}\n")

    def end(self, message_id: UUID | str, number: int, outcome: str, code: str) -> None:
        """Note what came of it; code: the provider's."""
        said = code if code.isalnum() else "".join(code.split())
        self._write(f"{outcome} {message_id} {number} {said[:20] or '-'}\n")

    def close(self, *, remove: bool) -> None:
        """Let go of the lock; `remove` when nothing is left to be learned from it."""
        if remove:
            self.path.unlink(missing_ok=True)
        os.close(self._fd)

    def _write(self, line: str) -> None:
        data = line.encode()
        if os.write(self._fd, data) != len(data):
            raise OSError("the journal's disk is full")


class DeadJournal:
    """The journal of a dead sender, locked while it is settled: use it in `with`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1

    def __enter__(self) -> JournalReading:
        """Lock and read it. Raises JournalBusy; FileNotFoundError when it is not on this machine."""
        self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._fd)
            raise JournalBusy from None
        return journal_read(self._path)

    def __exit__(self, *exc: object) -> None:
        os.close(self._fd)


def journal_read(path: Path) -> JournalReading:
    """What the journal says. A last line that was cut off in writing is left out."""
    entries: dict[tuple[UUID, int], JournalEntry] = {}
    for line in path.read_bytes().split(b"\n")[:-1]:
        parts = line.decode("ascii", "replace").split(" ")
        try:
            key = (UUID(parts[1]), int(parts[2]))
        except (IndexError, ValueError):
            continue  # not a line of ours
        if parts[0] == "begin":
            entries.setdefault(key, JournalEntry())
        else:
            entries[key] = JournalEntry(parts[0], parts[3] if len(parts) > 3 and parts[3] != "-" else "")
    return JournalReading(entries)
