"""`bin/test`: sets up what the tests need, runs them, and takes it down again."""

import os
import secrets
import shutil
import sys
from pathlib import Path

from bin.lib.installation import master_key_new
from bin.lib.migrated import database_migrate
from bin.lib.places import PlaceError
from bin.lib.processes import ProcessDied, StateInUse, StateLock, StopRequested, Supervisor
from bin.lib.progress import Progress
from bin.lib.servers import DATABASE, ServerError, servers_start, state_remove
from bin.lib.venv import ROOT, VenvError, venv_enter

HELP = """bin/test [--slow] [ARGUMENT…]: runs the tests.

  bin/test                     all but those marked slow
  bin/test --slow              all
  bin/test tests/data -k name  arguments go to pytest; `-n 0` runs in one process, for --pdb

It makes .venv and starts PostgreSQL and Redis of its own, which it stops and deletes at the end.
DATABASE_URL (a role that may create databases) and REDIS_URL, where set, name servers to use instead.
"""

FOLDERS = ROOT / "var" / "tests"


def folder_new(folders: Path = FOLDERS) -> tuple[Path, StateLock]:
    """A fresh state folder for one run; those of runs that were killed are deleted."""
    for left in folders.glob("*"):
        try:
            lock = StateLock(left, patience=0)
        except StateInUse:
            continue
        state_remove(left)
        lock.release()
    state = folders / secrets.token_hex(4)
    return state, StateLock(state)


def test_environment(state: Path) -> dict[str, str]:
    """The settings that tests run with, as environment variables; the servers' addresses come on top."""
    # A hundred Pythons start in a run: without compiled files each compiles the whole house for itself.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {
        **inherited,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "SECRET_KEY": secrets.token_urlsafe(60),
        "LINK_KEYS": f"k1:{secrets.token_hex(24)}",
        "ADDRESS_KEY": secrets.token_hex(24),
        "MASTER_KEYS": master_key_new(),
        "BASE_URL": "http://127.0.0.1:8000",
        "ALLOWED_HOSTS": "127.0.0.1,localhost,testserver",
        "SMTP_URL": "smtp://127.0.0.1:2525",
        "HTTPS_ONLY": "false",
        "DATA_DIR": str(state / "data"),
        # Playwright's own event loop runs in the thread of the tests that use it.
        "DJANGO_ALLOW_ASYNC_UNSAFE": "true",
    }


def pytest_arguments(arguments: list[str]) -> list[str]:
    """Pytest's arguments: three processes and all but the slow tests, unless said otherwise.

    A file is run by one process, so that what is made once for all its tests is not made in the other one too; files
    come in the order that `tests/conftest.py` gives them.
    """
    own = [argument for argument in arguments if argument != "--slow"]
    if "--slow" in arguments:
        own = ["-m", "", *own]
    if not any(argument.startswith(("-n", "--numprocesses", "--pdb", "--trace")) for argument in own):
        own = ["-n", "3", "--dist", "loadfile", "--no-loadscope-reorder", *own]
    return own


def main(arguments: list[str]) -> int:
    if {"-h", "--help"} & set(arguments):
        print(HELP)
        return 0
    progress = Progress()
    try:
        venv_enter("bin.lib.test", arguments, requirements="requirements-dev.txt", progress=progress)
    except VenvError as error:
        print(error, file=sys.stderr)
        return 1
    state, lock = folder_new()
    environment = test_environment(state)
    Path(environment["DATA_DIR"]).mkdir()
    own = {"postgres": not os.environ.get("DATABASE_URL"), "redis": not os.environ.get("REDIS_URL")}
    try:
        with Supervisor(state / "log", lock=lock) as supervisor:
            if any(own.values()):
                with progress.step("Starting servers for the tests"):
                    addresses = servers_start(state, supervisor, throwaway=True, **own)
                if own["postgres"]:
                    environment["DATABASE_URL"] = addresses.database_owner_url
                    environment["APP_DB_ROLE"] = addresses.app_role
                if own["redis"]:
                    environment["REDIS_URL"] = addresses.redis_url
            if own["postgres"]:
                with progress.step("Bringing a database up to date"):
                    database_migrate(environment["DATABASE_URL"], environment=environment, supervisor=supervisor)
                environment["TEST_DATABASE_TEMPLATE"] = DATABASE  # each process of the tests has a copy
            command = [sys.executable, "-m", "pytest", *pytest_arguments(arguments)]
            return supervisor.foreground("pytest", command, env=environment)
    except (ServerError, PlaceError, ProcessDied) as error:
        print(error, file=sys.stderr)
        return 1
    except StopRequested:
        return 130
    finally:
        state_remove(state)
        lock.release()
        shutil.rmtree(FOLDERS, ignore_errors=True) if not any(FOLDERS.iterdir()) else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
