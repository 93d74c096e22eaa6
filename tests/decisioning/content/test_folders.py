"""Content as files: pulled, pushed, tested; and nothing lost between."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import transaction

from apps.decisioning.content import services
from apps.decisioning.content.exchange import lock_read
from apps.decisioning.content.folders import folder_read
from apps.decisioning.content.models import Block, BlockType, BlockVersion, Brand, Market, Template, TemplateVersion
from apps.decisioning.content.stored import entries_stored
from apps.foundation.core.errors import Conflict
from apps.foundation.governance.models import AuditEntry, Review
from tests.factories import make_user

from .making import Sample, superuser
from .suites import sample_suite

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def loaded(django_db_setup: None, django_db_blocker: Any) -> Iterator[Sample]:
    """The sample shop's content with its tests, loaded once; each test runs in a savepoint behind it."""
    with django_db_blocker.unblock(), transaction.atomic():
        made = Sample()
        suite = sample_suite()
        services.template_version_create(
            template_id=made.template.pk, by=made.engineer, arrangement=suite.arrangement, cases=suite.cases
        )
        yield made
        transaction.set_rollback(True)


@pytest.fixture
def sample(loaded: Sample) -> Sample:
    for user in (loaded.engineer, loaded.editor):
        user.refresh_from_db()
    return loaded


def run(command: str, *args: Any, **options: Any) -> str:
    out = StringIO()
    call_command(command, *args, stdout=out, stderr=out, **options)
    return out.getvalue()


def refused(command: str, *args: Any, **options: Any) -> str:
    out = StringIO()
    with pytest.raises(CommandError) as error:
        call_command(command, *args, stdout=out, stderr=out, **options)
    return f"{out.getvalue()}{error.value}"


