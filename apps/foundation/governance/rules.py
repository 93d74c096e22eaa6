"""Approval paths, put together. Pure."""

from collections.abc import Sequence

from apps.foundation.core.errors import Invalid

Steps = Sequence[Sequence[str]]


def paths_merge(paths: Sequence[tuple[str, Steps]]) -> list[list[str]]:
    """One path out of several, each given with its name: every role once, after all that any path puts before it.

    A role comes as early as the orders allow, so that what no path puts in order is asked at the same time.
    Raises Invalid `approval_paths_contradict` when two paths want opposite orders.
    """
    before: dict[str, set[str]] = {}
    for _, steps in paths:
        earlier: set[str] = set()
        for step in steps:
            for role in step:
                before.setdefault(role, set()).update(earlier)
            earlier |= set(step)
    levels: dict[str, int] = {}
    waiting = dict(before)
    while waiting:
        ready = [role for role, needed in waiting.items() if needed <= levels.keys()]
        if not ready:
            names = ", ".join(
                sorted(name for name, steps in paths if {role for step in steps for role in step} & set(waiting))
            )
            raise Invalid(
                "approval_paths_contradict",
                f"The approval paths {names} want opposite orders of roles: ask an administrator to mend them",
            )
        for role in ready:
            levels[role] = 1 + max((levels[needed] for needed in waiting.pop(role)), default=-1)
    steps_found: list[list[str]] = [[] for _ in range(max(levels.values(), default=-1) + 1)]
    for role in sorted(before):
        steps_found[levels[role]].append(role)
    return steps_found


def roles_asked(steps: Steps, agreed: Sequence[str]) -> list[str]:
    """The roles that may answer now: those of the first step that is not whole."""
    for step in steps:
        missing = [role for role in step if role not in agreed]
        if missing:
            return missing
    return []


def steps_problem(steps: object, known: Sequence[str]) -> str:
    """What is wrong with the steps of a path, "" if nothing."""
    if not isinstance(steps, list) or not steps or not all(isinstance(step, list) and step for step in steps):
        return "Name at least one role that must agree"
    roles = [role for step in steps for role in step]
    for role in roles:
        if not isinstance(role, str) or role not in known:
            return f"There is no role {role!r}: choose of {', '.join(known)}"
    if len(set(roles)) < len(roles):
        return "Name each role once: one person per role must agree"
    return ""
