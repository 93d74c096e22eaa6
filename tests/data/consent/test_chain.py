"""The chain over the ledger, and what a superuser of the database can't hide from it."""

from datetime import UTC, datetime, timedelta
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from apps.data.consent import chain
from apps.data.consent.chain import chain_extend, chain_verify
from apps.data.consent.contracts import Circumstances
from apps.data.consent.models import ConsentLink, ConsentPending, ConsentRecord
from apps.data.consent.services import (
    consent_grant,
    consent_withdraw,
    consents_grant_new,
    grants_prepare,
    grants_record,
)
from tests.factories import make_profile, make_user

pytestmark = pytest.mark.django_db

BY: dict[str, Any] = {"channel": "email", "method": ConsentRecord.Method.STAFF, "source": "test"}
SHOWN = Circumstances(
    wording_digest="ab" * 32,
    locale="de",
    policy_version="2026-10",
    jurisdiction="DE",
    gpc=False,
    confirmation={"asked_at": "2026-11-22T09:00:00Z", "confirmed_at": "2026-11-22T09:05:00Z"},
)


@pytest.fixture(autouse=True)
def heads(settings: Settings, tmp_path: Path) -> Path:
    """A folder of its own for the heads."""
    folder = tmp_path / "heads"
    settings.LEDGER_HEADS_DIR = folder
    return folder


def grow(count: int) -> list[int]:
    """A linked ledger of so many records, by every way in; their ids in the order of the chain."""
    person = make_profile()
    for number in range(count):
        act = consent_grant if number % 2 else consent_withdraw
        act(profile_id=person.pk, purpose="marketing", evidence=f"choice {number}", circumstances=SHOWN, **BY)
        chain_extend()
    return list(ConsentLink.objects.order_by("place").values_list("record_id", flat=True))


def codes() -> list[tuple[str, str]]:
    return [(fault.code, fault.where) for fault in chain_verify().faults]


