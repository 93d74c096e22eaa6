"""Judges a send that was disturbed: the ledger's rows beside the relay's own log. Pure.

The relay's word counts: what it took, somebody got. So nobody may have got anything twice (`twice`), what the ledger
calls sent was taken (`lost`), what was taken is sent or uncertain (`untold`), and what has failed has failed at the
relay (`unfounded`). `uncertain` is bounded by what nobody can know.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

TAKEN: Final = "taken"
"""The relay took it and said so."""
DROPPED: Final = "dropped"
"""The relay took it, and dropped the connection instead of saying so."""
STALLED: Final = "stalled"
"""The relay got all of it, did not take it, and never answered."""
DEFERRED: Final = "deferred"
REFUSED: Final = "refused"

GOT: Final = (TAKEN, DROPPED)
UNANSWERED: Final = (DROPPED, STALLED)
FINAL: Final = ("sent", "failed", "uncertain")
"""The states in which a message of a send may end where everybody agreed to get it and nobody stopped the run."""
EXAMPLES: Final = 5


@dataclass(frozen=True, slots=True)
class RelayLine:
    """One line of the relay's log. at: seconds of the epoch; message_id: "" where it was turned away before it came."""

    at: float
    outcome: str
    message_id: str
    recipient: str


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One message, as the ledger has it at the end."""

    id: str
    recipient: str
    state: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Blow:
    """One disturbance. resumed: seconds from its end until the relay took the next message, 0 where
    none was left to take; None: it never did.
    """

    kind: str
    resumed: float | None


@dataclass(frozen=True, slots=True)
class Terms:
    """What was asked for. connections: of one sender to the relay; window: messages that pass the gate at once."""

    messages: int
    connections: int
    window: int
    resume_seconds: float = 60.0


@dataclass
class Verdict:
    """faults: by kind, each with some examples; nothing in it: the promise was kept."""

    faults: dict[str, list[str]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    uncertain_at_most: int = 0

    def fault(self, kind: str, example: str) -> None:
        """Note one."""
        self.counts[kind] += 1
        examples = self.faults.setdefault(kind, [])
        if len(examples) < EXAMPLES:
            examples.append(example)


def log_read(lines: Iterable[str]) -> list[RelayLine]:
    """The relay's log. Raises ValueError for a line that is none of its own."""
    found = []
    for line in lines:
        at, outcome, message_id, recipient = line.rstrip("\n").split("\t")
        found.append(RelayLine(float(at), outcome, message_id, recipient))
    return found


def judge(rows: Sequence[LedgerRow], log: Sequence[RelayLine], blows: Sequence[Blow], terms: Terms) -> Verdict:
    """Hold the ledger against the relay's log."""
    verdict = Verdict()
    by_recipient: defaultdict[str, Counter[str]] = defaultdict(Counter)
    got: Counter[str] = Counter()
    known = {row.id: row for row in rows}
    for line in log:
        by_recipient[line.recipient][line.outcome] += 1
        row = known.get(line.message_id)
        if line.message_id and (row is None or row.recipient != line.recipient):
            verdict.fault("stray", f"{line.message_id} came for {line.recipient}")
        if line.outcome in GOT:
            got[line.recipient] += 1
    for row in rows:
        verdict.states[row.state] += 1
        for kind, what in _row_faults(row, got[row.recipient], by_recipient[row.recipient]):
            verdict.fault(kind, what)
    if len(rows) != terms.messages:
        verdict.fault("missing", f"{terms.messages} were to be sent, the ledger has {len(rows)}")
    unanswered = sum(line.outcome in UNANSWERED for line in log)
    kinds = Counter(blow.kind for blow in blows)
    verdict.uncertain_at_most = kinds["kill"] * terms.connections + kinds["stop"] * terms.window + unanswered
    if verdict.states["uncertain"] > verdict.uncertain_at_most:
        verdict.fault("unbounded", f"{verdict.states['uncertain']} uncertain, {verdict.uncertain_at_most} at most")
    for number, blow in enumerate(blows, 1):
        if blow.resumed is None or blow.resumed > terms.resume_seconds:
            verdict.fault("halted", f"blow {number} ({blow.kind}): nothing was taken for {blow.resumed or 'ever'} s")
    return verdict


def _row_faults(row: LedgerRow, got: int, outcomes: Counter[str]) -> Iterable[tuple[str, str]]:
    name = f"{row.id} ({row.state}{' ' + row.reason if row.reason else ''})"
    if got > 1:
        yield "twice", f"{name} was taken {got} times"
    if row.state not in FINAL:
        yield "unfinished", name
    if row.state == "sent" and not got:
        yield "lost", f"{name}, and the relay never took it"
    if got and row.state not in ("sent", "uncertain"):
        yield "untold", f"{name}, and the relay took it"
    if row.state == "failed":
        needed = {"refused": REFUSED, "retries_exhausted": DEFERRED}.get(row.reason)
        if needed is None or not outcomes[needed]:
            yield "unfounded", f"{name}, and the relay did not say so"
