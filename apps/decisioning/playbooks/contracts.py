"""The spec that a PlaybookVersion pins: what it sends, to whom, under which rules. Plain data, JSON in the database."""

from typing import Any, NotRequired, TypedDict

from apps.decisioning.content.contracts import BrandSpec, TierSpec

__all__ = ["BrandSpec", "CapSpec", "EventSpec", "GuardrailSpec", "PlaybookSpec", "StepSpec", "TierSpec"]


class CapSpec(TypedDict):
    """At most `count` messages of the purpose to one person within `days`."""

    count: int
    days: int


class EventSpec(TypedDict):
    """The event that starts a journey. where: a rule over its properties, None for any."""

    name: str
    where: dict[str, Any] | None


class GuardrailSpec(TypedDict):
    """A figure that must not go beyond a limit while the playbook runs. kpi: of `rules.GUARDRAILS`."""

    kpi: str
    limit: float


StepSpec = TypedDict(
    "StepSpec",
    {
        "kind": str,
        "id": str,
        "name": str,
        "template_version": NotRequired[int],
        "slots": NotRequired[dict[str, list[TierSpec]]],
        "for": NotRequired[dict[str, int]],
        "until": NotRequired[dict[str, Any]],
        "when": NotRequired[dict[str, Any]],
        "event": NotRequired[str],
        "then": NotRequired[list["StepSpec"]],
        "else": NotRequired[list["StepSpec"]],
    },
)
"""A step as it is pinned; `steps.py` says which keys each kind has."""


class PlaybookSpec(TypedDict):
    """Everything a version binds. Its digest is SHA-256 over this as canonical JSON, with the compiled digests.

    languages: the brand's default first; template_version, slots: of the first message; steps: empty for a playbook
    that is one message; quiet: "start" and "end" of the quiet hours as HH:MM on the person's wall.
    holdout: percent of people who get nothing of it; heeds_tickets: nor does who has a support ticket open;
    blocked_items: numbers of items that it never shows; priority: 1 to 9, 5 where nothing is said;
    placement: where it is shown when asked over the API; send_days: weekdays; own_zone: the schedule holds on each
    person's own wall.
    What is not required came later: versions from before lack it, and mean the same as empty.
    """

    playbook: str
    name: str
    trigger: str
    schedule: str
    time_zone: str
    purpose: str
    channel: str
    budget: str
    audience_id: int
    audience_rule: dict[str, Any]
    template_version: int
    brand: BrandSpec
    slots: dict[str, list[TierSpec]]
    languages: list[str]
    cap: CapSpec | None
    send_within_hours: int
    kpi: str
    approval_path: list[str]
    steps: NotRequired[list[StepSpec]]
    event: NotRequired[EventSpec | None]
    entry_existing: NotRequired[bool]
    again_after_days: NotRequired[int | None]
    quiet: NotRequired[dict[str, str] | None]
    guardrails: NotRequired[list[GuardrailSpec]]
    topic: NotRequired[str]
    mail_kind: NotRequired[str]
    holdout: NotRequired[int]
    heeds_tickets: NotRequired[bool]
    blocked_items: NotRequired[list[str]]
    priority: NotRequired[int]
    placement: NotRequired[str]
    send_days: NotRequired[list[str]]
    own_zone: NotRequired[bool]
