"""The sender's loop: claim, render, gate, hand over, record.

A window is the messages that pass the gate in one transaction, in which the window before is recorded. Between its
commit and the hand-over of each message there is at most GATE_SECONDS, or the gate is asked again. Before the last line
of each message goes out, the lease and the gate's age are looked at, and the journal is written; after it, only the
relay knows.
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
from apps.delivery.channels.contracts import Envelope, Receipt
from apps.delivery.channels.contracts import Outcome as ChannelOutcome
from apps.delivery.channels.dkim import Signer
from apps.delivery.channels.errors import OutcomeUnknown, Unavailable, Withdrawn
from apps.delivery.channels.falling import mail_channel, provider_preferred, sms_channel
from apps.delivery.channels.one_by_one import channel_ready, hand_over_all
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
has taken nothing since it was last away, one is enough: so a relay that answers nothing makes few `uncertain`. After a
fault only one message is under way at a time, until the relay has taken one."""
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


def provider_now(kind: ChannelKind) -> str:
    """Who would take a message of that kind now: its first provider that is not left alone; "" where it has none."""
    named = {ChannelKind.EMAIL: settings.MAIL_PROVIDERS, ChannelKind.SMS: settings.SMS_PROVIDERS}
    return provider_preferred(named.get(kind, []), kind)


def urgent_waiting(kind: ChannelKind) -> bool:
    """Whether something that nobody needs to agree to could go out now."""
    return messages_waiting(channel=kind, provider=provider_now(kind), urgent=True)


def messages_send(
    *, kind: ChannelKind = ChannelKind.EMAIL, seconds: float = LOOP_SECONDS, urgent: bool = False
) -> bool:
    """Send what is due by one kind of channel, for at most about `seconds`. Returns whether something is left that
    could be sent now.

    urgent: only what nobody needs to agree to, so that it waits behind no campaign.
    Nothing due costs one query; a relay that is away costs one connection and touches no message.
    """
    breaker = _breakers.setdefault(kind, Breaker())

    def waiting() -> bool:
        return messages_waiting(channel=kind, provider=provider_now(kind), urgent=urgent)

    if kind not in kinds_set_up() or not breaker.allows(boottime()) or not waiting():
        return False
    try:
        channel = channel_open(kind)
    except Unavailable as error:
        breaker.failed(boottime())
        logger.warning("the relay is away (%s); next try in %.0f s", error.code, breaker.pause)
        return False
    try:
        with SenderProcess() as sender:
            loop = SendLoop(sender, channel, kind=kind, until=boottime() + seconds, urgent=urgent)
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
    return waiting()


