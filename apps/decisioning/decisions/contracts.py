"""Plain data: what delivery needs to know of a run, and what everybody alike was chosen."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Occasion:
    """What a system mail is about. kind: of `profiles.mail.MailKind`; key: of whoever wanted it."""

    kind: str
    key: str


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen for everybody who is alike in all that the engine looks at (`choices.py`). Shared: nobody changes
    anything of it.

    language, compiled, tier, slots, reasons: as in a verdict; seen: what was looked at, as decisions keep it; looked:
    ids of the items that were looked at, in their order; mark: over what the catalog says of these; packed: all of it
    that a decision keeps, ready to be sealed; written: slots, reasons, and by name what was looked at, as JSON with
    sorted names.
    """

    language: str
    compiled: int | None
    tier: str
    slots: dict[str, Any]
    reasons: dict[str, Any]
    seen: dict[str, Any]
    looked: tuple[int, ...]
    mark: bytes
    packed: bytes
    written: tuple[orjson.Fragment, orjson.Fragment, Mapping[str, orjson.Fragment]]


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
