"""Test a folder of content."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.decisioning.content.folder_tests import coverage_lines, folder_tested
from apps.decisioning.content.folders import folder_read
from apps.decisioning.content.junit import junit_write


class Command(BaseCommand):
    """manage.py content_test DIR"""

    help = (
        "Check the folder DIR and run its template tests, without a database. Exits with 1 when something is wrong, a "
        "case fails, or a slot or tier is covered by no case: then a template can't be published either."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("dir", type=Path, help="the folder, as content_pull wrote it")
        parser.add_argument("--junit", type=Path, metavar="FILE", help="write the results as JUnit XML too")

    def handle(self, *args: Any, **options: Any) -> None:
        given = Namespace(**options)
        try:
            folder = folder_read(given.dir)
        except NotADirectoryError:
            raise CommandError(f"{given.dir} is no folder") from None
        told = folder_tested(folder)
        for problem in told.problems:
            self.stdout.write(self.style.ERROR(f"wrong   {_placed(problem)}"))
        for template in told.templates:
            self.stdout.write(f"template {template.code}")
            for case in template.cases:
                if case.result.passed:
                    self.stdout.write(f"  {self.style.SUCCESS('pass')}  {case.name}")
                    continue
                self.stdout.write(f"  {self.style.ERROR('FAIL')}  {case.name}")
                for fault in case.faults:
                    self.stdout.write(f"        {_placed(fault)}")
            for problem in template.problems:
                self.stdout.write(f"  {self.style.ERROR('open')}  {_placed(problem)}")
            if template.report.results:
                for line in coverage_lines(template.report):
                    self.stdout.write(f"  {line}")
        if given.junit is not None:
            junit_write(given.junit, told)
        cases = [case for template in told.templates for case in template.cases]
        failed = sum(not case.result.passed for case in cases)
        left = sum(len(template.problems) for template in told.templates)
        counted = f"{len(cases)} cases, {failed} failed; {len(told.problems)} things wrong, {left} open"
        if not told.passed:
            raise CommandError(counted)
        self.stdout.write(self.style.SUCCESS(counted))


def _placed(problem: Any) -> str:
    place = f"{problem.where}:{problem.line}" if problem.line else problem.where
    return f"{place}: {' '.join(part for part in (problem.token, problem.mend) if part)}"
