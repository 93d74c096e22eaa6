"""About how many people: held against how many there are."""

import pytest
from django.db import connection

from apps.data.consent.asking import choices_by_purpose
from apps.data.consent.models import Channel
from apps.data.profiles import estimates
from apps.data.profiles.estimates import Drawn, Estimate, people_about, people_drawn, stand_ins
from tests.factories import make_profile

pytestmark = pytest.mark.django_db


def many(monkeypatch: pytest.MonkeyPatch, *, people: int, agreed: int) -> None:
    """As if so few were many, and PostgreSQL had looked how many they are."""
    for number in range(people):
        make_profile(consent=("marketing",) if number < agreed else ())
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE profiles_profile")
    monkeypatch.setattr(estimates, "FEW", people - 1)


def test_few_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        make_profile(consent=("marketing",) if number else ())

    assert (people_about(), stand_ins()) == (3, None)
    chose = choices_by_purpose(channel=Channel.EMAIL)["marketing"]
    assert (chose.agreed, chose.left) == (Estimate(2), Estimate(0))
    assert str(chose.agreed) == "2"


def test_of_many_some_stand_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    many(monkeypatch, people=30, agreed=20)

    drawn = stand_ins()

    assert drawn is not None
    assert (len(drawn.ids), drawn.everybody) == (30, 30), "so few are all drawn"
    chose = choices_by_purpose(channel=Channel.EMAIL)["marketing"]
    assert (chose.agreed.count, chose.left.count) == (20, 0)
    assert [str(chose.agreed), str(chose.left)] == ["about 20", "under 3"]


def test_the_same_ones_are_drawn_each_time_and_only_people(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = {make_profile().pk for _ in range(12)}

    drawn = people_drawn(size=6)

    assert drawn == people_drawn(size=6)
    assert 0 < len(drawn.ids) <= 6
    assert set(drawn.ids) <= ids


@pytest.mark.parametrize(
    ("found", "count", "margin", "words"),
    [
        (0, 0, 7_500, "under 8,000"),
        (1000, 2_500_000, 134_193, "about 2,500,000"),
        (4000, 10_000_000, 7_500, "about 10,000,000"),
        (2, 5_000, 6_928, "about 5,000"),
    ],
)
def test_a_share_has_its_margin(found: int, count: int, margin: int, words: str) -> None:
    estimate = Drawn(list(range(4000)), 10_000_000).estimate(found)

    assert estimate == Estimate(count, margin, 10_000_000)
    assert str(estimate) == words
