"""The ledger, its projection and the gate."""

from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, close_old_connections, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.data.consent.models import Action, ConsentRecord, ConsentState, Gate, Suppression
from apps.data.consent.selectors import gate_read
from apps.data.consent.services import (
    consent_grant,
    consent_withdraw,
    consent_withdraw_all,
    consents_grant_new,
    gate_lock,
    suppression_add,
)
from apps.foundation.core.errors import Invalid
from tests.examples import tries
from tests.factories import make_profile, make_user

EARLIER = datetime(2026, 1, 1, tzinfo=UTC)
BY_STAFF: dict[str, Any] = {"channel": "email", "method": ConsentRecord.Method.STAFF, "source": "test"}
IMPORT: dict[str, Any] = {
    "purpose": "marketing",
    "channel": "email",
    "method": ConsentRecord.Method.IMPORT,
    "source": "list.csv",
}


def gate(profile_id: int) -> str:
    return gate_read(profile_ids=[profile_id], purpose="marketing", channel="email")[profile_id].reason


@pytest.mark.django_db
def test_gate_says_why_not() -> None:
    asked_never = make_profile()
    left = make_profile(consent=("marketing",))
    no_address = make_profile(email=None, consent=("marketing",))
    suppressed = make_profile(email="gone@example.com", consent=("marketing",))
    fine = make_profile(consent=("marketing",))
    consent_withdraw(profile_id=left.pk, purpose="marketing", **BY_STAFF)
    suppression_add(kind="email", value="gone@example.com", reason=Suppression.Reason.BOUNCE)

    reasons = {person: gate(person.pk) for person in (asked_never, left, no_address, suppressed, fine)}

    assert reasons == {
        asked_never: "no_consent",
        left: "withdrawn",
        no_address: "invalid_address",
        suppressed: "suppressed",
        fine: "",
    }


@pytest.mark.django_db
def test_transactional_needs_no_consent_but_no_suppression() -> None:
    profile = make_profile(email="a@example.com")
    terms: dict[str, Any] = {
        "profile_ids": [profile.pk],
        "purpose": "transactional",
        "channel": "email",
        "needs_consent": False,
    }
    assert gate_read(**terms)[profile.pk].allowed

    suppression_add(kind="email", value="a@example.com", reason=Suppression.Reason.COMPLAINT)

    assert gate_read(**terms)[profile.pk].reason == "suppressed"


@pytest.mark.django_db
def test_same_choice_twice_is_recorded_once() -> None:
    profile = make_profile()

    changes = [consent_withdraw(profile_id=profile.pk, purpose="marketing", **BY_STAFF) for _ in range(2)]

    assert changes == [True, False]
    assert ConsentRecord.objects.filter(profile=profile).count() == 1
    assert Gate.objects.get(profile=profile).version == 1


@pytest.mark.django_db
def test_nothing_is_recorded_for_a_purpose_that_there_is_not() -> None:
    profile = make_profile()

    for record in (consent_grant, consent_withdraw):
        with pytest.raises(Invalid, match="no purpose nonsense"):
            record(profile_id=profile.pk, purpose="nonsense", **BY_STAFF)
    with pytest.raises(Invalid, match="no purpose nonsense"):
        consents_grant_new(grants=[(profile.pk, EARLIER)], evidence="a list", **{**IMPORT, "purpose": "nonsense"})

    assert not ConsentRecord.objects.exists()


@pytest.mark.django_db
def test_leave_all_also_says_no_to_what_was_never_asked() -> None:
    profile = make_profile(consent=("marketing",))

    changed = consent_withdraw_all(
        profile_id=profile.pk, channel="email", method=ConsentRecord.Method.PREFERENCES, source="page"
    )

    assert changed == 4
    assert not ConsentState.objects.filter(profile=profile, granted=True).exists()


