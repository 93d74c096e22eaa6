"""The sender's loop: claim, render, gate, hand over, record.

A window is the messages that pass the gate in one transaction. Between its commit and the hand-over of each message
there is at most GATE_SECONDS, or the gate is asked again. Before the last line of each message goes out, the lease and
the gate's age are looked at, and the journal is written; after it, only the relay knows.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, TypeVar
from urllib.parse import urlsplit

from django.conf import settings
from django.db import Error as AnyDatabaseError
from django.db import IntegrityError, InterfaceError, OperationalError, connection

from apps.data.consent.models import Channel as ChannelKind
from apps.data.consent.selectors import ADDRESS_KIND
from apps.data.profiles.addresses import identifier_gone
from apps.data.profiles.errors import MasterKeyMissing
from apps.delivery.channels.breaker import Breaker
from apps.delivery.channels.contracts import Envelope
from apps.delivery.channels.errors import OutcomeUnknown, Unavailable, Withdrawn
from apps.delivery.channels.falling import mail_channel, sms_channel
from apps.delivery.channels.push import GONE, PushChannel
from apps.delivery.channels.web import WebChannel
from apps.foundation.core.clock import now
from apps.foundation.core.errors import PermanentError, RetryableError
from apps.foundation.core.live import live_publish

from .claims import messages_claim, messages_release, messages_waiting
from .contracts import Channel, Passed, Prepared, Result
from .gate import GATE_SECONDS, gate_ask_again, gate_pass
from .models import DeliveryAttempt, Dispatch
from .rendering import messages_prepare
from .results import faults_record, results_record
from .returns import return_path
from .sender import SenderProcess, boottime

logger = logging.getLogger(__name__)

Outcome = DeliveryAttempt.Outcome
T = TypeVar("T")

LOOP_SECONDS: Final = 60.0
"""After so long a sender ends and another is woken, so that a worker can be stopped politely."""
FAULTS_IN_A_ROW: Final = 3
"""So many hand-overs in a row that end in a lost connection are the relay's fault, not the messages'. While the relay
has taken nothing since it was last away, one is enough: so a relay that answers nothing makes few `uncertain`."""
BUSY_SECONDS: Final = 2.0
LIVE_SECONDS: Final = 0.5
RECORD_SECONDS: Final = 60.0
"""How long results are held while the database is away; then the journal has them, and the sweeper settles."""

breaker = Breaker()
"""Of the relay, in this process. Others learn by themselves: a try costs a connection, and no message."""
_breakers = {ChannelKind.EMAIL: breaker}
"""Of each kind of channel."""


class RelayAway(Exception):
    """The relay is out of reach, or does not behave: no more is tried for now."""


def kinds_set_up() -> list[ChannelKind]:
    """The kinds of channel that somebody hands over; messages of the others wait."""
    others = ((ChannelKind.SMS, settings.SMS_PROVIDERS), (ChannelKind.PUSH, settings.PUSH_KEY))
    return [ChannelKind.EMAIL, ChannelKind.WEB, *(kind for kind, given in others if given)]


def channel_open(kind: ChannelKind = ChannelKind.EMAIL) -> Channel:
    """A channel of that kind, connected. Raises Unavailable, ValueError for settings that can't be meant."""
    channel: Channel
    if kind == ChannelKind.SMS:
        channel = sms_channel(settings.SMS_PROVIDERS, base_url=settings.BASE_URL, inside=settings.WEBHOOK_INSIDE_HOSTS)
    elif kind == ChannelKind.WEB:
        channel = WebChannel()
    elif kind == ChannelKind.PUSH:
        contact = settings.PUSH_CONTACT or settings.BASE_URL
        channel = PushChannel(key=settings.PUSH_KEY, contact=contact, inside=settings.WEBHOOK_INSIDE_HOSTS)
    else:
        channel = mail_channel(
            settings.MAIL_PROVIDERS,
            smtp_url=settings.SMTP_URL,
            hostname=urlsplit(settings.BASE_URL).hostname or "",
            inside=settings.WEBHOOK_INSIDE_HOSTS,
        )
    channel.open()
    return channel


