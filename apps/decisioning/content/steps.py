"""Where a long piece of work is. Whoever runs it can listen: the keeper of a child process knows by it that the child
is alive, and in which source it was when it was not."""

from collections.abc import Callable

_listeners: list[Callable[[str], None]] = []


def step(where: str) -> None:
    """The work goes on to `where`: a source, or a trial render."""
    for listener in _listeners:
        listener(where)


def steps_listen(listener: Callable[[str], None]) -> None:
    """Call `listener` at each step from now on, for as long as the process lives."""
    _listeners.append(listener)