@pytest.mark.django_db
def test_import_grants_only_where_nothing_is_on_record() -> None:
    new, left, given_before = make_profile(), make_profile(), make_profile(consent=("marketing",))
    consent_withdraw(profile_id=left.pk, purpose="marketing", **BY_STAFF)
    by = make_user("administrator")

    recorded = consents_grant_new(
        grants=[(p.pk, EARLIER) for p in (new, left, given_before, new)],
        evidence="signed up at the till, 2025",
        actor=by,
        **IMPORT,
    )

    assert recorded == 1
    assert (gate(new.pk), gate(left.pk), gate(given_before.pk)) == ("", "withdrawn", "")
    record = ConsentRecord.objects.get(profile=new)
    assert (record.evidence, record.actor, record.occurred_at) == ("signed up at the till, 2025", by, EARLIER)


@pytest.mark.django_db
def test_import_without_evidence_is_refused() -> None:
    profile = make_profile()

    with pytest.raises(Invalid, match="who vouches"):
        consents_grant_new(grants=[(profile.pk, EARLIER)], evidence=" ", **IMPORT)

    assert gate(profile.pk) == "no_consent"


@pytest.mark.django_db
def test_choice_in_the_future_is_refused() -> None:
    profile = make_profile()

    with pytest.raises(Invalid, match="future"):
        consent_grant(
            profile_id=profile.pk,
            purpose="marketing",
            occurred_at=datetime.now(UTC) + timedelta(days=1),
            **BY_STAFF,
        )

    assert not ConsentRecord.objects.exists()


@pytest.mark.django_db
@settings(max_examples=tries(50), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(["grant", "withdraw", "import"]), st.integers(0, 5)), max_size=12))
def test_projection_is_the_newest_record(steps: list[tuple[str, int]]) -> None:
    profile = make_profile()
    for step, day in steps:
        at = EARLIER + timedelta(days=day)
        if step == "import":
            consents_grant_new(grants=[(profile.pk, at)], evidence="a list", **IMPORT)
        else:
            act = consent_grant if step == "grant" else consent_withdraw
            act(profile_id=profile.pk, purpose="marketing", occurred_at=at, **BY_STAFF)

    newest = ConsentRecord.objects.filter(profile=profile).order_by("-occurred_at", "-id").first()
    expected = "no_consent" if newest is None else "" if newest.action == Action.GRANT else "withdrawn"
    assert gate(profile.pk) == expected


@pytest.mark.django_db(transaction=True)
def test_opt_out_waits_for_who_holds_the_gate() -> None:
    profile = make_profile(consent=("marketing",))
    committed = Event()

    def leave() -> None:
        consent_withdraw(profile_id=profile.pk, purpose="marketing", **BY_STAFF)
        committed.set()
        connection.close()

    with transaction.atomic():
        gate_lock(profile_ids=[profile.pk])
        thread = Thread(target=leave)
        thread.start()
        assert not committed.wait(0.3)
        assert gate(profile.pk) == ""
    thread.join(5)
    close_old_connections()

    assert committed.is_set()
    assert gate(profile.pk) == "withdrawn"


@pytest.mark.django_db
def test_there_is_no_gate_of_whom_there_is_not() -> None:
    profile = make_profile()

    with pytest.raises(IntegrityError, match=f"no profile {profile.pk + 1_000}"), transaction.atomic():
        gate_lock(profile_ids=[profile.pk, profile.pk + 1_000])

    assert not Gate.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_gates_locked_in_any_order_do_not_deadlock() -> None:
    ids = [make_profile().pk for _ in range(20)]
    failures: list[DatabaseError] = []

    def lock(order: list[int]) -> None:
        try:
            for _ in range(10):
                with transaction.atomic():
                    gate_lock(profile_ids=order)
        except DatabaseError as failure:
            failures.append(failure)
        finally:
            connection.close()

    threads = [Thread(target=lock, args=(order,)) for order in (ids, ids[::-1], ids[10:] + ids[:10])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert failures == []
    assert Gate.objects.count() == 20
