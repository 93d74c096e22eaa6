"""Tests that staff send themselves: received by a real mail server, by nobody else, and never a customer's message."""

from collections.abc import Iterator
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client
from pytest_django import Settings

from apps.data.consent.models import ConsentState, Interest
from apps.data.profiles.vault import key_destroy
from apps.decisioning.content.services.personas import persona_create
from apps.decisioning.decisions.models import Decision
from apps.decisioning.playbooks.models import Playbook
from apps.decisioning.playbooks.services import playbook_update
from apps.delivery.sending.models import DeliveryAttempt, Message
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid, NotAllowed, NotFound
from apps.foundation.governance.models import AuditEntry
from apps.surfaces.console.models import TestSend
from apps.surfaces.console.own_tests import Wish, own_test_hand_over, own_test_make, own_tests_dropped
from apps.surfaces.console.tasks import rehearsals_sweep
from tests.decisioning.playbooks.travelling import make_steps
from tests.delivery.relay import Relay
from tests.factories import make_playbook, make_profile, make_published, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def relay(settings: Settings) -> Iterator[Relay]:
    """A mail server of our own; SMTP_URL points at it."""
    one = Relay()
    one.start()
    settings.SMTP_URL = f"smtp://127.0.0.1:{one.port}?timeout=10"
    yield one
    one.stop()


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.surfaces.console.receivers.enqueue_on_commit", lambda *args: None)


@pytest.fixture
def playbook() -> Playbook:
    return make_playbook()


