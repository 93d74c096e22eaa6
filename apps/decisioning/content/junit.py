"""The results of a folder's tests as JUnit XML, as build servers read it."""

from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement  # written only

from .contracts import Problem
from .folder_tests import FolderTold


def junit_write(file: Path, told: FolderTold) -> None:
    """One test case for each case, and one for the coverage of each template and the form of the folder."""
    root = Element("testsuites")
    _suite(root, "folder", [("form", "", list(told.problems))])
    for template in told.templates:
        results = [(case.name, case.file, list(case.faults)) for case in template.cases]
        _suite(root, template.code, [*results, ("can be published", template.file, list(template.problems))])
    file.parent.mkdir(parents=True, exist_ok=True)
    ElementTree(root).write(file, "utf-8", xml_declaration=True)


def _suite(root: Element, name: str, results: list[tuple[str, str, list[Problem]]]) -> None:
    failed = sum(bool(faults) for _, _, faults in results)
    suite = SubElement(root, "testsuite", name=name, tests=str(len(results)), failures=str(failed))
    for case, place, faults in results:
        element = SubElement(suite, "testcase", classname=name, name=case, file=place)
        if faults:
            failure = SubElement(element, "failure", message=str(faults[0])[:200])
            failure.text = "\n".join(str(fault) for fault in faults)