def push(folder: Path, by: Any, **options: Any) -> str:
    return run("content_push", folder, email=by.email, yes=True, **options)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def rows() -> dict[str, int]:
    return {
        model.__name__: model._default_manager.count()
        for model in (Brand, BlockType, Block, BlockVersion, Template, TemplateVersion)
    }


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_a_pull_says_all_and_pulling_and_pushing_change_nothing(sample: Sample, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    run("content_pull", first)
    run("content_pull", second)
    before = rows()

    folder = folder_read(first)
    assert folder.problems == []
    assert {label: entry.digest for label, entry in folder.entries.items()} == lock_read(first)
    assert folder.entries.keys() == entries_stored().keys()
    assert len(folder.entries) == sum(
        model._default_manager.count() for model in (Brand, Market, BlockType, Block, Template)
    )
    assert bytes_of(first) == bytes_of(second)

    assert "Nothing to push." in push(first, sample.engineer)
    run("content_pull", first)
    assert bytes_of(first) == bytes_of(second)
    assert rows() == before


def test_an_empty_database_is_filled_from_a_folder_and_gives_the_same_files(sample: Sample, tmp_path: Path) -> None:
    run("content_pull", tmp_path / "a")
    TemplateVersion.objects.all().delete()
    Template.objects.all().delete()
    BlockVersion.objects.all().delete()
    for model in (Block, BlockType, Brand):
        model._default_manager.all().delete()
    (tmp_path / "a" / "tessera.lock").unlink()

    push(tmp_path / "a", superuser())
    run("content_pull", tmp_path / "b")

    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")
    assert rows() == {
        "Brand": 1, "BlockType": 6, "Block": len(sample.blocks), "BlockVersion": len(sample.blocks), "Template": 1,
        "TemplateVersion": 1,
    }  # fmt: skip


def test_a_change_is_shown_and_becomes_a_draft_of_the_one_who_pushes(sample: Sample, tmp_path: Path) -> None:
    run("content_pull", tmp_path)
    edit(tmp_path / "templates/weekly_picks/body.txt", "--\n", "-- \nSee you soon\n")
    shutil.copy(
        tmp_path / "templates/weekly_picks/vienna.case.yaml", tmp_path / "templates/weekly_picks/graz.case.yaml"
    )

    tried = run("content_push", tmp_path, email=sample.engineer.email, dry_run=True)
    assert TemplateVersion.objects.count() == 2
    told = push(tmp_path, sample.engineer)

    assert "+See you soon" in tried
    assert "+++ folder/templates/weekly_picks/graz.case.yaml" in tried
    assert "This would be taken: 0 new, 1 changed. Nothing was changed." in tried
    assert f"Pushed 0 new, 1 changed as {sample.engineer.email}." in told
    version = TemplateVersion.objects.latest("number")
    assert (version.number, version.created_by) == (3, sample.engineer)
    assert "See you soon" in version.text
    assert [case["name"] for case in version.cases].count("graz") == 1
    assert AuditEntry.objects.filter(action="content.folder.pushed").count() == 1
    assert "Nothing to push." in push(tmp_path, sample.engineer)


def test_a_push_can_ask_for_approval_of_what_it_made_and_of_nothing_that_fails(sample: Sample, tmp_path: Path) -> None:
    run("content_pull", tmp_path)
    case = tmp_path / "templates/weekly_picks/vienna.case.yaml"
    edit(case, "language: de\n", "language: fr\n")
    before = rows()

    told = refused("content_push", tmp_path, email=sample.engineer.email, yes=True, submit=True)
    assert "case vienna: fails: expected fr, got de" in told
    assert (rows(), Review.objects.count()) == (before, 0)

    edit(case, "language: fr\n", "language: de\n")
    edit(tmp_path / "templates/weekly_picks/body.txt", "--\n", "-- \nSee you soon\n")
    told = push(tmp_path, sample.engineer, submit=True, note="A warmer end")

    assert "Approval is asked for." in told
    review = Review.objects.get()
    assert (review.requested_by, review.note, review.digest) == (
        sample.engineer,
        "A warmer end",
        TemplateVersion.objects.latest("number").digest,
    )


def test_asked_and_answered_no_changes_nothing(sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("content_pull", tmp_path)
    edit(tmp_path / "templates/weekly_picks/template.yaml", "name: Picks", "name: Weekly picks")
    monkeypatch.setattr("builtins.input", lambda question: "n")

    assert "Nothing was changed." in run("content_push", tmp_path, email=sample.engineer.email)
    assert Template.objects.get().name == "Picks"

    monkeypatch.setattr("builtins.input", lambda question: "y")
    run("content_push", tmp_path, email=sample.engineer.email)
    assert Template.objects.get().name == "Weekly picks"


def test_what_changed_in_the_database_meanwhile_is_a_conflict_and_nothing_is_half_done(
    sample: Sample, tmp_path: Path
) -> None:
    run("content_pull", tmp_path)
    edit(tmp_path / "templates/weekly_picks/subject.txt", "[[ slot:subject ]]", "News: [[ slot:subject ]]")
    edit(tmp_path / "block_types/note.yaml", "name: Note", "name: A note")
    services.template_version_create(template_id=sample.template.pk, by=sample.engineer, subject="Changed meanwhile")
    before, files = rows(), bytes_of(tmp_path)

    told = refused("content_push", tmp_path, email=sample.engineer.email, yes=True)

    assert "templates/weekly_picks/template.yaml: weekly_picks was changed in the database since the pull" in told
    assert rows() == before
    assert BlockType.objects.get(code="note").name == "Note"
    pulled = refused("content_pull", tmp_path)
    assert "conflict  templates/weekly_picks/template.yaml" in pulled
    assert bytes_of(tmp_path) == files

    run("content_pull", tmp_path, force=True)
    assert (tmp_path / "templates/weekly_picks/subject.txt").read_text() == "Changed meanwhile\n"


def test_a_pull_keeps_what_was_not_pushed_yet_and_takes_what_is_newer(sample: Sample, tmp_path: Path) -> None:
    run("content_pull", tmp_path)
    edit(tmp_path / "block_types/note.yaml", "name: Note", "name: A note")
    note = sample.blocks["Our promise, in short"]
    content = {language: {"body": "<p>Write to us</p>"} for language in ("en", "de", "fr")}
    services.block_version_create(block_id=note.pk, content=content, by=sample.engineer)

    told = run("content_pull", tmp_path)

    assert "yours     block_types/note  (not pushed yet, kept)" in told
    assert "changed   blocks/Our promise, in short" in told
    assert "name: A note" in (tmp_path / "block_types/note.yaml").read_text()
    assert "Write to us" in (tmp_path / "blocks/our-promise-in-short.yaml").read_text()
    push(tmp_path, sample.engineer)
    assert BlockType.objects.get(code="note").name == "A note"


def test_a_renamed_block_is_renamed_in_the_folder_too(sample: Sample, tmp_path: Path) -> None:
    run("content_pull", tmp_path)
    block = sample.blocks["Hero: everybody"]
    services.block_update(block_id=block.pk, by=sample.editor, name="Hero: the world")

    run("content_pull", tmp_path)

    assert (tmp_path / "blocks/hero-the-world.yaml").exists()
    assert not (tmp_path / "blocks/hero-everybody.yaml").exists()
    assert "Hero: the world" in (tmp_path / "templates/weekly_picks/template.yaml").read_text()
    assert "Nothing to push." in push(tmp_path, sample.engineer)


def test_nothing_is_deleted_by_a_push(sample: Sample, tmp_path: Path) -> None:
    run("content_pull", tmp_path)
    (tmp_path / "blocks/hero-everybody.yaml").unlink()
    before = rows()

    told = push(tmp_path, sample.engineer)

    assert "no longer in the folder, stays in the database: blocks/Hero: everybody" in told
    assert rows() == before


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("templates/weekly_picks/body.txt", "[[ slot:promise ]]", "[[ slot:promise ]]\n{{ profile.x }}",
         "templates/weekly_picks/body.txt:12: {{ profile.x }}"),
        ("templates/weekly_picks/body.mjml", "<mj-body ", "<mj-bod ", "templates/weekly_picks/body.mjml:"),
        ("block_types/note.txt", "[[ body ]]", "[[ bdy ]]", "block_types/note.txt:1: [[ bdy ]]"),
        ("block_types/note.yaml", "kind: rich_text", "kind: rich", "block_types/note.yaml:4: body kind must be one of"),
        ("templates/weekly_picks/template.yaml", "brand: harbour-and-pine", "brand: nobody",
         "templates/weekly_picks/template.yaml:"),
        ("templates/weekly_picks/vienna.case.yaml", "tier: category", "tier: categry",
         'templates/weekly_picks/vienna.case.yaml:'),
        ("block_types/note.yaml", "name: Note", "nam: Note", 'block_types/note.yaml:1: nam is not known here'),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_file_and_line_and_nothing_is_taken(
    sample: Sample, tmp_path: Path, file: str, old: str, new: str, told: str
) -> None:
    run("content_pull", tmp_path)
    edit(tmp_path / file, old, new)
    edit(tmp_path / "block_types/line.yaml", "name: Line", "name: One line")
    before = rows()

    assert told in refused("content_push", tmp_path, email=sample.engineer.email, yes=True)

    assert rows() == before
    assert BlockType.objects.get(code="line").name == "Line"


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("blocks/hero-everybody.yaml", "Good things for plain days", "Mine now", "You may not change this block"),
        ("brands/harbour-and-pine.yaml", "name: Harbour & Pine", "name: Mine", "You may not change this brand"),
        ("templates/weekly_picks/template.yaml", "name: Picks", "name: Mine", "You may not change this template"),
        ("block_types/note.yaml", "name: Note", "name: Mine", "You may not change this block type"),
    ],
)
def test_what_one_may_not_change_is_refused_through_this_door_too(
    sample: Sample, tmp_path: Path, file: str, old: str, new: str, told: str
) -> None:
    run("content_pull", tmp_path)
    edit(tmp_path / file, old, new)
    before = rows()

    out = refused("content_push", tmp_path, email=make_user("analyst").email, yes=True)

    assert f"{file}: {told}" in out
    assert rows() == before


