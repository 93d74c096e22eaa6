"""Where things are: the same file names in every app, files of a size to read, and nobody's own paths."""

import re
from pathlib import Path

import pytest
from django.apps import AppConfig, apps
from django.conf import settings

from .nouns import NOUNS

ROOT = Path(settings.BASE_DIR)
USUAL = {
    "__init__", "admin", "apps", "contracts", "engine", "errors", "forms", "models", "receivers", "rules", "selectors",
    "services", "signals", "tasks", "urls", "views",
}  # fmt: skip
UNWANTED = {"utils", "util", "helpers", "helper", "common", "misc", "shared", "base", "tools"}
LONGEST = 600


def our_apps() -> list[AppConfig]:
    return [config for config in apps.get_app_configs() if config.name.startswith("apps.")]


def name_of(config: AppConfig) -> str:
    return config.name.removeprefix("apps.").replace(".", "/")


@pytest.mark.parametrize("config", our_apps(), ids=name_of)
def test_an_app_has_the_usual_files_and_those_listed_here(config: AppConfig) -> None:
    folder = Path(config.path)
    found = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*.py")
        if path.relative_to(folder).parts[0] not in ("migrations", "management")
    }
    unusual = {name for name in found if name.removesuffix(".py") not in USUAL}

    listed = set(NOUNS.get(name_of(config), {}))
    assert unusual - listed == set(), "say in nouns.py what each is about"
    assert listed - unusual == set(), "these are gone: take them out of nouns.py"


def test_no_file_is_named_for_being_everything() -> None:
    named = [path.relative_to(ROOT) for top in ("apps", "config", "tests") for path in (ROOT / top).rglob("*.py")]

    assert [str(path) for path in named if {part.removesuffix(".py") for part in path.parts} & UNWANTED] == []


def test_no_module_is_longer_than_can_be_read() -> None:
    long = {}
    for top in ("apps", "bin", "config", "tests"):
        for path in (ROOT / top).rglob("*.py"):
            lines = path.read_text().count("\n")
            if lines > LONGEST:
                long[path.relative_to(ROOT).as_posix()] = lines
    assert long == {}


def test_migrations_say_what_they_do() -> None:
    """One purpose and a name of its own: none that `makemigrations` made up from fields."""
    names = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "apps").rglob("migrations/*.py")
        if path.name != "__init__.py"
    ]

    assert names
    assert [name for name in names if not re.search(r"/\d{4}_[a-z][a-z0-9_]+\.py$", name) or "_auto_" in name] == []


def test_an_apps_label_is_the_last_part_of_its_path() -> None:
    assert [config.name for config in our_apps() if config.label != config.name.rpartition(".")[2]] == []


def test_nothing_names_a_path_of_one_machine() -> None:
    """What is in the repository works anywhere: no home folder, and no folder that only one machine has."""
    personal = re.compile(r"/(?:home|Users)/[a-z]+/|/root/[a-z.]|C:\\\\Users")
    places = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "pyproject.toml", ROOT / "manage.py"]
    for top in ("apps", "bench", "bin", "config", "docs", "static", "templates", "tests", ".ci"):
        places += [path for path in (ROOT / top).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    faults = []
    for path in places:
        if not path.exists() or path == Path(__file__) or path.suffix in (".png", ".gz", ".woff2", ".pyc"):
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if personal.search(line):
                faults.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}")
    assert faults == []
