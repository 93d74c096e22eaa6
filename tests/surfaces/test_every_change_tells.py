"""Whatever changes what a person gets: it holds at once at the gate and in decisions, and open pages are told of it."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import redis
from django.conf import settings
from django.db import connection
from django.test import TestCase

from apps.data.consent.contracts import Circumstances
from apps.data.consent.models import Channel, ConsentRecord, ConsentState, OptIn, PreferenceChange, Suppression
from apps.data.consent.opt_ins import opt_in_confirm
from apps.data.consent.preferences import preference_change
from apps.data.consent.projection import rebuild
from apps.data.consent.selectors import gate_read
from apps.data.consent.services import (
    consent_grant,
    consent_withdraw,
    consent_withdraw_all,
    consents_grant_new,
    suppression_add,
)
from apps.data.privacy.correcting import correction_make
from apps.data.privacy.erasing import erasure_ask, erasure_run
from apps.data.privacy.limiting import restriction_lift, restriction_set
from apps.data.privacy.models import RightsRequest
from apps.data.privacy.services import request_open
from apps.decisioning.decisions.services import people_decide, plan_load
from apps.decisioning.playbooks.steps import message_spec
from apps.foundation.core.clock import now
from tests.factories import make_profile, make_published

pytestmark = pytest.mark.django_db

ADDRESS = "ada@example.com"
BY: dict[str, Any] = {"method": ConsentRecord.Method.PREFERENCES, "source": "test"}
MARKETING: dict[str, Any] = {"purpose": "marketing", "channel": Channel.EMAIL, **BY}
SHOWN: dict[str, Any] = {"shown_by": "a call back"}
Change = Callable[[int], object]


def wish(kind: PreferenceChange.Kind, value: Any) -> Change:
    return lambda person: preference_change(profile_id=person, kind=kind, value=value, **BY)


def confirm(person: int) -> None:
    """What waits for a confirmation is confirmed."""
    opt_in = OptIn.objects.create(
        profile_id=person,
        channel=Channel.EMAIL,
        asked={"personalisation": {}},
        method=ConsentRecord.Method.SIGN_UP,
        source="test",
        expires_at=now() + timedelta(days=1),
        origin_digest=b"",
    )
    opt_in_confirm(opt_in_id=opt_in.pk, profile_id=person, message_id=uuid4())


def erase(person: int) -> None:
    erasure_run(request_id=erasure_ask(profile_id=person, sure=True, **SHOWN).pk)


def import_grant(person: int) -> None:
    given: dict[str, Any] = {**MARKETING, "purpose": "tracking", "method": ConsentRecord.Method.IMPORT}
    consents_grant_new(grants=[(person, now())], evidence="a list", circumstances=Circumstances(), **given)


def mend(person: int) -> None:
    """The projection is made anew where it was wrong."""
    ConsentState.objects.filter(profile_id=person).update(granted=False)
    rebuild()


CHANGES: dict[str, Change] = {
    "withdraw": lambda person: consent_withdraw(profile_id=person, **MARKETING),
    "agree": lambda person: consent_grant(profile_id=person, **{**MARKETING, "purpose": "tracking"}),
    "leave": lambda person: consent_withdraw_all(profile_id=person, channel=Channel.EMAIL, **BY),
    "import": import_grant,
    "confirm": confirm,
    "pause": wish(PreferenceChange.Kind.PAUSE, (now() + timedelta(days=30)).isoformat()),
    "frequency": wish(PreferenceChange.Kind.FREQUENCY, "weekly"),
    "quiet hours": wish(PreferenceChange.Kind.QUIET, {"start": "22:00", "end": "07:00"}),
    "suppress": lambda person: suppression_add(kind="email", value=ADDRESS, reason=Suppression.Reason.COMPLAINT),
    "restrict": lambda person: restriction_set(profile_id=person, **SHOWN),
    "correct": lambda person: correction_make(profile_id=person, values={"first_name": "Ada"}, **SHOWN),
    "ask for a right": lambda person: request_open(profile_id=person, kind=RightsRequest.Kind.EXPORT, **SHOWN),
    "erase": erase,
    "mend": mend,
}


@pytest.fixture
def told() -> Iterator[Callable[[], set[str]]]:
    """Gives the channels of which open pages were told since it was last asked."""
    client = redis.Redis.from_url(settings.REDIS_URL)
    with client.pubsub(ignore_subscribe_messages=True) as pubsub:  # type: ignore[no-untyped-call]
        pubsub.subscribe("live")
        pubsub.get_message(timeout=5)  # it stands

        def lately() -> set[str]:
            mark = f"mark-{uuid4()}"
            client.publish("live", mark)
            found: set[str] = set()
            while mark not in found:
                message = pubsub.get_message(timeout=5)
                if message is not None:
                    found.add(message["data"].decode())
            return found - {mark}

        yield lately


@pytest.mark.parametrize("name", CHANGES)
def test_open_pages_are_told_when_it_has_committed_and_not_before(name: str, told: Callable[[], set[str]]) -> None:
    person = make_profile(email=ADDRESS, consent=("marketing",)).pk
    told()

    with TestCase.captureOnCommitCallbacks() as committed:
        CHANGES[name](person)
    early = told()
    for then in committed:
        then()

    assert f"profile-{person}" not in early
    assert f"profile-{person}" in told()


def test_what_comes_to_nothing_is_not_told(told: Callable[[], set[str]]) -> None:
    person = make_profile(email=ADDRESS, consent=("marketing",)).pk
    told()

    with TestCase.captureOnCommitCallbacks(execute=True):
        consent_grant(profile_id=person, **MARKETING)
        wish(PreferenceChange.Kind.FREQUENCY, "each")(person)

    assert f"profile-{person}" not in told()


def test_each_holds_at_once_at_the_gate_and_in_decisions() -> None:
    version = make_published().published
    assert version is not None
    plan = plan_load(message_spec(version.spec, ""), version.compiled)

    def said(person: int) -> tuple[str, str]:
        at = now()
        terms: dict[str, Any] = {"profile_ids": [person], "purpose": "marketing", "channel": "email"}
        with connection.cursor() as cursor:
            decided = people_decide(cursor, plan=plan, as_of=at, at=at, **terms)
        return gate_read(**terms)[person].reason or "send", decided.verdicts[0][1].outcome

    for name, reason in (
        ("withdraw", "withdrawn"),
        ("leave", "withdrawn"),
        ("pause", "paused"),
        ("suppress", "suppressed"),
        ("restrict", "restricted"),
    ):
        person = make_profile(email=ADDRESS if name == "suppress" else "", consent=("marketing",)).pk
        assert said(person) == ("send", "send"), name

        CHANGES[name](person)

        assert said(person) == (reason, reason), name

    restriction_lift(profile_id=person)
    assert said(person) == ("send", "send")
    erase(person)
    assert "send" not in said(person)
