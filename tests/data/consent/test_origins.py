"""Whence choices came: sealed under the person's key, bound to the record, and forgotten before it."""

from datetime import timedelta
from typing import Any

import pytest

from apps.data.consent.chain import chain_extend, chain_verify
from apps.data.consent.contracts import Origin
from apps.data.consent.models import ConsentOrigin, ConsentRecord, ConsentState
from apps.data.consent.origins import origin_keep, origin_read, origins_forget
from apps.data.consent.services import consent_grant, consent_withdraw, consent_withdraw_all
from apps.data.profiles.vault import key_destroy
from apps.foundation.core.clock import now
from tests.factories import make_profile, make_purposes

pytestmark = pytest.mark.django_db

BY: dict[str, Any] = {"channel": "email", "method": ConsentRecord.Method.PREFERENCES, "source": "test"}
HOME = Origin("198.51.100.7", "Browser/1")


@pytest.fixture(autouse=True)
def purposes() -> None:
    make_purposes()


def test_a_choice_keeps_whence_it_came_and_nobody_reads_it_in_the_table() -> None:
    person = make_profile()

    consent_grant(profile_id=person.pk, purpose="marketing", origin=HOME, **BY)

    row, record = ConsentOrigin.objects.get(), ConsentRecord.objects.get()
    assert b"198.51.100.7" not in bytes(row.sealed)
    assert b"Browser" not in bytes(row.sealed)
    assert bytes(record.origin_digest) == bytes(row.digest)
    assert origin_read(digest=bytes(record.origin_digest)) == HOME


def test_leaving_all_keeps_one_origin_for_all_its_records() -> None:
    person = make_profile(consent=("marketing", "tracking"))

    consent_withdraw_all(profile_id=person.pk, origin=HOME, **BY)

    records = ConsentRecord.objects.filter(profile=person, action="withdraw")
    assert records.count() == 4
    assert {bytes(record.origin_digest) for record in records} == {bytes(ConsentOrigin.objects.get().digest)}


def test_a_choice_that_held_already_keeps_no_origin() -> None:
    person = make_profile(consent=("marketing",))

    assert consent_grant(profile_id=person.pk, purpose="marketing", origin=HOME, **BY) is False
    assert not ConsentOrigin.objects.exists()


def test_another_origin_in_its_place_is_not_believed(tmp_path: Any, settings: Any) -> None:
    settings.LEDGER_HEADS_DIR = tmp_path
    person = make_profile()
    consent_grant(profile_id=person.pk, purpose="marketing", origin=HOME, **BY)
    other = origin_keep(profile_id=person.pk, origin=Origin("203.0.113.1"))
    mine = bytes(ConsentRecord.objects.get().origin_digest)

    ConsentOrigin.objects.filter(digest=mine).delete()
    ConsentOrigin.objects.filter(digest=other).update(digest=mine)  # what a superuser could write

    assert origin_read(digest=mine) is None


def test_forgetting_leaves_the_ledger_as_it_is(tmp_path: Any, settings: Any) -> None:
    settings.LEDGER_HEADS_DIR = tmp_path
    person = make_profile()
    consent_grant(profile_id=person.pk, purpose="marketing", origin=HOME, **BY)
    chain_extend()
    ConsentOrigin.objects.update(kept_at=now() - timedelta(days=366))

    assert origins_forget(now() - timedelta(days=365), 100) == 1

    assert origin_read(digest=bytes(ConsentRecord.objects.get().origin_digest)) is None
    assert chain_verify().faults == []


def test_with_the_persons_key_destroyed_it_is_unreadable_and_they_can_still_leave() -> None:
    person = make_profile()
    consent_grant(profile_id=person.pk, purpose="marketing", origin=HOME, **BY)
    key_destroy(person.pk)

    assert origin_read(digest=bytes(ConsentRecord.objects.get().origin_digest)) is None
    assert consent_withdraw(profile_id=person.pk, purpose="marketing", origin=HOME, **BY) is True
    assert not ConsentState.objects.get(profile=person).granted
    assert bytes(ConsentRecord.objects.latest("pk").origin_digest) == b""


def test_the_same_visitor_has_another_digest_each_time() -> None:
    """So that nobody learns from digests that are left who came from the same place."""
    person = make_profile()

    assert origin_keep(profile_id=person.pk, origin=HOME) != origin_keep(profile_id=person.pk, origin=HOME)
    assert origin_keep(profile_id=person.pk, origin=None) == b""
    assert origin_keep(profile_id=person.pk, origin=Origin("")) == b""