def test_nobody_changes_a_fixed_field_by_a_push(sample: Sample, tmp_path: Path) -> None:
    run("content_pull", tmp_path)
    edit(
        tmp_path / "blocks/hero-everybody.yaml",
        "button: See what is new",
        "button: See what is new\n    button_colour: red",
    )
    before = rows()

    out = refused("content_push", tmp_path, email=sample.engineer.email, yes=True)

    assert "blocks/hero-everybody.yaml:" in out
    assert "is fixed: only the central team changes it, in the type" in out
    assert rows() == before


def test_a_second_push_from_an_older_pull_is_a_conflict(sample: Sample, tmp_path: Path) -> None:
    for name in ("a", "b"):
        run("content_pull", tmp_path / name)
        edit(tmp_path / name / "templates/weekly_picks/subject.txt", "[[", f"{name} [[")

    push(tmp_path / "a", sample.engineer)
    with pytest.raises(Conflict):
        services.folder_push(by=sample.engineer, folder=folder_read(tmp_path / "b"), base=lock_read(tmp_path / "b"))

    assert TemplateVersion.objects.latest("number").subject == "a [[ slot:subject ]]"


def test_who_is_no_staff_or_gone_can_not_push(sample: Sample, tmp_path: Path) -> None:
    run("content_pull", tmp_path)
    sample.engineer.is_active = False
    sample.engineer.save()

    for email in ("nobody@staff.example", sample.engineer.email):
        assert "no active member of staff" in refused("content_push", tmp_path, email=email, yes=True)


def test_files_that_say_the_same_in_other_words_stay(sample: Sample, tmp_path: Path) -> None:
    run("content_pull", tmp_path)
    file = tmp_path / "templates/weekly_picks/lyon.case.yaml"
    file.write_text(f"# why: a customer asked\n{file.read_text()}")
    edit(tmp_path / "block_types/line.txt", "]]\n", "]]\r\n\r\n")

    assert "Nothing to push." in push(tmp_path, sample.engineer)
    run("content_pull", tmp_path)

    assert file.read_text().startswith("# why")


