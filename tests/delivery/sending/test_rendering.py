"""What was sent can be made again, byte for byte."""

from uuid import uuid4

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django import Settings

from apps.data.profiles.addresses import identifier_put
from apps.data.profiles.models import Identifier, Profile
from apps.delivery.sending.contracts import Claimed
from apps.delivery.sending.models import Dispatch, Message
from apps.delivery.sending.rendering import message_again, message_prepare
from apps.delivery.sending.services import dispatch_take_up
from apps.delivery.sending.windows import messages_send
from apps.foundation.core import signing
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, NotFound
from tests.delivery.makers import make_compiled, make_decision, make_decisions, make_people, make_run
from tests.delivery.relay import Relay
from tests.examples import tries

pytestmark = pytest.mark.usefixtures("ledger")


def test_many_messages_are_the_same_again_after_everything_changed(relay: Relay, settings: Settings) -> None:
    run, compiled = make_run(), make_compiled()
    make_decisions(run, make_people(120), compiled)
    dispatch_take_up(run_id=run.pk)
    messages_send()
    # the people are called otherwise now, and another key signs
    Profile.objects.update(first_name="Changed")
    settings.LINK_KEYS = ["k2:another-key-0123456789abcdef", *settings.LINK_KEYS]
    signing._keys.cache_clear()
    try:
        for one in relay.accepted:
            assert message_again(one.message_id) == one.content  # type: ignore[arg-type]
    finally:
        signing._keys.cache_clear()


def test_what_was_never_sent_is_not_made_up(relay: Relay) -> None:
    run = make_run()
    make_decisions(run, make_people(1, consent=False), make_compiled())
    dispatch_take_up(run_id=run.pk)
    messages_send()
    with pytest.raises(Conflict) as caught:
        message_again(Message.objects.get().pk)
    assert caught.value.code == "not_rendered"
    with pytest.raises(NotFound):
        message_again(uuid4())


def test_what_is_not_the_same_is_not_shown_as_sent(relay: Relay) -> None:
    run = make_run()
    make_decisions(run, make_people(1), make_compiled())
    dispatch_take_up(run_id=run.pk)
    messages_send()
    Dispatch.objects.update(from_name="Somebody else")
    with pytest.raises(Conflict) as caught:
        message_again(Message.objects.get().pk)
    assert caught.value.code == "not_the_same"


def test_an_address_that_the_person_gave_up_is_not_shown_again(relay: Relay) -> None:
    run = make_run()
    make_decisions(run, make_people(1), make_compiled())
    dispatch_take_up(run_id=run.pk)
    messages_send()
    # they have another main address now, and the old one still among theirs: it is the one that was written to
    old = Identifier.objects.get()
    Identifier.objects.update(main=False)
    identifier_put(profile_id=old.profile_id, kind="email", value="new@example.com")
    assert message_again(Message.objects.get().pk) == relay.accepted[0].content
    # and when it is gone, that is said
    old.delete()
    with pytest.raises(Conflict) as caught:
        message_again(Message.objects.get().pk)
    assert caught.value.code == "address_gone"


def test_any_inputs_give_the_same_bytes_twice() -> None:
    run, compiled = make_run(), make_compiled()
    (person,) = make_people(1)
    decision = make_decision(run, Profile.objects.get(pk=person), compiled=compiled)
    dispatch_take_up(run_id=run.pk)
    dispatch, at = Dispatch.objects.get(), now()

    @settings(max_examples=tries(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(name=st.text(max_size=60))
    def same(name: str) -> None:
        try:
            inputs = orjson.loads(orjson.dumps({"profile": {"first_name": name}, "slots": {}}))
        except TypeError:
            return  # lone surrogates are in no database
        key = str(decision.pk)
        claimed = Claimed(decision.pk, 1, dispatch.pk, person, compiled.pk, b"", "", None, inputs, "a@example.com", key)
        first = message_prepare(claimed, dispatch, address="a@example.com", at=at)
        second = message_prepare(claimed, dispatch, address="a@example.com", at=at)
        assert first.content == second.content
        assert first.content.count(b"\r\nTo: ") == 1
        assert b"\r\nBcc" not in first.content

    same()
