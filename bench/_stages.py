"""Adds up what functions of a process take: seconds on the wall and of CPU, by stage."""

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any


class Clock:
    """Adds up what functions take, without what they call of each other."""

    def __init__(self) -> None:
        self.wall: defaultdict[str, float] = defaultdict(float)
        self.cpu: defaultdict[str, float] = defaultdict(float)
        self._inner: list[list[float]] = []

    def time(self, owner: Any, name: str, stage: str) -> None:
        """Time `owner.name` as a stage."""
        plain: Callable[..., Any] = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            self._inner.append([0.0, 0.0])
            wall, cpu = time.perf_counter(), time.process_time()
            try:
                return plain(*args, **kwargs)
            finally:
                wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
                inner = self._inner.pop()
                self.wall[stage] += wall - inner[0]
                self.cpu[stage] += cpu - inner[1]
                if self._inner:
                    self._inner[-1][0] += wall
                    self._inner[-1][1] += cpu

        setattr(owner, name, timed)