class SendLoop:
    """One sender at work. To its channel it is the `Caller`: it gives messages, has the last word, and is told."""

    def __init__(
        self, sender: SenderProcess, channel: Channel, *, kind: ChannelKind, until: float, urgent: bool = False
    ) -> None:
        """until: by `boottime()`."""
        self._sender = sender
        self._urgent = urgent
        self._kind = kind
        self._signer = Signer(settings.DKIM_KEYS if kind == ChannelKind.EMAIL else {})
        self._breaker = _breakers.setdefault(kind, Breaker())
        self._channel = channel
        self._until = until
        self._faults = 0
        self._proven = False
        self._pending: deque[Passed] = deque()
        self._passed: dict[str, Passed] = {}
        self._unbegun: dict[str, Passed] = {}
        self._under_way = 0
        self._results: list[Result] = []
        self._away: RelayAway | None = None
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
            claimed = messages_claim(
                sender_id=self._sender.id,
                channel=self._kind,
                count=settings.SEND_CLAIM,
                provider=provider_now(self._kind),
                urgent=self._urgent,
            )
            if not claimed:
                break
            self._dispatches.update(Dispatch.objects.in_bulk({one.dispatch_id for one in claimed}))
            claimed.sort(key=lambda one: self._dispatches[one.dispatch_id].needs_consent)  # transactional goes first
            prepared, faults = messages_prepare(claimed, self._dispatches, at=now())
            faults_record([(one, faults[one.id]) for one in claimed if one.id in faults])
            self._send_all(prepared)
        self._record()

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
        """One window through the gate and out; what came of it is recorded with the next one's gate, or by `_record`.

        Raises RelayAway after recording what happened.
        """
        try:
            channel_ready(self._channel, len(window))
        except Unavailable as error:
            messages_release(claimed=[item.claimed for item in window])
            self._record()
            raise RelayAway(error.code) from error
        self._lease_ends = boottime() + settings.SEND_LEASE_SECONDS  # before the database counts from its own now
        self._gate_at = boottime()
        try:
            passed = gate_pass(sender_id=self._sender.id, items=window, before=self._results)
        except (OperationalError, InterfaceError, IntegrityError) as error:
            if _connection_lost():
                self._record()
                raise
            # a lock that was not granted, a deadlock, an address taken at the same time: nothing has moved
            logger.warning("a window did not pass the gate (%s); given back", type(error).__name__)
            messages_release(claimed=[item.claimed for item in window], pause_seconds=BUSY_SECONDS)
            return
        except MasterKeyMissing:
            messages_release(claimed=[item.claimed for item in window], pause_seconds=BUSY_SECONDS)
            self._record()
            raise
        self._results = []
        self._pending = deque(passed)
        self._passed = {item.prepared.claimed.key: item for item in passed}
        self._unbegun = dict(self._passed)
        self._giving_back = False
        try:
            hand_over_all(self._channel, self)
        except Unavailable as error:
            self._away = RelayAway(error.code)
        for item in self._pending:
            if item.prepared.claimed.key in self._unbegun:
                self._note(item, Outcome.NOT_TRIED)
        while self._gone:  # the message goes to what else its person has, when it is tried again
            item_gone = self._gone.pop()
            kind = ADDRESS_KIND[self._kind]
            identifier_gone(profile_id=item_gone.claimed.profile_id, kind=kind, value=item_gone.address)
        self._untold.update(item.claimed.dispatch_id for item in window)
        self.live_tell()
        if self._away is not None:
            self._record()
            raise self._away

    def _record(self) -> None:
        """Record what came of the last window, with patience."""
        results, self._results = self._results, []
        if results:
            _with_patience(lambda: results_record(results, sender_id=self._sender.id))

    # --- what the channel asks and tells ---

    def next(self) -> Envelope | None:
        """The next message. Until the relay has taken one, and after a fault, one at a time."""
        careful = self._breaker.pause or self._faults or not self._proven
        while self._pending and self._away is None and not self._giving_back:
            if careful and self._under_way:
                return None
            item = self._pending.popleft()
            prepared = item.prepared
            claimed = prepared.claimed
            if claimed.key not in self._unbegun:
                continue  # taken back by the gate meanwhile
            if not self._may_go(item):
                self._note(item, Outcome.NOT_TRIED)
                continue
            self._under_way += 1
            sender, content, dots = self._dispatches[claimed.dispatch_id].from_email, prepared.content, prepared.dots
            if self._signer.keys:
                content = self._signer.sign(content, from_email=sender, at=int(prepared.dated_at.timestamp()))
                added = len(content) - len(prepared.content)  # signatures stand before the rest
                dots = None if dots is None else [dot + added for dot in dots]
            if settings.BOUNCE_DOMAIN:
                sender = return_path(message_id=claimed.id, key_id=prepared.key_id, otherwise=sender)
            return Envelope(sender, prepared.address, content, claimed.key, dots)
        return None

    def may_end(self, envelope: Envelope) -> bool:
        """The last word on a message; from here on only the relay knows."""
        key = envelope.key
        item = self._passed[key]
        if key not in self._unbegun or not self._may_go(item):
            return False
        self._sender.journal.begin(key, item.number)
        del self._unbegun[key]
        return True

    def done(self, envelope: Envelope, outcome: ChannelOutcome) -> None:
        """What came of a message."""
        item = self._passed[envelope.key]
        self._under_way -= 1
        if isinstance(outcome, Receipt):
            self._faults, self._proven = 0, True
            self._breaker.worked()
            self._note(item, Outcome.ACCEPTED, outcome.code, outcome.response)
        elif isinstance(outcome, Unavailable):
            self._faults += 1
            self._note(item, Outcome.DEFERRED, outcome.code, outcome.message)
        elif isinstance(outcome, RetryableError):
            self._faults = self._faults + 1 if outcome.code == "dropped" else 0
            if outcome.code == GONE:
                self._gone.append(item.prepared)
            self._note(item, Outcome.DEFERRED, outcome.code, outcome.message)
        elif isinstance(outcome, PermanentError):
            self._faults = 0
            self._note(item, Outcome.REFUSED, outcome.code, outcome.message)
        elif isinstance(outcome, OutcomeUnknown):
            self._faults += 1
            self._note(item, Outcome.UNKNOWN, outcome.code, outcome.message)
        elif isinstance(outcome, Withdrawn):
            # back to the queue; where the gate gave another verdict, that stays (conditional update)
            self._note(item, Outcome.NOT_TRIED)
        else:
            raise outcome
        if self._faults >= (1 if self._breaker.pause else FAULTS_IN_A_ROW):
            self._away = self._away or RelayAway("it drops connections")

    def _note(self, item: Passed, outcome: Outcome, code: str = "", response: str = "") -> None:
        """Write an outcome into the journal, and keep it for the ledger."""
        claimed = item.prepared.claimed
        self._unbegun.pop(claimed.key, None)
        self._results.append(
            Result(
                message_id=claimed.key,
                fence=claimed.fence,
                number=item.number,
                outcome=outcome,
                code=code,
                response=response,
                reason=code if outcome == Outcome.REFUSED and not code[:1].isdigit() else "",
            )
        )
        self._sender.journal.end(claimed.key, item.number, outcome, code)

    def _may_go(self, item: Passed) -> bool:
        """Whether the message may go out this moment: the claim is good, and the gate's answer fresh.

        An older answer is asked for again, for all messages whose end has not gone out.
        """
        asked_at = boottime()
        if asked_at >= self._lease_ends:
            return False
        if asked_at - self._gate_at <= GATE_SECONDS:
            return True
        try:
            still = gate_ask_again(sender_id=self._sender.id, items=list(self._unbegun.values()))
        except (OperationalError, MasterKeyMissing) as error:
            if _connection_lost():
                raise
            logger.warning("the gate did not answer again (%s); the window is given back", type(error).__name__)
            self._giving_back = True
            return False
        self._gate_at = asked_at
        self._lease_ends = asked_at + settings.SEND_LEASE_SECONDS
        self._unbegun = {one.prepared.claimed.key: one for one in still}
        return item.prepared.claimed.key in self._unbegun and boottime() - self._gate_at <= GATE_SECONDS

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
