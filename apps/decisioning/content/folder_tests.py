"""Checks a folder of content without a database: what its objects say, and its template tests. What was written is
tried in a child process, so that a folder from anywhere can be looked at."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from .case_runs import CaseResult, Report, tier_title
from .checking import block_problems, block_type_problems, template_problems
from .children import apart
from .compiling import TemplateSource
from .contracts import Problem
from .errors import ContentMisbehaved
from .fields import content_problems, fields_read
from .folders import SOURCES, Entry, Folder
from .links import host_is_valid, link_fault
from .short_messages import EMAIL
from .trying import report_apart


@dataclass(frozen=True, slots=True)
class CaseTold:
    """A case of a folder and what came of it. file, line: where it stands; faults: what failed, each at its line."""

    name: str
    file: str
    line: int
    result: CaseResult
    faults: Sequence[Problem]


@dataclass(frozen=True, slots=True)
class TemplateTold:
    """What came of a template. problems: what stands against publishing it beside failing cases, each at its place."""

    code: str
    file: str
    report: Report
    cases: Sequence[CaseTold] = ()
    problems: Sequence[Problem] = ()

    @property
    def passed(self) -> bool:
        """Whether it may be published."""
        return not self.problems and all(case.result.passed for case in self.cases)


@dataclass(slots=True)
class FolderTold:
    """What came of a folder."""

    problems: list[Problem] = field(default_factory=list)
    templates: list[TemplateTold] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether all may be pushed and published."""
        return not self.problems and all(template.passed for template in self.templates)


def folder_tested(folder: Folder) -> FolderTold:
    """Everything of a folder looked at."""
    told = FolderTold(list(folder.problems))
    checks: Mapping[str, Callable[[Folder, Entry], list[Problem]]] = {
        "brands": _brand_problems,
        "block_types": _block_type_problems,
        "blocks": _block_problems,
        "templates": _template_problems,
    }
    for entry in folder.entries.values():
        if entry.kind in checks:
            told.problems.extend(entry.place(problem) for problem in checks[entry.kind](folder, entry))
    told.templates = [template_tested(folder, entry) for entry in folder.entries.values() if entry.kind == "templates"]
    return told


def template_tested(folder: Folder, entry: Entry) -> TemplateTold:
    """The cases of one template, and what they cover."""
    suite, problems = folder.suite(entry.key)
    if problems:
        return TemplateTold(entry.key, entry.file, Report(problems), problems=problems)
    if not suite.arrangement.slots and not suite.cases:
        mend = "has no tests yet: give its slots tiers, and write cases"
        problem = Problem(entry.file, 0, "", mend)
        return TemplateTold(entry.key, entry.file, Report([problem]), problems=[problem])
    report = report_apart(suite)
    cases = []
    for result in report.results:
        file = f"{entry.file.rpartition('/')[0]}/{result.name}.case.yaml"
        reading = entry.readings[file]
        faults = [Problem(file, reading.line(failure.path) or 1, "", failure.said) for failure in result.failures]
        cases.append(CaseTold(result.name, file, 1, result, faults))
    found = [entry.place(problem) for problem in report.problems]
    about = entry.readings[entry.file]
    found += [
        Problem(
            entry.file,
            about.line(("slots", cover.slot, cover.index)),
            f"slot {cover.slot}: {tier_title(cover.asked, cover.index)}",
            "is covered by no case: write one that expects it",
        )
        for cover in report.uncovered
    ]
    return TemplateTold(entry.key, entry.file, report, cases, found)


def _brand_problems(folder: Folder, entry: Entry) -> list[Problem]:
    hosts = entry.data["link_hosts"]
    if not hosts or not all(host_is_valid(host) for host in hosts):
        return [Problem("link_hosts", 0, "", "must be a list of host names, such as shop.example")]
    fault = link_fault(entry.data["shop_url"], hosts)
    return [Problem("shop_url", 0, "", fault)] if fault else []


def _block_type_problems(folder: Folder, entry: Entry) -> list[Problem]:
    data = entry.data
    problems: list[Problem] = []
    fields = fields_read(data["fields"], problems)
    if problems:
        return problems
    layouts = {"layout": data["layout"], "text_layout": data["text_layout"]}
    try:
        return list(apart(block_type_problems, fields, name=data["name"], **layouts))
    except ContentMisbehaved as error:
        return [error.problem]


def _block_problems(folder: Folder, entry: Entry) -> list[Problem]:
    source = folder.block(entry.key)
    if source is None:
        if f"block_types/{entry.data['type']}" in folder.entries:
            return []
        line = entry.readings[entry.file].line(("type",))
        return [Problem(entry.file, line, entry.data["type"], "is no block type of this folder")]
    market = entry.data.get("market")
    problems = content_problems(source.fields, source.content, f"block {entry.key}")
    if market and f"markets/{market}" not in folder.entries:
        problems.append(Problem("block, market", 0, market, "is no market of this folder"))
    if problems:
        return problems
    try:
        for language in source.content:
            problems.extend(apart(block_problems, source, language=language))
    except ContentMisbehaved as error:
        problems.append(error.problem)
    return problems


def _template_problems(folder: Folder, entry: Entry) -> list[Problem]:
    template = TemplateSource(
        entry.data["name"], **{name: entry.data[name] for name in SOURCES}, channel=entry.data.get("channel", EMAIL)
    )
    try:
        return list(apart(template_problems, template)[0])
    except ContentMisbehaved as error:
        return [error.problem]


COVERAGE_SHOWN: Final = 12
"""Branches that no case takes that are named; of more their number."""


def coverage_lines(report: Report) -> list[str]:
    """What the cases of a template cover, in lines for a terminal."""
    tiers, held = len(report.tiers), sum(bool(cover.cases) for cover in report.tiers)
    slots = {cover.slot for cover in report.tiers}
    whole = sum(all(cover.cases for cover in report.tiers if cover.slot == slot) for slot in slots)
    taken = sum(bool(cover.cases) for cover in report.branches)
    lines = [f"slots {whole} of {len(slots)}, tiers {held} of {tiers}, branches {taken} of {len(report.branches)}"]
    open_branches = [cover.branch for cover in report.branches if not cover.cases]
    lines += [
        f"no case takes: {branch.where}, line {branch.line}: {branch.statement} {branch.side}"
        for branch in open_branches[:COVERAGE_SHOWN]
    ]
    if len(open_branches) > COVERAGE_SHOWN:
        lines.append(f"and {len(open_branches) - COVERAGE_SHOWN} more")
    return lines
