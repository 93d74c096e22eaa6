"""Files of people that several processes read: what comes of it is what one alone would have read."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection

from apps.data.imports import staging
from apps.data.imports.forks import Fork, ForkDied, ForkFailed, Forks
from apps.data.imports.models import Import
from apps.data.imports.presets import preset_mapping
from apps.data.imports.services import import_open, import_run, import_stop
from apps.data.profiles.models import Identifier, Profile
from tests.factories import identifiers_of, known_by

from .making import errors_of, run, write

HEADER = "Customer ID,First Name,Last Name,Email,Phone\n"


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch, settings: LazySettings, tmp_path: Path) -> Callable[[int], None]:
    """Chunks of four lines, read by so many processes."""
    settings.DATA_DIR = tmp_path / "data"

    def set_to(count: int) -> None:
        settings.IMPORT_PROCESSES = count
        monkeypatch.setattr(staging, "CHUNK", 4)
        monkeypatch.setattr(staging, "_APART_FROM", 0)

    return set_to


def people(count: int) -> str:
    """Lines of people, some with faults, one over two lines, one that comes twice, one with too many fields."""
    lines = []
    for n in range(count):
        address = "nobody" if n % 5 == 0 else f"p{n}@example.com"
        lines.append(f'{n},Ada,"van\nden {n}",{address},+43660{n:07}' if n % 7 == 0 else f"{n},Ada,Nr {n},{address},")
    return HEADER + "\n".join([*lines, "1,,Again,second@example.com,", "too,many,fields,in,this,line"]) + "\n"


def found() -> dict[str, Any]:
    """What there is in the end, without the numbers of profiles."""
    names = list(Profile.objects.order_by("last_name").values_list("first_name", "last_name"))
    return {"names": names, "kinds": sorted(map(str, _identifiers()))}


def _identifiers() -> list[tuple[str, bool, bytes]]:
    return [(one.kind, one.main, bytes(one.digest)) for one in Identifier.objects.all()]


def unchilded() -> bool:
    """Whether this process has no child that is of an import."""
    try:
        return os.waitpid(-1, os.WNOHANG) == (0, 0)
    except ChildProcessError:
        return True


@pytest.mark.django_db
@pytest.mark.parametrize("count", [1, 3])
def test_several_read_what_one_reads(count: int, apart: Callable[[int], None], tmp_path: Path) -> None:
    alone = run(write(tmp_path / "alone.csv", people(30)), kind="profiles")
    expected, errors, counts = found(), errors_of(alone), alone.counts
    Profile.objects.all().delete()
    assert len(errors) == 7

    apart(count)
    job = run(write(tmp_path / "apart.csv", people(30) + "\n"), kind="profiles")

    assert (found(), errors_of(job), job.counts) == (expected, errors, counts)
    assert identifiers_of(known_by("external_id", "shopify:1")) == [
        ("email", "second@example.com", True),
        ("external_id", "shopify:1", False),
    ]
    assert unchilded()


@pytest.mark.django_db
def test_stopped_while_several_read_it_goes_on_where_it_was(apart: Callable[[int], None], tmp_path: Path) -> None:
    apart(2)
    path = write(tmp_path / "p.csv", people(30))
    job = import_open(kind="profiles", path=path, mapping=preset_mapping("shopify", kind="profiles"))

    def stop(job: Import) -> None:
        import_stop(import_id=job.pk)

    stopped = import_run(import_id=job.pk, told=stop)

    assert (stopped.state, stopped.lines_done) == (Import.State.STOPPED, 4)
    assert unchilded()
    again = run(path, kind="profiles")
    assert (again.pk, again.state, again.counts["lines_read"], again.counts["lines_bad"]) == (job.pk, "done", 32, 1)
    assert Profile.objects.count() == 30
    assert len(errors_of(again)) == 7


@pytest.mark.django_db
def test_when_one_that_reads_is_killed_the_import_goes_on_later(
    apart: Callable[[int], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apart(2)
    path = write(tmp_path / "p.csv", people(30))
    job = import_open(kind="profiles", path=path, mapping=preset_mapping("shopify", kind="profiles"))
    plain = Forks.__enter__

    def kill(forks: Forks) -> Forks:
        os.kill(forks.all[1].pid, signal.SIGKILL)
        return plain(forks)

    with monkeypatch.context() as patch:
        patch.setattr(Forks, "__enter__", kill)
        with pytest.raises(ForkDied):
            import_run(import_id=job.pk)
    job.refresh_from_db()
    assert job.state == Import.State.READING
    assert unchilded()

    assert import_run(import_id=job.pk).state == Import.State.DONE
    assert Profile.objects.count() == 30


def test_what_a_fork_meets_is_told_without_what_it_said() -> None:
    with Forks(1, lambda task: 1 // task) as forks:
        [fork] = forks.all
        fork.send(0)
        with pytest.raises(ForkFailed, match=r"^reading met ZeroDivisionError$"):
            fork.receive()
        fork.send(1)
        assert fork.receive() == 1


@pytest.mark.django_db
def test_a_fork_holds_nothing_open() -> None:
    connection.ensure_connection()
    with Forks(2, lambda _: [one.name for one in Path("/proc/self/fd").iterdir()]) as forks:
        for fork in forks.all:
            fork.send(0)
            assert len(fork.receive()) == 6  # what every process has, its two pipes, and the folder that it lists


def test_a_fork_ends_with_who_made_it() -> None:
    read, write = os.pipe()
    maker = os.fork()
    if not maker:
        try:
            os.write(write, str(Fork(lambda task: task).pid).encode())
        finally:
            os._exit(0)
    os.waitpid(maker, 0)
    pid = int(os.read(read, 20))
    os.close(read)
    os.close(write)
    for _ in range(2_000):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return
        if state == "Z":  # it ended, and whoever takes orphans in has not looked yet
            return
        os.sched_yield()
        signal.sigtimedwait([signal.SIGUSR2], 0.005)
    pytest.fail("it lives on")
