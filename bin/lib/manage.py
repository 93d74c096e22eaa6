"""`bin/manage`: a command of manage.py, with the settings of the demo that runs here."""

import fcntl
import json
import os
import sys
from pathlib import Path

from bin.lib.demo import STATE
from bin.lib.installation import SETTINGS_FILE
from bin.lib.venv import ROOT

HELP = """usage: bin/manage COMMAND [ARGUMENT …]

Runs a command of manage.py in the demo that runs here (bin/demo), with its settings and as its application's database
role. Files are named from the folder you are in.

  bin/manage help                         every command
  bin/manage import_profiles --help       what one takes
  bin/manage run_playbook weekly-picks --occasion today

Everywhere else, settings are environment variables and the command is manage.py: docs/running.md."""


def settings_of_running(state: Path) -> dict[str, str] | None:
    """The settings of the demo that runs in a state folder; None where none does."""
    try:
        with (state / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return None
    except FileNotFoundError:
        return None
    except BlockingIOError:
        pass
    try:
        settings: dict[str, str] = json.loads((state / SETTINGS_FILE).read_text())
    except FileNotFoundError:
        return None
    return settings


def main(arguments: list[str]) -> int:  # noqa: RET503  # execve does not return
    """Becomes the command; ends with 1 where no demo runs."""
    folder, *words = arguments
    if not words or words[0] in {"-h", "--help"}:
        print(HELP)
        return 0
    settings = settings_of_running(STATE)
    if settings is None:
        print("No demo runs here: start it with bin/demo, and wait until it says that it is ready.", file=sys.stderr)
        return 1
    os.chdir(folder)
    os.execve(  # noqa: S606  # the command itself, without a shell
        sys.executable, [sys.executable, str(ROOT / "manage.py"), *words], os.environ | settings
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
