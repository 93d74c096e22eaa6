"""Promotions: told by their shop, and those that hold at a moment."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.data.catalog.models import Promotion
from apps.data.catalog.promotions import (
    promotion_change,
    promotion_put,
    promotion_version,
    promotions_active,
)
from apps.foundation.core.errors import Conflict, Invalid, NotFound

pytestmark = pytest.mark.django_db
MAY = datetime(2026, 5, 1, tzinfo=UTC)
SAID: dict[str, Any] = {"title": "Free delivery", "starts_at": MAY, "ends_at": MAY + timedelta(days=31)}


def test_a_promotion_is_made_and_changed_by_its_code() -> None:
    made, new = promotion_put(code="MAY", fields=SAID)
    assert new
    again, new = promotion_put(code="MAY", fields={"discount_percent": 10})
    assert (again.pk, new, again.title) == (made.pk, False, "Free delivery")
    assert again.discount_percent == 10


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"title": "x"},
        {**SAID, "ends_at": MAY},
        {**SAID, "discount_percent": 0},
        {**SAID, "discount_percent": 101},
        {**SAID, "colour": "red"},
    ],
)
def test_what_it_cant_be_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        promotion_put(code="MAY", fields=fields)
    assert not Promotion.objects.exists()


def test_a_change_is_for_the_version_that_was_seen() -> None:
    made, _ = promotion_put(code="MAY", fields=SAID)
    seen = promotion_version(made)
    promotion_change(promotion_id=made.pk, fields={"title": "New"}, seen=seen)

    with pytest.raises(Conflict):
        promotion_change(promotion_id=made.pk, fields={"title": "Newer"}, seen=seen)
    with pytest.raises(NotFound):
        promotion_change(promotion_id=made.pk + 1, fields={})
    assert Promotion.objects.get().title == "New"


def test_those_that_hold_are_told_by_moment_and_country(django_assert_num_queries: Any) -> None:
    promotion_put(code="MAY", fields=SAID)
    promotion_put(code="DE", fields={**SAID, "ends_at": None, "countries": ["AT", "DE"]})
    promotion_put(code="LATE", fields={**SAID, "countries": ["FR"]})
    Promotion.objects.update(created_at=MAY - timedelta(days=9))
    Promotion.objects.filter(code="LATE").update(created_at=MAY + timedelta(days=9))
    end = MAY + timedelta(days=31)
    places = {
        (MAY, "DE"): ["MAY", "DE"],
        (MAY, "FR"): ["MAY"],
        (MAY, ""): ["MAY"],
        (MAY - timedelta(microseconds=1), "DE"): [],
        (MAY + timedelta(days=9), "FR"): ["MAY", "LATE"],
        (end - timedelta(microseconds=1), "FR"): ["MAY", "LATE"],
        (end, "FR"): [],
        (end, "DE"): ["DE"],
    }

    with django_assert_num_queries(1):
        held = promotions_active(places=list(places))
    assert [[one.code for one in some] for some in held] == list(places.values())
    assert promotions_active(places=[]) == []
