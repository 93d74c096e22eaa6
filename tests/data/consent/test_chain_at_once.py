"""Many who write to the ledger at once, and one chain."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from django.db import connection
from pytest_django import Settings

from apps.data.consent.chain import chain_extend, chain_verify
from apps.data.consent.models import ConsentLink, ConsentPending, ConsentRecord
from apps.data.consent.services import consent_grant, consent_withdraw
from tests.factories import make_profile, make_purposes

WRITERS, CHOICES = 6, 10


def test_many_writers_make_one_chain(own_database: str, settings: Settings, tmp_path: Path) -> None:
    # given people, two of whom each writer has to do with
    settings.LEDGER_HEADS_DIR = tmp_path / "heads"
    make_purposes()
    people = [make_profile().pk for _ in range(3)]

    def choose(writer: int) -> None:
        try:
            for number in range(CHOICES):
                act = consent_grant if (number + writer) % 2 else consent_withdraw
                act(
                    profile_id=people[(writer + number) % 3],
                    purpose="marketing",
                    channel="email",
                    method=ConsentRecord.Method.API,
                    source="test",
                )
        finally:
            connection.close()

    # when all choose at once
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(choose, range(WRITERS)))
    chain_extend()  # what the last one left to another

    # then every record has one place, and the chain and its heads hold
    report = chain_verify()
    assert list(report.faults) == []
    assert report.records == report.head == ConsentRecord.objects.count() > 3
    assert ConsentLink.objects.count() == report.head
    assert not ConsentPending.objects.exists()
