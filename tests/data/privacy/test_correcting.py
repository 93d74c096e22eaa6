"""A correction holds at once, also for somebody restricted, and leaves no value in any record."""

import pytest

from apps.data.privacy.correcting import correction_make
from apps.data.privacy.models import RightsRequest
from apps.data.profiles.attributes import attributes_read
from apps.data.profiles.models import Profile
from apps.data.profiles.services import attribute_define
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid
from apps.foundation.governance.models import AuditEntry
from tests.factories import make_profile, make_user
from tests.storage import found_in_tables

pytestmark = pytest.mark.django_db
SHOWN = "the link of a message"


def test_what_is_wrong_is_corrected_and_only_the_names_of_fields_are_kept() -> None:
    profile = make_profile(first_name="Ana", country="DE", restricted_at=now())

    done = correction_make(
        profile_id=profile.pk,
        values={"first_name": " Anna ", "country": "Austria", "language": "de-at", "last_name": ""},
        shown_by=SHOWN,
    )

    now_known = Profile.objects.get(pk=profile.pk)
    assert (now_known.first_name, now_known.country, now_known.language) == ("Anna", "AT", "de-AT")
    assert done is not None
    assert done.report == {"corrected": ["country", "first_name", "language"]}
    told = [str(entry.data) for entry in AuditEntry.objects.filter(action__startswith="privacy.")]
    assert "Anna" not in f"{done.report}{told}"


@pytest.mark.parametrize(
    ("values", "field"),
    [({"country": "Nowhereland"}, "country"), ({"language": "?"}, "language"),
     ({"time_zone": "Mars/Crater"}, "time_zone"),
     ({"first_name": "x" * 121}, "first_name"), ({"source": "me"}, "source")],
)  # fmt: skip
def test_what_can_not_be_changes_nothing_and_names_the_field(values: dict[str, str], field: str) -> None:
    profile = make_profile(first_name="Anna")

    with pytest.raises(Invalid) as problem:
        correction_make(profile_id=profile.pk, values={"first_name": "Bea", **values}, shown_by=SHOWN)

    assert problem.value.extra == {"field": field}
    assert Profile.objects.get(pk=profile.pk).first_name == "Anna"
    assert not RightsRequest.objects.exists()


def test_the_same_again_is_no_request() -> None:
    profile = make_profile(first_name="Anna")

    assert correction_make(profile_id=profile.pk, values={"first_name": "Anna"}, shown_by=SHOWN) is None
    assert not RightsRequest.objects.exists()


def test_nothing_is_known_of_an_erased_person_again() -> None:
    profile = make_profile(erased_at=now())

    with pytest.raises(Conflict):
        correction_make(profile_id=profile.pk, values={"first_name": "Anna"}, shown_by=SHOWN)

    assert Profile.objects.get(pk=profile.pk).first_name == ""


def test_a_person_corrects_attributes_that_are_theirs_to_correct_and_staff_all() -> None:
    by = make_user("administrator")
    attribute_define(name="size", kind="number", correctable=True, by=by)
    attribute_define(name="illness", sensitive=True, correctable=True, by=by)
    attribute_define(name="score", kind="number", by=by)
    profile = make_profile(attributes={"size": 38, "score": 1}, restricted_at=now())

    done = correction_make(
        profile_id=profile.pk, values={}, attributes={"size": "39.5", "illness": "kanarienfieber"}, shown_by=SHOWN
    )
    assert done is not None
    assert done.report == {"corrected": ["illness", "size"]}
    assert attributes_read(profile_id=profile.pk) == {"size": 39.5, "illness": "kanarienfieber", "score": 1}
    assert found_in_tables("kanarienfieber") == {}

    for wrong in ({"score": "2"}, {"nobody_defined": "x"}, {"size": "big"}):
        with pytest.raises(Invalid) as fault:
            correction_make(profile_id=profile.pk, values={"first_name": "Bea"}, attributes=wrong, shown_by=SHOWN)
        assert fault.value.extra == {"field": next(iter(wrong))}
    assert Profile.objects.get(pk=profile.pk).first_name == ""
    assert correction_make(profile_id=profile.pk, values={}, attributes={"score": "2"}, shown_by=SHOWN, actor=by)
    assert attributes_read(profile_id=profile.pk)["score"] == 2
