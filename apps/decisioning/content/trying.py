"""Template tests in a child process: whose templates they are, this process does not know. Pure but for that."""

from collections.abc import Sequence

from .case_runs import Report, Suite, suite_run
from .cases import Case
from .children import apart
from .contracts import Problem
from .errors import ContentMisbehaved
from .starting import cases_start


def report_apart(suite: Suite, *, show: str = "") -> Report:
    """`suite_run`; what misbehaves is told as a problem."""
    try:
        return apart(suite_run, suite, show=show)
    except ContentMisbehaved as error:
        return Report([error.problem])


def start_apart(suite: Suite) -> tuple[Sequence[Case], Sequence[Problem]]:
    """`cases_start`; what misbehaves is told as a problem."""
    try:
        return apart(cases_start, suite)
    except ContentMisbehaved as error:
        return [], [error.problem]
