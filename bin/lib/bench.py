"""`bin/bench NAME`: runs `bench/NAME.py` with servers and a migrated database of its own."""

import os
import sys
from pathlib import Path

from bin.lib.migrated import database_migrate
from bin.lib.places import PlaceError
from bin.lib.processes import ProcessDied, StopRequested, Supervisor
from bin.lib.progress import Progress
from bin.lib.servers import ServerError, servers_start, state_remove
from bin.lib.test import folder_new, test_environment
from bin.lib.venv import ROOT, VenvError, venv_enter

HELP = """bin/bench [NAME [ARGUMENT…]]: runs bench/NAME.py; without a name, lists what there is.

A benchmark finds a migrated database and Redis in DATABASE_URL, REDIS_URL and EVENT_REDIS_URL: the servers that these
name when they are set, else fresh ones that write to disk as in production. It prints its figures as one line of JSON,
the last."""


def benchmarks() -> dict[str, Path]:
    """The benchmarks by name."""
    found = sorted((ROOT / "bench").glob("*.py"))
    return {path.stem: path for path in found if not path.stem.startswith("_")}


def first_line(path: Path) -> str:
    """What a benchmark says of itself."""
    return path.read_text().lstrip().removeprefix('"""').split("\n", 1)[0].removesuffix('"""')


def bench_list() -> None:
    known = benchmarks()
    for name, path in known.items():
        print(f"{name:<24} {first_line(path)}")
    if not known:
        print("There are no benchmarks in bench/ yet.")


def main(arguments: list[str]) -> int:
    if {"-h", "--help"} & set(arguments[:1]):
        print(HELP)
        return 0
    if not arguments:
        bench_list()
        return 0
    path = benchmarks().get(arguments[0])
    if path is None:
        print(f"There is no bench/{arguments[0]}.py. These are there:", file=sys.stderr)
        bench_list()
        return 2
    # What it prints on standard output is for programs; the rest goes beside it.
    progress = Progress(sys.stderr)
    try:
        venv_enter("bin.lib.bench", arguments, requirements="requirements-dev.txt", progress=progress)
    except VenvError as error:
        print(error, file=sys.stderr)
        return 1
    state, lock = folder_new()
    environment = test_environment(state) | {"PYTHONPATH": str(ROOT), "LOG_LEVEL": "WARNING"}
    Path(environment["DATA_DIR"]).mkdir()
    own = {
        "postgres": not os.environ.get("DATABASE_URL"),
        "redis": not os.environ.get("REDIS_URL"),
        "events": not os.environ.get("EVENT_REDIS_URL"),
    }
    try:
        with Supervisor(state / "log", lock=lock) as supervisor:
            if any(own.values()):
                with progress.step("Starting servers"):
                    servers = servers_start(state, supervisor, **own)
                if own["postgres"]:
                    environment |= {"DATABASE_URL": servers.database_owner_url, "APP_DB_ROLE": servers.app_role}
                if own["redis"]:
                    environment["REDIS_URL"] = servers.redis_url
                if own["events"]:
                    environment["EVENT_REDIS_URL"] = servers.event_redis_url
            with progress.step("Bringing the database up to date"):
                if own["postgres"]:
                    database_migrate(environment["DATABASE_URL"], environment=environment, supervisor=supervisor)
                supervisor.run(
                    "migrate", [sys.executable, "manage.py", "migrate", "--noinput"], env=environment, cwd=ROOT
                )
            return supervisor.foreground(path.stem, [sys.executable, str(path), *arguments[1:]], env=environment)
    except (ServerError, PlaceError, ProcessDied) as error:
        print(error, file=sys.stderr)
        return 1
    except StopRequested:
        return 130
    finally:
        state_remove(state)
        lock.release()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
