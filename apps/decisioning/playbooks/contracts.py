"""The spec that a PlaybookVersion pins: what it sends, to whom, under which rules. Plain data, JSON in the database."""

from typing import Any, TypedDict

from apps.decisioning.content.contracts import BrandSpec, TierSpec

__all__ = ["BrandSpec", "CapSpec", "PlaybookSpec", "TierSpec"]


class CapSpec(TypedDict):
    """At most `count` messages of the purpose to one person within `days`."""

    count: int
    days: int


class PlaybookSpec(TypedDict):
    """Everything a version binds. Its digest is SHA-256 over this as canonical JSON, with the compiled digests.

    languages: the brand's default first.
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
