"""Settings come from the environment, and say loudly what is missing."""

import ast
import importlib.util
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
SETTINGS = ROOT / "config" / "settings.py"


@dataclass(frozen=True)
class Variable:
    """One that the settings read. default: its source text, or None where it must be given."""

    name: str
    kind: str
    default: str | None


def variables() -> list[Variable]:
    """What `config/settings.py` reads, from its syntax tree."""
    found = []
    for node in ast.walk(ast.parse(SETTINGS.read_text())):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if isinstance(node.func.value, ast.Name) and node.func.value.id == "env":
            name = node.args[0]
            assert isinstance(name, ast.Constant)
            default = ast.unparse(node.args[1]) if len(node.args) > 1 else None
            found.append(Variable(str(name.value), node.func.attr, default))
    return sorted(found, key=lambda variable: variable.name)


def settings_read() -> None:
    """Run the settings once more, apart from those in use."""
    spec = importlib.util.spec_from_file_location("config.settings", SETTINGS)
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


REQUIRED = [variable.name for variable in variables() if variable.default is None]


def test_no_setting_is_given_twice_so_that_the_second_silences_the_first() -> None:
    names = [
        target.id
        for node in ast.parse(SETTINGS.read_text()).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_what_an_installation_must_say_is_little() -> None:
    assert REQUIRED == [
        "ADDRESS_KEY", "ALLOWED_HOSTS", "BASE_URL", "DATABASE_URL", "LINK_KEYS", "MASTER_KEYS", "REDIS_URL",
        "SECRET_KEY", "SMTP_URL",
    ]  # fmt: skip


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_variable_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(name)

    with pytest.raises(Exception, match=name):
        settings_read()


@pytest.mark.parametrize("variable", [v for v in variables() if v.kind in ("int", "bool")], ids=lambda v: v.name)
def test_a_malformed_variable_is_named(variable: Variable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable.name, "perhaps")

    with pytest.raises(Exception, match=variable.name):
        settings_read()


def test_no_command_starts_without_its_settings() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "LINK_KEYS"}

    ended = subprocess.run(
        [sys.executable, "manage.py", "check"], cwd=ROOT, env=environment, capture_output=True, text=True
    )

    assert ended.returncode != 0
    assert "LINK_KEYS" in ended.stderr


def test_only_the_settings_read_the_environment() -> None:
    """A variable that some module reads by itself is in no list and checked by nobody."""
    allowed = {
        "apps/surfaces/console/management/commands/load_sample_shop.py": "DEMO_PASSWORD: for one command, once",
    }
    readers = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "apps").rglob("*.py")
        if "os.environ" in path.read_text() or "getenv" in path.read_text()
    }
    assert readers == set(allowed)


def test_the_docs_explain_every_variable_and_no_other() -> None:
    rows = [line for line in (ROOT / "docs" / "settings.md").read_text().splitlines() if line.startswith("| `")]

    explained = {row.split("`")[1]: row for row in rows}
    assert set(explained) == {variable.name for variable in variables()} | {"DEMO_PASSWORD", "DATABASE_OWNER_URL"}
    for variable in variables():
        assert ("required" in explained[variable.name]) == (variable.default is None), variable.name


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("m1", "needs `id:key`"),
        ("m1:c2hvcnQ=", "32 bytes"),
        ("m-1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "letters and digits"),
        (",".join(["m1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="] * 2), "two keys with the id m1"),
        ("", "MASTER_KEYS"),
    ],
)
def test_a_master_key_that_is_none_stops_the_start(value: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_KEYS", value)

    with pytest.raises(Exception, match=says):
        settings_read()


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("x:0123456789abcdef", "version from 1 to 255"),
        ("256:0123456789abcdef", "version from 1 to 255"),
        ("2:short", "16 characters"),
        ("2:0123456789abcdef,2:fedcba9876543210", "two keys of version 2"),
        ("1:another-than-address-key", "version 1 is ADDRESS_KEY"),
    ],
)
def test_a_lookup_key_that_is_none_stops_the_start(value: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOKUP_KEYS", value)

    with pytest.raises(Exception, match=says):
        settings_read()
