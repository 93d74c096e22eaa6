"""System mail: what the data's own work wants to tell one person, such as a link that they asked for.

Down here it is only wanted. Who carries it (the published playbook of its kind, through decision, gate and ledger like
any message) is set from above, in `ready()`.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

from apps.foundation.core.errors import Invalid


class MailKind(StrEnum):
    """What a system mail is for."""

    CONFIRM = "confirm"
    LINK = "link"
    WELCOME = "welcome"
    EXPORT = "export"
    ADDRESS = "address"
    MOVED = "moved"
    DIGEST = "digest"


class MailCarrier(Protocol):
    """Makes messages of what is wanted."""

    def want(self, *, kind: MailKind, profile_id: int, key: str) -> None:
        """Note in the caller's transaction that a mail is wanted; the same kind, person and key once."""

    def ready(self, *, kind: MailKind) -> bool:
        """Whether such mails go out at present."""


_carriers: list[MailCarrier] = []


def mail_carrier_set(carrier: MailCarrier) -> None:
    """Have `carrier` make the mails, in place of any before it."""
    _carriers[:] = [carrier]


def mail_want(*, kind: str, profile_id: int, key: str) -> None:
    """Have a system mail sent to one person, once this transaction commits; for the same kind and key only once.

    key: what it is about, such as `opt-in:17` or a UUID, 1 to 120 printable characters, no personal data: the link in
    the mail leads back to it (`decisions.selectors.occasion_of`).
    It goes out within seconds; while no playbook of the kind is published it waits for one, for a day. Whether the
    person may get it is decided like for any message: a suppressed address gets nothing.
    Raises Invalid for an unknown kind or a wrong key.
    """
    if kind not in list(MailKind):
        raise Invalid("mail_kind", f"There is no system mail of the kind {kind!r}")
    if not key or len(key) > 120 or not key.isprintable():
        raise Invalid("mail_key", "Name what the mail is about in 1 to 120 characters")
    for carrier in _carriers:
        carrier.want(kind=MailKind(kind), profile_id=profile_id, key=key)


About = tuple[int, str]
"""Whom a mail is wanted for (the profile's id), and its key."""
AddressFinder = Callable[[Sequence[About]], Mapping[About, str]]
_finders: dict[str, AddressFinder] = {}


def mail_goes_elsewhere(kind: MailKind, finder: AddressFinder) -> None:
    """Have mails of a kind go to an address that is not the person's main one, in an app's `ready()`.

    finder: the address (an e-mail, normalized) of each mail that should still go out; asked under the gate. Such mails
    hold no link by which their reader could act for the person (`consent.links.links_elsewhere`).
    """
    _finders[kind] = finder


def mail_is_elsewhere(kind: str) -> bool:
    """Whether mails of a kind go to another address than the person's main one."""
    return kind in _finders


def mail_addresses(kind: str, about: Sequence[About]) -> Mapping[About, str]:
    """The addresses that mails of such a kind go to; without those that should not go out any more."""
    return _finders[kind](about)


def mail_ready(kind: str) -> bool:
    """Whether system mails of a kind go out: pages that depend on one say so kindly when it doesn't."""
    return any(carrier.ready(kind=MailKind(kind)) for carrier in _carriers)
