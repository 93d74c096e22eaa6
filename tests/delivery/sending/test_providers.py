"""A send that begins at a provider that is away and ends at another: each message once."""

from collections import Counter
from collections.abc import Iterator

import pytest
from pytest_django import Settings

from apps.delivery.channels import falling
from apps.delivery.sending.models import DeliveryAttempt, Message
from apps.delivery.sending.services import dispatch_take_up
from apps.delivery.sending.windows import messages_send
from config.providers import mail_hooks_read, mail_providers_read
from tests.delivery.channels.test_esp import GOOD, Provider
from tests.delivery.makers import make_compiled, make_decisions, make_people, make_run
from tests.delivery.relay import Relay


@pytest.fixture
def api(settings: Settings) -> Iterator[Provider]:
    """A provider's API behind the relay."""
    one = Provider()
    one.answer = (200, lambda said: {**GOOD["postmark"][1], "To": said["To"]})
    settings.MAIL_PROVIDERS = [("smtp", {}), ("postmark", {"server_token": "t", "api_url": one.url})]
    falling._remembered.clear()
    yield one
    one.server.shutdown()
    one.server.server_close()


def queued(size: int) -> None:
    run = make_run()
    make_decisions(run, make_people(size), make_compiled())
    dispatch_take_up(run_id=run.pk)


@pytest.mark.usefixtures("ledger")
def test_with_the_relay_away_the_provider_takes_the_mail(api: Provider, settings: Settings) -> None:
    settings.SMTP_URL = "smtp://127.0.0.1:1?timeout=1"
    queued(25)

    assert messages_send() is False
    assert Counter(Message.objects.values_list("state", flat=True)) == {"sent": 25}
    told = [said["Metadata"]["tessera"] for _, _, said in api.asked]
    assert sorted(told) == sorted(str(pk) for pk in Message.objects.values_list("pk", flat=True))


@pytest.mark.usefixtures("ledger")
def test_with_the_relay_there_the_provider_is_not_asked(api: Provider, relay: Relay) -> None:
    queued(3)
    messages_send()

    assert (len(relay.accepted), api.asked) == (3, [])


@pytest.mark.usefixtures("ledger")
def test_a_message_that_may_have_been_taken_goes_nowhere_else(api: Provider, relay: Relay) -> None:
    relay.plan = lambda recipient: "drop after"
    queued(1)
    messages_send()

    assert Message.objects.get().state == "uncertain"
    assert DeliveryAttempt.objects.count() == 1
    assert api.asked == []


@pytest.mark.parametrize("given", [None, [], {}, ["postmark"], [1], ["smtp", "smtp"], [{"server_token": "t0ps3cret"}]])
def test_providers_that_can_not_be_meant_stop_the_start(given: object) -> None:
    with pytest.raises(ValueError, match="MAIL_PROVIDERS") as caught:
        mail_providers_read(given)
    assert "t0ps3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [None, [], {"nobody": "x" * 20}, {"postmark": "without-colon-t0ps3cret"}, {"ses": "topic"}, {"sendgrid": 1}],
)
def test_hooks_that_can_not_be_meant_stop_the_start(given: object) -> None:
    with pytest.raises(ValueError, match="MAIL_HOOKS") as caught:
        mail_hooks_read(given)
    assert "t0ps3cret" not in str(caught.value)
