"""Child processes: what they answer, what they can't reach, and what becomes of those that misbehave."""

import errno
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from apps.decisioning.content.checking import SHELL, template_problems
from apps.decisioning.content.children import CHILDREN, JOB_SECONDS, POOL, Child, Pool, apart
from apps.decisioning.content.errors import ContentMisbehaved
from apps.decisioning.content.frames import value_read, value_write
from apps.decisioning.content.jobs import TYPES
from apps.decisioning.content.previews import PERSONAS, block_preview
from tests.remembering import answers_forgotten

from .corpus import ACCEPTED, REFUSED

MISBEHAVING = Path(__file__).with_name("misbehaving.py")


@pytest.fixture(autouse=True)
def asked_each_time() -> Iterator[None]:
    with answers_forgotten():
        yield


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool(1, main=MISBEHAVING, types={})
    yield made
    made.close()
    assert made.pids == set()


def ask(pool: Pool, name: str, *args: Any) -> Any:
    return pool.ask(name, args, {}, about="a job")


def gone(pid: int) -> bool:
    """Whether a process has ended and was waited for."""
    return not Path(f"/proc/{pid}").exists()


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds that another thread does."""
    end = monotonic() + 10
    while not holds():
        assert monotonic() < end
        sleep(0.01)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("loop_for_ever", "the loop: took longer than 2 seconds"),
        ("sleep_for_ever", "a job: took longer than 2 seconds"),
        ("stop_itself", "a job: took longer than 2 seconds"),
        ("take_memory", "a job: needs more than 256 MB"),
        ("double_memory", "a job: needs more than 256 MB"),
        ("answer_much", "a job: gives more than 1 MiB"),
        ("announce_much", "a job: gives more than 1 MiB"),
        ("write_garbage", "a job: failed unexpectedly"),
        ("answer_no_value", "a job: failed unexpectedly"),
        ("nest_wrappers", "a job: crashed what tries it (SIGSEGV)"),
        ("nest_divs", "a job: crashed what tries it (SIGSEGV)"),
        ("leave", "a job: crashed what tries it (exit code 3)"),
        ("kill_itself", "a job: was stopped from outside while it was tried: try again"),
        ("fail", "a job: failed unexpectedly (KeyError in fail, line"),
    ],
)
def test_what_misbehaves_is_killed_and_refused_and_the_next_job_has_a_fresh_child(
    pool: Pool, name: str, words: str
) -> None:
    assert ask(pool, "say", "before") == "before"
    (first,) = pool.pids

    with pytest.raises(ContentMisbehaved) as refused:
        ask(pool, name)

    assert refused.value.message.startswith(words)
    assert refused.value.extra["problems"][0]["mend"] == refused.value.problem.mend
    assert "what somebody wrote" not in refused.value.message
    assert gone(first)
    assert ask(pool, "say", "after") == "after"
    assert pool.pids.isdisjoint({first})


def test_a_child_is_used_again(pool: Pool) -> None:
    ask(pool, "say", "one")
    pids = pool.pids

    assert [ask(pool, "say", word) for word in ("two", "drei", "\ud800")] == ["two", "drei", "\ud800"]
    assert pool.pids == pids


def test_each_step_has_its_own_time_and_the_last_is_named(pool: Pool) -> None:
    assert ask(pool, "take_steps", 5, 0.5) == 5  # longer together than one may take
    with pytest.raises(ContentMisbehaved, match="step 0: took longer"):
        ask(pool, "take_steps", 1, 60)


def test_one_that_works_is_waited_for_and_one_that_sleeps_is_not(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with more to do than processors lets a child be silent for long: that is no fault of its job."""
    monkeypatch.setattr("apps.decisioning.content.children.STEP_SECONDS", 0.05)
    assert ask(pool, "work", 1.5) == "done"
    with pytest.raises(ContentMisbehaved, match="step 0: took longer"):
        ask(pool, "take_steps", 1, 60)


