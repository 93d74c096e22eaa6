"""What the database holds about consent, whatever services do."""

from datetime import UTC, datetime

import pytest
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from apps.data.consent.models import ConsentRecord, ConsentState, Purpose, Suppression
from tests.factories import make_profile


@pytest.mark.django_db
def test_the_purposes_are_there_and_only_orders_need_no_consent() -> None:
    codes = list(Purpose.objects.values_list("code", flat=True))

    assert codes == ["marketing", "personalisation", "tracking", "profiling", "transactional"]
    assert list(Purpose.objects.filter(needs_consent=False).values_list("code", flat=True)) == ["transactional"]
    assert not Purpose.objects.filter(description="").exists()


@pytest.mark.django_db
def test_one_choice_has_one_state() -> None:
    profile = make_profile(consent=("marketing",))
    record = ConsentRecord.objects.get()

    with pytest.raises(IntegrityError), transaction.atomic():
        ConsentState.objects.create(
            profile=profile,
            purpose_id="marketing",
            channel="email",
            granted=False,
            record=record,
            changed_at=datetime(2026, 1, 1, tzinfo=UTC),
        )

    assert ConsentState.objects.get().granted is True


@pytest.mark.django_db
def test_who_is_in_the_ledger_can_not_be_deleted() -> None:
    profile = make_profile(consent=("marketing",))

    with pytest.raises(ProtectedError), transaction.atomic():
        profile.delete()

    assert ConsentRecord.objects.filter(profile=profile).count() == 1


@pytest.mark.django_db
def test_an_address_is_suppressed_once() -> None:
    Suppression.objects.create(digest=b"d" * 32, reason=Suppression.Reason.BOUNCE)

    with pytest.raises(IntegrityError), transaction.atomic():
        Suppression.objects.create(digest=b"d" * 32, reason=Suppression.Reason.OPT_OUT)

    assert Suppression.objects.get().reason == "bounce"
