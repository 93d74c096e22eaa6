"""The addresses of a list, looked at before a send: what is found is left out, and what isn't known never is."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.test import Client
from pytest_django import Settings

from apps.data.consent.models import AddressVerdict, ConsentState, Suppression
from apps.data.consent.selectors import gate_read
from apps.data.consent.services import suppressions_add
from apps.data.features.training import learnable
from apps.data.privacy.registry import Person, erase_steps
from apps.data.profiles.lookup import Moved, digests_moved
from apps.data.profiles.models import Identifier, Profile
from apps.decisioning.decisions.models import Decision
from apps.decisioning.decisions.services import run_decide
from apps.decisioning.playbooks.models import Playbook
from apps.decisioning.playbooks.services import run_plan, run_start
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, NotAllowed
from apps.foundation.core.signing import address_digest
from apps.insight.monitoring import list_checks
from apps.insight.monitoring.list_checks import list_check_start, lists_look, looked_for, runs_coming
from apps.insight.monitoring.models import ListCheck
from tests.data.profiles.name_server import FAILS, NameServer, name_server
from tests.factories import kept_by, make_profile, make_published, make_user

pytestmark = pytest.mark.django_db
RECORDS: dict[str, dict[str, list[str]] | str] = {
    "shop.net": {"MX": ["10 mx1.shop.net."]},
    "null-mx.net": {"MX": ["0 ."]},
    "fails.net": FAILS,
}


@pytest.fixture
def server(settings: Settings, clean_redis: "redis.Redis") -> Iterator[NameServer]:
    with name_server(RECORDS) as running:
        settings.DNS_SERVERS = [running.address]
        settings.LIST_DNS_PER_SECOND = 10_000.0
        yield running


def scheduled(hours: int) -> Playbook:
    """A published playbook that runs in so many hours, to the minute."""
    at = now() + timedelta(hours=hours)
    return make_published(trigger="schedule", schedule=f"{at.minute} {at.hour} * * *", time_zone="UTC")


def person(email: str | None, *purposes: str) -> Profile:
    return make_profile(email=email, consent=("marketing", *purposes))


def found() -> dict[str, str]:
    """What was found, by address: those of the people who are there."""
    names = {
        address_digest("email", f"{local}@{domain}"): f"{local}@{domain}"
        for local in ("a", "info")
        for domain in ("shop.net", "null-mx.net", "fails.net", "gone.net", "mailinator.com", "late.net")
    }
    return {
        names[bytes(one.digest)]: f"{one.verdict}:{one.code}"
        for one in AddressVerdict.objects.all()
        if bytes(one.digest) in names
    }


def test_each_kind_is_found_hours_ahead_and_gets_nothing_with_its_reason(server: NameServer) -> None:
    good, unknown, role = person("a@shop.net"), person("a@fails.net"), person("info@shop.net")
    gone, refusing, thrown = person("a@gone.net"), person("a@null-mx.net"), person("a@mailinator.com")
    without = person(None)
    trap = person("trap@shop.net")
    suppressions_add(kind="email", values=["trap@shop.net"], reason=Suppression.Reason.SPAM_TRAP)
    bounced = person("bounced@shop.net")
    suppressions_add(kind="email", values=["bounced@shop.net"], reason=Suppression.Reason.BOUNCE)
    playbook = scheduled(20)

    assert lists_look(at=now()) == 9

    assert found() == {
        "a@shop.net": "ok:", "a@fails.net": "ok:no_answer", "info@shop.net": "warn:role",
        "a@gone.net": "refuse:no_mail",
        "a@null-mx.net": "refuse:null_mx", "a@mailinator.com": "refuse:disposable",
    }  # fmt: skip
    check = ListCheck.objects.get()
    assert check.found == {
        "": 1, "no_answer": 1, "role": 1, "no_mail": 1, "null_mx": 1, "disposable": 1, "no_address": 1, "spam_trap": 1,
        "bounced": 1,
    }  # fmt: skip
    assert server.asked["shop.net"] == 1
    assert "mailinator.com" not in server.asked, "what is known needs no question"
    run = run_start(playbook_id=playbook.pk, occasion_key="now", trigger="hand")
    run_plan(run_id=run.pk)
    run_decide(run_id=run.pk)
    decisions = {one.profile_id: one for one in Decision.objects.filter(run=run)}
    assert {pk: one.outcome for pk, one in decisions.items()} == {
        good.pk: "send", unknown.pk: "send", role.pk: "send", gone.pk: "invalid_address",
        refusing.pk: "invalid_address", thrown.pk: "invalid_address", without.pk: "invalid_address",
        trap.pk: "suppressed", bounced.pk: "suppressed",
    }  # fmt: skip
    kept = kept_by(decisions[gone.pk])
    assert kept.reasons == {"gate": "invalid_address", "address": "no_mail"}
    assert kept_by(decisions[without.pk]).reasons == {"gate": "invalid_address"}
    plain = gate_read(profile_ids=[gone.pk], purpose="transactional", channel="email", needs_consent=False)
    assert plain[gone.pk].allowed, "what somebody waits for is never held up by it"
    assert not gate_read(profile_ids=[gone.pk], purpose="marketing", channel="email")[gone.pk].allowed


def test_a_domain_of_traps_speaks_against_what_was_good_and_lies_below_it(server: NameServer) -> None:
    at, below, beside = person("a@shop.net"), person("b@mail.shop.net"), person("c@workshop.net")
    scheduled(20)
    lists_look(at=now())
    terms: dict[str, Any] = {"profile_ids": [at.pk, below.pk, beside.pk], "purpose": "marketing", "channel": "email"}
    held = {pk: one.held_up_by for pk, one in gate_read(**terms).items()}
    assert held[at.pk] == ""

    suppressions_add(kind=Suppression.DOMAIN, values=["shop.net"], reason=Suppression.Reason.SPAM_TRAP)
    ListCheck.objects.all().delete()
    assert lists_look(at=now()) == 3, "what was found before the domain was known is looked at anew"

    said = {pk: one.held_up_by for pk, one in gate_read(**terms).items()}
    assert said == {
        at.pk: "invalid_address:spam_trap", below.pk: "invalid_address:spam_trap", beside.pk: held[beside.pk],
    }  # fmt: skip
    assert lists_look(at=now()) == 0


def test_what_was_found_holds_no_longer_than_it_is_good(server: NameServer) -> None:
    gone = person("a@gone.net")
    scheduled(20)
    lists_look(at=now())
    terms: dict[str, Any] = {"profile_ids": [gone.pk], "purpose": "marketing", "channel": "email"}

    assert gate_read(**terms)[gone.pk].held_up_by == "invalid_address:no_mail"
    assert gate_read(**terms, at=now() + timedelta(days=2, minutes=1))[gone.pk].allowed


def test_shortly_before_only_what_is_new_or_stale_is_looked_at_again(server: NameServer, settings: Settings) -> None:
    person("a@shop.net")
    scheduled(20)
    lists_look(at=now())
    assert lists_look(at=now()) == 0, "one look far ahead"
    settings.LIST_AGAIN_HOURS = 21.0
    person("a@late.net")
    before = AddressVerdict.objects.get(digest=address_digest("email", "a@shop.net")).looked_at

    assert lists_look(at=now()) == 0, "it was finished within those hours"
    ListCheck.objects.update(finished_at=now() - timedelta(hours=10))
    assert lists_look(at=now()) == 2
    assert lists_look(at=now()) == 0

    assert found()["a@late.net"] == "refuse:no_mail"
    assert AddressVerdict.objects.get(digest=address_digest("email", "a@shop.net")).looked_at == before
    assert server.asked["shop.net"] == 1


def test_a_look_that_is_cut_short_goes_on_where_it_was(server: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(5):
        person("a@shop.net")
    scheduled(20)
    monkeypatch.setattr(list_checks, "PORTION", 2)
    monkeypatch.setattr(list_checks, "GO_SECONDS", 0.0)

    assert [lists_look(at=now()) for _ in range(4)] == [2, 2, 1, 0]
    assert ListCheck.objects.get().found == {"": 5}


def test_name_servers_that_say_nothing_are_left_alone_and_block_nobody(server: NameServer) -> None:
    for number in range(120):
        RECORDS[f"dead-{number}.net"] = FAILS
        make_profile(email=f"a@dead-{number}.net", consent=("marketing",))
    scheduled(20)

    lists_look(at=now())

    assert ListCheck.objects.get().found == {"no_answer": 120}
    assert len(server.asked) == 48
    for number in range(120):
        del RECORDS[f"dead-{number}.net"]


def test_silence_is_a_word_of_caution_until_it_is_to_withhold(server: NameServer, settings: Settings) -> None:
    long_ago = now() - timedelta(days=900)

    def known(email: str, *purposes: str) -> Profile:
        profile = person(email, *purposes)
        Profile.objects.filter(pk=profile.pk).update(created_at=long_ago)
        ConsentState.objects.filter(profile=profile).update(changed_at=long_ago)
        return profile

    silent = known("silent@shop.net", "tracking")
    known("private@shop.net")  # what isn't followed can't be seen: that is no silence
    known("two@shop.net", "tracking")
    known("two@shop.net")
    person("new@shop.net", "tracking")
    scheduled(20)

    lists_look(at=now())
    assert ListCheck.objects.get().found == {"silent": 1, "": 4}
    assert gate_read(profile_ids=[silent.pk], purpose="marketing", channel="email")[silent.pk].allowed
    assert learnable([silent.pk]) == set()

    settings.LIST_SILENT_WITHHOLDS = True
    ListCheck.objects.all().delete()
    AddressVerdict.objects.all().delete()
    lists_look(at=now())
    answer = gate_read(profile_ids=[silent.pk], purpose="marketing", channel="email")[silent.pk]
    assert answer.held_up_by == "invalid_address:silent"


def test_models_learn_nothing_from_who_has_no_real_mailbox(server: NameServer) -> None:
    people = {
        name: make_profile(email=name, consent=("marketing", "profiling", "tracking"))
        for name in ("a@shop.net", "info@shop.net", "a@gone.net", "a@mailinator.com", "trap@shop.net")
    }
    suppressions_add(kind="email", values=["trap@shop.net"], reason=Suppression.Reason.SPAM_TRAP)
    scheduled(20)
    assert learnable([one.pk for one in people.values()]) == {
        one.pk for name, one in people.items() if name != "trap@shop.net"
    }

    lists_look(at=now())

    assert learnable([one.pk for one in people.values()]) == {people["a@shop.net"].pk, people["info@shop.net"].pk}


def test_it_goes_over_with_an_address_and_goes_with_its_person(server: NameServer) -> None:
    gone = person("a@gone.net")
    scheduled(20)
    lists_look(at=now())
    before, after = address_digest("email", "a@gone.net"), b"\x02" + bytes(32)

    digests_moved([Moved(gone.pk, "email", before, after)])
    assert [bytes(one.digest) for one in AddressVerdict.objects.all()] == [after]
    digests_moved([Moved(gone.pk, "email", after, before)])
    step = next(one for one in erase_steps() if one.name == "address_verdicts")
    assert step.erase(Person(gone.pk, [(Identifier.Kind.EMAIL, "a@gone.net")])).count == 1
    assert not AddressVerdict.objects.exists()


def test_pages_say_how_many_are_left_out_and_who_may_has_it_looked_at(server: NameServer, client: Client) -> None:
    person("a@shop.net")
    person("a@gone.net")
    playbook = scheduled(20)
    client.force_login(make_user("analyst"))
    assert "looked at before it goes out" in client.get("/console/runs/").content.decode()

    with pytest.raises(NotAllowed):
        list_check_start(playbook_id=playbook.pk, by=make_user("analyst"))
    mine = Client()
    mine.force_login(playbook.owner)
    path = f"/console/playbooks/{playbook.pk}/dry-runs/"
    assert "Look at them now" in mine.get(path).content.decode()
    assert mine.post(path, {"addresses": "1"}).status_code == 302
    lists_look(at=now())

    for place in ("/console/runs/", path):
        page = client.get(place).content.decode()
        assert "Of 2 people 1 are left out" in page
        assert "no such domain, or no mail server there" in page
    assert "gone.net" not in page
    by_hand = make_published(purpose="transactional")
    with pytest.raises(Conflict, match="has a list to look at"):
        list_check_start(playbook_id=by_hand.pk, by=by_hand.owner)


def test_nothing_is_looked_at_where_it_is_switched_off(server: NameServer, settings: Settings) -> None:
    person("a@gone.net")
    settings.LIST_CHECK_HOURS = 0
    playbook = scheduled(20)

    assert lists_look(at=now()) == 0
    assert looked_for(playbook.pk, runs_coming(now())[0].due_at) is None