def as_superuser(statement: str, *values: Any) -> None:
    """What the owner of the database can do, behind the application."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(statement, values)


def forget_state() -> None:
    as_superuser("DELETE FROM consent_consentstate")


def test_records_by_every_way_in_are_sealed_and_linked() -> None:
    people = [make_profile() for _ in range(3)]
    consent_grant(profile_id=people[0].pk, purpose="marketing", actor=make_user(), circumstances=SHOWN, **BY)
    consents_grant_new(
        grants=[(person.pk, datetime(2026, 1, 1, tzinfo=UTC)) for person in people],
        purpose="marketing",
        evidence="signed up at the till",
        circumstances=SHOWN,
        **BY,
    )
    consent_withdraw(profile_id=people[1].pk, purpose="marketing", **BY)

    linked = [chain_extend(), chain_extend()]
    report = chain_verify()

    assert linked == [4, 0]
    assert (report.records, report.head, report.heads, list(report.faults)) == (4, 4, 1, [])
    assert not ConsentPending.objects.exists()


def test_a_record_is_linked_once_its_transaction_has_committed(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    person = make_profile()
    with django_capture_on_commit_callbacks(execute=True):
        consent_withdraw(profile_id=person.pk, purpose="marketing", **BY)

    assert ConsentLink.objects.count() == 1
    assert list(chain_verify().faults) == []


@pytest.mark.parametrize("on_disk", [True, False])
def test_an_import_links_its_grants_itself_and_keeps_a_head_of_what_is_on_the_disk(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks, on_disk: bool
) -> None:
    # given a record that waits, of somebody who left meanwhile
    consent_withdraw(profile_id=make_profile().pk, purpose="marketing", **BY)
    people = sorted(make_profile().pk for _ in range(3))
    at = datetime(2026, 1, 1, tzinfo=UTC)
    ready = grants_prepare(grants=[(pk, at) for pk in people], purpose="marketing", evidence="at the till", **BY)

    with django_capture_on_commit_callbacks(execute=True):
        count = grants_record(ready, note=partial(chain.records_link, on_disk=on_disk), link=lambda: None)

    assert count == 3
    granted = ConsentRecord.objects.filter(action="grant").order_by("pk").values_list("pk", flat=True)
    assert list(ConsentLink.objects.order_by("place").values_list("place", "record_id")) == [
        (place, record) for place, record in enumerate(granted, 1)
    ]
    report = chain_verify()
    assert (report.records, report.head, report.heads, list(report.faults)) == (4, 3, int(on_disk), [])
    assert [chain_extend(), chain_verify().heads] == [1, int(on_disk) + 1]


def test_a_fresh_record_without_its_link_is_no_fault_and_an_old_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    consent_withdraw(profile_id=make_profile().pk, purpose="marketing", **BY)
    record = ConsentRecord.objects.get()

    assert codes() == []
    monkeypatch.setattr(chain, "UNLINKED_FOR", timedelta(0))
    assert codes() == [("unlinked", f"record {record.pk}")]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("action", "grant"),
        ("occurred_at", "2020-01-01T00:00:00Z"),
        ("recorded_at", "2020-01-01T00:00:00Z"),
        ("evidence", "somebody said so"),
        ("wording_digest", "cd" * 32),
        ("confirmation", "null"),
        ("gpc", "true"),
        ("purpose_id", "profiling"),
        ("seal", "\\x00"),
    ],
)
def test_a_changed_record_is_found_and_located(column: str, value: str) -> None:
    ids = grow(5)

    as_superuser(f"UPDATE consent_consentrecord SET {column} = %s WHERE id = %s", value, ids[2])  # noqa: S608

    found = codes()
    assert ("changed", f"record {ids[2]}") in found
    assert {where for _, where in found} <= {f"record {ids[2]}", "place 3"}


def test_a_removed_record_is_found_and_located() -> None:
    ids = grow(5)
    forget_state()

    as_superuser("DELETE FROM consent_consentrecord WHERE id = %s", ids[1])

    assert codes() == [("removed", f"record {ids[1]}")]


def test_a_record_removed_with_its_link_is_found_and_located() -> None:
    ids = grow(5)
    forget_state()

    as_superuser("DELETE FROM consent_consentrecord WHERE id = %s", ids[1])
    as_superuser("DELETE FROM consent_consentlink WHERE place = 2")

    assert codes() == [("removed", "places 2 to 2")]


def test_a_gap_that_was_closed_is_found() -> None:
    ids = grow(5)
    forget_state()

    as_superuser("DELETE FROM consent_consentrecord WHERE id = %s", ids[1])
    as_superuser("DELETE FROM consent_consentlink WHERE place = 2")
    as_superuser("UPDATE consent_consentlink SET place = place - 1 WHERE place = 3")
    as_superuser("UPDATE consent_consentlink SET place = place - 1 WHERE place = 4")
    as_superuser("UPDATE consent_consentlink SET place = place - 1 WHERE place = 5")

    found = codes()
    assert ("relinked", "place 2") in found
    assert ("cut", "places 5 to 5") in found


@pytest.mark.parametrize("kept", [3, 0])
def test_a_cut_tail_is_found_and_located(kept: int) -> None:
    ids = grow(5)
    forget_state()

    as_superuser("DELETE FROM consent_consentlink WHERE place > %s", kept)
    as_superuser("DELETE FROM consent_consentrecord WHERE id = ANY(%s)", ids[kept:])

    assert codes() == [("cut", f"places {kept + 1} to 5")]


def test_a_truncated_ledger_is_found() -> None:
    grow(3)

    as_superuser("TRUNCATE consent_consentrecord, consent_consentlink CASCADE")

    assert codes() == [("cut", "places 1 to 3")]


def test_a_record_slipped_in_is_found_linked_or_not() -> None:
    ids = grow(2)
    names = [str(one.column) for one in ConsentRecord._meta.concrete_fields if one.column not in ("id", "action")]
    as_superuser(
        f"INSERT INTO consent_consentrecord (action, {', '.join(names)}) SELECT 'grant', {', '.join(names)}"  # noqa: S608
        " FROM consent_consentrecord WHERE id = %s",
        ids[0],
    )
    forged = ConsentRecord.objects.order_by("-id").first()
    assert forged is not None

    assert codes() == [("added", f"record {forged.pk}")]
    ConsentPending.objects.create(record=forged)
    chain_extend()
    assert codes() == [("changed", f"record {forged.pk}")]


def test_a_head_that_was_not_signed_by_us_is_told(heads: Path) -> None:
    grow(2)
    file = next(heads.glob("*.jsonl"))
    file.write_text(file.read_text().replace('"place":2', '"place":1'))

    assert codes() == [("head", f"{file.name}:2")]


def test_a_copy_that_went_another_way_is_not_what_the_head_says(heads: Path) -> None:
    """The database is put back to place 1 and then goes on: place 2 is another one than the head knows."""
    ids = grow(2)
    forget_state()
    as_superuser("DELETE FROM consent_consentlink WHERE place = 2")
    as_superuser("DELETE FROM consent_consentrecord WHERE id = %s", ids[1])
    consent_withdraw(profile_id=make_profile().pk, purpose="profiling", **BY)
    chain_extend()

    assert codes() == [("head", f"{next(heads.glob('*.jsonl')).name}:2")]


def test_the_command_says_what_is_wrong_and_where() -> None:
    ids = grow(3)
    out = StringIO()
    call_command("consent_verify", stdout=out, stderr=StringIO())
    assert out.getvalue().splitlines()[-1] == "The ledger is as it was written"

    as_superuser("UPDATE consent_consentrecord SET source = 'forged' WHERE id = %s", ids[1])
    out = StringIO()
    with pytest.raises(CommandError, match="1 faults"):
        call_command("consent_verify", stdout=out, stderr=StringIO())

    assert out.getvalue().splitlines()[0] == f"CHANGED: record {ids[1]} was changed after it was written"


def test_the_public_key_verifies_the_heads_without_the_secret() -> None:
    out = StringIO()
    call_command("consent_verify", public_key=True, stdout=out)

    assert out.getvalue().startswith("-----BEGIN PUBLIC KEY-----\n")
