"""`bin/check`: style, types, floors, migrations and production settings, all of them, each with its result."""

import concurrent.futures
import os
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass, field

from bin.lib.places import PlaceError
from bin.lib.processes import ProcessDied, StopRequested, Supervisor
from bin.lib.progress import Progress
from bin.lib.servers import ServerError, servers_start, state_remove
from bin.lib.test import folder_new, test_environment
from bin.lib.venv import ROOT, VenvError, venv_enter

HELP = """bin/check: ruff (lint and format), mypy, import-linter, makemigrations --check, check --deploy.

All run, whatever fails; exit code 1 if any did. `bin/check ruff mypy` runs those whose names begin so.
DATABASE_URL, where set, names a server to use; else one is started, since makemigrations looks at the database's
history."""


@dataclass(frozen=True)
class Check:
    """One program to run; `settings` come over those of the tests."""

    name: str
    command: list[str]
    settings: dict[str, str] = field(default_factory=dict)
    needs_database: bool = False


def checks() -> list[Check]:
    module = [sys.executable, "-m"]
    manage = [sys.executable, "-W", "error::RuntimeWarning", "manage.py"]
    production = {
        "HTTPS_ONLY": "true",
        "DEBUG": "false",
        "BASE_URL": "https://tessera.example",
        "ALLOWED_HOSTS": "tessera.example",
        "TRUST_FORWARDED_PROTO": "true",
        "SECRET_KEY": secrets.token_urlsafe(60),
        "DJANGO_ALLOW_ASYNC_UNSAFE": "",  # for browser tests alone
    }
    return [
        # The longest first: they run two at a time.
        Check("mypy", [*module, "mypy", "."]),
        Check("ruff check", [*module, "ruff", "check", "."]),
        Check("ruff format", [*module, "ruff", "format", "--check", "."]),
        Check("import-linter", [sys.executable, "-c", LINT_IMPORTS]),
        Check("makemigrations --check", [*manage, "makemigrations", "--check", "--dry-run"], needs_database=True),
        Check("check --deploy", [*manage, "check", "--deploy", "--fail-level", "WARNING"], production),
    ]


LINT_IMPORTS = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
"""import-linter has no `python -m`, and a script's first line can't hold a deep folder's path."""


def check_run(check: Check, environment: dict[str, str]) -> tuple[bool, float, str]:
    """Runs one; gives whether it passed, its seconds, and what it printed."""
    begun = time.monotonic()
    done = subprocess.run(
        check.command,
        cwd=ROOT,
        env=environment | check.settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        check=False,
    )
    return done.returncode == 0, time.monotonic() - begun, done.stdout.strip()


def run_all(chosen: list[Check], environment: dict[str, str]) -> list[str]:
    """Runs them, two at a time, prints each as it ends, and gives the names of those that failed."""
    failed = []
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        running = {pool.submit(check_run, check, environment): check for check in chosen}
        for future in concurrent.futures.as_completed(running):
            passed, seconds, said = future.result()
            name = running[future].name
            print(f"{'OK    ' if passed else 'FAILED'}  {name} ({seconds:.1f} s)", flush=True)
            if not passed:
                failed.append(name)
                print("\n".join(f"        {line}" for line in said.splitlines()), flush=True)
    return failed


def main(arguments: list[str]) -> int:
    if {"-h", "--help"} & set(arguments):
        print(HELP)
        return 0
    progress = Progress()
    try:
        venv_enter("bin.lib.check", arguments, requirements="requirements-dev.txt", progress=progress)
    except VenvError as error:
        print(error, file=sys.stderr)
        return 1
    chosen = [check for check in checks() if not arguments or check.name.startswith(tuple(arguments))]
    if not chosen:
        print(f"There is no such check. These are there: {', '.join(check.name for check in checks())}")
        return 2
    state, lock = folder_new()
    environment = test_environment(state) | {"PYTHONPATH": str(ROOT)}
    environment.setdefault("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")
    environment.setdefault("REDIS_URL", "redis://127.0.0.1:1/0")
    try:
        with Supervisor(state / "log", lock=lock) as supervisor:
            if any(check.needs_database for check in chosen) and not os.environ.get("DATABASE_URL"):
                servers = servers_start(state, supervisor, throwaway=True, redis=False)
                environment["DATABASE_URL"] = servers.database_owner_url
            failed = run_all(chosen, environment)
    except (ServerError, PlaceError, ProcessDied) as error:
        print(error, file=sys.stderr)
        return 1
    except StopRequested:
        return 130
    finally:
        state_remove(state)
        lock.release()
    took = f"{progress.seconds():.0f} s"
    print(f"\n{', '.join(failed)} FAILED ({took})" if failed else f"\nAll {len(chosen)} checks passed ({took})")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
