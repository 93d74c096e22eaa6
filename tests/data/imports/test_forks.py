"""Files of people that several processes read: what comes of it is what one alone would have read."""

import os
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection

from apps.data.consent.models import ConsentState
from apps.data.imports import newcomers, staging
from apps.data.imports.forks import Fork, ForkDied, ForkFailed, Forks
from apps.data.imports.models import Import, StagedPerson
from apps.data.imports.presets import preset_mapping
from apps.data.imports.services import import_open, import_run, import_stop
from apps.data.privacy.registry import Person, erase_steps
from apps.data.profiles.addresses import identifier_put
from apps.data.profiles.models import ChangePending, Identifier, Profile, ProfileKey
from tests.factories import identifiers_of, known_by, make_profile, make_purposes

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
def test_who_is_new_is_there_with_the_chunk_and_the_others_with_the_merge(
    apart: Callable[[int], None], tmp_path: Path
) -> None:
    apart(2)
    known = make_profile(email="p2@example.com")
    path = write(tmp_path / "p.csv", people(8))
    job = import_open(kind="profiles", path=path, mapping=preset_mapping("shopify", kind="profiles"))

    def stop(job: Import) -> None:
        import_stop(import_id=job.pk)

    import_run(import_id=job.pk, told=stop)

    # then: of the first four lines one waits, since somebody is known by its address
    assert Profile.objects.count() == 4
    assert StagedPerson.objects.exclude(key=b"").count() == 1
    assert set(StagedPerson.objects.filter(key=b"").values_list("email_digest", "phone_digest", "external_id")) == {
        (None, None, None)
    }
    assert Identifier.objects.filter(profile=known).count() == 1
    assert run(path, kind="profiles").counts["profiles"] == 8
    assert Profile.objects.count() == ProfileKey.objects.count() == 8
    assert identifiers_of(known)[1:] == [("external_id", "shopify:2", False)]


@pytest.mark.django_db
def test_when_one_of_them_is_erased_the_key_of_a_stopped_import_is_forgotten(
    apart: Callable[[int], None], tmp_path: Path
) -> None:
    apart(1)
    path = write(tmp_path / "p.csv", people(8))
    job = import_open(kind="profiles", path=path, mapping=preset_mapping("shopify", kind="profiles"))

    def stop(job: Import) -> None:
        import_stop(import_id=job.pk)

    import_run(import_id=job.pk, told=stop)
    job.refresh_from_db()
    assert job.progress["key"].startswith("m1:")

    step = next(one for one in erase_steps() if one.name == "imports")
    step.erase(Person(known_by("external_id", "shopify:3").pk, []))

    job.refresh_from_db()
    assert job.progress["key"] == ""
    again = run(path, kind="profiles")
    assert (again.pk, again.counts["profiles"], again.counts["lines_read"]) == (job.pk, 8, 10)
    assert Profile.objects.count() == 8


@pytest.mark.django_db
def test_who_is_made_by_somebody_else_meanwhile_is_left_to_the_merge(
    apart: Callable[[int], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(write(tmp_path / "before.csv", people(3)), kind="profiles")
    apart(2)
    monkeypatch.setattr(newcomers, "_KNOWN", "SELECT %s::bigint[], %s::bytea[], %s LIMIT 0")  # sees nobody yet

    job = run(write(tmp_path / "p.csv", people(8)), kind="profiles")

    assert (job.state, job.counts["profiles"]) == (Import.State.DONE, 8)
    assert Profile.objects.count() == 8
    assert Identifier.objects.filter(kind="external_id").count() == 8


@pytest.mark.django_db
def test_a_no_in_a_later_chunk_keeps_a_new_person_from_being_granted(
    apart: Callable[[int], None], tmp_path: Path
) -> None:
    apart(2)
    make_purposes()
    lines = [f"{n},p{n}@example.com,yes" for n in range(10)] + ["2,,no", "11,p3@example.com,no"]
    header = "Customer ID,Email,Accepts Email Marketing\n"
    path = write(tmp_path / "p.csv", header + "\n".join(lines) + "\n")

    job = run(path, kind="profiles", consent={"marketing": "Accepts Email Marketing"})

    assert job.counts["consents"] == {"marketing": 9}
    refused = known_by("external_id", "shopify:2").pk
    assert set(Profile.objects.exclude(consent_states__in=ConsentState.objects.all()).values_list("pk", flat=True)) == {
        refused, known_by("external_id", "shopify:11").pk,
    }  # fmt: skip


@pytest.mark.django_db
def test_new_people_come_into_the_feed_of_changes(apart: Callable[[int], None], tmp_path: Path) -> None:
    apart(2)
    known = make_profile()
    waiting = ChangePending.objects.filter(kind="profile").values_list("profile_id", flat=True)
    before = set(waiting)

    run(write(tmp_path / "p.csv", people(9)), kind="profiles")

    assert set(waiting.all()) == before.union(Profile.objects.values_list("pk", flat=True))
    with connection.cursor() as cursor:
        cursor.execute("SHOW tessera.people_noted")
        assert cursor.fetchone() == ("off",)  # who else writes identifiers in this transaction is noted
    ChangePending.objects.all().delete()
    Profile.objects.filter(pk=known.pk).update(updated_at=known.updated_at - timedelta(days=1))
    ChangePending.objects.all().delete()
    identifier_put(profile_id=known.pk, kind="email", value="later@example.com")
    assert list(waiting.all()) == [known.pk]


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
