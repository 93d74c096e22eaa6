"""Decisions on the real orders: the 903 who fell away, and how large a decision is. Heavy, so behind `--slow`."""

from collections import Counter
from datetime import UTC, datetime

import pytest
from django.db import connection

from apps.data.consent.models import ConsentRecord
from apps.data.consent.services import consent_withdraw, consents_grant_new
from apps.data.profiles.addresses import NewIdentifier, identifiers_add
from apps.data.profiles.models import Profile
from apps.decisioning.audiences.models import Audience
from apps.decisioning.decisions.models import Decision
from apps.decisioning.decisions.selectors import decision_explain
from apps.decisioning.decisions.services import run_decide
from apps.decisioning.playbooks.services import run_plan, run_start
from apps.decisioning.recommendations.services import recommendation_set_refresh
from tests.factories import make_published, make_purposes, make_user
from tests.online_retail import needs_online_retail, online_retail_load

pytestmark = [needs_online_retail, pytest.mark.django_db, pytest.mark.slow]

AFTER = datetime(2011, 12, 10, tzinfo=UTC)
FELL_AWAY = {"all": [{"orders": {"at_least": 2}}, {"orders": {"exactly": 0, "since": "2011-10-11T00:00Z"}}]}
_SIZES = """
SELECT avg(octet_length(sealed)) FROM decisions_decision WHERE run_id = %s
"""


def test_803_of_the_903_get_a_decision_of_less_than_a_kilobyte(capsys: pytest.CaptureFixture[str]) -> None:
    online_retail_load(with_lines=True)
    make_purposes()
    identifiers_add(
        NewIdentifier(pk, "email", f"{pk}@customer.example", main=True)
        for pk in Profile.objects.values_list("pk", flat=True)
    )
    consents_grant_new(
        grants=[(pk, AFTER) for pk in Profile.objects.values_list("pk", flat=True)],
        purpose="marketing",
        channel="email",
        method=ConsentRecord.Method.IMPORT,
        source="test",
        evidence="the real shop's newsletter form",
        actor=make_user("administrator"),
    )
    recommendation_set_refresh(as_of=AFTER)
    audience = Audience.objects.create(name="Fell away", rule=FELL_AWAY, owner=make_user())
    run = run_start(
        playbook_id=make_published(audience=audience).pk, occasion_key="winter", trigger="hand", as_of=AFTER
    )
    assert run_plan(run_id=run.pk) == 903
    left = [pk for batch in run.batches.order_by("number") for pk in batch.profile_ids][:100]
    for pk in left:
        consent_withdraw(
            profile_id=pk, purpose="marketing", channel="email", method=ConsentRecord.Method.ONE_CLICK, source="test"
        )
    assert run_decide(run_id=run.pk) == 903
    decided = Decision.objects.filter(run=run)
    assert Counter(decided.values_list("outcome", flat=True)) == {"send": 803, "withdrawn": 100}
    tiers = Counter(decided.filter(outcome="send").values_list("tier", flat=True))
    with connection.cursor() as cursor:
        cursor.execute(_SIZES, [run.pk])
        average = cursor.fetchone()[0]
    with capsys.disabled():
        print(f"\n{average:.0f} bytes a decision on average; tiers {dict(tiers)}")  # noqa: T201  # a figure to see
    assert average <= 1024
    for decision in Decision.objects.filter(run=run, outcome="send")[:50]:
        assert len(decision_explain(decision.pk).slots) == 2
