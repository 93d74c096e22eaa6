"""The steps of a playbook: what they may be, and the program that journeys follow. Pure.

A step is an object with a `kind` and an `id` of its own:

    {"kind": "message", "id": "hello", "name": "Hello", "template": 7, "slots": {…}}
    {"kind": "wait", "id": "days", "for": {"days": 3}}                    or minutes, or hours
    {"kind": "wait", "id": "morning", "until": {"time": "09:00", "days": ["mon"], "zone": "person"}}
    {"kind": "branch", "id": "bought", "name": "Bought", "when": rule, "then": [steps], "else": [steps]}
    {"kind": "exit", "id": "left", "name": "Bought", "when": rule}        or "event": "Order Completed"

An exit is looked at when it is reached and before each step after it, in its branch and what is inside. With `event`
it asks whether that happened since the journey began.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import time
from typing import Any

from apps.decisioning.audiences.contracts import Rule
from apps.decisioning.audiences.rules import rule_parse, rule_to_json
from apps.foundation.core.errors import Invalid
from apps.foundation.core.wall_clock import WEEKDAYS

from .contracts import PlaybookSpec, StepSpec
from .errors import Problem
from .moments import Wait
from .rules import slots_read

KINDS: dict[str, str] = {
    "message": "Message",
    "wait": "Wait",
    "branch": "Branch",
    "exit": "Exit when",
}
"""Kinds of steps and their words for people."""

ORDER_COMPLETED = "Order Completed"
"""The name under which a purchase is an event."""
ONLY = "message"
"""Id of the step of a playbook that has one message and nothing else."""

MAX_STEPS = 40
MAX_DEPTH = 4
MAX_MINUTES = 60 * 24 * 365
_ID = re.compile(r"[a-z][a-z0-9-]{0,39}")
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_UNITS = {"minutes": 1, "hours": 60, "days": 60 * 24}
_ALLOWED = {
    "message": ("template", "slots"),
    "wait": ("for", "until"),
    "branch": ("when", "then", "else"),
    "exit": ("when", "event"),
}


@dataclass(frozen=True, slots=True)
class TemplateSlots:
    """What the steps must know of a template."""

    id: int
    code: str
    slots: tuple[str, ...]


# --- reading ---


def steps_read(
    steps: object, *, templates: Sequence[TemplateSlots], blocks: Mapping[str, int]
) -> tuple[list[dict[str, Any]], list[Problem]]:
    """Steps as a person or a program wrote them, in their one spelling, and what is wrong with them, with its place.

    Templates go by id or code, blocks by id or name, and are kept by id. A step without an id gets one.
    """
    reader = _Reader(templates, blocks)
    if not isinstance(steps, list):
        return [], [Problem("steps", "Write a list of steps")]
    for _, given in steps_walk(steps):
        if isinstance(given.get("id"), str):
            reader.taken.add(given["id"])
    read = reader.sequence(steps, "steps", 1)
    if reader.count > MAX_STEPS:
        reader.problems.append(Problem("steps", f"At most {MAX_STEPS} steps, and these are {reader.count}"))
    if not reader.problems and not any(step["kind"] == "message" for _, step in steps_walk(read)):
        reader.problems.append(Problem("steps", "Add a message: without one nobody gets anything"))
    return read, reader.problems


def steps_walk(steps: object, place: str = "steps") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every step with its place, from the first to the last, whatever else may be in there."""
    if not isinstance(steps, list):
        return
    for index, step in enumerate(steps):
        here = f"{place}[{index}]"
        if isinstance(step, dict):
            yield here, step
            for way in ("then", "else"):
                yield from steps_walk(step.get(way), f"{here}.{way}")


