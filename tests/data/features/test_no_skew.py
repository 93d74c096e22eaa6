"""One value, however it is read: replayed from events, from the tallies, and from the online copy, in any order."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from django.test import TestCase
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.data.events.models import Event, Order
from apps.data.features.definitions import FEATURES, FeatureValue
from apps.data.features.engine import Bought, Happened, State, values
from apps.data.features.online import copies_fill, copies_read, features_select
from apps.data.features.selectors import features_as_of
from apps.data.features.services import orders_changed, people_refold
from tests.data.features.happenings import (
    AS_OF,
    DAY,
    Did,
    Ordered,
    dids,
    events_happen,
    kept_apart,
    order_place,
    ordered,
)
from tests.examples import tries
from tests.factories import make_profile

pytestmark = pytest.mark.django_db
NAMES = list(FEATURES)
LATER = [AS_OF + timedelta(seconds=1), AS_OF + timedelta(hours=12), AS_OF + DAY, AS_OF + 7 * DAY, AS_OF + 400 * DAY]


def replayed(people: Sequence[int], as_of: datetime) -> dict[int, dict[str, FeatureValue]]:
    """What the engine makes of the rows that were written."""
    states = {profile_id: State() for profile_id in people}
    for event in Event.objects.filter(profile_id__in=people):
        states[event.profile_id].add([Happened(event.name, event.occurred_at)])  # type: ignore[index]
    for order in Order.objects.filter(profile_id__in=people, status="purchase"):
        lines = order.lines.filter(is_purchase=True).order_by("number").values_list("item_id", "item__category")
        states[order.profile_id].add(  # type: ignore[index]
            [Bought(order.pk, order.placed_at, order.revenue, tuple(lines))]
        )
    return {profile_id: values(state, NAMES, as_of) for profile_id, state in states.items()}


@settings(max_examples=tries(60), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.lists(dids, max_size=4) | ordered, max_size=6),
    st.sampled_from([AS_OF, *LATER]),
    st.booleans(),
)
def test_online_is_offline(batches: list[list[Did] | Ordered], read_at: datetime, read_between: bool) -> None:
    """Micro-batches in any order, orders in between, reads in between: each read is what a replay says."""
    with kept_apart():
        people = [make_profile(email=None).pk for _ in range(2)]
        for batch in batches:
            if isinstance(batch, Ordered):
                order_place(people, batch)
                with TestCase.captureOnCommitCallbacks(execute=True):
                    orders_changed(profile_ids=[people[batch.who]])
            else:
                events_happen(people, batch)
            if read_between:
                assert copies_read(profile_ids=people, names=NAMES, as_of=AS_OF) == replayed(people, AS_OF)
        assert features_select(profile_ids=people, names=NAMES, as_of=AS_OF) == replayed(people, AS_OF)
        copies_fill(profile_ids=people, as_of=AS_OF)
        expected = replayed(people, read_at)
        assert copies_read(profile_ids=people, names=NAMES, as_of=read_at) == expected, "a copy that was made before"
        assert features_select(profile_ids=people, names=NAMES, as_of=read_at) == expected
        if read_at == AS_OF:
            moments = [(profile_id, AS_OF) for profile_id in people]
            assert features_as_of(moments=moments, names=NAMES) == [expected[profile_id] for profile_id in people]
        with TestCase.captureOnCommitCallbacks(execute=True):
            people_refold(profile_ids=people)
        assert copies_read(profile_ids=people, names=NAMES, as_of=read_at) == expected, "folded again"


@settings(max_examples=tries(30), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(dids, min_size=1, max_size=8), st.sampled_from([0, 1, 6, 7, 30, 89, 90]), st.integers(0, 86_399))
def test_a_moment_past_is_read_from_the_days(drawn: list[Did], days: int, second: int) -> None:
    with kept_apart():
        people = [make_profile(email=None).pk for _ in range(2)]
        events_happen(people, drawn)
        as_of = AS_OF.replace(hour=0) - days * DAY + timedelta(seconds=second)
        assert features_select(profile_ids=people, names=NAMES, as_of=as_of) == replayed(people, as_of)
