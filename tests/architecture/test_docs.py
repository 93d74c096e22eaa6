"""The docs know what there is, and point to what exists."""

import re
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """The places in a page that a link can name, as GitHub makes them from headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", PAGES, ids=lambda document: document.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    faults = []
    for target in LINK.findall(document.read_text()):
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", path):
            continue
        there = (document.parent / path).resolve() if path else document
        if not there.exists():
            faults.append(f"{target}: no such file")
        elif anchor and anchor not in anchors(there):
            faults.append(f"{target}: no such heading")
    assert faults == []


def test_every_model_is_in_the_glossary() -> None:
    words = set(re.findall(r"\*\*(\w+)\*\*", (ROOT / "docs" / "glossary.md").read_text()))

    ours = {model.__name__ for model in apps.get_models() if model.__module__.startswith("apps.")}
    assert ours - words == set()


@pytest.mark.parametrize("folder", ["adr", "how-it-works"])
def test_every_page_is_in_its_index(folder: str) -> None:
    index = (ROOT / "docs" / folder / "README.md").read_text()

    pages = {path.name for path in (ROOT / "docs" / folder).glob("*.md")} - {"README.md"}
    assert pages == set(re.findall(r"\]\(([^)/#]+\.md)\)", index))


def test_decisions_have_a_number_of_their_own_and_are_titled_by_it() -> None:
    names = sorted(path.name for path in (ROOT / "docs" / "adr").glob("[0-9]*.md"))

    assert len({name[:4] for name in names}) == len(names)
    for name in names:
        title = (ROOT / "docs" / "adr" / name).read_text().splitlines()[0]
        assert re.fullmatch(rf"# {int(name[:4])}\. .+", title), f"{name}: titled by the decision, with its number"


def test_code_names_only_pages_that_exist() -> None:
    faults = []
    for path in [*(ROOT / "apps").rglob("*.py"), *(ROOT / "bin").rglob("*"), *(ROOT / "templates").rglob("*.html")]:
        if path.is_file() and path.suffix in (".py", ".html", ""):
            for page in re.findall(r"docs/[\w/.-]+\.md", path.read_text(errors="replace")):
                if not (ROOT / page).exists():
                    faults.append(f"{path.relative_to(ROOT)}: {page}")
    assert faults == []
