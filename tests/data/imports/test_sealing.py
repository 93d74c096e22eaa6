"""No identifier is in the database in the clear, from the first line read to long after."""

from pathlib import Path

import pytest
from django.db import connection
from pytest_django import Settings

from apps.data.imports import sealing, services
from apps.data.imports.merge import import_merge
from apps.data.imports.models import Import, StagedPerson
from apps.data.imports.sealing import StagingKey
from apps.data.imports.staging import Stopped
from apps.data.profiles.models import Identifier
from apps.foundation.core.crypto import Tampered, key_make
from tests.factories import identifiers_of, known_by
from tests.storage import found_in_tables

from .making import SHOPIFY_CUSTOMERS, run, write

pytestmark = pytest.mark.django_db

SECRETS = ("anna.berg@example.com", "bo@example.com", "+436601234567", "shopify:7001")


def test_after_an_import_no_table_holds_an_identifier(tmp_path: Path) -> None:
    run(write(tmp_path / "people.csv", SHOPIFY_CUSTOMERS), kind="profiles")

    assert found_in_tables(*SECRETS) == {}
    assert found_in_tables("Anna") == {"profiles_profile": 1}  # the search can find what is in the clear
    assert identifiers_of(known_by("email", "anna.berg@example.com")) == [
        ("email", "anna.berg@example.com", True),
        ("external_id", "shopify:7001", False),
        ("phone", "+436601234567", True),
    ]


def test_nor_while_it_is_staged_and_its_key_is_forgotten_with_the_merge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[dict[str, int], int, str]] = []
    merge = import_merge

    def look(**terms: object) -> object:
        key = Import.objects.get().progress["key"]
        seen.append((found_in_tables(*SECRETS), StagedPerson.objects.exclude(email=None).count(), key))
        return merge(**terms)  # type: ignore[arg-type]

    monkeypatch.setattr(services, "import_merge", look)
    job = run(write(tmp_path / "people.csv", SHOPIFY_CUSTOMERS), kind="profiles")

    [(clear, staged, key)] = seen
    assert (clear, staged) == ({}, 2)
    assert key.startswith("m1:")
    assert Import.objects.get(pk=job.pk).progress["key"] == ""


def test_what_is_staged_opens_for_its_line_alone() -> None:
    key = StagingKey.make(7)
    sealed = key.seal(b"digest of anna", "anna@example.com")

    assert StagingKey.load(7, key.text).open(b"digest of anna", sealed) == "anna@example.com"
    with pytest.raises(Tampered):
        key.open(b"digest of bo", sealed)
    with pytest.raises(Tampered):
        StagingKey.make(7).open(b"digest of anna", sealed)
    with pytest.raises(ValueError, match="forgotten"):
        StagingKey.load(7, "")


def test_without_the_key_of_what_is_staged_the_file_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    # given an import that stopped after reading, and whose master key was taken away meanwhile
    def away(**terms: object) -> object:
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(services, "import_merge", away)
        job = run(write(tmp_path / "people.csv", SHOPIFY_CUSTOMERS), kind="profiles")
    assert (job.state, StagedPerson.objects.count()) == (Import.State.STOPPED, 3)
    settings.MASTER_KEYS = {"m2": key_make()}

    again = run(tmp_path / "people.csv", kind="profiles")

    assert (again.pk, again.state, again.counts["profiles"]) == (job.pk, Import.State.DONE, 3)


def test_many_identifiers_go_through_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "BATCH", 2)
    lines = "".join(f"{n},a{n}@example.com\n" for n in range(7))
    run(write(tmp_path / "p.csv", "Customer ID,Email\n" + lines), kind="profiles")

    assert Identifier.objects.count() == 14
    for n in range(7):
        assert identifiers_of(known_by("email", f"a{n}@example.com")) == [
            ("email", f"a{n}@example.com", True),
            ("external_id", f"shopify:{n}", False),
        ]
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM profiles_profilekey")
        assert cursor.fetchone()[0] == 7
