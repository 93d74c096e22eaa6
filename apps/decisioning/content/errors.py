"""What can go wrong while content is tried, or a person's message is rendered."""

from apps.foundation.core.errors import DomainError, Invalid

from .contracts import Problem, problems_as_data


class RenderError(DomainError):
    """A message can't be rendered: something would be blank, or the template misbehaved. Never holds personal data."""


class ContentMisbehaved(Invalid):
    """What somebody wrote took too long, needed too much or crashed while it was tried in a child process.

    problem: the same, as a Problem; it is in `extra["problems"]` too.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__("content_misbehaves", str(problem), {"problems": problems_as_data([problem])})
        self.problem = problem
