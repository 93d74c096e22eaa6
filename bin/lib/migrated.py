"""A migrated database without migrating: what the migrations made is kept as a dump.

Migrating an empty database takes most of the time of a short test run. Where the migrations are those of a dump, its
database needs none; where some came on top, only those are run. A migration that was changed, or that an old one came
to depend on, makes a dump worthless: its file is another then.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from bin.lib.places import postgres_programs, server_account
from bin.lib.processes import Supervisor
from bin.lib.venv import ROOT

KEPT = ROOT / "var" / "migrated"
_END = b"-- PostgreSQL database dump complete"
"""What pg_dump writes when it is through: without it a dump is torn, though every statement in it may work."""


_DUMPS = 4
"""How many are kept: a newer one of other work does not cost an older one."""


def migrations_found(root: Path = ROOT) -> dict[str, str]:
    """The digest of each migration, of the versions of the libraries that bring some too, and of the roles, which are
    written behind them; by its path."""
    beside = (root / "requirements.txt", root / "apps" / "foundation" / "accounts" / "roles.py")
    paths = (*sorted((root / "apps").rglob("migrations/*.py")), *beside)
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def migrations_digest(found: Mapping[str, str]) -> str:
    """Of all migrations together."""
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:32]


def database_migrate(url: str, *, environment: Mapping[str, str], supervisor: Supervisor) -> None:
    """Bring an empty database of one of our own servers to where all migrations lead.

    url: of its owner; environment: what `manage.py migrate` runs with. Raises ProcessDied.
    """
    found = migrations_found()
    for dump, known in _usable(found):
        if _restore(url, dump):
            if known == found:
                return
            break
    supervisor.run("migrate", [sys.executable, "manage.py", "migrate", "--noinput"], env=environment, cwd=ROOT)
    _keep(url, found)


def _usable(found: Mapping[str, str]) -> list[tuple[Path, dict[str, str]]]:
    """The dumps of which every migration is still there as it was, and these; those with the most come first."""
    dumps = []
    for listing in KEPT.glob("*.json"):
        known = json.loads(listing.read_text())
        if known.items() <= found.items():
            dumps.append((listing.with_suffix(".sql"), known))
    return sorted((dump for dump in dumps if dump[0].exists()), key=lambda dump: -len(dump[1]))


def _program(name: str, url: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """The command and its environment; the password is in no command line."""
    place = urlsplit(url)
    where = ["-h", place.hostname or "", "-p", str(place.port), "-U", place.username or "", "-d", place.path.strip("/")]
    command = [str(postgres_programs(server_account()) / name), *where, *arguments]
    return command, {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "PGPASSWORD": place.password or "", "LC_ALL": "C"}


def _restore(url: str, dump: Path) -> bool:
    """Whether the dump was taken in whole; if not, the database is as it was, and the dump is gone."""
    if _END not in dump.read_bytes()[-200:]:
        dump.unlink(missing_ok=True)
        return False
    command, environment = _program("psql", url, "-Xq", "-1", "-v", "ON_ERROR_STOP=1", "-f", str(dump))
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    if done.returncode:
        dump.unlink(missing_ok=True)
    return not done.returncode


def _keep(url: str, found: Mapping[str, str]) -> None:
    """Write the dump, whole or not at all, with the list of what it holds; forget the oldest."""
    KEPT.mkdir(parents=True, exist_ok=True)
    dump = KEPT / f"{migrations_digest(found)}.sql"
    handle, half = tempfile.mkstemp(dir=KEPT, suffix=".half")
    os.close(handle)
    command, environment = _program("pg_dump", url, "--no-owner", "-f", half)
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    if done.returncode:
        Path(half).unlink(missing_ok=True)
        return
    Path(half).replace(dump)
    handle, half = tempfile.mkstemp(dir=KEPT, suffix=".half")
    with os.fdopen(handle, "w") as file:
        json.dump(found, file)
    Path(half).replace(dump.with_suffix(".json"))
    for old in sorted(KEPT.glob("*.sql"), key=lambda path: path.stat().st_mtime)[:-_DUMPS]:
        old.unlink(missing_ok=True)
        old.with_suffix(".json").unlink(missing_ok=True)
