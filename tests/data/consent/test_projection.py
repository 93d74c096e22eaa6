"""The projection made anew is the live one, whatever was done in which order."""

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from apps.data.consent.models import Channel, ConsentRecord, ConsentState
from apps.data.consent.projection import differences, rebuild
from apps.data.consent.services import consent_grant, consent_withdraw, consent_withdraw_all, consents_grant_new
from tests.factories import make_profile

pytestmark = pytest.mark.django_db

START = datetime(2026, 1, 1, tzinfo=UTC)
API = ConsentRecord.Method.API
moments = st.integers(0, 30).map(lambda days: START + timedelta(days=days))
purposes = st.sampled_from(["marketing", "personalisation", "tracking"])
channels = st.sampled_from([Channel.EMAIL, Channel.SMS])


class Choices(RuleBasedStateMachine):
    """Random choices of three people, of every kind, also late ones."""

    def __init__(self) -> None:
        super().__init__()
        self.sequence = transaction.atomic()
        self.sequence.__enter__()
        self.people = [make_profile().pk for _ in range(3)]

    @rule(who=st.integers(0, 2), purpose=purposes, channel=channels, at=moments)
    def grant(self, who: int, purpose: str, channel: Channel, at: datetime) -> None:
        consent_grant(
            profile_id=self.people[who], purpose=purpose, channel=channel, method=API, source="t", occurred_at=at
        )

    @rule(who=st.integers(0, 2), purpose=purposes, channel=channels, at=moments)
    def withdraw(self, who: int, purpose: str, channel: Channel, at: datetime) -> None:
        consent_withdraw(
            profile_id=self.people[who], purpose=purpose, channel=channel, method=API, source="t", occurred_at=at
        )

    @rule(who=st.integers(0, 2), channel=channels)
    def leave(self, who: int, channel: Channel) -> None:
        consent_withdraw_all(profile_id=self.people[who], channel=channel, method=API, source="t")

    @rule(purpose=purposes, channel=channels, at=moments)
    def bring(self, purpose: str, channel: Channel, at: datetime) -> None:
        states = ConsentState.objects.filter(purpose_id=purpose, channel=channel)
        before = dict(states.values_list("profile_id", "granted"))
        consents_grant_new(
            grants=[(pk, at) for pk in self.people],
            purpose=purpose,
            channel=channel,
            method=ConsentRecord.Method.IMPORT,
            source="list.csv",
            evidence="a list",
        )
        after = dict(states.values_list("profile_id", "granted"))
        assert {pk: after[pk] for pk in before} == before, "an import changed what was on record"

    def teardown(self) -> None:
        """The law: the projection is what the ledger says. Then the sequence is taken back."""
        try:
            assert list(differences()) == []
        finally:
            transaction.set_rollback(True)
            self.sequence.__exit__(None, None, None)

    @precondition(lambda self: ConsentState.objects.exists())
    @rule(which=st.integers(0, 17), gone=st.booleans())
    def damage_and_rebuild(self, which: int, gone: bool) -> None:
        live = sorted(ConsentState.objects.values_list("profile_id", "purpose_id", "channel", "granted", "record_id"))
        row = ConsentState.objects.order_by("profile_id", "purpose_id", "channel")[which % len(live)]
        if gone:
            row.delete()
        else:
            ConsentState.objects.filter(pk=row.pk).update(granted=not row.granted)

        assert [found.profile_id for found in differences()] == [row.profile_id]
        assert rebuild() == 1
        again = sorted(ConsentState.objects.values_list("profile_id", "purpose_id", "channel", "granted", "record_id"))
        assert again == live


def changes(count: int) -> settings:
    """Some `count` changes in all, in sequences of 50."""
    return settings(
        max_examples=count // 50,
        stateful_step_count=50,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def test_rebuilt_is_live_after_hundreds_of_changes() -> None:
    run_state_machine_as_test(Choices, settings=changes(200))  # type: ignore[no-untyped-call]  # hypothesis has none here


@pytest.mark.slow
@pytest.mark.parametrize("part", range(20))  # in parts: it takes a quarter of an hour, and so one sees how far it is
def test_rebuilt_is_live_after_a_hundred_thousand_changes(part: int) -> None:
    run_state_machine_as_test(Choices, settings=changes(100_000 // 20))  # type: ignore[no-untyped-call]  # hypothesis has none here


def test_the_command_tells_and_mends() -> None:
    person = make_profile()
    consent_withdraw(profile_id=person.pk, purpose="marketing", channel="email", method=API, source="t")
    out = StringIO()
    call_command("consent_rebuild", check=True, stdout=out)
    assert out.getvalue() == "Ledger and projection say the same\n"

    ConsentState.objects.update(granted=True)
    out = StringIO()
    with pytest.raises(CommandError, match="1 choices differ"):
        call_command("consent_rebuild", check=True, stdout=out)
    assert out.getvalue() == (
        f"profile {person.pk}, marketing by email: the ledger says withdrawn, the projection agreed\n"
    )
    assert ConsentState.objects.get().granted

    out = StringIO()
    call_command("consent_rebuild", stdout=out)
    assert out.getvalue() == "1 people put right\n"
    assert not ConsentState.objects.get().granted
