"""What imports forget of an erased person, in files and in staging."""

from pathlib import Path

import pytest
from django.conf import LazySettings

from apps.data.imports.models import Import, StagedPerson
from apps.data.privacy.registry import EraseStep, Person, erase_steps
from apps.foundation.core.errors import Conflict
from tests.factories import make_profile

pytestmark = pytest.mark.django_db
ERRORS = '"line","column","what is lost","reason","the line as it was"\n"2","","the line","broken","{}"\n'


@pytest.fixture(autouse=True)
def folder(settings: LazySettings, tmp_path: Path) -> Path:
    settings.DATA_DIR = tmp_path
    for name in ("uploads", "imports"):
        (tmp_path / name).mkdir()
    return tmp_path


def step() -> EraseStep:
    return next(one for one in erase_steps() if one.name == "imports")


def job(folder: Path, state: str) -> Import:
    return Import.objects.create(
        kind="profiles", file_name="f.csv", path=str(folder / "uploads/f.csv"), digest=state, source="shop",
        errors_path=str(folder / "imports/1-errors.csv"), state=state, progress={"errors_size": 999},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "goes"),
    [
        ("anna@example.com,Anna", True),
        ("ANNA@Example.COM", True),
        ("joanna@example.com", True),  # rather one too many
        ("x,0660 123 4567", True),
        ("4711;x", True),
        ("47112;x", False),
        ("A-4711;x", False),
        ("Huber, Anna", True),
        ("Anna Berg", False),
        ("bruno@example.com", False),
    ],
)
def test_lines_about_them_go_and_others_stay(folder: Path, line: str, goes: bool) -> None:
    errors, upload = folder / "imports/1-errors.csv", folder / "uploads/f.csv"
    errors.write_text(ERRORS.format(line))
    upload.write_text(f"header\n{line}\n")
    known = [("email", "anna@example.com"), ("phone", "+436601234567"), ("external_id", "shop:4711")]

    done = step().erase(Person(1, known, ["Anna", "Huber"]))

    assert (line in errors.read_text()) is not goes
    assert errors.read_text().startswith('"line"')
    assert upload.exists() is not goes
    assert done.count == (2 if goes else 0)


def test_while_an_import_runs_it_waits_and_nothing_is_touched(folder: Path) -> None:
    job(folder, "reading")
    (folder / "uploads/f.csv").write_text("anna@example.com")

    with pytest.raises(Conflict):
        step().erase(Person(1, [("email", "anna@example.com")]))

    assert (folder / "uploads/f.csv").exists()


def test_a_stopped_import_writes_on_at_the_new_end_of_its_errors_file(folder: Path) -> None:
    stopped = job(folder, "stopped")
    path = folder / "imports/1-errors.csv"
    path.write_text(ERRORS.format("anna@example.com"))

    step().erase(Person(1, [("email", "anna@example.com")]))

    stopped.refresh_from_db()
    assert stopped.progress == {"errors_size": path.stat().st_size}


def test_what_is_staged_of_them_goes(folder: Path) -> None:
    profile = make_profile(email="anna@example.com")
    digest = bytes(profile.identifiers.get().digest)
    for found in (digest, b"another" * 4):
        StagedPerson.objects.create(import_id=1, line=1, key=found, email_digest=found)

    step().erase(Person(profile.pk, [("email", "anna@example.com")]))

    left = StagedPerson.objects.values_list("email_digest", flat=True)
    assert [bytes(one or b"") for one in left] == [b"another" * 4]
