"""Several providers of one kind, the preferred one first: who fails is left alone for a while, and the next takes over.

A message goes to the next provider only when the one before surely did not take it (`Unavailable`). What may have been
taken is never tried elsewhere. Three in a row that were dropped, refused for now or not answered open the breaker too.
"""

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from apps.foundation.core.errors import RetryableError

from .breaker import Breaker
from .contracts import Envelope, Receipt
from .errors import OutcomeUnknown, Unavailable
from .esp import EspChannel
from .message_webhook import MessageWebhook
from .smtp import SmtpChannel, relay_parse
from .twilio import TIMEOUT_SECONDS, Account, TwilioChannel

logger = logging.getLogger(__name__)

FAULTS_IN_A_ROW: Final = 3


class OneByOne(Protocol):
    """A channel that takes one message at a time."""

    def open(self) -> None: ...

    def hand_over(self, envelope: Envelope, before_end: Callable[[], bool]) -> Receipt: ...

    def close(self) -> None: ...


@dataclass(slots=True)
class Provider:
    """One provider, with what is remembered of it for as long as the process lives."""

    name: str
    channel: OneByOne
    breaker: Breaker = field(default_factory=Breaker)
    faults: int = 0

    def failed(self, at: float, code: str) -> None:
        """Leave it alone for a while."""
        self.faults = 0
        self.breaker.failed(at)
        self.channel.close()
        logger.warning("provider %s is left alone for %.0f s (%s)", self.name, self.breaker.pause, code)


_remembered: dict[str, Breaker] = {}
"""What this process knows of each provider, beyond one sender's time."""


def mail_channel(
    providers: Sequence[tuple[str, Mapping[str, Any]]], *, smtp_url: str, hostname: str, inside: Collection[str] = ()
) -> "OneByOne | FallingChannel":
    """E-mail by these providers, the preferred one first: `smtp`, `webhook`, or a name of `esp.PROVIDERS`, with its
    options. inside: hosts of one's own network, for webhooks.

    Raises ValueError for what can't be set up.
    """
    made: list[Provider] = []
    for name, options in providers:
        smtp = name == "smtp"
        channel: OneByOne
        if name == "webhook":
            channel = MessageWebhook(options, as_text=False, inside=inside)
        else:
            channel = SmtpChannel(relay_parse(smtp_url), hostname=hostname) if smtp else EspChannel(name, options)
        made.append(Provider(name, channel, _remembered.setdefault(name, Breaker())))
    return made[0].channel if len(made) == 1 else FallingChannel(made)


def sms_channel(
    providers: Sequence[tuple[str, Mapping[str, Any]]],
    *,
    base_url: str,
    inside: Collection[str] = (),
    timeout: float = TIMEOUT_SECONDS,
) -> "FallingChannel":
    """SMS by these, the preferred one first: name and options of each. Raises ValueError.

    Who has a `url` is a webhook, the others are accounts at Twilio; inside: hosts of one's own network, for webhooks.
    """
    made = []
    for name, options in providers:
        channel: OneByOne
        if "url" in options:
            channel = MessageWebhook(options, as_text=True, inside=inside, timeout=timeout)
        else:
            callback = f"{base_url.rstrip('/')}/hooks/sms/{name}/"
            channel = TwilioChannel(Account.of(options), callback_url=callback, timeout=timeout)
        made.append(Provider(name, channel, _remembered.setdefault(f"sms:{name}", Breaker())))
    return FallingChannel(made)


def provider_preferred(providers: Sequence[tuple[str, Mapping[str, Any]]], kind: str) -> str:
    """The name of the first of a kind's providers (`email`, `sms`) that may be tried now; of the first if none may."""
    for name, _ in providers:
        known = _remembered.get(name if kind == "email" else f"{kind}:{name}")
        if known is None or known.allows(time.monotonic()):
            return name
    return providers[0][0] if providers else ""


class FallingChannel:
    """Hands over by the first provider that may be tried. Not for use by several threads."""

    def __init__(self, providers: Sequence[Provider], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._providers = providers
        self._clock = clock

    def open(self) -> None:
        """Get the first ready that can be. Raises Unavailable when none can."""
        self._ready()

    def hand_over(self, envelope: Envelope, before_end: Callable[[], bool]) -> Receipt:
        """Hand one message over, by the next provider where one is away. Raises as each of them."""
        while True:
            provider = self._ready()
            try:
                receipt = provider.channel.hand_over(envelope, before_end)
            except Unavailable as error:
                provider.failed(self._clock(), error.code)
                continue
            except (RetryableError, OutcomeUnknown) as error:
                provider.faults += 1
                if provider.faults >= FAULTS_IN_A_ROW:
                    provider.failed(self._clock(), error.code)
                raise
            provider.faults = 0
            provider.breaker.worked()
            return receipt

    def close(self) -> None:
        """Let go of all of them."""
        for provider in self._providers:
            provider.channel.close()

    def _ready(self) -> Provider:
        last = Unavailable("all_away", "no provider may be tried now")
        for provider in self._providers:
            if not provider.breaker.allows(self._clock()):
                continue
            try:
                provider.channel.open()
            except Unavailable as error:
                provider.failed(self._clock(), error.code)
                last = error
            else:
                return provider
        raise last
