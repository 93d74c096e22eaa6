"""What can go wrong while content is tried, or a person's message is rendered."""

from collections.abc import Mapping, Sequence
from typing import Any

from apps.foundation.core.errors import Conflict, DomainError, Invalid

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


class BreaksBlocks(Conflict):
    """A change of a block type would break blocks, and nobody has agreed to just that.

    breaks: what would be broken (block_id, block, language, field, why); digest: what to confirm it by; untried:
    looks that were too many to compile.
    """

    def __init__(self, blocks: int, breaks: Sequence[Mapping[str, Any]], *, digest: str, untried: int = 0) -> None:
        many = "one block" if blocks == 1 else f"{blocks} blocks"
        message = f"This change would break {many}: look at what, and confirm it or leave it"
        extra = {"breaks": [dict(one) for one in breaks], "digest": digest, "untried": untried}
        super().__init__("block_type_breaks", message, extra)
        self.blocks, self.breaks, self.digest, self.untried = blocks, tuple(breaks), digest, untried
