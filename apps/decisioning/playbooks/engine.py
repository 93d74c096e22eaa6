"""One person's next move through the steps of a playbook. Pure: the moment and all that is looked at are given."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from apps.decisioning.audiences.contracts import PersonFacts
from apps.decisioning.audiences.rules import rule_matches
from apps.foundation.core.wall_clock import Quiet, quiet_until

from .moments import wait_end
from .steps import Exit, Program

ACTIVE, DONE, EXITED = "active", "done", "exited"
QUIET_HOURS, TOO_LATE = "quiet_hours", "too_late"
WITHDREW = "withdrew consent"


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for everybody of a version. zone: of its own, for people whose zone is not known."""

    program: Program
    zone: ZoneInfo
    quiet: Quiet | None
    send_within: timedelta


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a person stands: the step to take next ("" for none), and since when it could be taken."""

    step: str
    reached_at: datetime


@dataclass(frozen=True, slots=True)
class Known:
    """What is looked at, of one person. happened: by name of an exit event, when it first came since they began."""

    zone: ZoneInfo
    withdrew: bool = False
    facts: PersonFacts | None = None
    happened: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sent:
    """A message step that was taken. withheld: why it is not sent, "" when it goes on to be decided."""

    step: str
    withheld: str
    deadline: datetime


@dataclass(frozen=True, slots=True)
class Move:
    """What a look came to. due_at: the next look, None at the end; log: [step, what] in order."""

    state: str
    step: str
    reached_at: datetime
    due_at: datetime | None
    ended_at: datetime | None = None
    reason: str = ""
    messages: tuple[Sent, ...] = ()
    log: tuple[tuple[str, str], ...] = ()


def way_out(terms: Terms, step: str, known: Known, *, at: datetime) -> tuple[str, datetime] | None:
    """Why a person leaves before a step, and since when that holds; None if they stay."""
    if known.withdrew:
        return WITHDREW, at
    for found in terms.program.nodes[step].exits:
        since = _exit_since(found, known, at)
        if since is not None:
            return found.name or found.event or found.id, since
    return None


def _exit_since(found: Exit, known: Known, at: datetime) -> datetime | None:
    if found.event:
        return known.happened.get(found.event)
    if found.rule is None or known.facts is None:
        return None
    return at if rule_matches(found.rule, known.facts).matched else None


def move(terms: Terms, standing: Standing, known: Known, *, at: datetime) -> Move:
    """Take every step that can be taken at a moment, until one has to wait or none is left.

    Before each step the exits that hold there are looked at. A message in quiet hours waits for their end, where it
    stands; if that is later than it may go out, it is withheld and the person goes on.
    """
    step, reached = standing.step, standing.reached_at
    messages: list[Sent] = []
    log: list[tuple[str, str]] = []

    def result(state: str, due_at: datetime | None, ended_at: datetime | None = None, reason: str = "") -> Move:
        return Move(state, step, reached, due_at, ended_at, reason, tuple(messages), tuple(log))

    while step:
        out = way_out(terms, step, known, at=at)
        if out is not None:
            log.append((step, "left"))
            return result(EXITED, None, out[1], out[0])
        node = terms.program.nodes[step]
        if node.kind == "message":
            deadline = reached + terms.send_within
            end = quiet_until(terms.quiet, at=at, zone=known.zone)
            withheld = TOO_LATE if at > deadline else ""
            if not withheld and end is not None:
                if end <= deadline:
                    log.append((step, "quiet hours"))
                    return result(ACTIVE, end)
                withheld = QUIET_HOURS
            messages.append(Sent(step, withheld, deadline))
            log.append((step, withheld or "message"))
            step = node.next
        elif node.kind == "wait" and node.wait is not None:
            zone = known.zone if node.wait.own_zone else terms.zone
            end = wait_end(node.wait, reached=at, zone=zone)
            if node.next and end > at:
                log.append((step, "wait"))
                step, reached = node.next, end
                return result(ACTIVE, end)
            step = node.next
        elif node.kind == "branch" and node.rule is not None:
            holds = known.facts is not None and rule_matches(node.rule, known.facts).matched
            log.append((step, "then" if holds else "else"))
            step = node.then if holds else node.other
        else:
            step = node.next
        reached = at
    return result(DONE, None, at)


def messages_coming(
    terms: Terms, standing: Standing, known: Known, *, due_at: datetime, until: datetime
) -> list[tuple[str, datetime]]:
    """The messages that somebody gets to up to a moment if all stays as it is known, each with when that is. due_at:
    when they are looked at next."""
    found: list[tuple[str, datetime]] = []
    at: datetime | None = due_at
    while at is not None and at <= until:
        one = move(terms, standing, known, at=at)
        found += [(sent.step, at) for sent in one.messages if not sent.withheld]
        standing, at = Standing(one.step, one.reached_at), one.due_at
    return found
