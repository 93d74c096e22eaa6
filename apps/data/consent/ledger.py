"""The arithmetic of the ledger: the seal of a record, the link between records, and the signed head. Pure.

- A record's **seal** is HMAC-SHA256 (RFC 2104) with LEDGER_KEY over all that it says, so that nobody without the key,
  the database's superuser among them, can change one or slip one in.
- A record's **link** is HMAC-SHA256 over its place, its seal and the link before it, so that none can be taken out.
- A **head** is the newest link, signed by Ed25519 (RFC 8032) with a key derived from LEDGER_KEY (HKDF, RFC 5869), and
  kept outside the database, so that the end can't be cut off. Its public half is all that a reader of heads needs.
"""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from apps.foundation.core.crypto import digest_keyed, digester_keyed

FIRST_SEALED: Final = (
    "profile_id",
    "purpose_id",
    "channel",
    "action",
    "lawful_basis",
    "method",
    "source",
    "evidence",
    "wording_digest",
    "locale",
    "policy_version",
    "jurisdiction",
    "gpc",
    "confirmation",
    "origin_digest",
    "actor_id",
    "occurred_at",
    "recorded_at",
)
SEALED: Final = (*FIRST_SEALED, "wording_version_id")
"""What a seal covers, in this order."""
_VERSIONS: Final = ((2, SEALED), (1, FIRST_SEALED))
"""The newest seals, the others are known: none of these lines ever changes, a new field gets a new version."""
_SEAL: Final = b"seal\0"
FIRST: Final = b"\0" * 32
"""What stands before the first link."""


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    return value


def seal_of(key: bytes, record: Mapping[str, Any]) -> bytes:
    """The seal of a record, 32 bytes. record: a value for each of SEALED."""
    return _seal(key, record, *_VERSIONS[0])


def moments_said(moments: Iterable[datetime]) -> list[str]:
    """Moments as a seal covers them. Many say the same."""
    said: dict[datetime, str] = {}
    return [said.get(moment) or said.setdefault(moment, _plain(moment)) for moment in moments]


def seals_of(key: bytes, record: Mapping[str, Any], people: Iterable[tuple[int, str]]) -> list[bytes]:
    """The seals of records that say the same of many people, each profile and, of `moments_said`, when it occurred;
    what `seal_of` gives."""
    version, names = _VERSIONS[0]
    said = [version, *(_plain(record[name]) for name in names)]
    who, when = 1 + names.index("profile_id"), 1 + names.index("occurred_at")
    digest = digester_keyed(key, _SEAL)
    seals = []
    for profile_id, occurred_at in people:
        said[who], said[when] = profile_id, occurred_at
        seals.append(digest(_said_bytes(said)))
    return seals


def seal_first(key: bytes, record: Mapping[str, Any]) -> bytes:
    """The seal as its first version was, over FIRST_SEALED: for records of before there were wordings."""
    return _seal(key, record, *_VERSIONS[-1])


def seal_holds(key: bytes, record: Mapping[str, Any], seal: bytes) -> bool:
    """Whether a seal, of whatever version, is that of the record. What a version didn't cover must be empty."""
    return any(
        hmac.compare_digest(seal, _seal(key, record, version, names))
        and all(record[name] is None for name in SEALED if name not in names)
        for version, names in _VERSIONS
    )


def _seal(key: bytes, record: Mapping[str, Any], version: int, names: tuple[str, ...]) -> bytes:
    return digest_keyed(key, _SEAL + _said_bytes([version, *(_plain(record[name]) for name in names)]))


def _said_bytes(said: list[Any]) -> bytes:
    return orjson.dumps(said, option=orjson.OPT_SORT_KEYS)


def link_of(key: bytes, *, before: bytes, place: int, seal: bytes) -> bytes:
    """The link of the record at `place` (from 1), 32 bytes; `before`: the link before it, FIRST for the first."""
    return digest_keyed(key, b"link\0" + before + place.to_bytes(8, "big") + seal)


@dataclass(frozen=True, slots=True)
class Head:
    """How far the ledger went at a moment: `place` is the number of its records then, `link` the last one's."""

    place: int
    link: bytes
    at: datetime


@lru_cache(maxsize=4)
def _signer(key: bytes) -> Ed25519PrivateKey:
    seed = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"tessera ledger head").derive(key)
    return Ed25519PrivateKey.from_private_bytes(seed)


def head_key(key: bytes) -> Ed25519PublicKey:
    """The public key by which heads are verified."""
    return _signer(key).public_key()


def _said(place: int, link: str, at: str) -> bytes:
    return f"tessera-ledger-head/1\n{place}\n{link}\n{at}\n".encode()


def head_line(key: bytes, head: Head) -> str:
    """A head as a line of JSON, signed."""
    at = head.at.astimezone(UTC).isoformat(timespec="microseconds")
    signature = _signer(key).sign(_said(head.place, head.link.hex(), at))
    return orjson.dumps(
        {"place": head.place, "link": head.link.hex(), "at": at, "signature": b64encode(signature).decode()}
    ).decode()


def head_read(public: Ed25519PublicKey, line: str) -> Head:
    """A head from its line. Raises ValueError for a line that is none, or was not signed by us."""
    try:
        said = orjson.loads(line)
        place, link, at = int(said["place"]), str(said["link"]), str(said["at"])
        public.verify(b64decode(said["signature"], validate=True), _said(place, link, at))
        return Head(place, bytes.fromhex(link), datetime.fromisoformat(at))
    except (ValueError, KeyError, TypeError, InvalidSignature) as error:
        raise ValueError("not a head that this installation signed") from error
