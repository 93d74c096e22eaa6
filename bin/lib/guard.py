"""The supervisor's guard: stops the supervisor's children when it is gone without having done so (kill -9).

It hears of each child on its standard input, `+ PID SIGNAL SECONDS STAGE` and `- PID`, and starts to work at that
pipe's end. It holds the state folder's lock meanwhile, so that the next start waits for it.
"""

import contextlib
import os
import signal
import sys
import time
from pathlib import Path


def _alive(group: int) -> bool:
    """Whether a process of the group is left that isn't a zombie."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        # After the name in parentheses: state, parent, group (proc(5)).
        state = Path(f"/proc/{group}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (OSError, IndexError):
        return True
    return state != "Z"


def _signal(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(group, number)


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    children: dict[int, tuple[int, float, int]] = {}
    for line in sys.stdin:
        sign, pid, *rest = line.split()
        if sign == "+":
            children[int(pid)] = (int(rest[0]), float(rest[1]), int(rest[2]))
        else:
            children.pop(int(pid), None)
    for stage in sorted({child[2] for child in children.values()}, reverse=True):
        groups = {pid: child for pid, child in children.items() if child[2] == stage}
        for pid, (stop_signal, _, _) in groups.items():
            _signal(pid, stop_signal)
        begun = time.monotonic()
        for pid, (_, seconds, _) in groups.items():
            while _alive(pid) and time.monotonic() - begun < seconds:
                time.sleep(0.05)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