def _received(relay: Relay) -> EmailMessage:
    parsed = message_from_bytes(relay.accepted[-1].content, policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def _text(message: EmailMessage) -> str:
    part = message.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def test_a_test_arrives_at_ones_own_address_and_is_no_customers_message(relay: Relay, playbook: Playbook) -> None:
    by = make_user(email="me@staff.example")
    customer = make_profile(consent=("marketing",))

    test = own_test_make(by=by, playbook_id=playbook.pk, wish=Wish(persona="anna"))
    own_test_hand_over(test_send_id=test.pk)

    mail = _received(relay)
    assert relay.recipients() == {"me@staff.example": 1}
    assert (mail["To"], mail["Subject"]) == ("me@staff.example", "[Test] News from Tea & Co")
    assert mail["From"] == "Tea & Co <hello@tea.example>"
    assert mail["Message-ID"].startswith(f"<{test.pk}@")
    assert "Hello Anna" in _text(mail)
    test.refresh_from_db()
    assert (test.state, test.inputs) == (TestSend.State.SENT, {})
    assert test.response.startswith("250")
    assert not Message.objects.exists()
    assert not DeliveryAttempt.objects.exists()
    assert not Decision.objects.exists()
    assert ConsentState.objects.get(profile=customer).granted


def test_done_twice_it_is_sent_once(relay: Relay, playbook: Playbook) -> None:
    test = own_test_make(by=make_user(), playbook_id=playbook.pk, wish=Wish(persona="nobody"))

    own_test_hand_over(test_send_id=test.pk)
    own_test_hand_over(test_send_id=test.pk)

    assert len(relay.accepted) == 1


def test_its_links_say_that_it_was_a_test_and_act_for_nobody(relay: Relay, playbook: Playbook, client: Client) -> None:
    customer = make_profile(consent=("marketing",), first_name="Carla")
    test = own_test_make(by=make_user(), playbook_id=playbook.pk, wish=Wish(profile_id=customer.pk))
    own_test_hand_over(test_send_id=test.pk)

    mail = _received(relay)
    link = str(mail["List-Unsubscribe"]).strip("<>")
    assert "Hello Carla" in _text(mail)
    assert link in _text(mail)
    answer = client.post(
        urlsplit(link).path, "List-Unsubscribe=One-Click", content_type="application/x-www-form-urlencoded"
    )

    assert answer.status_code == 200
    assert b"This was a test" in answer.content
    assert ConsentState.objects.get(profile=customer).granted


@pytest.mark.parametrize(
    ("persona", "words"),
    [
        ("anna", "Hello Anna"),
        ("nobody", "Hello friend"),
        ("long", "Hello Wolfeschlegelsteinhausen-Bergerdorff"),
        ("hostile", "Hello <script>{{7*7}}</script>"),
    ],
)
def test_seen_as_an_invented_person(relay: Relay, playbook: Playbook, persona: str, words: str) -> None:
    test = own_test_make(by=make_user(), playbook_id=playbook.pk, wish=Wish(persona=persona))
    own_test_hand_over(test_send_id=test.pk)

    assert words in _text(_received(relay))


def test_seen_as_a_persona_of_ones_own(relay: Relay, playbook: Playbook) -> None:
    by = make_user()
    persona = persona_create(by=by, name="Zoë in Vienna", profile={"first_name": "Zoë", "country": "AT"})

    test = own_test_make(by=by, playbook_id=playbook.pk, wish=Wish(persona=f"own-{persona.pk}"))
    own_test_hand_over(test_send_id=test.pk)

    assert test.seen_as == "Zoë in Vienna"
    assert "Hello Zoë" in _text(_received(relay))
    assert "Free delivery" in _text(_received(relay))


def test_an_invented_person_chose_no_interest(relay: Relay, playbook: Playbook) -> None:
    Interest.objects.create(code="kitchen", name="Cooking")
    german, anywhere = playbook.slots["hero"]
    for chosen, words in ((True, "New teas"), (False, "Free delivery")):
        hero = [{**german, "when": {"interest": "kitchen", "is": chosen}}, anywhere]
        playbook_update(playbook_id=playbook.pk, by=playbook.owner, slots={**playbook.slots, "hero": hero})
        own_test_hand_over(
            test_send_id=own_test_make(by=make_user(), playbook_id=playbook.pk, wish=Wish(persona="nobody")).pk
        )
        assert words in _text(_received(relay))


def test_language_and_tiers_are_those_that_one_wants_to_see(relay: Relay, playbook: Playbook) -> None:
    def sent(**wish: Any) -> str:
        test = own_test_make(by=make_user(), playbook_id=playbook.pk, wish=Wish(**wish))
        own_test_hand_over(test_send_id=test.pk)
        return _text(_received(relay))

    assert "New teas" in sent(persona="nobody")
    assert "Neue Tees" in sent(persona="nobody", language="de")
    assert "Versand gratis" in sent(persona="nobody", language="de", tiers={"hero": 0})
    assert "Free delivery" in sent(persona="anna")
    assert "New teas" in sent(persona="anna", tiers={"hero": 1})
    sample = sent(persona="nobody", tiers={"products": 0})
    assert "White ceramic teapot" in sample
    assert sample.count("Lamp") == 1
    assert "Look around in our shop" in sent(persona="nobody", tiers={"products": 3})


def test_each_message_of_a_playbook_with_steps_can_be_sent(playbook: Playbook, client: Client) -> None:
    steps: list[dict[str, Any]] = [
        {"kind": "message", "id": "one"},
        {"kind": "wait", "for": {"days": 1}},
        {"kind": "message", "id": "two"},
    ]
    playbook_update(playbook_id=playbook.pk, by=playbook.owner, steps=make_steps(playbook, steps))
    by = make_user()
    client.force_login(by)

    page = client.get(f"/console/playbooks/{playbook.pk}/test/?step=two").content.decode()
    client.post(f"/console/playbooks/{playbook.pk}/test/", {"step": "two", "seen_as": "anna"})

    assert '<a href="?step=two" aria-current="page">' in page
    assert TestSend.objects.get().step == "two"
    with pytest.raises(Invalid):
        own_test_make(by=by, playbook_id=playbook.pk, wish=Wish(persona="anna", step="three"))


def test_what_is_wished_must_be_there(playbook: Playbook) -> None:
    by = make_user()

    def wish(**values: Any) -> None:
        own_test_make(by=by, playbook_id=playbook.pk, wish=Wish(**values))

    with pytest.raises(Invalid):
        wish(persona="anna", language="fr")
    with pytest.raises(Invalid):
        wish(persona="anna", tiers={"hero": 2})
    with pytest.raises(Invalid):
        wish(persona="anna", tiers={"nowhere": 0})
    with pytest.raises(NotFound):
        wish(persona="nemo")
    with pytest.raises(NotFound):
        wish(profile_id=0)
    with pytest.raises(NotFound):
        own_test_make(by=by, playbook_id=0, wish=Wish(persona="anna"))
    assert not TestSend.objects.exists()


def test_somebody_who_would_get_nothing_is_not_looked_at(playbook: Playbook) -> None:
    never = make_profile(first_name="Carla")

    with pytest.raises(Conflict, match="never agreed"):
        own_test_make(by=make_user(), playbook_id=playbook.pk, wish=Wish(profile_id=never.pk))
    assert not TestSend.objects.exists()


def test_who_may_not_sends_none_and_nothing_changes(playbook: Playbook) -> None:
    customer, entries = make_profile(consent=("marketing",)), AuditEntry.objects.count()
    blind = make_user("local_editor")
    blind.groups.get().permissions.filter(codename="view_profile").delete()
    blind = type(blind).objects.get(pk=blind.pk)
    analyst = make_user("analyst")
    told = AuditEntry.objects.count()

    with pytest.raises(NotAllowed):
        own_test_make(by=analyst, playbook_id=playbook.pk, wish=Wish(persona="anna"))
    with pytest.raises(NotAllowed):
        own_test_make(by=blind, playbook_id=playbook.pk, wish=Wish(profile_id=customer.pk))

    assert not TestSend.objects.exists()
    assert AuditEntry.objects.count() == told >= entries


def test_only_so_many_within_an_hour(settings: Settings, playbook: Playbook) -> None:
    settings.TEST_SENDS_PER_HOUR = 2
    by, other = make_user(), make_user()
    for _ in range(2):
        own_test_make(by=by, playbook_id=playbook.pk, wish=Wish(persona="anna"))

    with pytest.raises(Conflict, match="within an hour"):
        own_test_make(by=by, playbook_id=playbook.pk, wish=Wish(persona="anna"))

    own_test_make(by=other, playbook_id=playbook.pk, wish=Wish(persona="anna"))
    TestSend.objects.filter(user=by).update(created_at=now() - timedelta(minutes=61))
    own_test_make(by=by, playbook_id=playbook.pk, wish=Wish(persona="anna"))
    assert TestSend.objects.count() == 4


def test_the_audit_log_has_no_word_of_the_person(playbook: Playbook) -> None:
    customer = make_profile(consent=("marketing",), first_name="Carla", email="carla@example.com")
    own_test_make(by=make_user(), playbook_id=playbook.pk, wish=Wish(profile_id=customer.pk, tiers={"hero": 1}))

    entry = AuditEntry.objects.get(action="console.testsend.made")
    assert entry.data["seen_as"] == "profile"
    assert entry.data["tiers"] == {"hero": 1}
    assert set(entry.data) == {"digest", "seen_as", "language", "tiers"}
    assert "Carla" not in str(entry.data) + entry.object_label


def test_a_published_version_is_sent_as_it_was_approved(relay: Relay) -> None:
    playbook = make_published()
    test = own_test_make(
        by=make_user(), playbook_id=playbook.pk, version_id=playbook.published_id, wish=Wish(persona="anna")
    )
    own_test_hand_over(test_send_id=test.pk)

    assert test.version_id == playbook.published_id
    assert "Hello Anna" in _text(_received(relay))


@pytest.mark.parametrize(
    ("plan", "state", "said"),
    [
        ("550 5.1.1 no such person", TestSend.State.FAILED, "550"),
        ("451 4.3.0 later", TestSend.State.FAILED, "451"),
        ("lose after", TestSend.State.UNKNOWN, ""),
    ],
)
def test_what_the_mail_server_says_is_kept(relay: Relay, playbook: Playbook, plan: str, state: str, said: str) -> None:
    relay.plan = lambda recipient: plan
    test = own_test_make(by=make_user(), playbook_id=playbook.pk, wish=Wish(persona="anna"))

    own_test_hand_over(test_send_id=test.pk)

    test.refresh_from_db()
    assert (test.state, test.inputs) == (state, {})
    assert said in test.response


def test_without_a_mail_server_it_fails_and_says_so(settings: Settings, playbook: Playbook) -> None:
    settings.SMTP_URL = "smtp://127.0.0.1:9?timeout=2"
    test = own_test_make(by=make_user(), playbook_id=playbook.pk, wish=Wish(persona="anna"))

    own_test_hand_over(test_send_id=test.pk)

    test.refresh_from_db()
    assert (test.state, test.response.startswith("connect")) == (TestSend.State.FAILED, True)


def test_an_account_that_was_closed_meanwhile_gets_nothing(relay: Relay, playbook: Playbook) -> None:
    by = make_user()
    test = own_test_make(by=by, playbook_id=playbook.pk, wish=Wish(persona="anna"))
    by.is_active = False
    by.save()

    own_test_hand_over(test_send_id=test.pk)

    test.refresh_from_db()
    assert test.state == TestSend.State.FAILED
    assert not relay.accepted


def test_a_real_persons_values_are_sealed_while_they_wait_and_gone_with_their_key(
    relay: Relay, playbook: Playbook
) -> None:
    # given two tests as somebody real
    carla = make_profile(consent=("marketing",), first_name="Carlanary")
    by = make_user(email="me@staff.example")
    tests = [own_test_make(by=by, playbook_id=playbook.pk, wish=Wish(profile_id=carla.pk)) for _ in range(2)]
    assert not any(b"Carlanary" in bytes(test.sealed) or test.inputs for test in tests)
    # when one goes out, and the person is erased before the other
    own_test_hand_over(test_send_id=tests[0].pk)
    key_destroy(carla.pk)
    own_test_hand_over(test_send_id=tests[1].pk)
    # then the first reads as it should, the second never goes out, and nothing of the person is kept with either
    assert "Hello Carlanary" in _text(_received(relay))
    for test in tests:
        test.refresh_from_db()
        assert (test.profile_id, bytes(test.sealed), test.inputs) == (None, b"", {})
    assert [test.state for test in tests] == [TestSend.State.SENT, TestSend.State.FAILED]
    assert tests[1].response == "What is known of this person can't be read any more"


def test_the_sweep_wakes_what_waits_settles_what_was_lost_and_forgets(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, playbook: Playbook
) -> None:
    woken: list[Any] = []
    monkeypatch.setattr("apps.surfaces.console.tasks.enqueue_on_commit", lambda task, *args: woken.append(args))
    by = make_user()
    waits, lost, fresh, old = (
        own_test_make(by=by, playbook_id=playbook.pk, wish=Wish(persona="anna")) for _ in range(4)
    )
    TestSend.objects.filter(pk=waits.pk).update(created_at=now() - timedelta(minutes=1))
    TestSend.objects.filter(pk=lost.pk).update(created_at=now() - timedelta(hours=1), state=TestSend.State.SENDING)
    TestSend.objects.filter(pk=old.pk).update(finished_at=now() - timedelta(hours=80), state=TestSend.State.SENT)

    rehearsals_sweep()

    assert woken == [(str(waits.pk),)]
    lost.refresh_from_db()
    assert (lost.state, lost.inputs) == (TestSend.State.UNKNOWN, {})
    assert set(TestSend.objects.values_list("pk", flat=True)) == {waits.pk, lost.pk, fresh.pk}
    assert own_tests_dropped() == [waits.pk]
