"""What a decision was made with and why, sealed as a whole with the person's own key.

Decisions are never changed, so this is how they forget: with its key gone, what is sealed can be read by nobody.
JSON, made small (deflate), then sealed: sealed bytes can't be made smaller by the database. The hot path: bytes and
dicts.
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import orjson

from apps.data.profiles.vault import Erased, Place, Vault, vault_open

from .models import Answer, Decision

TABLE: Final = "decisions_decision"
COLUMN: Final = "sealed"
ANSWERS: Final = "decisions_answer"
"""The table of decisions that were asked for."""
_LEVEL: Final = 1
_RAW: Final = -15
"""Deflate without a header or a checksum (RFC 1951): the seal shows any change already."""
_WINDOW: Final = -13
_MEMORY: Final = 6
"""What is written looks 8 kB back, more than a decision has as a rule; it is read like anything else. With the defaults
zlib takes and clears 256 kB for each, which is a tenth of sealing."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a decision keeps of its person: see `engine.Verdict`, and what was looked at (`keeping.py`); None of the
    last in decisions from before that was kept."""

    inputs: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, Any] = field(default_factory=dict)
    seen: dict[str, Any] | None = None


def decision_seal(vault: Vault, *, decision_id: UUID, profile_id: int, kept: Kept, table: str = TABLE) -> bytes:
    """`kept`, so that only the person's key opens it, and only in this row. Raises Erased."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW, _MEMORY)
    whole = [kept.inputs, kept.reasons] if kept.seen is None else [kept.inputs, kept.reasons, kept.seen]
    plain = packer.compress(orjson.dumps(whole)) + packer.flush()
    return vault.seal(profile_id, Place(table, COLUMN, str(decision_id)), plain)


def decision_open(vault: Vault, *, decision_id: UUID, profile_id: int, sealed: bytes, table: str = TABLE) -> Kept:
    """What `decision_seal` sealed. Raises Erased, Tampered, MasterKeyMissing."""
    if not sealed and profile_id not in vault:
        raise Erased(f"profile {profile_id} has no key")  # and had none when it was decided about them
    plain = vault.open(profile_id, Place(table, COLUMN, str(decision_id)), sealed)
    return Kept(*orjson.loads(zlib.decompress(plain, _RAW)))


def decisions_open(decisions: Iterable[Decision | Answer], *, table: str = TABLE) -> dict[UUID, Kept | None]:
    """What decisions (of ANSWERS: answers) keep, the keys read at once; None of those whose person was erased.

    Raises Tampered, MasterKeyMissing.
    """
    rows = list(decisions)
    vault = vault_open(row.profile_id for row in rows)
    found: dict[UUID, Kept | None] = {}
    for row in rows:
        try:
            found[row.pk] = decision_open(
                vault, decision_id=row.pk, profile_id=row.profile_id, sealed=bytes(row.sealed), table=table
            )
        except Erased:
            found[row.pk] = None
    return found
