"""The supervisor: nothing outlives it, and what dies is named."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from bin.lib.processes import ProcessDied, Supervisor
from bin.lib.venv import ROOT

from .conftest import processes_in, wait_for

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)
SLOW_END = """
import signal, sys, time
def end(*_):
    time.sleep(0.3)
    open("order", "a").write(sys.argv[1])
    sys.exit()
signal.signal(signal.SIGTERM, end)
print("up", flush=True)
time.sleep(600)
"""
PARENT = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', sys.argv[1]]); time.sleep(600)"


def supervised(folder: Path, body: str) -> "subprocess.Popen[str]":
    """A program of its own that starts children under a supervisor and says when they are up."""
    program = f"""
import sys
from pathlib import Path
from bin.lib.processes import Supervisor, StopRequested
STUBBORN, PARENT = {STUBBORN!r}, {PARENT!r}
folder = Path({str(folder)!r})
try:
    with Supervisor(folder) as supervisor:
{textwrap.indent(textwrap.dedent(body), " " * 8)}
        print("up", flush=True)
        supervisor.watch()
except StopRequested:
    print("stopped", flush=True)
"""
    return subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)


def says(folder: Path, name: str, text: str) -> bool:
    log = folder / f"{name}.log"
    return log.exists() and text in log.read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_children_and_theirs_end_with_the_supervisor(tmp_path: Path, number: signal.Signals) -> None:
    # given a child that ignores SIGTERM, and one with a child of its own that does
    process = supervised(
        tmp_path,
        """
        supervisor.start("stubborn", [sys.executable, "-c", STUBBORN], cwd=folder, stop_seconds=0.3)
        supervisor.start("parent", [sys.executable, "-c", PARENT, STUBBORN], cwd=folder, stop_seconds=0.3)
        """,
    )
    wait_for(lambda: says(tmp_path, "stubborn", "up") and says(tmp_path, "parent", "up"))

    # when
    process.send_signal(number)
    process.wait(20)

    # then
    wait_for(lambda: processes_in(tmp_path) == set(), seconds=10)


def test_stages_end_one_after_the_other(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        for name, stage in (("a", 0), ("b", 2), ("c", 1)):
            supervisor.start(name, [sys.executable, "-c", SLOW_END, name], cwd=tmp_path, stage=stage)
        wait_for(lambda: all(says(tmp_path, name, "up") for name in "abc"))

    assert (tmp_path / "order").read_text() == "bca"


def test_a_child_that_dies_is_named_with_its_log(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        supervisor.start("steady", [sys.executable, "-c", "import time; time.sleep(600)"], cwd=tmp_path)
        child = supervisor.start("worker", [sys.executable, "-c", "print('the reason'); raise SystemExit(3)"])
        child.process.wait()

        with pytest.raises(ProcessDied, match=r"worker ended with 3; its log: .*worker\.log\n    the reason"):
            supervisor.check()
    assert processes_in(tmp_path) == set()


def test_a_child_that_is_killed_is_named_with_the_signal(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        child = supervisor.start("worker", [sys.executable, "-c", "import time; time.sleep(600)"])
        os.kill(child.process.pid, signal.SIGKILL)
        child.process.wait()

        with pytest.raises(ProcessDied, match="worker was ended by SIGKILL"):
            supervisor.check()


def test_a_command_gives_what_it_printed_this_time(tmp_path: Path) -> None:
    notes: list[str] = []
    with Supervisor(tmp_path) as supervisor:
        supervisor.run("step", [sys.executable, "-c", "print('first')"])
        said = supervisor.run(
            "step",
            [sys.executable, "-c", "import time; print('second', flush=True); time.sleep(.3)"],
            note=notes.append,
        )
        with pytest.raises(ProcessDied, match="step ended with 1"):
            supervisor.run("step", [sys.executable, "-c", "raise SystemExit('no')"])

    assert said == "second\n"
    assert set(notes) == {"second"}


def test_logs_that_grew_large_are_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bin.lib.processes.LOG_LIMIT", 10)
    with Supervisor(tmp_path) as supervisor:
        supervisor.run("step", [sys.executable, "-c", "print('first')"])
        supervisor.run("step", [sys.executable, "-c", "print('second')"])

    assert "first" in (tmp_path / "step.log.1").read_text()
    assert "first" not in (tmp_path / "step.log").read_text()
