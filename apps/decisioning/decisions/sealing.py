"""What a decision was made with and why, sealed as a whole with the person's own key.

Decisions are never changed, so this is how they forget: with its key gone, what is sealed can be read by nobody.
JSON, made small (deflate), then sealed: sealed bytes can't be made smaller by the database. What many people share is
made small once for all of them, and stands behind what is a person's own. The hot path: bytes and
dicts.
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

import orjson

from apps.data.profiles.vault import Erased, Place, Vault, vault_open
from apps.decisioning.content.contracts import SharedSlots

from .contracts import Choice
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
_PARTED: Final = b"\x06"
"""Begins what is kept in two parts; nothing deflated does, as a block's type is never 3 (RFC 1951, 3.2.3)."""
_SHORT: Final = 256
"""What is one's own is this short, or all is made small together."""
ALIKE_INPUTS: Final = frozenset({"language", "slots"})
"""What everybody alike shares (`keeping.alike_pack` says it of what was looked at)."""


@dataclass(slots=True)  # not frozen: it is made for each person of a batch, which takes a third so
class Kept:
    """What a decision keeps of its person: see `engine.Verdict`, and what was looked at (`keeping.py`); None of the
    last in decisions from before that was kept."""

    inputs: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, Any] = field(default_factory=dict)
    seen: dict[str, Any] | None = None


def choice_of(
    *,
    compiled: int | None,
    tier: str,
    looked: tuple[int, ...],
    mark: bytes,
    alike: tuple[dict[str, Any], dict[str, Any], dict[str, Any]],
    packed: bytes = b"",
) -> Choice:
    """A choice of its parts. alike: inputs, reasons and what was looked at, as far as everybody alike shares them;
    packed: these as decisions keep them, where that is at hand."""
    inputs, reasons, seen = alike
    given = {name: value for name, value in reasons.items() if name != "set"}
    slots, why, looks = _written(inputs["slots"]), _written(given), {name: _written(one) for name, one in seen.items()}
    if not packed:
        told = why if len(given) == len(reasons) else reasons
        packed = _deflated([{"language": inputs["language"], "slots": slots}, told, looks])
    return Choice(
        language=inputs["language"],
        compiled=compiled,
        tier=tier,
        slots=inputs["slots"],
        reasons=given,
        seen=seen,
        looked=looked,
        mark=mark,
        packed=packed,
        written=(slots, why, looks),
    )


def _written(value: Any) -> orjson.Fragment:
    return orjson.Fragment(orjson.dumps(value, option=orjson.OPT_SORT_KEYS))


def packed_read(packed: bytes) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """What everybody alike shares of what decisions keep: inputs, reasons and what was looked at."""
    inputs, reasons, seen = _inflated(packed)
    return inputs, reasons, seen


def _inflated(packed: bytes) -> Any:
    return orjson.loads(zlib.decompress(packed, _RAW))


@lru_cache(maxsize=512)
def _alike_opened(packed: bytes) -> Any:
    """What many decisions share, read once: whoever gets it changes nothing of it."""
    inputs, reasons, seen = _inflated(packed)
    return {**inputs, "slots": SharedSlots(inputs["slots"])}, reasons, seen


def _deflated(value: Any) -> bytes:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW, _MEMORY)
    return packer.compress(orjson.dumps(value)) + packer.flush()


def decision_seal(vault: Vault, *, decision_id: UUID, profile_id: int, kept: Kept, table: str = TABLE) -> bytes:
    """`kept`, so that only the person's key opens it, and only in this row. Raises Erased."""
    whole = [kept.inputs, kept.reasons] if kept.seen is None else [kept.inputs, kept.reasons, kept.seen]
    return vault.seal(profile_id, Place(table, COLUMN, str(decision_id)), _deflated(whole))


def choice_seal(
    vault: Vault, *, decision_id: UUID, profile_id: int, kept: Kept, choice: Choice, table: str = TABLE
) -> bytes:
    """The same of somebody for whom there is a choice of everybody alike. kept: with only what is their own of what was
    looked at. Raises Erased."""
    inputs = {name: value for name, value in kept.inputs.items() if name not in ALIKE_INPUTS}
    own = orjson.dumps([inputs, kept.seen])
    if len(own) >= _SHORT:
        whole = Kept(kept.inputs, kept.reasons, {**choice.seen, **(kept.seen or {})})
        return decision_seal(vault, decision_id=decision_id, profile_id=profile_id, kept=whole, table=table)
    plain = b"".join((_PARTED, bytes((len(own),)), own, choice.packed))
    return vault.seal(profile_id, Place(table, COLUMN, str(decision_id)), plain)


def decision_open(vault: Vault, *, decision_id: UUID, profile_id: int, sealed: bytes, table: str = TABLE) -> Kept:
    """What `decision_seal` sealed. Raises Erased, Tampered, MasterKeyMissing."""
    if not sealed and profile_id not in vault:
        raise Erased(f"profile {profile_id} has no key")  # and had none when it was decided about them
    plain = vault.open(profile_id, Place(table, COLUMN, str(decision_id)), sealed)
    if plain[:1] != _PARTED:
        return Kept(*_inflated(plain))
    end = 2 + plain[1]
    inputs, seen = orjson.loads(plain[2:end])
    alike_inputs, reasons, alike_seen = _alike_opened(plain[end:])
    return Kept({**alike_inputs, **inputs}, dict(reasons), {**alike_seen, **seen})


def inputs_open(vault: Vault, *, decision_id: str, profile_id: int, sealed: bytes) -> dict[str, Any]:
    """Of what `decision_seal` sealed the inputs alone, for who makes a message of each. decision_id: as text.

    Raises as `decision_open`.
    """
    if not sealed and profile_id not in vault:
        raise Erased(f"profile {profile_id} has no key")  # and had none when it was decided about them
    plain = vault.open(profile_id, Place(TABLE, COLUMN, decision_id), sealed)
    if plain[:1] != _PARTED:
        inputs: dict[str, Any] = _inflated(plain)[0]
        return inputs
    end = 2 + plain[1]
    return {**_alike_opened(plain[end:])[0], **orjson.loads(plain[2:end])[0]}


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
