"""Many messages over a channel, whether it takes several at a time or one."""

from apps.foundation.core.errors import PermanentError, RetryableError

from .contracts import Caller, Envelope, Outcome
from .errors import OutcomeUnknown, Unavailable, Withdrawn
from .falling import OneByOne
from .smtp import SmtpChannel


def channel_ready(channel: OneByOne, waiting: int) -> None:
    """Get a channel ready for so many messages. Raises Unavailable."""
    if isinstance(channel, SmtpChannel):
        channel.open(waiting)
    else:
        channel.open()


def hand_over_all(channel: OneByOne, caller: Caller) -> None:
    """Hand over what the caller gives: by SMTP several at a time, else one after the other.

    Raises as `smtp.SmtpChannel.hand_over_all`.
    """
    if isinstance(channel, SmtpChannel):
        channel.hand_over_all(caller)
    else:
        hand_over_each(channel, caller)


def hand_over_each(channel: OneByOne, caller: Caller) -> None:
    """Hand over what the caller gives, one after the other; raises as `smtp.SmtpChannel.hand_over_all`."""
    while (envelope := caller.next()) is not None:
        caller.done(envelope, _outcome(channel, caller, envelope))


def _outcome(channel: OneByOne, caller: Caller, envelope: Envelope) -> Outcome:
    """What came of one message. Raises Unavailable when the channel is away, after telling that it was not tried."""
    away: Unavailable | None = None
    for _ in range(2):
        try:
            return channel.hand_over(envelope, lambda: caller.may_end(envelope))
        except Unavailable as error:
            # relays close a connection after some messages or some time: once more on a new one
            away = error
            try:
                channel.open()
            except Unavailable:
                caller.done(envelope, Withdrawn())
                raise
        except (RetryableError, PermanentError, OutcomeUnknown, Withdrawn) as error:
            return error
    assert away is not None  # noqa: S101  # twice
    return away
