"""Files of template tests: `NAME.case.yaml`, one case each."""

from pathlib import Path
from typing import Final

from .cases import Arrangement, Case, case_read
from .contracts import Problem
from .notation import Reading, yaml_read
from .pieces import SourceRefused

ENDING: Final = ".case.yaml"


def case_files(folder: Path) -> list[Path]:
    """The cases of a template's folder, by name."""
    return sorted(folder.glob(f"*{ENDING}"))


def case_name(file: Path) -> str:
    """`vienna` for `vienna.case.yaml`."""
    return file.name.removesuffix(ENDING)


def case_file_read(
    file: Path, where: str, arrangement: Arrangement | None
) -> tuple[Case | None, Reading | None, list[Problem]]:
    """A case from its file, what the file says with its lines, and what is wrong with it."""
    try:
        reading = yaml_read(file.read_text("utf-8"), where)
    except SourceRefused as refused:
        return None, None, [refused.problem]
    except UnicodeDecodeError:
        return None, None, [Problem(where, 0, "", "is not UTF-8")]
    case, problems = case_read(reading, case_name(file), arrangement)
    return case, reading, problems


def cases_read(folder: Path, arrangement: Arrangement | None = None) -> list[Case]:
    """All cases of a folder. Raises ValueError with the first problem."""
    cases = []
    for file in case_files(folder):
        case, _, problems = case_file_read(file, file.name, arrangement)
        if case is None:
            raise ValueError(str(problems[0]))
        cases.append(case)
    return cases