def messages_send(*, kind: ChannelKind = ChannelKind.EMAIL, seconds: float = LOOP_SECONDS) -> bool:
    """Send what is due by one kind of channel, for at most about `seconds`. Returns whether something is left that
    could be sent now.

    Nothing due costs one query; a relay that is away costs one connection and touches no message.
    """
    breaker = _breakers.setdefault(kind, Breaker())
    if kind not in kinds_set_up() or not breaker.allows(boottime()) or not messages_waiting(channel=kind):
        return False
    try:
        channel = channel_open(kind)
    except Unavailable as error:
        breaker.failed(boottime())
        logger.warning("the relay is away (%s); next try in %.0f s", error.code, breaker.pause)
        return False
    try:
        with SenderProcess() as sender:
            loop = SendLoop(sender, channel, kind=kind, until=boottime() + seconds)
            try:
                loop.run()
            except RelayAway as error:
                breaker.failed(boottime())
                logger.warning("the relay left (%s); next try in %.0f s", error, breaker.pause)
                return False
            finally:
                loop.live_tell(at_once=True)
    except MasterKeyMissing as error:
        logger.error("nothing is sent: %s", error.message)
        return False
    except (AnyDatabaseError, OSError) as error:
        # what this sender held is in its journal; the sweeper settles it, and wakes another sender
        logger.error("sender stopped: %s", type(error).__name__)
        connection.close()
        return False
    finally:
        channel.close()
    return messages_waiting(channel=kind)


