"""Which erasures there were, in signed lines outside the database, so that a restored backup can be erased again.

A line holds the profile's number, when it was made, and keyed digests of its addresses: no personal data. It lies
beside the heads of the consent ledger, which is in no backup of the database for the same reason.
"""

import hmac
import logging
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import orjson
from django.conf import settings

logger = logging.getLogger(__name__)

_FOLDER: Final = "erasures"


@dataclass(frozen=True, slots=True)
class Erasure:
    """One erasure that was begun. made_at: when the profile was made, which tells it from another one that got the same
    number after a restore; digests: kind and keyed digest of each address that is suppressed for it."""

    profile_id: int
    made_at: datetime
    at: datetime
    digests: Sequence[tuple[str, bytes]]


def erasures_folder() -> Path:
    """Where the lines are: a file for each host that writes."""
    return Path(settings.LEDGER_HEADS_DIR) / _FOLDER


def _signature(said: bytes) -> str:
    return hmac.digest(settings.LEDGER_KEY, b"erasure\0" + said, "sha256").hex()


def erasure_keep(erasure: Erasure) -> None:
    """Append a line and have it on the disk. Raises OSError: an erasure that can't be kept must not go on."""
    said = {
        "profile": erasure.profile_id,
        "made_at": _moment(erasure.made_at),
        "at": _moment(erasure.at),
        "digests": [[kind, digest.hex()] for kind, digest in erasure.digests],
    }
    line = orjson.dumps({**said, "signature": _signature(orjson.dumps(said))})
    path = erasures_folder() / f"{socket.gethostname()}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as lines:
        lines.write(line + b"\n")
        lines.flush()
        os.fsync(lines.fileno())


def erasures_read() -> Iterator[tuple[str, Erasure | None]]:
    """All lines, each with its place (`file:line`); None for a line that is not ours."""
    folder = erasures_folder()
    for path in sorted(folder.glob("*.jsonl")) if folder.is_dir() else []:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield f"{path.name}:{number}", _erasure(line)


def _erasure(line: bytes) -> Erasure | None:
    try:
        said = orjson.loads(line)
        signature = said.pop("signature")
        if not hmac.compare_digest(signature, _signature(orjson.dumps(said))):
            return None
        return Erasure(
            profile_id=int(said["profile"]),
            made_at=datetime.fromisoformat(said["made_at"]),
            at=datetime.fromisoformat(said["at"]),
            digests=[(str(kind), bytes.fromhex(digest)) for kind, digest in said["digests"]],
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
