"""Errors of playbooks."""

from collections.abc import Sequence
from dataclasses import dataclass

from apps.foundation.core.errors import Invalid


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at one place of a playbook. place: field, then the way down, as in `slots.hero[1].when`."""

    place: str
    problem: str

    @property
    def field(self) -> str:
        """The field of the playbook that it is about."""
        return self.place.split(".")[0].split("[")[0]

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}"


class PlaybookInvalid(Invalid):
    """A playbook that can't work as it is; `problems` lists everything that is wrong with it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(
            "playbook_invalid",
            "\n".join(map(str, problems)),
            {"problems": [{"place": problem.place, "problem": problem.problem} for problem in problems]},
        )
        self.problems = tuple(problems)