@dataclass
class _Reader:
    templates: Sequence[TemplateSlots]
    blocks: Mapping[str, int]
    problems: list[Problem] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    count: int = 0

    def fault(self, place: str, problem: str) -> None:
        self.problems.append(Problem(place, problem))

    def sequence(self, steps: object, place: str, depth: int) -> list[dict[str, Any]]:
        if not isinstance(steps, list):
            self.fault(place, "Write a list of steps")
            return []
        if depth > MAX_DEPTH:
            self.fault(place, f"Branches within branches: at most {MAX_DEPTH - 1} deep")
            return []
        return [self.step(step, f"{place}[{index}]", depth) for index, step in enumerate(steps)]

    def step(self, step: object, place: str, depth: int) -> dict[str, Any]:
        self.count += 1
        if not isinstance(step, dict) or not isinstance(step.get("kind"), str) or step["kind"] not in KINDS:
            self.fault(place, f'Write a step, such as {{"kind": "wait", "for": {{"days": 3}}}}: {", ".join(KINDS)}')
            return {"kind": "", "id": "", "name": ""}
        kind = str(step["kind"])
        for key in step:
            if key not in ("kind", "id", "name", *_ALLOWED[kind]):
                self.fault(f"{place}.{key}", f"Unknown: a {kind} has {', '.join(_ALLOWED[kind])}")
        name = step.get("name") or ""
        if not isinstance(name, str) or len(name) > 80 or not (name.isprintable()):
            self.fault(f"{place}.name", "Write a name of at most 80 characters")
            name = ""
        read: dict[str, Any] = {"kind": kind, "id": self.id(step, kind, place), "name": name.strip()}
        if kind == "message":
            read |= self.message(step, place)
        elif kind == "wait":
            read |= self.wait(step, place)
        elif kind == "branch":
            read["when"] = self.rule(step.get("when"), f"{place}.when")
            read["then"] = self.sequence(step.get("then", []), f"{place}.then", depth + 1)
            read["else"] = self.sequence(step.get("else", []), f"{place}.else", depth + 1)
            if not read["then"] and not read["else"]:
                self.fault(place, "Give this branch a step on one side at least")
        else:
            read |= self.exit(step, place)
        return read

    def id(self, step: dict[str, Any], kind: str, place: str) -> str:
        given = step.get("id")
        if not given:
            number = 1
            while f"{kind}-{number}" in self.taken:
                number += 1
            given = f"{kind}-{number}"
            self.taken.add(given)
        if not isinstance(given, str) or not _ID.fullmatch(given):
            self.fault(f"{place}.id", "Write small letters, digits and hyphens, at most 40, such as hello-again")
            return ""
        if given in self.seen:
            self.fault(f"{place}.id", f"Two steps are called {given}: give each an id of its own")
        self.seen.add(given)
        return given

    def message(self, step: dict[str, Any], place: str) -> dict[str, Any]:
        wanted = step.get("template")
        found = next((one for one in self.templates if wanted in (one.id, one.code) and wanted is not True), None)
        if found is None:
            self.fault(f"{place}.template", f"There is no template {wanted!r}" if wanted else "Choose a template")
            return {"template": 0, "slots": step.get("slots") if isinstance(step.get("slots"), dict) else {}}
        slots, problems = slots_read(step.get("slots"), template_slots=found.slots, blocks=self.blocks)
        for problem in problems:
            self.fault(f"{place}.{problem.place}", problem.problem)
        return {"template": found.id, "slots": slots}

    def wait(self, step: dict[str, Any], place: str) -> dict[str, Any]:
        if ("for" in step) == ("until" in step):
            self.fault(place, "Say how long (for), or until when (until)")
            return {"for": {"days": 1}}
        if "for" in step:
            span = step["for"]
            if not isinstance(span, dict) or len(span) != 1 or next(iter(span)) not in _UNITS:
                self.fault(f"{place}.for", 'Write minutes, hours or days, such as {"days": 3}')
                return {"for": {"days": 1}}
            unit, number = next(iter(span.items()))
            if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number * _UNITS[unit] <= MAX_MINUTES:
                self.fault(f"{place}.for", f"Write a whole number of {unit}: from 1, and at most a year")
                return {"for": {"days": 1}}
            return {"for": {unit: number}}
        until = step["until"]
        if not isinstance(until, dict) or not set(until) <= {"time", "days", "zone"}:
            self.fault(f"{place}.until", 'Write a time of day, such as {"time": "09:00", "days": ["mon"]}')
            return {"for": {"days": 1}}
        at, days, zone = until.get("time"), until.get("days") or [], until.get("zone") or "person"
        if not isinstance(at, str) or not _TIME.fullmatch(at):
            self.fault(f"{place}.until.time", "Write hours and minutes, such as 09:00")
            at = "09:00"
        if not isinstance(days, list) or not all(day in WEEKDAYS for day in days):
            self.fault(f"{place}.until.days", f"Name weekdays: {', '.join(WEEKDAYS)}")
            days = []
        if zone not in ("person", "playbook"):
            self.fault(f"{place}.until.zone", "Choose person (their own time zone, if it is known) or playbook")
            zone = "person"
        return {"until": {"time": at, "days": [day for day in WEEKDAYS if day in days], "zone": zone}}

    def exit(self, step: dict[str, Any], place: str) -> dict[str, Any]:
        if ("when" in step) == ("event" in step):
            self.fault(place, "Say by which rule (when) or at which event (event) people leave")
            return {"when": {"all": []}}
        if "when" in step:
            return {"when": self.rule(step["when"], f"{place}.when")}
        name = step["event"]
        if not isinstance(name, str) or not name.strip() or len(name) > 120 or "\0" in name:
            self.fault(f"{place}.event", f"Name the event, such as {ORDER_COMPLETED}")
            name = ORDER_COMPLETED
        return {"event": name.strip()}

    def rule(self, data: object, place: str) -> dict[str, Any]:
        try:
            return rule_to_json(rule_parse(data))
        except Invalid as error:
            self.fault(place, error.message)
            return {"all": []}