def test_one_that_answers_while_it_is_looked_at_is_heard(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks waits for a processor as well: once it looks, the child may have answered, and sleep."""

    def answered_meanwhile(child: Child) -> bool:
        assert child.process.stdout is not None
        select.select([child.process.stdout], [], [])
        return False

    monkeypatch.setattr("apps.decisioning.content.children.STEP_SECONDS", 0.05)
    monkeypatch.setattr(Child, "_works", answered_meanwhile)
    assert ask(pool, "work", 0.5) == "done"


def test_all_steps_together_have_an_end(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert JOB_SECONDS == 30
    monkeypatch.setattr("apps.decisioning.content.children.JOB_SECONDS", 0.5)
    with pytest.raises(ContentMisbehaved, match="took longer"):
        ask(pool, "take_steps", 1000, 0.1)


def test_a_child_reaches_nothing(pool: Pool) -> None:
    secrets = {"SECRET_KEY", "DATABASE_URL", "REDIS_URL", "LINK_KEYS", "ADDRESS_KEY", "MASTER_KEYS"} & set(os.environ)
    assert secrets

    seen = ask(pool, "look_around")

    assert set(seen["environment"]) <= {"LC_CTYPE"}  # Python's own, when there is no locale
    refused = str(errno.EMFILE)
    assert seen["faults"] == dict.fromkeys(("file", "keeper", "socket", "pipe", "closed"), refused)


def test_a_child_has_its_pipes_open_and_nothing_else(tmp_path: Path) -> None:
    with (tmp_path / "secret").open("w") as secret:
        os.set_inheritable(secret.fileno(), True)
        apart(template_problems, SHELL)
        pid = next(iter(POOL.pids))

        open_ = {link.name: str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}

    assert set(open_) == {"0", "1", "2"}
    assert open_["2"] == "/dev/null"
    assert all(open_[number].startswith("pipe:") for number in ("0", "1"))
    limits = Path(f"/proc/{pid}/limits").read_text()
    assert [line.split()[-3:-1] for line in limits.splitlines() if line.startswith("Max address space")] == [
        ["268435456", "268435456"]
    ]
    assert Path(f"/proc/{pid}/environ").read_bytes() == b""


def test_a_child_that_was_killed_or_stopped_while_idle_is_replaced(pool: Pool) -> None:
    ask(pool, "say", "x")
    (pid,) = pool.pids
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

    assert ask(pool, "say", "y") == "y"

    (pid,) = pool.pids
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(ContentMisbehaved, match="took longer"):
        ask(pool, "say", "z")
    assert gone(pid)
    assert ask(pool, "say", "z") == "z"


def test_a_child_killed_from_outside_in_the_middle_costs_that_job_only(pool: Pool) -> None:
    ask(pool, "say", "x")
    (pid,) = pool.pids
    with ThreadPoolExecutor(1) as threads:
        job = threads.submit(ask, pool, "take_steps", 100, 0.1)
        until(lambda: bool(next(iter(pool._all)).where))
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(ContentMisbehaved, match="was stopped from outside while it was tried: try again"):
            job.result()
    assert ask(pool, "say", "y") == "y"


def test_who_asked_is_interrupted_and_the_child_with_it(pool: Pool) -> None:
    """As Celery's soft time limit does it: an exception out of a signal's handler."""

    class TooLong(Exception):
        pass

    def ring(*_: object) -> None:
        raise TooLong

    ask(pool, "say", "x")
    (pid,) = pool.pids
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(TooLong):
            ask(pool, "loop_for_ever")
    finally:
        signal.signal(signal.SIGALRM, before)

    assert gone(pid)
    assert ask(pool, "say", "y") == "y"


def test_many_threads_share_few_children() -> None:
    sources = [replace(SHELL, text=f"{SHELL.text}{{{{ profile.p{number} }}}}") for number in range(40)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda source: apart(template_problems, source)[0][0].token, sources))

    assert found == [f"{{{{ profile.p{number} }}}}" for number in range(40)]
    assert len(POOL.pids) <= CHILDREN


def test_a_job_that_finds_no_free_child_is_refused_and_not_kept_waiting(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.decisioning.content.children.WAIT_SECONDS", 0.05)
    ask(pool, "say", "x")
    with ThreadPoolExecutor(1) as threads:
        job = threads.submit(ask, pool, "take_steps", 10, 0.1)
        until(lambda: not pool._free._value)
        with pytest.raises(ContentMisbehaved, match="too much else is: try again soon"):
            ask(pool, "say", "y")
        assert job.result() == 10


def test_a_child_that_can_not_start_is_told(tmp_path: Path) -> None:
    main = tmp_path / "broken.py"
    main.write_text("1/0")
    pool = Pool(1, main=main)

    for _ in range(2):
        with pytest.raises(ContentMisbehaved, match="no process for it can be started"):
            ask(pool, "say", "x")
    assert pool.pids == set()


FORKING = """
import os, signal, sys, threading
from apps.decisioning.content.checking import SHELL, template_problems
from apps.decisioning.content.children import POOL, apart

def good():
    assert apart(template_problems, SHELL) == ([], ["block"])
    return POOL.pids

first = good()
busy = threading.Thread(target=lambda: [good() for _ in range(30)])  # forks find it in the middle of a job
busy.start()
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        assert POOL.pids == set()
        mine = good()
        os._exit(0 if mine.isdisjoint(first) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
busy.join()
assert first <= good()
lasting = os.fork()  # holds whatever it was born with
if lasting == 0:
    signal.pause()
print(os.getpid(), lasting, *POOL.pids, flush=True)
signal.pause()
"""


def test_a_forked_process_has_children_of_its_own_and_none_outlive_their_keeper() -> None:
    keeper = subprocess.Popen([sys.executable, "-c", FORKING], stdout=subprocess.PIPE, text=True)
    assert keeper.stdout is not None
    pid, lasting, *children = map(int, keeper.stdout.readline().split())
    assert pid == keeper.pid
    assert children
    watched = [os.pidfd_open(child) for child in children]
    try:
        keeper.kill()
        keeper.wait()
        keeper.stdout.close()
        for fd in watched:  # readable when the process has ended
            assert _ends(fd)
    finally:
        os.kill(lasting, signal.SIGKILL)
        for fd in watched:
            os.close(fd)


def _ends(fd: int) -> bool:
    return bool(select.select([fd], [], [], 20)[0])


def test_the_child_and_what_it_runs_know_no_django() -> None:
    program = "import sys, apps.decisioning.content.child_main as m; print([n for n in sys.modules if 'django' in n])"

    said = subprocess.run([sys.executable, "-c", program], env={}, check=True, capture_output=True, text=True)

    assert said.stdout == "[]\n"


@pytest.mark.parametrize("every", [8, pytest.param(1, marks=pytest.mark.slow)])
def test_a_child_finds_what_is_found_here(every: int) -> None:
    sources = {**ACCEPTED, **{name: entry[0] for name, entry in REFUSED.items()}}
    for name, source in list(sources.items())[::every]:
        assert apart(template_problems, source) == template_problems(source), name


def test_what_goes_over_comes_back_as_it_was() -> None:
    preview = block_preview(
        name="x",
        fields=[],
        layout="",
        text_layout="Hello",
        content={"en": {}},
        language="en",
        persona=PERSONAS[0],
        brand=None,
    )
    for value in (preview, SHELL, PERSONAS, {"": 1, "a": [(), {"of": None}]}, "\ud800", 1.5):
        assert value_read(value_write(value, TYPES), TYPES) == value


@pytest.mark.parametrize("value", [b"x", object(), {1: 2}, {"x"}, Path("x"), pytest])
def test_nothing_else_goes_over(value: object) -> None:
    with pytest.raises(TypeError):
        value_write(value, TYPES)


@pytest.mark.parametrize(
    "data", [b"", b"{", b'{"": "Path", "of": {}}', b'{"": "Problem", "of": {"x": 1}}', b'{"": []}']
)
def test_nothing_else_comes_back(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        value_read(data, TYPES)


def test_a_template_that_takes_too_long_is_refused_with_its_source() -> None:
    with pytest.raises(ContentMisbehaved, match="took longer than 2 seconds: simplify it"):
        apart(template_problems, replace(SHELL, text=SHELL.text + '{{ "a" }} ' * 25_000))

    assert apart(template_problems, SHELL) == ([], ["block"])
