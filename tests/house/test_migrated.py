"""A migrated database from a dump: the same as by migrating, and never half of one."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from bin.lib import migrated
from bin.lib.migrated import database_migrate, migrations_digest
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


def dump_from(url: str, folder: Path) -> Path:
    """What the running tests' own database was made from, as a dump of these migrations."""
    folder.mkdir()
    dump = folder / f"{migrations_digest()}.sql"
    command, environment = migrated._program("pg_dump", url, "--no-owner", "-f", str(dump))
    subprocess.run(command, env=environment, check=True)
    return dump


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
    called: list[object] = []

    class Recorder(Supervisor):
        def run(self, *args: object, **kwargs: object) -> str:
            called.append(args[0])
            return ""

    # when
    with Recorder(tmp_path / "log") as supervisor:
        database_migrate(empty, environment={}, supervisor=supervisor)

    # then
    assert called == ["migrate"]
    assert ask(empty, TABLES) == 0


def test_another_migration_is_another_dump(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("Django==5.2\n")
    folder = tmp_path / "apps" / "some" / "migrations"
    folder.mkdir(parents=True)
    (folder / "0001_initial.py").write_text("operations = []\n")
    first = migrations_digest(tmp_path)

    (folder / "0001_initial.py").write_text("operations = [1]\n")

    assert migrations_digest(tmp_path) != first
