"""What delivery needs to know of a run, and nothing more."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Occasion:
    """What a system mail is about. kind: of `profiles.mail.MailKind`; key: of whoever wanted it."""

    kind: str
    key: str


@dataclass(frozen=True, slots=True)
class DispatchTerms:
    """The terms under which a run's messages go out.

    occasion: playbook, step, channel and key, as one text: one person gets one message for it;
    topic: what it is about, "" for none; mail_kind: which system mail it is, "" for none;
    needs_consent: False for a transactional purpose; cap_count, cap_days: None without a cap; priority: 1 to 9, the
    higher goes first where a cap lets one through; hours: when it may go out, `{"quiet": {"start", "end"} or None,
    "days": [weekdays], "zone"}`, None for always.
    """

    run_id: int
    label: str
    occasion: str
    purpose: str
    topic: str
    mail_kind: str
    needs_consent: bool
    channel: str
    from_name: str
    from_email: str
    reply_to: str
    link_hosts: tuple[str, ...]
    cap_count: int | None
    cap_days: int | None
    not_after: datetime
    cancelled: bool
    priority: int = 5
    hours: dict[str, Any] | None = None