# --- testing a folder ---


def content_test(*args: Path | str) -> subprocess.CompletedProcess[str]:
    """The command as in CI: no database, no Redis, no settings of an installation."""
    return subprocess.run(
        [sys.executable, "manage.py", "content_test", *map(str, args)],
        cwd=settings.BASE_DIR,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def pytest_plugin(*args: Path | str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "apps.decisioning.content.pytest_plugin", "-p", "no:django",
         "-p", "no:cacheprovider", "-v", *map(str, args)],
        cwd=args[0],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(settings.BASE_DIR)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )  # fmt: skip


def test_a_folder_is_tested_without_a_database(sample: Sample, tmp_path: Path) -> None:
    run("content_pull", tmp_path)

    good = content_test(tmp_path, "--junit", tmp_path / "out.xml")
    plugin = pytest_plugin(tmp_path)

    assert (good.returncode, good.stderr) == (0, "")
    assert "  pass  vienna" in good.stdout
    assert "slots 6 of 6, tiers 13 of 13, branches" in good.stdout
    assert "6 cases, 0 failed; 0 things wrong, 0 open" in good.stdout
    suites = ElementTree.parse(tmp_path / "out.xml").getroot()  # noqa: S314  # our own
    assert [(suite.get("name"), suite.get("tests"), suite.get("failures")) for suite in suites] == [
        ("folder", "1", "0"), ("weekly_picks", "7", "0"),
    ]  # fmt: skip
    assert plugin.returncode == 0, plugin.stdout + plugin.stderr
    assert "templates/weekly_picks/vienna.case.yaml::vienna PASSED" in plugin.stdout
    assert "templates/weekly_picks/template.yaml::can be published PASSED" in plugin.stdout
    assert "weekly_picks: slots 6 of 6, tiers 13 of 13, branches" in plugin.stdout


def test_a_folder_with_faults_fails_at_their_lines(sample: Sample, tmp_path: Path) -> None:
    run("content_pull", tmp_path)
    folder = tmp_path / "templates/weekly_picks"
    edit(folder / "vienna.case.yaml", "language: de\n", "language: fr\n")
    line = (folder / "vienna.case.yaml").read_text().splitlines().index("  language: fr") + 1
    (folder / "lyon.case.yaml").unlink()
    edit(folder / "nobody.case.yaml", "expect:", "expct:")
    (folder / "old.yaml").write_text("a: 1\n")
    edit(tmp_path / "blocks/hero-everybody.yaml", "type: hero", "type: heroo")

    said = refused("content_test", tmp_path)

    assert "nobody.case.yaml:2: expct is not known here" in said
    assert "templates/weekly_picks/old.yaml: is neither template.yaml nor a case" in said
    assert "blocks/hero-everybody.yaml:2: heroo is no block type of this folder" in said

    edit(folder / "nobody.case.yaml", "expct:", "expect:")
    (folder / "old.yaml").unlink()
    edit(tmp_path / "blocks/hero-everybody.yaml", "type: heroo", "type: hero")
    said, plugin = refused("content_test", tmp_path), pytest_plugin(tmp_path)

    assert f"templates/weekly_picks/vienna.case.yaml:{line}: expected fr, got de" in said
    assert "slot products: 3. country, “their country” is covered by no case" in said
    assert "5 cases, 1 failed" in said
    assert plugin.returncode == 1
    assert f"templates/weekly_picks/vienna.case.yaml:{line}: expected fr, got de" in plugin.stdout
    assert "2 failed, 4 passed" in plugin.stdout


def test_a_hostile_folder_is_refused_and_nothing_hangs(tmp_path: Path) -> None:
    folder = tmp_path / "templates/bomb"
    folder.mkdir(parents=True)
    (folder / "template.yaml").write_text("name: Bomb\nslots: {}\n")
    (folder / "subject.txt").write_text('{{ "%1000000000d" | format(1) }}')
    (folder / "body.mjml").write_text("<mjml>" + "<div>" * 20_000)
    (folder / "body.txt").write_text("{% for a in range(10**9) %}x{% endfor %}")
    (folder / "a.case.yaml").write_text("a: &a [1]\nb: [*a, *a]\n")
    (folder / "b.case.yaml").write_bytes(b"\xff\xfe")

    said = refused("content_test", tmp_path)

    assert "a.case.yaml:1: anchors and aliases aren't allowed" in said
    assert "b.case.yaml: is not UTF-8" in said