# --- the program ---


@dataclass(frozen=True, slots=True)
class Exit:
    """A way out that holds at a step: a rule, or the name of an event since the journey began."""

    id: str
    name: str
    rule: Rule | None
    event: str


@dataclass(frozen=True, slots=True)
class Node:
    """A step of the program. next, then, other: ids of what follows, "" for the end; exits: looked at before it."""

    id: str
    kind: str
    name: str
    next: str
    exits: tuple[Exit, ...]
    wait: Wait | None = None
    rule: Rule | None = None
    then: str = ""
    other: str = ""


@dataclass(frozen=True, slots=True)
class Program:
    """The steps of a version, ready to be followed. exits: all there are, by the name of their event or ""."""

    first: str
    nodes: Mapping[str, Node]
    rules: tuple[Rule, ...]
    exit_events: tuple[str, ...]


def program_make(spec: PlaybookSpec) -> Program:
    """The program of a version. Raises Invalid for a rule that can't be read."""
    nodes: dict[str, Node] = {}
    first = _laid(steps_of(spec), "", (), nodes)
    exits = {found for node in nodes.values() for found in node.exits}
    rules = [node.rule for node in nodes.values() if node.rule is not None]
    rules += [found.rule for found in exits if found.rule is not None]
    return Program(first, nodes, tuple(rules), tuple(sorted({found.event for found in exits if found.event})))


def _laid(steps: Sequence[StepSpec], after: str, exits: tuple[Exit, ...], nodes: dict[str, Node]) -> str:
    """Put steps into the program, each knowing what comes next. Returns the id of the first, or of what follows."""
    for index, step in enumerate(steps):
        following = steps[index + 1]["id"] if index + 1 < len(steps) else after
        kind, rule, then, other = step["kind"], None, "", ""
        if kind == "exit":
            out = rule_parse(step["when"]) if "when" in step else None
            exits = (*exits, Exit(step["id"], step["name"], out, step.get("event", "")))
        elif kind == "branch":
            rule = rule_parse(step["when"])
            then = _laid(step["then"], following, exits, nodes)
            other = _laid(step["else"], following, exits, nodes)
        nodes[step["id"]] = Node(
            id=step["id"],
            kind=kind,
            name=step["name"],
            next=following,
            exits=exits,
            wait=wait_of(step) if kind == "wait" else None,
            rule=rule,
            then=then,
            other=other,
        )
    return steps[0]["id"] if steps else after


def wait_of(step: Mapping[str, Any]) -> Wait:
    """The wait that a step asks for."""
    if "for" in step:
        unit, number = next(iter(step["for"].items()))
        return Wait(days=number) if unit == "days" else Wait(minutes=number * _UNITS[unit])
    until = step["until"]
    hour, minute = map(int, until["time"].split(":"))
    return Wait(until=time(hour, minute), weekdays=tuple(until["days"]), own_zone=until["zone"] == "person")


def steps_of(spec: PlaybookSpec) -> list[StepSpec]:
    """The steps of a version; of one with a single message, that one."""
    steps = spec.get("steps") or []
    if steps:
        return steps
    return [StepSpec(kind="message", id=ONLY, name="", template_version=spec["template_version"], slots=spec["slots"])]


def message_steps(spec: PlaybookSpec) -> dict[str, StepSpec]:
    """The messages of a version, by the id of their step, in their order."""
    return {step["id"]: step for _, step in steps_walk(steps_of(spec)) if step["kind"] == "message"}  # type: ignore[misc]


def message_spec(spec: PlaybookSpec, step: str) -> PlaybookSpec:
    """The spec as it is for one message: with its template and its slots. Raises KeyError for an unknown step."""
    if not spec.get("steps"):
        return spec
    found = message_steps(spec)[step]
    return {**spec, "template_version": found["template_version"], "slots": found["slots"]}


def step_title(spec: PlaybookSpec, step: str) -> str:
    """What a step is called, for people; "" for a playbook that has only one."""
    if not step or not spec.get("steps"):
        return ""
    return next((one["name"] or step for _, one in steps_walk(spec.get("steps")) if one["id"] == step), step)


def in_one_go(spec: PlaybookSpec) -> bool:
    """Whether a version is one message to everybody at once: then nobody has to be followed through time."""
    return not spec.get("steps") and spec["trigger"] in ("hand", "schedule")
