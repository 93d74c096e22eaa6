"""A migrated database without migrating: what the migrations made is kept as a dump, for as long as they are the same.

Migrating an empty database takes most of the time of a short test run. Whoever restores the dump still runs `migrate`,
which finds nothing to do and brings roles and rights up to date.
"""

import hashlib
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


def migrations_digest(root: Path = ROOT) -> str:
    """Of all migrations and of the versions of the libraries that bring some too."""
    digest = hashlib.sha256()
    for path in (*sorted((root / "apps").rglob("migrations/*.py")), root / "requirements.txt"):
        digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:32]


def database_migrate(url: str, *, environment: Mapping[str, str], supervisor: Supervisor) -> None:
    """Bring an empty database of one of our own servers to where all migrations lead.

    url: of its owner; environment: what `manage.py migrate` runs with. Raises ProcessDied.
    """
    dump = KEPT / f"{migrations_digest()}.sql"
    if dump.exists() and _restore(url, dump):
        return
    supervisor.run("migrate", [sys.executable, "manage.py", "migrate", "--noinput"], env=environment, cwd=ROOT)
    _keep(url, dump)


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


def _keep(url: str, dump: Path) -> None:
    """Write the dump, whole or not at all, and forget those of other migrations."""
    KEPT.mkdir(parents=True, exist_ok=True)
    handle, half = tempfile.mkstemp(dir=KEPT, suffix=".half")
    os.close(handle)
    command, environment = _program("pg_dump", url, "--no-owner", "-f", half)
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    if done.returncode:
        Path(half).unlink(missing_ok=True)
        return
    for other in KEPT.glob("*.sql"):
        other.unlink(missing_ok=True)
    Path(half).replace(dump)
