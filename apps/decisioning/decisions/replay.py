"""Computing a decision again, by the same engine, from what was kept of it (promise 4 of the design).

Nothing but the decision's row and its pinned version is asked: no profile, no consent, no recommendation of today. So
what was published, bought or withdrawn since changes nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from apps.data.profiles.vault import Erased, Tampered, vault_open
from apps.foundation.core.errors import Conflict, NotFound

from .engine import Verdict, awake, decide
from .keeping import MARK, QUIET, WITHHELD, Incomplete, answer_mark, asleep_unpack, person_unpack, wanted_of
from .models import Answer, Decision
from .sealing import ANSWERS, Kept, decision_open
from .services import version_plan

SAME: Final = "same"
DIFFERS: Final = "differs"
GONE: Final = "gone"
FAILED: Final = "failed"

_ANSWER: Final = ("outcome", "compiled", "tier", "inputs", "reasons")
_ERASED: Final = "the person was erased, and with them what it was decided from"
_OLD: Final = "it was made before decisions kept all that they were made with"
_TAMPERED: Final = "what was kept does not open: somebody changed it, or moved it, in the database"
_CHANGED: Final = "what was kept is not what it was decided from: it was changed since"


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of computing a decision again. state: same, differs, gone or failed; why: in words, "" for the same;
    then, now: the outcomes, and what differs."""

    decision_id: UUID
    state: str
    why: str = ""
    then: str = ""
    now: str = ""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A decision as it is kept, wherever: its answer in clear, its person, its version, and what is sealed."""

    id: UUID
    profile_id: int
    version_id: int
    version_digest: str
    step: str
    outcome: str
    compiled_id: int | None
    tier: str
    decided_at: datetime
    asks_audience: bool = False


def decision_replay(decision_id: UUID | str) -> Replay:
    """Compute a decision again. Raises NotFound, MasterKeyMissing."""
    decision = Decision.objects.select_related("run__version").filter(pk=decision_id).first()
    if decision is None:
        raise NotFound("decision_unknown", "There is no such decision")
    [replay] = decisions_replay([decision])
    return replay


def answer_replay(answer_id: UUID | str) -> Replay:
    """Compute an answer again that was asked for over the API. Raises NotFound, MasterKeyMissing."""
    row = Answer.objects.select_related("version").filter(pk=answer_id).first()
    if row is None:
        raise NotFound("decision_unknown", "There is no such decision")
    vault = vault_open([row.profile_id])
    sealed = bytes(row.sealed)
    try:
        kept = decision_open(vault, decision_id=row.pk, profile_id=row.profile_id, sealed=sealed, table=ANSWERS)
    except Erased:
        return Replay(row.pk, GONE, _ERASED)
    except Tampered:
        return Replay(row.pk, FAILED, _TAMPERED)
    recorded = Recorded(
        id=row.pk,
        profile_id=row.profile_id,
        version_id=row.version_id,
        version_digest=row.version.digest,
        step="",
        outcome=row.outcome,
        compiled_id=row.compiled_id,
        tier=row.tier,
        decided_at=row.decided_at,
        asks_audience=True,
    )
    return recorded_replay(recorded, kept)


def decisions_replay(decisions: Iterable[Decision]) -> list[Replay]:
    """Compute decisions again, the keys of their people read at once. Raises MasterKeyMissing."""
    rows = list(decisions)
    vault = vault_open(row.profile_id for row in rows)
    found: list[Replay] = []
    for row in rows:
        try:
            kept = decision_open(vault, decision_id=row.pk, profile_id=row.profile_id, sealed=bytes(row.sealed))
        except Erased:
            found.append(Replay(row.pk, GONE, _ERASED))
            continue
        except Tampered:
            found.append(Replay(row.pk, FAILED, _TAMPERED))
            continue
        found.append(recorded_replay(recorded_of(row), kept))
    return found


def recorded_of(decision: Decision) -> Recorded:
    """A decision of a run, as it is kept."""
    return Recorded(
        id=decision.pk,
        profile_id=decision.profile_id,
        version_id=decision.run.version_id,
        version_digest=decision.run.version.digest,
        step=decision.run.step,
        outcome=decision.outcome,
        compiled_id=decision.compiled_id,
        tier=decision.tier,
        decided_at=decision.decided_at,
    )


def recorded_replay(row: Recorded, kept: Kept) -> Replay:
    """Compute one decision again from what it keeps."""
    if kept.seen is None:
        return Replay(row.id, GONE, _OLD)
    then = Verdict(row.outcome, row.compiled_id, row.tier, kept.inputs, _without_set(kept))
    if answer_mark(kept.seen, then, version=row.version_digest, at=row.decided_at) != kept.seen.get(MARK):
        return Replay(row.id, DIFFERS, _CHANGED, row.outcome)
    try:
        again = _again(row, kept)
    except Incomplete:
        return Replay(row.id, GONE, _OLD, row.outcome)
    except Conflict as error:
        return Replay(row.id, FAILED, error.message, row.outcome)
    if again == then:
        return Replay(row.id, SAME, "", row.outcome, again.outcome)
    names = [name for name in _ANSWER if getattr(again, name) != getattr(then, name)]
    return Replay(row.id, DIFFERS, f"another answer comes now: {', '.join(names)}", row.outcome, again.outcome)


def _without_set(kept: Kept) -> dict[str, object]:
    """The reasons as the engine gave them: the recommendation set was added for people to read."""
    return {name: value for name, value in kept.reasons.items() if name != "set"}


def _again(row: Recorded, kept: Kept) -> Verdict:
    """The verdict that comes now. Raises Conflict for a version that is not what was approved."""
    seen = kept.seen or {}
    plan = version_plan(row.version_id, row.version_digest, row.step, asks_audience=row.asks_audience)
    if WITHHELD in seen:
        return Verdict(seen[WITHHELD], None, "", {}, {})
    if QUIET in seen:
        asleep, deadline = asleep_unpack(seen[QUIET])
        _, verdict = awake(asleep, at=row.decided_at, deadline=deadline)
        return verdict or Verdict("", None, "", {}, {})
    plan, person = person_unpack(plan, wanted_of(plan), seen, seed=row.profile_id, inputs=kept.inputs)
    return decide(plan, person, row.decided_at)
