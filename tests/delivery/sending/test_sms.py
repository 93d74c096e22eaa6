"""An SMS from the ledger to Twilio, and what Twilio tells of it."""

import base64
import hmac
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest
from django.conf import settings as settings_read
from django.test import Client
from pytest_django import Settings

from apps.data.consent.models import Channel, ConsentRecord, ConsentState, Suppression
from apps.data.consent.services import consent_grant
from apps.data.profiles.addresses import identifier_put
from apps.data.profiles.models import Profile
from apps.delivery.channels import falling
from apps.delivery.channels.twilio import Account
from apps.delivery.sending import windows
from apps.delivery.sending.models import DeliveryAttempt, Message
from apps.delivery.sending.rendering import message_again
from apps.delivery.sending.services import dispatch_take_up
from apps.delivery.sending.windows import messages_send
from tests.delivery.channels.test_esp import Provider
from tests.delivery.channels.test_sms import OPTIONS, TAKEN
from tests.delivery.makers import make_compiled, make_decision, make_run

pytestmark = pytest.mark.usefixtures("ledger")

NUMBER = "+436601234567"


@pytest.fixture
def api(settings: Settings) -> Iterator[Provider]:
    one = Provider()
    one.answer = TAKEN
    settings.SMS_PROVIDERS = [("twilio", {**OPTIONS, "api_url": one.url})]
    falling._remembered.clear()
    windows._breakers.pop(Channel.SMS, None)
    yield one
    one.server.shutdown()
    one.server.server_close()


def make_person(number: str = NUMBER) -> Profile:
    person = Profile.objects.create(first_name="Zoë")
    identifier_put(profile_id=person.pk, kind="phone", value=number)
    consent_grant(
        profile_id=person.pk,
        purpose="marketing",
        channel=Channel.SMS,
        method=ConsentRecord.Method.PREFERENCES,
        source="test",
    )
    return person


def make_queued(person: Profile, text: str = "Hello {{ profile.first_name | fallback('you') }}!") -> Message:
    run = make_run()
    run.version.spec["channel"] = "sms"
    run.version.save()
    make_decision(run, person, compiled=make_compiled(text=text))
    dispatch_take_up(run_id=run.pk)
    return Message.objects.get(dispatch__run_id=run.pk)


def told(client: Client, path: str, form: dict[str, str], *, token: str = OPTIONS["auth_token"]) -> int:
    """A call of Twilio's, signed as it signs."""
    signed = settings_read.BASE_URL.rstrip("/") + path + "".join(name + form[name] for name in sorted(form))
    signature = base64.b64encode(hmac.digest(token.encode(), signed.encode(), "sha1")).decode()
    return client.post(
        path,
        urlencode(form),
        content_type="application/x-www-form-urlencoded",
        headers={"X-Twilio-Signature": signature},
    ).status_code


def status(message: Message, said: str, **more: str) -> dict[str, str]:
    return {"MessageSid": "SM1", "MessageStatus": said, "To": NUMBER, **more}


def test_an_sms_goes_out_as_its_text_and_twilio_tells_that_it_arrived(api: Provider, client: Client) -> None:
    message = make_queued(make_person())
    assert messages_send() is False  # e-mail has nothing to do with it
    assert api.asked == []
    messages_send(kind=Channel.SMS)

    message.refresh_from_db()
    assert (message.state, DeliveryAttempt.objects.get().response) == ("sent", "SM1")
    body = parse_qs(api.asked[0][2].decode())
    assert (body["Body"], body["To"]) == (["Hello Zoë!"], [NUMBER])
    assert message_again(message.pk) == "Hello Zoë!".encode()
    path = f"/hooks/sms/twilio/{message.pk}"
    assert body["StatusCallback"][0].endswith(path)
    assert told(client, path, status(message, "delivered"), token="somebody-else") == 403
    message.refresh_from_db()
    assert message.state == "sent"
    assert told(client, path, status(message, "delivered", To="+436609999999")) == 204  # another's
    message.refresh_from_db()
    assert message.state == "sent"
    assert [told(client, path, status(message, "delivered")) for _ in range(2)] == [204, 204]
    message.refresh_from_db()
    assert message.state == "delivered"
    assert told(client, f"/hooks/sms/nobody/{message.pk}", {}) == 404


def test_one_of_which_nobody_knew_is_settled_by_twilios_call(api: Provider, client: Client) -> None:
    message = make_queued(make_person())
    api.answer = "drop"
    messages_send(kind=Channel.SMS)
    message.refresh_from_db()
    assert message.state == "uncertain"

    assert told(client, f"/hooks/sms/twilio/{message.pk}", status(message, "queued")) == 204
    message.refresh_from_db()
    assert message.state == "sent"


@pytest.mark.parametrize(("code", "suppressed"), [("30005", True), ("30003", False), ("30007", False)])
def test_a_number_that_does_not_exist_is_suppressed(api: Provider, client: Client, code: str, suppressed: bool) -> None:
    message = make_queued(make_person())
    messages_send(kind=Channel.SMS)

    assert told(client, f"/hooks/sms/twilio/{message.pk}", status(message, "undelivered", ErrorCode=code)) == 204
    message.refresh_from_db()
    assert (message.state, Suppression.objects.exists()) == ("bounced", suppressed)


def test_stop_withdraws_for_all_who_have_the_number(api: Provider, client: Client) -> None:
    one, other = make_person(), make_person()
    waiting = make_queued(one)
    form = {"From": NUMBER, "To": OPTIONS["from"], "Body": "Stop", "MessageSid": "SM2"}

    assert told(client, "/hooks/sms/twilio/reply", form, token="somebody-else") == 403
    assert ConsentState.objects.filter(granted=True).count() == 2
    assert [told(client, "/hooks/sms/twilio/reply", form) for _ in range(2)] == [200, 200]
    left = ConsentState.objects.filter(granted=False, channel="sms", purpose_id="marketing")
    assert set(left.values_list("profile_id", flat=True)) == {one.pk, other.pk}
    assert ConsentRecord.objects.filter(action="withdraw", purpose_id="marketing", method="reply").count() == 2
    assert not Suppression.objects.exists()
    messages_send(kind=Channel.SMS)
    waiting.refresh_from_db()
    assert (waiting.state, waiting.reason, api.asked) == ("withheld", "withdrawn", [])
    # a number that nobody has any more
    assert told(client, "/hooks/sms/twilio/reply", {**form, "From": "+436601111111"}) == 200
    assert Suppression.objects.get().reason == "opt_out"


def test_a_text_too_long_fails_with_its_reason(api: Provider, settings: Settings) -> None:
    settings.SMS_SEGMENTS = 1
    message = make_queued(make_person(), text="a" * 161)
    messages_send(kind=Channel.SMS)

    message.refresh_from_db()
    assert (message.state, message.reason, api.asked) == ("failed", "too_long", [])


def test_without_a_provider_an_sms_waits(settings: Settings) -> None:
    settings.SMS_PROVIDERS = []
    message: Any = make_queued(make_person())
    assert messages_send(kind=Channel.SMS) is False
    message.refresh_from_db()
    assert message.state == "queued"
    assert Account.of(OPTIONS).sender == OPTIONS["from"]
