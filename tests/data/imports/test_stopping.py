"""An import that is killed or stopped at any point, and run again, ends as if nothing had happened."""

import itertools
import os
import random
import signal
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import LazySettings
from django.db import OperationalError, connection

from apps.data.consent.chain import chain_verify
from apps.data.consent.models import ConsentLink, ConsentPending, ConsentRecord, ConsentState, Gate
from apps.data.consent.services import GrantsReady, consent_withdraw, grants_record
from apps.data.events.models import Order, OrderLine
from apps.data.imports import granting, staging
from apps.data.imports.models import Import, StagedLine, StagedPerson
from apps.data.imports.presets import preset_mapping
from apps.data.imports.services import import_go_on, import_open, import_run, import_stop
from apps.data.imports.tasks import import_work, imports_sweep
from apps.data.profiles.models import Identifier, Profile
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict
from tests.factories import make_profile
from tests.preloaded import Started, start

from .making import run, write

LINES = 30_000


def sales(path: Path, lines: int) -> Path:
    """A file of so many lines, and one that is bad."""
    rows = (
        f"{n // 5},S{n % 700},T {n % 700},{n % 4},2010-12-{n % 28 + 1:02} 08:26:00,{n % 90}.5,{n // 5 % 900},Austria\n"
        for n in range(lines)
    )
    header = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
    return write(path, header + "".join(rows) + "bad line\n")


@pytest.fixture
def big(tmp_path: Path) -> Path:
    """A file that takes some seconds."""
    return sales(tmp_path / "big.csv", LINES)


@pytest.fixture
def shop(transactional_db: None, settings: LazySettings, tmp_path: Path) -> Iterator[None]:
    """An empty shop, in a database that other processes see too."""
    settings.DATA_DIR = tmp_path / "data"
    import_module("apps.data.consent.migrations.0002_purposes").purposes_add(apps, None)
    yield
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE imports_stagedline, imports_stagedperson")


def totals() -> dict[str, object]:
    """What there is in the end."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(quantity * unit_price), count(*) FILTER (WHERE is_purchase) FROM events_orderline")
        revenue, purchases = cursor.fetchone()
    return {
        "orders": Order.objects.count(),
        "lines": OrderLine.objects.count(),
        "profiles": Profile.objects.count(),
        "revenue": str(revenue),
        "purchases": purchases,
        "staged": StagedLine.objects.count(),
    }


IN_CHUNKS = """
import sys
from django.core.management import execute_from_command_line
from apps.data.imports import staging
staging.CHUNK = {chunk}
execute_from_command_line(sys.argv)
"""


def command(
    path: Path, data_dir: Path, name: str = "import_orders", preset: str = "online-retail", chunk: int = 10_000
) -> Started:
    """The command in a process of its own, on the tests' database; `said_by` gives what it writes."""
    found = connection.settings_dict
    url = f"postgres://{found['USER']}:{found['PASSWORD']}@{found['HOST']}:{found['PORT']}/{found['NAME']}"
    environment = {**os.environ, "DATABASE_URL": url, "DATA_DIR": str(data_dir)}
    with said_by(path).open("ab") as said:
        return start(
            "-c", IN_CHUNKS.format(chunk=chunk), name, str(path), "--preset", preset,
            env=environment, stdout=said.fileno(), stderr=said.fileno(),
        )  # fmt: skip


def said_by(path: Path) -> Path:
    """What the commands about a file have written."""
    return path.with_suffix(".said")


def progress_of(path: Path) -> tuple[str, int]:
    job = Import.objects.filter(path=str(path)).first()
    return (job.state, job.lines_done) if job else ("", 0)


