"""A migrated database from a dump: the same as by migrating, and never half of one."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from bin.lib import migrated
from bin.lib.migrated import database_migrate, migrations_digest, migrations_found
from bin.lib.processes import Supervisor

TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database; what is kept is kept in a folder of the test's own."""
    if not os.environ.get("TEST_DATABASE_TEMPLATE"):
        pytest.skip("the dump is for servers of bin/test's own")
    monkeypatch.setattr(migrated, "KEPT", tmp_path / "kept")
    server = psycopg2.connect(os.environ["DATABASE_URL"])
    server.autocommit = True
    name = f"empty_{os.environ.get('PYTEST_XDIST_WORKER', 'gw0')}"
    server.cursor().execute(f"CREATE DATABASE {name}")
    yield os.environ["DATABASE_URL"].rpartition("/")[0] + f"/{name}"
    server.cursor().execute(f"DROP DATABASE {name} WITH (FORCE)")
    server.close()


def ask(url: str, query: str) -> object:
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        [(answer,)] = cursor.fetchall()
    connection.close()
    return answer


def dump_from(url: str, folder: Path, *, without: str = "") -> Path:
    """What the running tests' own database was made from, as a dump of these migrations, or of these but one."""
    folder.mkdir()
    found = {path: digest for path, digest in migrations_found().items() if path != without}
    dump = folder / f"{migrations_digest(found)}.sql"
    dump.with_suffix(".json").write_text(json.dumps(found))
    command, environment = migrated._program("pg_dump", url, "--no-owner", "-f", str(dump))
    subprocess.run(command, env=environment, check=True)
    return dump


class Recorder(Supervisor):
    """Notes what would have been run."""

    def __init__(self, log: Path) -> None:
        super().__init__(log)
        self.called: list[object] = []

    def run(self, *args: object, **kwargs: object) -> str:
        self.called.append(args[0])
        return ""


def test_a_kept_dump_gives_what_migrating_gave(empty: str, tmp_path: Path) -> None:
    dump_from(os.environ["DATABASE_URL"], tmp_path / "kept")

    with Supervisor(tmp_path / "log") as supervisor:
        database_migrate(empty, environment={}, supervisor=supervisor)  # an empty environment: migrating would fail

    assert ask(empty, TABLES) == ask(os.environ["DATABASE_URL"], TABLES)
    assert ask(empty, "SELECT count(*) FROM django_migrations") != 0


@pytest.mark.parametrize(
    "torn_after",
    [
        pytest.param("COPY public.django_migrations (", id="within a table"),
        pytest.param("SET lock_timeout = 0;\n", id="between two statements, where all that is left works"),
    ],
)
def test_a_torn_dump_leaves_nothing_and_the_database_is_migrated(empty: str, tmp_path: Path, torn_after: str) -> None:
    # given
    dump = dump_from(os.environ["DATABASE_URL"], tmp_path / "kept")
    whole = dump.read_text()
    dump.write_text(whole[: whole.index(torn_after) + len(torn_after)])
    # when
    with Recorder(tmp_path / "log") as supervisor:
        database_migrate(empty, environment={}, supervisor=supervisor)

    # then
    assert supervisor.called == ["migrate"]
    assert ask(empty, TABLES) == 0


def test_what_came_on_top_of_a_dump_is_migrated_on_top_of_it(empty: str, tmp_path: Path) -> None:
    # given
    last = [path for path in migrations_found() if "/migrations/" in path][-1]
    dump_from(os.environ["DATABASE_URL"], tmp_path / "kept", without=last)

    # when
    with Recorder(tmp_path / "log") as supervisor:
        database_migrate(empty, environment={}, supervisor=supervisor)

    # then
    assert supervisor.called == ["migrate"]
    assert ask(empty, TABLES) == ask(os.environ["DATABASE_URL"], TABLES)
    assert (tmp_path / "kept" / f"{migrations_digest(migrations_found())}.json").exists()


def test_a_dump_of_a_migration_that_is_another_now_is_of_no_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrated, "KEPT", tmp_path)
    (tmp_path / "some.sql").touch()
    (tmp_path / "some.json").write_text(json.dumps({"a": "1", "b": "1"}))

    assert [dump.name for dump, _ in migrated._usable({"a": "1", "b": "1", "c": "1"})] == ["some.sql"]
    assert migrated._usable({"a": "1", "b": "2", "c": "1"}) == []
    assert migrated._usable({"a": "1"}) == []


@pytest.mark.parametrize("changed", ["apps/some/migrations/0001_initial.py", "apps/foundation/accounts/roles.py"])
def test_another_migration_is_another_dump_and_so_are_other_roles(tmp_path: Path, changed: str) -> None:
    for name in ("requirements.txt", "apps/some/migrations/0001_initial.py", "apps/foundation/accounts/roles.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("one\n")
    first = migrations_digest(migrations_found(tmp_path))

    (tmp_path / changed).write_text("another\n")

    assert migrations_digest(migrations_found(tmp_path)) != first
