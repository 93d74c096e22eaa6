"""The spec that a PlaybookVersion pins: what it sends, to whom, under which rules. Plain data, JSON in the database."""

from typing import Any, TypedDict


class TierSpec(TypedDict):
    """One tier of a slot. The first whose condition holds is shown.

    tier: personal, category, country, segment, site or static; block_version: what is shown;
    when: an audience rule that the person must match, or None; source: the recommendation list that must give
    `count` items (neighbours, category, country, shop), or None. A static tier has neither: it can always be shown.
    """

    tier: str
    name: str
    block_version: int
    when: dict[str, Any] | None
    source: str | None
    count: int


class CapSpec(TypedDict):
    """At most `count` messages of the purpose to one person within `days`."""

    count: int
    days: int


class BrandSpec(TypedDict):
    """The brand as it was when the version was made."""

    code: str
    name: str
    from_name: str
    from_email: str
    reply_to: str
    postal_address: str
    shop_url: str
    link_hosts: list[str]
    colours: dict[str, str]
    default_language: str


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