@pytest.mark.parametrize("chunk", [1_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_killed_again_and_again_it_ends_whole(shop: None, tmp_path: Path, chunk: int) -> None:
    # given: the same file without any kill, then nothing of it left
    count = 3 * chunk
    big = sales(tmp_path / "big.csv", count)
    points = [("reading", chunk), ("reading", random.Random(7).randrange(chunk, 2 * chunk)), ("merging", 0)]
    for state, lines in points:
        process = command(big, tmp_path / "data", chunk=chunk)
        limit = time.monotonic() + 90
        # when: killed as soon as it has come so far
        while process.poll() is None and time.monotonic() < limit:
            at, done = progress_of(big)
            if (at == state and done >= lines) or at in ("merging", "done"):
                break
            time.sleep(0.005)
        process.kill()
        process.wait()
        assert Import.objects.get().state in ("reading", "merging", "done")
    assert command(big, tmp_path / "data", chunk=chunk).wait(120) == 0

    # then
    killed = totals()
    job = Import.objects.get()
    assert job.state == Import.State.DONE
    assert (job.counts["lines_read"], job.counts["lines_bad"]) == (count + 1, 1)
    assert len(Path(job.errors_path).read_text().splitlines()) == 2
    assert f"{count + 1:,}  lines read" in said_by(big).read_text()
    assert killed["lines"] == count
    assert killed["staged"] == 0
    again = run(big, "online-retail", again=True)
    assert again.counts == job.counts
    assert totals() == killed


@pytest.mark.slow
def test_ctrl_c_leaves_it_stopped_and_the_same_command_finishes_it(shop: None, big: Path, tmp_path: Path) -> None:
    process = command(big, tmp_path / "data")
    limit = time.monotonic() + 90
    while progress_of(big)[1] < 10_000 and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)

    assert process.wait(60) == 130
    assert "the same command finishes the import" in said_by(big).read_text()
    assert Import.objects.get().state == Import.State.STOPPED
    assert command(big, tmp_path / "data").wait(120) == 0
    assert OrderLine.objects.count() == LINES


@pytest.mark.slow
def test_two_runs_of_one_import_do_not_race(shop: None, big: Path, tmp_path: Path) -> None:
    process = command(big, tmp_path / "data")
    limit = time.monotonic() + 90
    while progress_of(big)[1] < 10_000 and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.005)
    with pytest.raises(Conflict) as refused:
        import_run(import_id=Import.objects.get().pk)
    import_work(Import.objects.get().pk)  # a task that comes twice is quiet about it
    process.wait(120)

    assert refused.value.code == "import_running"
    assert OrderLine.objects.count() == LINES


