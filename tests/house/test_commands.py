"""The commands as people call them: from a clean clone, in an empty environment."""

import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bin.lib import places
from bin.lib.installation import SETTINGS_FILE, Installation
from bin.lib.manage import settings_of_running
from bin.lib.processes import Account, StateLock, Supervisor
from bin.lib.venv import ROOT

from .conftest import processes_in, wait_for

DEEP = "a folder with a long name " + "x" * 124
assert len(DEEP) == 150


def environment() -> dict[str, str]:
    """Nothing but a PATH, and where pip finds packages."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "REQUESTS_"))}
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/nonexistent", **kept}


def clone_into(folder: Path, account: Account | None) -> Path:
    """A clone of what is committed, for an account."""
    clone = folder / "tessera"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True, capture_output=True)
    if account:
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, account.uid, account.gid, follow_symlinks=False)
    return clone


@pytest.fixture
def base() -> Iterator[Path]:
    """A folder that everybody can enter, outside this clone."""
    folder = Path(tempfile.mkdtemp(prefix="tessera-", dir="/var/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def run(
    clone: Path, *command: str, account: Account | None = None, seconds: float = 900
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        cwd=clone,
        env=environment(),
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )


@pytest.mark.parametrize("command", ["demo", "manage", "test", "check", "bench", "chaos", "translate"])
def test_every_command_explains_itself_without_installing_anything(base: Path, command: str) -> None:
    clone = base / "tessera"
    shutil.copytree(ROOT / "bin", clone / "bin", ignore=shutil.ignore_patterns("__pycache__"))
    for package in ("apps", "apps/foundation", "apps/foundation/accounts"):
        (clone / package).mkdir()
        shutil.copy(ROOT / package / "__init__.py", clone / package)
    shutil.copy(ROOT / "apps/foundation/accounts/roles.py", clone / "apps/foundation/accounts")

    done = run(clone, f"bin/{command}", "--help", seconds=30)

    assert done.returncode == 0, done.stdout
    assert f"bin/{command}" in done.stdout
    assert not (clone / ".venv").exists()


def test_a_machine_without_the_right_python_is_told_what_to_do(base: Path) -> None:
    # given a PATH whose only Python is an old one
    (base / "python3").write_text("#!/bin/sh\nexit 1\n")
    (base / "python3").chmod(0o755)
    for name in ("dirname", "sh"):
        (base / name).symlink_to(shutil.which(name) or name)
    shutil.copytree(ROOT / "bin", base / "bin", ignore=shutil.ignore_patterns("__pycache__"))
    script = (base / "bin/lib/run").read_text().replace("/usr/bin/python3", "/nowhere/python3")
    (base / "bin/lib/run").write_text(script)

    done = subprocess.run(
        ["bin/demo"], cwd=base, env={"PATH": str(base)}, capture_output=True, text=True, check=False, timeout=30
    )

    assert done.returncode == 1
    assert "Tessera needs Python 3.11 or 3.12, and finds neither on PATH." in done.stderr
    assert "apt install python3" in done.stderr


def test_a_command_without_settings_says_where_they_are_explained() -> None:
    bare = {"PATH": os.environ["PATH"]}

    done = subprocess.run(
        [sys.executable, "manage.py", "help"],
        cwd=ROOT,
        env=bare,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        'Environment variable "SECRET_KEY" not set',
        "Settings are environment variables: docs/settings.md explains each. "
        "To run this in the demo that runs here: bin/manage.",
    ]


def test_the_settings_of_a_demo_are_there_while_it_runs(base: Path) -> None:
    # given one that was killed: nobody holds its state, and what it told is still there
    state = base / "state"
    assert settings_of_running(state) is None
    lock = StateLock(state)
    house = Installation(state, Supervisor(state / "log"), port=0)
    house.settings_tell()
    told = settings_of_running(state)
    lock.release()

    # then
    assert told == house.settings()
    assert (state / SETTINGS_FILE).stat().st_mode & 0o777 == 0o600
    assert settings_of_running(state) is None

    # and one that is only just starting has none to tell
    lock = StateLock(state)
    Installation(state, Supervisor(state / "log"), port=0)
    assert settings_of_running(state) is None
    lock.release()


@pytest.mark.slow
@pytest.mark.parametrize("place", ["deep", "closed", "ordinary user"])
def test_the_demo_checks_itself_in_a_clean_clone(base: Path, place: str) -> None:
    # given
    account = None
    folder = base
    if place == "deep":
        folder = base / DEEP
        folder.mkdir()
    if place == "closed":
        folder = base / "closed"
        folder.mkdir(mode=0o700)
    if place == "ordinary user":
        if os.geteuid() != 0:
            pytest.skip("only root can become another user; the other cases are an ordinary user's here")
        daemon = pwd.getpwnam("daemon")
        account = Account(daemon.pw_uid, daemon.pw_gid)
    clone = clone_into(folder, account)

    # when
    done = run(clone, "bin/demo", "--check", account=account)

    # then
    assert done.returncode == 0, done.stdout
    assert "bin/demo --check: all well" in done.stdout
    assert processes_in(clone) == set()
    assert not (clone / "var" / "check").exists()
    if place == "closed":
        assert folder.stat().st_mode & 0o777 == 0o700
        programs = [path for path in places.ELSEWHERE.glob("*/README") if str(clone) in path.read_text()]
        assert programs == []


@pytest.mark.slow
def test_the_demo_keeps_its_data_and_leaves_nothing_running(base: Path) -> None:
    # given a demo that was started once
    clone = clone_into(base, None)

    def started() -> "subprocess.Popen[str]":
        log = (clone / "out.txt").open("w")
        return subprocess.Popen(["bin/demo"], cwd=clone, env=environment(), stdout=log, stderr=log, text=True)

    def said(text: str) -> bool:
        return text in (clone / "out.txt").read_text()

    first = started()
    wait_for(lambda: said("What to look at first") or first.poll() is not None, seconds=600)
    assert first.poll() is None, (clone / "out.txt").read_text()
    password = re.search(r"password (\S+)", (clone / "out.txt").read_text())
    assert password

    # and a command that was run beside it, from another folder
    (base / "people.csv").write_text("email,country\nanna@shop.example,DE\n")
    (base / "mapping.yaml").write_text("source: crm\ncolumns:\n  email: email\n  country: country\n")
    beside = run(base, str(clone / "bin/manage"), "import_profiles", "people.csv", "--mapping", "mapping.yaml")
    assert beside.returncode == 0, beside.stdout

    # when it is stopped by Ctrl-C
    first.send_signal(signal.SIGINT)

    # then
    assert first.wait(60) == 0
    assert processes_in(clone) == set()

    # when it is started again
    second = started()
    wait_for(lambda: said("What to look at first") or second.poll() is not None, seconds=300)

    # then nothing is installed or loaded again, and the logins are the same
    assert second.poll() is None, (clone / "out.txt").read_text()
    assert not said("Installing")
    assert said(password[0])

    # when it is killed
    second.kill()
    second.wait()

    # then
    wait_for(lambda: processes_in(clone) == set(), seconds=60)
