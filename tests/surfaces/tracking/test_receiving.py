"""Mail that comes back: by a pipe and by LMTP, to the state of its message; what is forged changes nothing."""

import asyncio
import io
import os
import smtplib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError
from pytest_django import Settings

from apps.data.consent.models import ConsentState, Suppression
from apps.delivery.sending.models import EventRaw, Message, MessageEvent
from apps.delivery.sending.services import dispatch_take_up
from apps.delivery.sending.windows import messages_send
from apps.surfaces.tracking.listening import listen
from apps.surfaces.tracking.receiving import Taken, mail_take, recipient_known
from tests.delivery.channels.test_bounces import complaint, dsn
from tests.delivery.makers import make_compiled, make_decisions, make_people, make_run
from tests.delivery.relay import Accepted, Relay

pytestmark = pytest.mark.usefixtures("ledger")

DOMAIN = "returns.shop.example"


@pytest.fixture(autouse=True)
def domain(settings: Settings) -> None:
    settings.BOUNCE_DOMAIN = DOMAIN


def make_sent(relay: Relay, size: int = 1) -> list[Accepted]:
    """Messages that the relay took, each with its return path."""
    run = make_run()
    make_decisions(run, make_people(size), make_compiled())
    dispatch_take_up(run_id=run.pk)
    messages_send()
    assert len(relay.accepted) == size
    return relay.accepted


def box(one: Accepted) -> str:
    """The return path of a message."""
    assert one.sender is not None
    return one.sender


def state_of(one: Accepted) -> str:
    return Message.objects.get(pk=one.message_id).state


def nothing_changed() -> bool:
    return not (
        MessageEvent.objects.exists() or Suppression.objects.exists() or Message.objects.exclude(state="sent").exists()
    )


@pytest.fixture
def lmtp() -> Iterator[int]:
    """The listener, in a thread; its port."""
    loop, port, stop = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    found: list[int] = []

    def ready(number: int) -> None:
        found.append(number)
        port.set()

    thread = threading.Thread(target=lambda: loop.run_until_complete(listen("127.0.0.1", 0, ready=ready, stop=stop)))
    thread.start()
    assert port.wait(30)
    yield found[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join(30)
    loop.close()


def test_each_message_has_a_return_path_of_its_own_and_its_bounce_counts_once(relay: Relay) -> None:
    first, second = make_sent(relay, 2)
    assert box(first) != box(second)
    assert box(first).endswith(f"@{DOMAIN}")
    assert recipient_known(box(first))

    assert mail_take(recipient=box(first), content=dsn()) is Taken.NEW
    assert mail_take(recipient=box(first), content=dsn()) is Taken.AGAIN  # the mail server tried again
    assert (state_of(first), state_of(second)) == ("bounced", "sent")
    assert MessageEvent.objects.get().reason == "no_such_user"
    assert Suppression.objects.get().reason == "bounce"
    assert EventRaw.objects.count() == 1
    assert "@" not in MessageEvent.objects.get().response


def test_what_is_forged_or_says_nothing_changes_nothing(relay: Relay) -> None:
    (one,) = make_sent(relay)
    at = box(one).index("@")
    forged = box(one)[: at - 3] + ("aa" if box(one)[at - 3 : at - 1] != "aa" else "bb") + box(one)[at - 1 :]

    assert mail_take(recipient=forged, content=dsn()) is Taken.UNKNOWN
    assert mail_take(recipient=f"news@{DOMAIN}", content=dsn()) is Taken.UNKNOWN
    assert mail_take(recipient=box(one).replace(DOMAIN, "elsewhere.example"), content=dsn()) is Taken.UNKNOWN
    assert mail_take(recipient=box(one), content=b"Subject: Re: News\r\n\r\nThank you!") is Taken.NOTHING
    assert nothing_changed()


def test_a_complaint_is_believed_by_the_link_in_the_message_it_holds(relay: Relay) -> None:
    (one,) = make_sent(relay)
    complaints = f"Complaints@{DOMAIN}"
    held = complaint().replace(b"Subject: News\r\n\r\nHello\r\n", one.content)

    assert mail_take(recipient=complaints, content=complaint()) is Taken.NOTHING  # of no message
    assert mail_take(recipient=complaints, content=held.replace(b"/u/", b"/p/")) is Taken.NOTHING
    assert mail_take(recipient=complaints, content=dsn() + one.content) is Taken.NOTHING  # not a complaint
    assert nothing_changed()
    assert mail_take(recipient=complaints, content=held) is Taken.NEW
    assert state_of(one) == "complained"
    assert Suppression.objects.get().reason == "complaint"
    assert not ConsentState.objects.get(purpose="marketing").granted


def piped(recipient: str, content: bytes, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of the command that a mail server pipes to."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    try:
        call_command("bounce_receive", recipient, stdout=io.StringIO(), stderr=io.StringIO())
    except SystemExit as ended:
        return int(ended.code or 0)
    return os.EX_OK


def test_the_pipe_answers_in_the_words_of_mail_servers(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    (one,) = make_sent(relay)

    assert piped(f"stranger@{DOMAIN}", dsn(), monkeypatch) == os.EX_NOUSER
    with monkeypatch.context() as patch:
        patch.setattr("apps.surfaces.tracking.receiving.reports_take", _away)
        assert piped(box(one), dsn(), patch) == os.EX_TEMPFAIL  # it comes again
    assert nothing_changed()
    assert piped(box(one), dsn(), monkeypatch) == os.EX_OK
    assert piped(box(one), dsn(), monkeypatch) == os.EX_OK
    assert state_of(one) == "bounced"


def _away(*_: Any) -> None:
    raise OperationalError("away")


def test_by_lmtp_each_recipient_has_an_answer(relay: Relay, lmtp: int, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = make_sent(relay, 2)
    with smtplib.LMTP("127.0.0.1", lmtp) as server:
        server.ehlo_or_helo_if_needed()
        assert server.mail("")[0] == 250
        assert server.rcpt(f"stranger@{DOMAIN}")[0] == 550
        assert [server.rcpt(box(one))[0] for one in (first, second)] == [250, 250]
        server.putcmd("data")
        assert server.getreply()[0] == 354
        server.send(dsn() + b".\r\n")
        assert [server.getreply()[0] for _ in range(2)] == [250, 250]  # one for each that was taken (RFC 2033, 4.2)
        assert (state_of(first), state_of(second)) == ("bounced", "bounced")
        # with the database away it stays with the mail server
        with monkeypatch.context() as patch:
            patch.setattr("apps.surfaces.tracking.receiving.reports_take", _away)
            server.mail("")
            server.rcpt(box(first))
            code, text = server.data(complaint())
            assert (code, text.split()[0]) == (451, b"4.3.0")
    assert MessageEvent.objects.count() == 2


def test_the_listener_waits_for_whom_to_hear(lmtp: int) -> None:
    with socket.create_connection(("127.0.0.1", lmtp), timeout=10) as plain:
        stream = plain.makefile("rwb")
        assert stream.readline().startswith(b"220 ")
        stream.write(b"EHLO x\r\n")
        stream.flush()
        assert stream.readline().startswith(b"500 ")  # LMTP says LHLO