@pytest.mark.django_db
def test_stop_and_go_on(tmp_path: Path, settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.DATA_DIR = tmp_path / "data"
    monkeypatch.setattr(staging, "CHUNK", 1_000)
    big = sales(tmp_path / "big.csv", 3_000)
    mapping = preset_mapping("online-retail", kind="orders")
    job = import_open(kind="orders", path=big, mapping=mapping, in_background=True)

    def stop(job: Import) -> None:
        import_stop(import_id=job.pk)

    stopped = import_run(import_id=job.pk, told=stop)

    assert (stopped.state, stopped.lines_done) == (Import.State.STOPPED, 1_000)
    with pytest.raises(Conflict):
        import_stop(import_id=job.pk)
    assert import_go_on(import_id=job.pk).state == Import.State.WAITING
    assert import_run(import_id=job.pk).state == Import.State.DONE
    assert OrderLine.objects.count() == 3_000
    with pytest.raises(Conflict):
        import_go_on(import_id=job.pk)


@pytest.mark.django_db
def test_the_sweep_takes_up_what_a_dead_worker_left(
    tmp_path: Path,
    settings: LazySettings,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
) -> None:
    settings.DATA_DIR = tmp_path / "data"
    big = sales(tmp_path / "big.csv", 10)
    woken: list[int] = []
    monkeypatch.setattr(import_work, "apply_async", lambda args, retry: woken.append(args[0]))
    mapping = preset_mapping("online-retail", kind="orders")
    left = import_open(kind="orders", path=big, mapping=mapping, in_background=True)
    with django_capture_on_commit_callbacks(execute=True):
        imports_sweep()
    assert woken == []
    Import.objects.filter(pk=left.pk).update(state="reading", updated_at=now().replace(year=2020))

    with django_capture_on_commit_callbacks(execute=True):
        imports_sweep()

    assert woken == [left.pk]


def test_grants_of_many_are_linked_when_the_import_is_done(
    shop: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: LazySettings
) -> None:
    settings.LEDGER_HEADS_DIR = tmp_path / "heads"
    monkeypatch.setattr(granting, "_GRANTS", 2)
    known = make_profile(email="a3@example.com")
    consent_withdraw(
        profile_id=known.pk, purpose="marketing", channel="email", method=ConsentRecord.Method.API, source="t"
    )
    version = Gate.objects.get().version
    lines = "".join(f"{n},a{n}@example.com,yes\n" for n in range(7))
    path = write(tmp_path / "p.csv", "Customer ID,Email,Accepts Email Marketing\n" + lines)

    job = run(path, "shopify", "profiles", consent={"marketing": "Accepts Email Marketing"})

    assert (job.state, job.counts["consents"]) == (Import.State.DONE, {"marketing": 6})
    assert ConsentRecord.objects.count() == ConsentLink.objects.count() == 7
    assert not ConsentPending.objects.exists()
    assert not chain_verify().faults
    assert Gate.objects.get(profile=known).version == version  # theirs stands: nothing changed
    assert set(Gate.objects.exclude(profile=known).values_list("version", flat=True)) == {1}
    assert list(ConsentState.objects.filter(granted=False).values_list("profile_id", flat=True)) == [known.pk]


def granting_dies(monkeypatch: pytest.MonkeyPatch, path: Path, *, at: int) -> None:
    """Import a file; the database goes away when grants are recorded for the time of that number, from 0."""
    recorded = itertools.count()

    def die(ready: GrantsReady, **terms: Any) -> int:
        if next(recorded) == at:
            raise OperationalError("the database is away")
        return grants_record(ready, **terms)

    with monkeypatch.context() as patch:
        patch.setattr(granting, "grants_record", die)
        with pytest.raises(OperationalError):
            run(path, "shopify", "profiles", consent={"marketing": "Accepts Email Marketing"})


def test_lanes_that_grant_stop_together_and_go_on_each_where_it_was(
    shop: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: LazySettings
) -> None:
    settings.LEDGER_HEADS_DIR, settings.IMPORT_PROCESSES = tmp_path / "heads", 2
    monkeypatch.setattr(granting, "_GRANTS", 2)
    monkeypatch.setattr(granting, "_LANES_FROM", 0)
    lines = "".join(f"{n},a{n}@example.com,yes\n" for n in range(20))
    path = write(tmp_path / "p.csv", "Customer ID,Email,Accepts Email Marketing\n" + lines)
    granting_dies(monkeypatch, path, at=4)
    stopped = Import.objects.get()
    done = ConsentRecord.objects.count()
    assert 8 <= done < 20
    assert stopped.counts["consents"] == {"marketing": done}
    assert len(stopped.progress["granted"]["marketing"]) == 3

    job = run(path, "shopify", "profiles", consent={"marketing": "Accepts Email Marketing"})

    assert (job.pk, job.state, job.counts["consents"]) == (stopped.pk, Import.State.DONE, {"marketing": 20})
    assert ConsentRecord.objects.count() == ConsentLink.objects.count() == ConsentState.objects.count() == 20
    assert not chain_verify().faults
    assert set(Gate.objects.values_list("version", flat=True)) == {1}


def test_after_a_crash_of_the_database_while_it_grants_the_file_is_read_anew(
    shop: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: LazySettings
) -> None:
    settings.LEDGER_HEADS_DIR = tmp_path / "heads"
    monkeypatch.setattr(granting, "_GRANTS", 2)
    lines = "".join(f"{n},a{n}@example.com,yes\n" for n in range(9))
    path = write(tmp_path / "p.csv", "Customer ID,Email,Accepts Email Marketing\n" + lines)
    granting_dies(monkeypatch, path, at=2)
    assert ConsentRecord.objects.count() == 4
    StagedPerson.objects.all().delete()  # as a crash leaves an unlogged table

    job = run(path, "shopify", "profiles", consent={"marketing": "Accepts Email Marketing"})

    assert (job.state, job.counts["profiles"], job.counts["consents"]) == (Import.State.DONE, 9, {"marketing": 9})
    assert ConsentRecord.objects.count() == ConsentLink.objects.count() == ConsentState.objects.count() == 9
    assert Profile.objects.count() == 9
    assert not StagedPerson.objects.exists()
    assert not chain_verify().faults


@pytest.mark.slow
def test_people_that_several_processes_read_end_whole_after_kills(shop: None, tmp_path: Path) -> None:
    count = 40_000
    lines = "".join(f"{n},Ada,Nr {n},person{n}@example.com,+43660{n:07},yes\n" for n in range(count))
    header = "Customer ID,First Name,Last Name,Email,Phone,Accepts Email Marketing\n"
    path = write(tmp_path / "people.csv", header + lines + "bad line\n")
    for state, done in (("reading", 10_000), ("reading", 20_000), ("merging", 0)):
        process = command(path, tmp_path / "data", "import_profiles", "shopify")
        limit = time.monotonic() + 90
        while process.poll() is None and time.monotonic() < limit:
            at, lines_done = progress_of(path)
            if (at == state and lines_done >= done) or at in ("merging", "done"):
                break
            time.sleep(0.005)
        process.kill()
        process.wait()
    command(path, tmp_path / "data", "import_profiles", "shopify").wait(200)

    job = Import.objects.get()
    assert job.state == Import.State.DONE, said_by(path).read_text()
    assert (job.counts["lines_read"], job.counts["lines_bad"], job.counts["profiles"]) == (count + 1, 1, count)
    assert len(Path(job.errors_path).read_text().splitlines()) == 2
    assert (Profile.objects.count(), Identifier.objects.count()) == (count, 3 * count)
    assert not StagedPerson.objects.exists()