class SendLoop:
    """One sender at work."""

    def __init__(self, sender: SenderProcess, channel: Channel, *, kind: ChannelKind, until: float) -> None:
        """until: by `boottime()`."""
        self._sender = sender
        self._kind = kind
        self._breaker = _breakers.setdefault(kind, Breaker())
        self._channel = channel
        self._until = until
        self._faults = 0
        self._pending: deque[Passed] = deque()
        self._gate_at = 0.0
        self._lease_ends = 0.0
        self._giving_back = False
        self._dispatches: dict[int, Dispatch] = {}
        self._told_at = 0.0
        self._untold: set[int] = set()
        self._gone: list[Prepared] = []

    def run(self) -> None:
        """Work until nothing is due or the time is up. Raises RelayAway; what was not begun is given back before."""
        while boottime() < self._until:
            claimed = messages_claim(sender_id=self._sender.id, channel=self._kind, count=settings.SEND_CLAIM)
            if not claimed:
                return
            self._dispatches.update(Dispatch.objects.in_bulk({one.dispatch_id for one in claimed}))
            claimed.sort(key=lambda one: self._dispatches[one.dispatch_id].needs_consent)  # transactional goes first
            prepared, faults = messages_prepare(claimed, self._dispatches, at=now())
            faults_record([(one, faults[one.id]) for one in claimed if one.id in faults])
            self._send_all(prepared)

    def _send_all(self, prepared: Sequence[Prepared]) -> None:
        size = settings.SEND_WINDOW
        for start in range(0, len(prepared), size):
            if boottime() >= self._until:
                messages_release(claimed=[item.claimed for item in prepared[start:]])
                return
            try:
                self._window_send(prepared[start : start + size])
            except (RelayAway, MasterKeyMissing):
                messages_release(claimed=[item.claimed for item in prepared[start + size :]])
                raise

    def _window_send(self, window: Sequence[Prepared]) -> None:
        """One window through the gate and out. Raises RelayAway after recording what happened."""
        self._lease_ends = boottime() + settings.SEND_LEASE_SECONDS  # before the database counts from its own now
        gate_at = boottime()
        try:
            passed = gate_pass(sender_id=self._sender.id, items=window)
        except (OperationalError, IntegrityError) as error:
            if _connection_lost():
                raise
            # a lock that was not granted, a deadlock, an address taken at the same time: nothing has moved
            logger.warning("a window did not pass the gate (%s); given back", type(error).__name__)
            messages_release(claimed=[item.claimed for item in window], pause_seconds=BUSY_SECONDS)
            return
        except MasterKeyMissing:
            messages_release(claimed=[item.claimed for item in window], pause_seconds=BUSY_SECONDS)
            raise
        self._gate_at = gate_at
        self._pending = deque(passed)
        self._giving_back = False
        results: list[Result] = []
        away: RelayAway | None = None
        while self._pending:
            item = self._pending.popleft()
            if away is not None or self._giving_back:
                results.append(self._result(item, Outcome.NOT_TRIED))
                continue
            try:
                result = self._hand_over(item)
            except RelayAway as error:
                away = error
                results.append(self._result(item, Outcome.NOT_TRIED))
                continue
            if result is not None:
                results.append(result)
                self._sender.journal.end(item.prepared.claimed.id, item.number, result.outcome, result.code)
            if self._faults >= (1 if self._breaker.pause else FAULTS_IN_A_ROW):
                away = RelayAway("it drops connections")
        _with_patience(lambda: results_record(results))
        while self._gone:  # the message goes to what else its person has, when it is tried again
            item_gone = self._gone.pop()
            kind = ADDRESS_KIND[self._kind]
            identifier_gone(profile_id=item_gone.claimed.profile_id, kind=kind, value=item_gone.address)
        self._untold.update(item.claimed.dispatch_id for item in window)
        self.live_tell()
        if away is not None:
            raise away

    def _hand_over(self, item: Passed) -> Result | None:
        """One message. None when the gate took it back. Raises RelayAway when nothing was tried."""
        if not self._may_go(item):
            return self._held_back(item)
        claimed = item.prepared.claimed
        envelope = Envelope(
            sender=return_path(
                message_id=claimed.id,
                key_id=item.prepared.key_id,
                otherwise=self._dispatches[claimed.dispatch_id].from_email,
            ),
            recipient=item.prepared.address,
            content=item.prepared.content,
            key=str(claimed.id),
        )

        def before_end() -> bool:
            if not self._may_go(item):
                return False
            self._sender.journal.begin(claimed.id, item.number)
            return True

        for fresh in (False, True):
            try:
                receipt = self._channel.hand_over(envelope, before_end)
            except Withdrawn:
                return self._held_back(item)
            except Unavailable as error:
                # relays close a connection after some messages or some time: once more on a new one
                try:
                    self._channel.open()
                except Unavailable as closed:
                    raise RelayAway(closed.code) from closed
                if fresh:
                    self._faults += 1
                    return self._result(item, Outcome.DEFERRED, error.code, error.message)
            except RetryableError as error:
                self._faults = self._faults + 1 if error.code == "dropped" else 0
                if error.code == GONE:
                    self._gone.append(item.prepared)
                return self._result(item, Outcome.DEFERRED, error.code, error.message)
            except PermanentError as error:
                self._faults = 0
                return self._result(item, Outcome.REFUSED, error.code, error.message)
            except OutcomeUnknown as error:
                self._faults += 1
                return self._result(item, Outcome.UNKNOWN, error.code, error.message)
            else:
                self._faults = 0
                self._breaker.worked()
                return self._result(item, Outcome.ACCEPTED, receipt.code, receipt.response)
        raise AssertionError("the loop above returns")

    def _may_go(self, item: Passed) -> bool:
        """Whether the message may go out this moment: the claim is good, and the gate's answer fresh.

        An older answer is asked for again, for this message and all that wait behind it.
        """
        if boottime() >= self._lease_ends:
            return False
        if boottime() - self._gate_at <= GATE_SECONDS:
            return True
        waiting = [item, *self._pending]
        asked_at = boottime()
        try:
            still = gate_ask_again(items=waiting)
        except (OperationalError, MasterKeyMissing) as error:
            if _connection_lost():
                raise
            logger.warning("the gate did not answer again (%s); the window is given back", type(error).__name__)
            self._giving_back = True
            return False
        self._gate_at = asked_at
        self._lease_ends = asked_at + settings.SEND_LEASE_SECONDS
        allowed = {one.prepared.claimed.id for one in still}
        self._pending = deque(one for one in self._pending if one.prepared.claimed.id in allowed)
        return item.prepared.claimed.id in allowed and boottime() - self._gate_at <= GATE_SECONDS

    def _held_back(self, item: Passed) -> Result:
        """Not begun: back to the queue. Where the gate gave another verdict, that stays (conditional update)."""
        return self._result(item, Outcome.NOT_TRIED)

    def _result(self, item: Passed, outcome: Outcome, code: str = "", response: str = "") -> Result:
        return Result(
            message_id=item.prepared.claimed.id,
            fence=item.prepared.claimed.fence,
            number=item.number,
            outcome=outcome,
            code=code,
            response=response,
            reason=code if outcome == Outcome.REFUSED and not code[:1].isdigit() else "",
        )

    def live_tell(self, *, at_once: bool = False) -> None:
        """Tell the pages of the runs that moved, a few times a second at most."""
        if self._untold and (at_once or boottime() - self._told_at >= LIVE_SECONDS):
            for dispatch_id in self._untold:
                live_publish(f"run-{self._dispatches[dispatch_id].run_id}")
            self._untold.clear()
            self._told_at = boottime()


def _connection_lost() -> bool:
    """Whether the last error took the connection along; else it took one transaction, and nothing has moved."""
    return connection.connection is None or bool(connection.connection.closed)


def _with_patience(record: Callable[[], T]) -> T:
    """Run a recording that may be repeated, while the database is away for at most RECORD_SECONDS."""
    ends, pause = boottime() + RECORD_SECONDS, 0.1
    while True:
        try:
            return record()
        except (OperationalError, InterfaceError) as error:
            if boottime() + pause >= ends:
                raise
            logger.warning("results wait for the database (%s)", type(error).__name__)
            connection.close()
            time.sleep(pause)
            pause = min(pause * 2, 2.0)
