"""Template tests as pytest's: `pytest -p apps.decisioning.content.pytest_plugin CONTENT_DIR`.

Each `NAME.case.yaml` is a test, at its file and line; each `template.yaml` is one more, which asks whether the template
may be published (all slots and tiers covered). What they cover is shown at the end. No database, and no settings.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .case_files import ENDING, case_name
from .folder_tests import TemplateTold, coverage_lines, template_tested
from .folders import Folder, folder_read

_FOLDERS = pytest.StashKey[dict[Path, Folder]]()
_TOLD = pytest.StashKey[dict[tuple[Path, str], TemplateTold]]()


class CaseFailed(Exception):
    """Told as it is, without a traceback: what it says has a file and line."""


def pytest_configure(config: pytest.Config) -> None:
    """Folders and results are kept for the session: the cases of a template run together, once."""
    config.stash[_FOLDERS] = {}
    config.stash[_TOLD] = {}


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """The files of templates in a content folder: `…/templates/CODE/`."""
    if file_path.parent.parent.name != "templates":
        return None
    if file_path.name.endswith(ENDING) or file_path.name == "template.yaml":
        file: pytest.Collector = ContentFile.from_parent(parent, path=file_path)
        return file
    return None


class ContentFile(pytest.File):
    """A case, or a template."""

    def collect(self) -> Iterator[pytest.Item]:
        """One item: the case, or whether the template may be published."""
        name = "can be published" if self.path.name == "template.yaml" else case_name(self.path)
        yield ContentItem.from_parent(self, name=name)


class ContentItem(pytest.Item):
    """One test."""

    def runtest(self) -> None:
        """Fails with every fault, each at its place."""
        root, code = self.path.parents[2], self.path.parent.name
        folders, results = self.config.stash[_FOLDERS], self.config.stash[_TOLD]
        if root not in folders:
            folders[root] = folder_read(root)
        folder = folders[root]
        where = self.path.relative_to(root).as_posix()
        unread = [problem for problem in folder.problems if problem.where == where]
        entry = folder.entries.get(f"templates/{code}")
        if entry is None:
            near = [problem for problem in folder.problems if problem.where.startswith(f"templates/{code}/")]
            raise CaseFailed(self._told(root, unread or near))
        if (root, code) not in results:
            results[root, code] = template_tested(folder, entry)
        told = results[root, code]
        if self.path.name == "template.yaml":
            if told.problems:
                raise CaseFailed(self._told(root, told.problems))
            return
        case = next((case for case in told.cases if case.file == where), None)
        if case is None:
            raise CaseFailed(self._told(root, told.problems))
        if case.faults:
            raise CaseFailed(self._told(root, case.faults))

    def _told(self, root: Path, problems: Any) -> str:
        lines = []
        for problem in problems:
            file = root / problem.where
            shown = file.relative_to(self.config.rootpath) if file.is_relative_to(self.config.rootpath) else file
            said = " ".join(part for part in (problem.token, problem.mend) if part)
            lines.append(f"{shown}:{problem.line or 1}: {said}")
        return "\n".join(lines)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Only what is wrong."""
        if isinstance(excinfo.value, CaseFailed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """The file, and its first line."""
        return self.path, 0, f"{self.path.parent.name}: {self.name}"


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """What the cases of each template cover."""
    told = config.stash[_TOLD]
    covered = [(code, one.report) for (_, code), one in sorted(told.items()) if one.report.results]
    if covered:
        terminalreporter.section("content coverage")
        for code, report in covered:
            for number, line in enumerate(coverage_lines(report)):
                terminalreporter.write_line(f"{code}: {line}" if not number else f"  {line}")
