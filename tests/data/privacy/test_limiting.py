"""Objection and restriction hold at once, are on record, and are lifted by nobody else."""

import pytest

from apps.data.consent.models import Action, ConsentRecord, ConsentState, Purpose
from apps.data.consent.services import consents_grant_new
from apps.data.privacy.limiting import objection_record, restriction_lift, restriction_set
from apps.data.privacy.models import RightsRequest
from apps.data.profiles.models import Profile
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid
from apps.foundation.governance.models import AuditEntry
from tests.factories import make_profile, make_purposes, make_user

pytestmark = pytest.mark.django_db
SHOWN = "the link of a message"


def granted(profile: Profile) -> set[str]:
    return set(ConsentState.objects.filter(profile=profile, granted=True).values_list("purpose_id", flat=True))


def test_an_objection_to_marketing_ends_it_and_is_in_the_ledger() -> None:
    profile = make_profile(consent=("marketing", "personalisation"))

    done = objection_record(profile_id=profile.pk, against="marketing", shown_by=SHOWN)

    assert granted(profile) == {"personalisation"}
    record = ConsentRecord.objects.filter(profile=profile).latest("pk")
    assert (record.action, record.purpose_id) == (Action.WITHDRAW, "marketing")
    assert record.source == f"objection (Art. 21), request {done.pk}"
    assert (done.state, done.report) == ("done", {"against": "marketing", "ended": 1})


def test_an_objection_of_somebody_who_never_agreed_keeps_an_import_from_agreeing_for_them() -> None:
    make_purposes()
    profile = make_profile()

    objection_record(profile_id=profile.pk, against="profiling", shown_by=SHOWN)
    for purpose in ("personalisation", "profiling", "tracking"):
        consents_grant_new(
            grants=[(profile.pk, now())], purpose=purpose, channel="email", method=ConsentRecord.Method.IMPORT,
            source="file", evidence="they ticked the box",
        )  # fmt: skip

    assert granted(profile) == set()
    assert ConsentState.objects.filter(profile=profile).count() == 3


def test_one_objects_to_what_there_is() -> None:
    profile = make_profile(consent=("marketing",))

    with pytest.raises(Invalid):
        objection_record(profile_id=profile.pk, against="everything", shown_by=SHOWN)

    assert granted(profile) == {"marketing"}
    assert not RightsRequest.objects.exists()
    assert Purpose.objects.filter(pk="marketing").exists()


def test_a_restriction_holds_until_it_is_lifted_and_staff_say_why() -> None:
    profile, by = make_profile(), make_user("administrator")

    restriction_set(profile_id=profile.pk, shown_by=SHOWN)
    since = Profile.objects.get(pk=profile.pk).restricted_at
    again = restriction_set(profile_id=profile.pk, shown_by=SHOWN)
    assert since is not None
    assert Profile.objects.get(pk=profile.pk).restricted_at == since
    assert again.report == {"changed": False}

    with pytest.raises(Invalid):
        restriction_lift(profile_id=profile.pk, because="", actor=by)
    assert Profile.objects.get(pk=profile.pk).restricted_at == since

    restriction_lift(profile_id=profile.pk, because="they wrote that it is settled", actor=by)
    assert Profile.objects.get(pk=profile.pk).restricted_at is None
    assert AuditEntry.objects.get(action="privacy.restriction.lifted").actor == by
    with pytest.raises(Conflict):
        restriction_lift(profile_id=profile.pk)
