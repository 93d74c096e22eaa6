"""Audiences and features of orders on the real orders. Loaded once for this file, and gone after it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import cast

import pytest
from django.db import transaction
from pytest_django.plugin import DjangoDbBlocker

from apps.data.events.models import Order
from apps.data.features.selectors import features_read
from apps.data.profiles.models import Profile
from apps.decisioning.audiences.rules import rule_matches, rule_parse
from apps.decisioning.audiences.selectors import audience_count, audience_ids, facts_load
from apps.foundation.core.clock import now
from tests.online_retail import needs_online_retail, online_retail_load

pytestmark = [needs_online_retail, pytest.mark.django_db]

AFTER = datetime(2011, 12, 10, tzinfo=UTC)
LAPSED = rule_parse({"all": [{"orders": {"at_least": 2}}, {"orders": {"exactly": 0, "since": "2011-10-11T00:00Z"}}]})


@pytest.fixture(scope="module", autouse=True)
def _loaded(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    with django_db_blocker.unblock(), transaction.atomic():
        online_retail_load(with_lines=False)
        yield
        transaction.set_rollback(True)


def test_the_data_is_whole() -> None:
    assert Profile.objects.count() == 4372
    assert Order.objects.filter(status="purchase").count() == 18_532


@pytest.mark.parametrize("as_of", [AFTER, now()], ids=["then", "now"])
def test_the_lapsed_are_903(as_of: datetime) -> None:
    assert audience_count(rule=LAPSED, as_of=as_of) == 903
    ids = [profile_id for batch in audience_ids(rule=LAPSED, as_of=as_of, batch=100) for profile_id in batch]
    facts = facts_load(rules=[LAPSED], profile_ids=list(Profile.objects.values_list("pk", flat=True)), as_of=as_of)
    assert sorted(pk for pk, known in facts.items() if rule_matches(LAPSED, known).matched) == ids
    assert len(ids) == 903


def test_features_add_up() -> None:
    ids = list(Profile.objects.order_by("pk").values_list("pk", flat=True))
    read = features_read(profile_ids=ids, names=["orders_count", "lifetime_value"], as_of=AFTER)
    assert sum(cast(int, values["orders_count"]) for values in read.values()) == 18_532
    assert sum(cast(Decimal, values["lifetime_value"]) for values in read.values()) == Decimal("8911407.904")
    assert sum(1 for values in read.values() if values["orders_count"]) == 4338
