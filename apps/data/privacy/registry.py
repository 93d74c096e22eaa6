"""What each app tells of the personal data that it holds: how it is exported, erased, forgotten, and what it is for.

Apps above this one call these from their `ready()`; for those below it does so itself (see `apps.py`). A test walks all
models and fails when one is neither declared here nor listed as holding nothing personal, so that none is forgotten.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Any, TypeVar

from django.conf import settings
from django.db.models import Model

Row = Mapping[str, Any]
"""What is said of one thing: JSON values (moments as datetime), by name."""


class Because(str):
    """Stands for the name of a part, a step or a rule where a model has none, and says why, in a sentence."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class ExportPart:
    """A part of what a person gets to know of themselves (GDPR, Articles 15 and 20).

    title: for people, may be lazy; read: of a profile's id, the rows, best as a generator, nothing of anybody else in
    them; words: what the names in the rows are called for people.
    """

    name: str
    title: Any
    read: Callable[[int], Iterable[Row]]
    words: Mapping[str, Any] = field(default_factory=dict)


class Phase(IntEnum):
    """When a step of an erasure comes. STOP: nothing may go out any more; FORGET: what others hold; LAST: the person's
    own key, identifiers and row, without which nothing more can be found."""

    STOP = 1
    FORGET = 2
    LAST = 3


@dataclass(frozen=True, slots=True)
class Person:
    """Whom an erasure is about. identifiers: kind and normalized value; names: first and last, as far as known."""

    profile_id: int
    identifiers: Sequence[tuple[str, str]] = ()
    names: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What came of a step, for the report: no personal data. count: of things; stays: what stays, and why."""

    count: int
    stays: str = ""


@dataclass(frozen=True, slots=True)
class EraseStep:
    """A part of erasing a person (GDPR, Article 17).

    title: what is forgotten, in words; erase: does it in the transaction it is called in, with the person's gate
    locked; safe to do twice. Raises Conflict for "not now": it is tried again.
    """

    name: str
    title: str
    erase: Callable[[Person], Forgotten]
    phase: Phase


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """How long a kind of data is kept (GDPR, Article 5(1)(e)).

    what: the data, in words; days_setting: the setting with the days, 0 for as long as the person is known; forget:
    removes at most `limit` things from before a moment, in a transaction of its own, and returns how many.
    """

    name: str
    what: str
    days_setting: str
    forget: Callable[[datetime, int], int]

    @property
    def days(self) -> int:
        return int(getattr(settings, self.days_setting))


@dataclass(frozen=True, slots=True)
class Processing:
    """One line of the register of processing (GDPR, Article 30), about one model.

    exported, erased, kept: the name of a part, a step, a retention rule; or `Because(…)`.
    """

    model: type[Model]
    purpose: str
    lawful_basis: str
    categories: Sequence[str]
    recipients: Sequence[str]
    kept: str
    exported: str
    erased: str
    subjects: str


Named = TypeVar("Named", ExportPart, EraseStep, RetentionRule)

_parts: dict[str, ExportPart] = {}
_steps: dict[str, EraseStep] = {}
_rules: dict[str, RetentionRule] = {}
_processing: dict[type[Model], Processing] = {}


def _add(known: dict[str, Named], one: Named) -> None:
    """Raises ValueError for a name that another has: it would be forgotten without a word."""
    other = known.setdefault(one.name, one)
    if other != one:
        raise ValueError(f"Two are called {one.name!r}: choose another name")


def export_part(
    name: str, title: Any, read: Callable[[int], Iterable[Row]], *, words: Mapping[str, Any] | None = None
) -> None:
    """Add a part to every export, in the order of the calls. See `ExportPart`."""
    _add(_parts, ExportPart(name, title, read, words or {}))


def erase_step(name: str, erase: Callable[[Person], Forgotten], *, title: str, phase: Phase = Phase.FORGET) -> None:
    """Add a step to every erasure. See `EraseStep`."""
    _add(_steps, EraseStep(name, title, erase, phase))


def retention_rule(name: str, what: str, days_setting: str, forget: Callable[[datetime, int], int]) -> None:
    """Add a rule that beat carries out. See `RetentionRule`."""
    _add(_rules, RetentionRule(name, what, days_setting, forget))


def processing_declare(
    model: type[Model],
    *,
    purpose: str,
    lawful_basis: str,
    categories: Sequence[str],
    recipients: Sequence[str] = (),
    kept: str,
    exported: str,
    erased: str,
    subjects: str = "customers",
) -> None:
    """Say what a model that holds personal data is for. See `Processing`."""
    _processing[model] = Processing(
        model, purpose, lawful_basis, tuple(categories), tuple(recipients), kept, exported, erased, subjects
    )


def export_parts() -> Sequence[ExportPart]:
    """All parts, in the order in which they are told."""
    return tuple(_parts.values())


def erase_steps() -> Sequence[EraseStep]:
    """All steps, in the order in which they are taken."""
    return tuple(sorted(_steps.values(), key=lambda step: step.phase))


def retention_rules() -> Sequence[RetentionRule]:
    """All rules, by name."""
    return tuple(_rules[name] for name in sorted(_rules))


def processings() -> Sequence[Processing]:
    """All lines of the register, by the model's name."""
    return tuple(sorted(_processing.values(), key=lambda one: one.model._meta.label))


def undeclared(line: Processing) -> list[str]:
    """What a line of the register names that nobody registered."""
    known: tuple[tuple[str, Mapping[str, object]], ...] = (
        (line.exported, _parts),
        (line.erased, _steps),
        (line.kept, _rules),
    )
    return [name for name, registered in known if not isinstance(name, Because) and name not in registered]
