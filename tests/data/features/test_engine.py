"""The engine: what the definitions mean, said in single events and orders."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.data.features.definitions import FEATURES, FeatureValue
from apps.data.features.engine import Bought, Happened, State, values
from tests.data.features.happenings import AS_OF, DAY, Did, Ordered, dids, ordered

NAMES = list(FEATURES)


def thing(number: int, what: Did | Ordered) -> Happened | Bought:
    if isinstance(what, Did):
        return Happened(what.name, what.at)
    return Bought(number, what.at, what.revenue, tuple((n, category) for n, (category, _) in enumerate(what.lines)))


def after(*things: Happened | Bought) -> dict[str, FeatureValue]:
    state = State()
    state.add(things)
    return values(state, NAMES, AS_OF)


@given(st.lists(dids | ordered, max_size=12).map(lambda drawn: [thing(*one) for one in enumerate(drawn)]), st.randoms())
def test_any_order_gives_the_same(things: list[Happened | Bought], chance: "st.random.Random") -> None:  # type: ignore[name-defined]
    shuffled = list(things)
    chance.shuffle(shuffled)
    assert after(*shuffled) == after(*things)


def test_nobody_has_the_defaults() -> None:
    assert after() == {name: "prospect" if name == "lifecycle_stage" else one.default for name, one in FEATURES.items()}


@pytest.mark.parametrize(
    ("at", "counted"),
    [
        (AS_OF - 29 * DAY, 1),
        (AS_OF.replace(hour=0) - 29 * DAY, 1),
        (AS_OF.replace(hour=0) - 29 * DAY - timedelta(microseconds=1), 0),
        (AS_OF, 1),
        (AS_OF.replace(hour=23), 1),
        (AS_OF.replace(hour=0) + DAY, 0),
    ],
)
def test_a_window_is_of_whole_days(at: object, counted: int) -> None:
    assert after(Happened("Product Viewed", at))["product_views_30d"] == counted  # type: ignore[arg-type]


def test_days_since_pass_by_hours() -> None:
    assert after(Happened("Email Link Clicked", AS_OF - DAY))["days_since_last_click"] == 1
    assert after(Happened("Email Link Clicked", AS_OF - DAY + timedelta(seconds=1)))["days_since_last_click"] == 0
    assert after(Happened("Email Link Clicked", AS_OF + timedelta(minutes=5)))["days_since_last_click"] == 0


def test_rates_and_means() -> None:
    known = after(
        *[Happened("Email Delivered", AS_OF)] * 3,
        *[Happened("Email Opened", AS_OF)] * 2,
        Bought(1, AS_OF, Decimal("10.0000")),
        Bought(2, AS_OF, Decimal("0.0001")),
    )
    assert known["avg_open_rate"] == Decimal("0.6667")
    assert known["average_order_value"] == Decimal("5.0001"), "half up"
    assert known["lifetime_value"] == Decimal("10.0001")
    assert after(*[Happened("Email Opened", AS_OF)] * 2, Happened("Email Delivered", AS_OF))["avg_open_rate"] == 1
    assert after(Happened("Email Opened", AS_OF))["avg_open_rate"] == 0, "opened, and never delivered within the window"


@pytest.mark.parametrize(
    ("days_ago", "stage"),
    [
        ([0], "new"),
        ([30], "new"),
        ([31], "active"),
        ([90, 200], "active"),
        ([91, 400], "lapsing"),
        ([180], "lapsing"),
        ([181], "lapsed"),
    ],
)
def test_stages_of_a_customer(days_ago: list[int], stage: str) -> None:
    orders = [Bought(number, AS_OF - days * DAY, Decimal(1)) for number, days in enumerate(days_ago)]
    assert after(*orders)["lifecycle_stage"] == stage


def test_power_users_bought_often_and_lately() -> None:
    def orders(*days_ago: int) -> list[Bought]:
        return [Bought(number, AS_OF - days * DAY, Decimal(1)) for number, days in enumerate(days_ago)]

    assert after(*orders(1, 20, 60, 100, 200, 364))["is_power_user"] is True
    assert after(*orders(1, 20, 60, 100, 200, 365))["is_power_user"] is False
    assert after(*orders(91, 92, 93, 100, 200, 364))["is_power_user"] is False
