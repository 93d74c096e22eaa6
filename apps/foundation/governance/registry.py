"""What other apps tell about their objects in `ready()`: how they are governed, and where their history is."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from django.db import models

from apps.foundation.accounts.models import User

Steps = Sequence[Sequence[str]]
"""An approval path: steps in order, each with the roles that answer in it in any order."""


@dataclass(frozen=True, slots=True)
class Looks:
    """How something looks to its readers, for pages that show it: whole HTML for a frame, or text."""

    title: str
    html: str = ""
    text: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Use:
    """Something that uses an object, and its page."""

    label: str
    url: str


def _no_problems(version: Any) -> Sequence[str]:
    return ()


def _no_steps(version: Any) -> Steps:
    return ()


def _nothing(head: Any, version: Any, by: User | None) -> Any:
    return None


def _no_looks(version: Any) -> Sequence[Looks]:
    return ()


@dataclass(frozen=True, slots=True)
class Workflow:
    """How one kind of object goes from draft to published.

    code: begins the codes of its errors; head, version: the models; link: the version's field that leads to its head;
    digest: of what is stored, computed anew at each call;
    authors: ids of those whose work is new in a version; tags: those it has, with those of all it uses;
    problems: what keeps a version from being handed in or published, in words; steps: who must agree beside the
    approval paths; published, withdrawn: what follows, in the same transaction (withdrawn returns data for the audit
    log); values: its fields by label, to compare two; revert: makes a new draft of a version, for a user, with a
    reason, and returns what to say; looks: how it looks; state_field: a column of the version in which the state is
    kept for lists, "" for none. Who may hand in (`change`) and publish (`publish`) is asked of `accounts.rights`.
    """

    code: str
    head: type[models.Model]
    version: type[models.Model]
    link: str
    digest: Callable[[Any], str]
    authors: Callable[[Any], Collection[int]]
    tags: Callable[[Any], Collection[str]]
    values: Callable[[Any], Mapping[str, str]]
    revert: Callable[[Any, User, str], str]
    problems: Callable[[Any], Sequence[str]] = _no_problems
    steps: Callable[[Any], Steps] = _no_steps
    published: Callable[[Any, Any, User], None] = _nothing
    withdrawn: Callable[[Any, Any, User], Mapping[str, Any] | None] = _nothing
    looks: Callable[[Any], Sequence[Looks]] = _no_looks
    state_field: str = ""

    def head_of(self, version: models.Model) -> Any:
        """The head of a version."""
        return getattr(version, self.link)

    def versions(self, head: models.Model) -> "models.QuerySet[Any]":
        """The versions of a head, the newest first."""
        return self.version._default_manager.filter(**{self.link: head}).order_by("-pk")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of an object's history.

    key: names it in addresses; by: None for the machine; why: what was said when it was made; state: of a version
    that others agree to, else "".
    """

    key: str
    label: str
    at: datetime
    by: User | None
    why: str
    state: str = ""
    state_label: str = ""


class History(Protocol):
    """Where an object's history is. One kind of object may have several, each with keys of its own."""

    prefix: str

    def entries(self, head: models.Model, *, limit: int) -> list[Entry]:
        """The newest lines."""

    def values(self, head: models.Model, key: str) -> Mapping[str, str]:
        """The fields by label, as text, at a line. Raises NotFound."""

    def looks(self, head: models.Model, key: str) -> Sequence[Looks]:
        """How it looked at a line."""

    def revert(self, head: models.Model, key: str, *, by: User, why: str) -> str:
        """Make a new draft of what was; the words to say. With the rights and limits of the one who asks."""


_workflows: dict[type[models.Model], Workflow] = {}
_by_version: dict[type[models.Model], Workflow] = {}
_histories: dict[type[models.Model], tuple[History, ...]] = {}
_uses: dict[type[models.Model], list[Callable[[Any], Sequence[Use]]]] = {}


def workflow_register(workflow: Workflow) -> None:
    """Put a kind of object under the workflow."""
    _workflows[workflow.head] = workflow
    _by_version[workflow.version] = workflow


def history_register(model: type[models.Model], *sources: History) -> None:
    """Say where the history of a kind of object is."""
    _histories[model] = sources


def uses_register(model: type[models.Model], find: Callable[[Any], Sequence[Use]]) -> None:
    """Say how to find what is live and uses an object; asked before it is withdrawn."""
    _uses.setdefault(model, []).append(find)


def workflow_of(model: type[models.Model]) -> Workflow | None:
    """The workflow of a head or of a version."""
    return _workflows.get(model) or _by_version.get(model)


def workflows() -> Sequence[Workflow]:
    """All kinds of objects under the workflow."""
    return tuple(_workflows.values())


def histories_of(model: type[models.Model]) -> tuple[History, ...]:
    """Where the history of a kind of object is; none for one that has no history."""
    return _histories.get(model, ())


def uses_of(head: models.Model) -> list[Use]:
    """What is live and uses an object."""
    return [use for find in _uses.get(type(head), ()) for use in find(head)]
