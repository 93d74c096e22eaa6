"""Requests are put down once, extended once, refused with a reason."""

import pytest

from apps.data.privacy.models import RightsRequest
from apps.data.privacy.rules import months_later
from apps.data.privacy.services import request_extend, request_open, request_refuse
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid, NotFound
from tests.factories import make_profile, make_user

pytestmark = pytest.mark.django_db
EXPORT = RightsRequest.Kind.EXPORT


def test_a_request_has_a_month_and_is_put_down_once() -> None:
    profile = make_profile()

    first = request_open(profile_id=profile.pk, kind=EXPORT, shown_by="the link of a message")
    second = request_open(profile_id=profile.pk, kind=EXPORT, shown_by="the link of a message")

    assert first == second
    assert first.due_at == months_later(first.asked_at, 1)
    assert (first.state, first.asked_by, first.closed_at) == ("open", "person", None)


@pytest.mark.parametrize("shown_by", ["", "  "])
def test_without_saying_how_identity_was_shown_nothing_is_put_down(shown_by: str) -> None:
    profile = make_profile()

    with pytest.raises(Invalid, match="who they say"):
        request_open(profile_id=profile.pk, kind=EXPORT, shown_by=shown_by)

    assert not RightsRequest.objects.exists()


def test_nobody_asks_for_who_is_not_there_or_was_erased() -> None:
    erased = make_profile(erased_at=now())

    with pytest.raises(NotFound):
        request_open(profile_id=erased.pk + 1000, kind=EXPORT, shown_by="passport seen")
    with pytest.raises(Conflict):
        request_open(profile_id=erased.pk, kind=EXPORT, shown_by="passport seen")

    assert not RightsRequest.objects.exists()


def test_a_request_is_extended_once_and_says_why() -> None:
    by = make_user("administrator")
    asked = request_open(profile_id=make_profile().pk, kind=EXPORT, shown_by="passport seen", actor=by)

    with pytest.raises(Invalid):
        request_extend(request_id=asked.pk, because="no", actor=by)
    extended = request_extend(request_id=asked.pk, because="many requests of this person at once", actor=by)
    with pytest.raises(Conflict):
        request_extend(request_id=asked.pk, because="many requests of this person at once", actor=by)

    assert extended.due_at == months_later(asked.asked_at, 3)


def test_a_refusal_says_why_and_closes_for_good() -> None:
    by = make_user("administrator")
    asked = request_open(profile_id=make_profile().pk, kind=EXPORT, shown_by="passport seen", actor=by)

    with pytest.raises(Invalid):
        request_refuse(request_id=asked.pk, because="", actor=by)
    refused = request_refuse(request_id=asked.pk, because="asked for the third time this week", actor=by)
    with pytest.raises(Conflict):
        request_refuse(request_id=asked.pk, because="asked for the third time this week", actor=by)

    assert (refused.state, refused.closed_at is not None) == ("refused", True)
    assert refused.report == {"refused_because": "asked for the third time this week"}
