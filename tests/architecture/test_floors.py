"""Imports run downward only, and what is known in one place is known there alone."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.db import models

ROOT = Path(settings.BASE_DIR)
FLOORS = ("surfaces", "insight", "delivery", "decisioning", "data", "foundation")
HOUSE = {
    "surfaces": ("api", "console", "preferences", "signups", "tracking"),
    "insight": ("analytics", "monitoring"),
    "delivery": ("sending", "webhooks", "channels"),
    "decisioning": ("decisions", "playbooks", "experiments", "recommendations", "content", "audiences"),
    "data": ("inbound", "imports", "features", "events", "catalog", "privacy", "consent", "profiles"),
    "foundation": ("governance", "accounts", "core"),
}
"""Floors and apps from the top down, as docs/architecture.md has them."""

HEIGHT = {
    f"apps.{floor}.{app}": height
    for height, (floor, app) in enumerate(reversed([(floor, app) for floor in FLOORS for app in HOUSE[floor]]))
}


def modules() -> Iterator[Path]:
    """The Python files of the apps, without migrations."""
    for path in sorted((ROOT / "apps").rglob("*.py")):
        if "migrations" not in path.parts:
            yield path


def nodes_where(words: str) -> Iterator[tuple[Path, ast.AST]]:
    """All syntax of those modules in whose text a pattern is found: to parse every one takes seconds."""
    looked_for = re.compile(words, re.MULTILINE)
    for path in modules():
        if looked_for.search(text := path.read_text()):
            yield from ((path, node) for node in ast.walk(ast.parse(text)))


def place(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"


def test_every_import_keeps_to_the_floors() -> None:
    # in a process of its own: it sets up logging anew, for all that runs after it
    linted = subprocess.run(
        [sys.executable, "-c", "import sys, importlinter.cli as cli; sys.exit(cli.lint_imports())"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_no_contract_of_the_floors_ignores_an_import() -> None:
    assert "ignore_imports" not in (ROOT / "pyproject.toml").read_text()


def test_every_installed_app_of_ours_has_its_floor() -> None:
    installed = {config.name for config in apps.get_app_configs() if config.name.startswith("apps.")}

    assert installed <= set(HEIGHT)


def test_no_foreign_key_points_to_a_higher_app() -> None:
    faults = []
    for model in apps.get_models(include_auto_created=True):
        here = model._meta.app_config.name if model._meta.app_config else ""
        for field in model._meta.get_fields():
            target = field.related_model
            if here not in HEIGHT or not field.concrete or not isinstance(target, type):
                continue
            assert issubclass(target, models.Model)
            there = target._meta.app_config.name if target._meta.app_config else ""
            if HEIGHT.get(there, -1) > HEIGHT[here]:
                faults.append(f"{model._meta.label}.{field.name} points up, to {target._meta.label}")
    assert faults == []


def test_imports_stand_at_the_top() -> None:
    """An import inside a function hides a cycle. Only AppConfig.ready may: models are loaded no sooner."""
    faults = []
    for path, function in nodes_where(r"^[ \t]+(import|from)\b|[;:][ \t]*(import|from)\b"):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if path.name == "apps.py" and function.name == "ready":
            continue
        faults += [place(path, node) for node in ast.walk(function) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert faults == []


def test_work_is_woken_only_on_commit() -> None:
    """`core.queue.enqueue_on_commit` is the one way: a task that starts before its rows are there finds nothing."""
    faults = []
    ways = ("delay", "apply_async", "send_task")
    for path, node in nodes_where("|".join(ways)):
        if path.relative_to(ROOT).as_posix() == "apps/foundation/core/queue.py":
            continue
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ways:
            faults.append(f"{place(path, node)} calls .{node.func.attr}()")
    assert faults == []


def test_no_model_has_logic_in_save_or_delete() -> None:
    ours = [model for model in apps.get_models() if model.__module__.startswith("apps.")]

    assert [model for model in ours if "save" in vars(model) or "delete" in vars(model)] == []


def test_no_logic_hangs_on_the_signals_of_the_orm() -> None:
    """What happens is said by services. `post_migrate` is no signal of rows."""
    of_rows = {"pre_save", "post_save", "pre_delete", "post_delete", "m2m_changed", "pre_init", "post_init"}
    faults = []
    for path, node in nodes_where("|".join(of_rows)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("django.db.models"):
            faults += [f"{place(path, node)} imports {name.name}" for name in node.names if name.name in of_rows]
    assert faults == []


def test_an_advisory_lock_has_a_number_of_its_own() -> None:
    """Two that share one would wait for each other."""
    named = re.compile(r"^_\w+(?:: Final)? = (7[23]\d\d)\b", re.MULTILINE)
    in_sql = re.compile(r"advisory\w*\((7[23]\d\d)\b")
    users: dict[str, set[str]] = {}
    for path in sorted((ROOT / "apps").rglob("*.py")):
        text = path.read_text()
        if "advisory" in text:
            for number in {*named.findall(text), *in_sql.findall(text)}:
                users.setdefault(number, set()).add(str(path.relative_to(ROOT)))
    assert len(users) > 15
    assert {number: files for number, files in users.items() if len(files) > 1} == {}
