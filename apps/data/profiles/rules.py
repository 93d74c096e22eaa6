"""What is held of an e-mail address: one verdict at sign-up, before a send and for training, over plain facts. Pure.

Refused is what surely can't work or must not be written to; all else is a word of caution, and what isn't known is
never held against an address.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final


class MailHost(StrEnum):
    """What DNS says of a domain."""

    TAKES = "takes"
    REFUSES = "refuses"
    """It says itself that it takes none (RFC 7505)."""
    NONE = "none"
    """There is no such domain, or nothing that mail could be handed to."""
    UNKNOWN = "unknown"
    """No answer in time, or servers that fail."""


class Verdict(StrEnum):
    """What comes of an address."""

    OK = "ok"
    WARN = "warn"
    REFUSE = "refuse"


SYNTAX: Final = "syntax"
SPAM_TRAP: Final = "spam_trap"
BOUNCED: Final = "bounced"
DISPOSABLE: Final = "disposable"
NULL_MX: Final = "null_mx"
NO_MAIL: Final = "no_mail"
SILENT: Final = "silent"
ROLE: Final = "role"
NO_ANSWER: Final = "no_answer"
"""DNS gave none: nothing speaks against the address, and it is asked again soon."""

_DAY: Final = timedelta(days=1)
HOST_GOOD_FOR: Final = timedelta(days=2)
"""An older answer of DNS says nothing any more."""
_GOOD_FOR: Final[Mapping[str, timedelta]] = {
    SYNTAX: 30 * _DAY,
    SPAM_TRAP: 30 * _DAY,
    BOUNCED: 30 * _DAY,
    DISPOSABLE: 30 * _DAY,
    NULL_MX: 2 * _DAY,  # a domain that is gone today may be there tomorrow: looked at anew before each send
    NO_MAIL: 2 * _DAY,
    SILENT: _DAY,
    NO_ANSWER: timedelta(hours=1),
}
_GOOD_OTHERWISE: Final = 7 * _DAY


@dataclass(frozen=True, slots=True)
class AddressFacts:
    """What is known of an address.

    readable: whether it is one by its syntax; disposable: of a domain that hands out mailboxes to throw away; role:
    read by several people, or by none; host: what DNS said of its domain, host_age ago; bounced: for good; trap: on a
    list of spam traps; silent_for: how long nobody who has it gave a sign of life, None where none could be seen.
    """

    readable: bool = True
    disposable: bool = False
    role: bool = False
    host: MailHost = MailHost.UNKNOWN
    host_age: timedelta = timedelta(0)
    bounced: bool = False
    trap: bool = False
    silent_for: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """What is held of an address, by which code ("" where nothing is to be said), and for how long that holds."""

    verdict: Verdict
    code: str
    good_for: timedelta


def address_judge(
    facts: AddressFacts, *, silent_after: timedelta | None = None, silence_refuses: bool = False
) -> Judged:
    """Judge an address, by the gravest of what is known. silent_after: how long a silence is long, None: never;
    silence_refuses: whether it is more than a word of caution.
    """
    host = facts.host if facts.host_age < HOST_GOOD_FOR else MailHost.UNKNOWN
    silent = silent_after is not None and facts.silent_for is not None and facts.silent_for >= silent_after
    refused = (
        (SYNTAX, not facts.readable),
        (SPAM_TRAP, facts.trap),
        (BOUNCED, facts.bounced),
        (DISPOSABLE, facts.disposable),
        (NULL_MX, host == MailHost.REFUSES),
        (NO_MAIL, host == MailHost.NONE),
        (SILENT, silent and silence_refuses),
    )
    for code, holds in refused:
        if holds:
            return Judged(Verdict.REFUSE, code, _GOOD_FOR[code])
    if silent:
        return Judged(Verdict.WARN, SILENT, _GOOD_FOR[SILENT])
    if facts.role:
        good_for = _GOOD_FOR[NO_ANSWER] if host == MailHost.UNKNOWN else _GOOD_OTHERWISE
        return Judged(Verdict.WARN, ROLE, good_for)
    if host == MailHost.UNKNOWN:
        return Judged(Verdict.OK, NO_ANSWER, _GOOD_FOR[NO_ANSWER])
    return Judged(Verdict.OK, "", _GOOD_OTHERWISE)
