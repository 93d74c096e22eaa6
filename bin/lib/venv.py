"""The virtual environment `.venv`: made once, filled from a requirements file, filled again when that file changes.

Only the standard library: this runs before anything is installed.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bin.lib.progress import STARTED_VARIABLE, Progress

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / ".venv"
PYTHON = FOLDER / "bin" / "python"
RECORD = FOLDER / "installed.json"
"""Which requirements files were installed, by the digest of their content."""


class VenvError(Exception):
    """The virtual environment can't be made or filled; the message says why."""


def _works() -> bool:
    """Whether the environment's Python runs and has pip: a copied or half-made one doesn't."""
    if not PYTHON.exists():
        return False
    probe = "import sys, pip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))"
    return subprocess.run([PYTHON, "-c", probe], capture_output=True, check=False).returncode == 0


def _installed() -> dict[str, str]:
    try:
        record = json.loads(RECORD.read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Two commands started at the same moment fill the environment one after the other."""
    path = ROOT / "var" / "venv.lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(command: list[str], *, log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
    with log.open("ab") as out:
        code = subprocess.run(command, stdout=out, stderr=out, env=environment, cwd=ROOT, check=False).returncode
    if code:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise VenvError(f"{' '.join(command[1:4])} … ended with {code}; the end of {log}:\n{last}")


def venv_fill(requirements: str, *, progress: Progress) -> None:
    """Makes `.venv` if it is missing, and installs the requirements file if its content isn't installed yet.

    Exact versions with their hashes, no resolving: what isn't in the file isn't installed.
    """
    wanted = hashlib.sha256((ROOT / requirements).read_bytes()).hexdigest()
    log = ROOT / "var" / "log" / "install.log"
    if PYTHON.exists() and _installed().get(requirements) == wanted:
        return
    with _alone():
        if not _works():
            with progress.step("Making the virtual environment"):
                python = getattr(sys, "_base_executable", sys.executable)
                _run([python, "-m", "venv", "--clear", str(FOLDER)], log=log)
        installed = _installed()
        if installed.get(requirements) == wanted:
            return
        with progress.step(f"Installing {requirements}"):
            pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
            # --no-compile: Python compiles what is used at its first import, which is a fraction of all.
            _run([*pip, "--no-compile", "--no-deps", "--require-hashes", "-r", requirements], log=log)
            RECORD.write_text(json.dumps({**installed, requirements: wanted}, indent=1) + "\n")


def venv_enter(module: str, arguments: list[str], *, requirements: str, progress: Progress) -> None:
    """Fills `.venv` and goes on in it: returns when already there, else this process becomes that Python."""
    venv_fill(requirements, progress=progress)
    if Path(sys.prefix).resolve() == FOLDER.resolve():
        return
    sys.stdout.flush()
    os.environ[STARTED_VARIABLE] = repr(progress.started)
    os.execv(PYTHON, [str(PYTHON), "-m", module, *arguments])  # noqa: S606 -- no shell is wanted
