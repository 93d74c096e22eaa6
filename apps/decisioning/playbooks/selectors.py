"""Reads about playbooks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Q

from apps.decisioning.audiences.rules import asks_more_than_digests, rule_parse, rule_reading
from apps.decisioning.content.choosing import Validity
from apps.decisioning.content.models import Block, BlockVersion
from apps.foundation.accounts.roles import ROLE_BY_CODE
from apps.foundation.core.errors import Invalid

from .contracts import PlaybookSpec
from .models import Journey, Playbook, PlaybookVersion
from .own_time import schedule_zone
from .rules import SOURCES, TIERS
from .schedules import instants, schedule_problem, zone_problem


@dataclass(frozen=True, slots=True)
class TierRow:
    """One tier of a slot, readable."""

    slot: str
    position: int
    name: str
    tier: str
    condition: str
    block: str


def tier_rows_draft(slots: Any) -> list[TierRow]:
    """The tiers of a playbook's draft, readable; what can't be read is left out."""
    if not isinstance(slots, dict):
        return []
    names: dict[Any, str] = dict(Block.objects.values_list("pk", "name"))
    return [
        _row(slot, position, tier, str(names.get(tier.get("block"), tier.get("block") or "?")))
        for slot, tiers in sorted(slots.items())
        if isinstance(tiers, list)
        for position, tier in enumerate(tiers, 1)
        if isinstance(tier, dict)
    ]


def tier_rows_pinned(spec: PlaybookSpec) -> list[TierRow]:
    """The tiers of a version, readable."""
    wanted = {tier["block_version"] for tiers in spec["slots"].values() for tier in tiers}
    names = {version.pk: str(version) for version in BlockVersion.objects.select_related("block").filter(pk__in=wanted)}
    return [
        _row(slot, position, dict(tier), names.get(tier["block_version"], "?"))
        for slot, tiers in sorted(spec["slots"].items())
        for position, tier in enumerate(tiers, 1)
    ]


def _row(slot: str, position: int, tier: dict[str, Any], block: str) -> TierRow:
    parts = []
    if tier.get("when") is not None:
        parts.append(rule_words(tier["when"]))
    if tier.get("source"):
        parts.append(f"{tier.get('count') or 3} items {SOURCES.get(tier['source'], tier['source'])}")
    for key, word in (("valid_from", "from"), ("valid_until", "until")):
        if tier.get(key):
            parts.append(f"{word} {datetime.fromisoformat(tier[key]):%Y-%m-%d %H:%M} UTC")
    kind = str(tier.get("tier", ""))
    return TierRow(
        slot, position, str(tier.get("name") or ""), TIERS.get(kind, kind), " and ".join(parts) or "always", block
    )


SOON = timedelta(days=7)
"""How long before a block runs out it is told."""


def validity_news(spec: PlaybookSpec, at: datetime) -> list[str]:
    """Blocks of a version that are not valid at a moment any more or yet, or run out soon after it; a sentence each."""
    steps = [step["slots"] for step in spec.get("steps", ()) if "slots" in step]
    news = []
    for slots in [spec["slots"], *steps]:
        for slot, tiers in sorted(slots.items()):
            for tier in tiers:
                valid = Validity.of(tier)
                if valid is None:
                    continue
                name = f"{TIERS.get(tier['tier'], tier['tier'])} tier {tier['name']!r} of slot {slot}"
                if valid.ends is not None and at >= valid.ends:
                    news.append(f"The {name} has run out, on {valid.ends:%Y-%m-%d %H:%M} UTC: it is passed over.")
                elif valid.ends is not None and at >= valid.ends - SOON:
                    news.append(f"The {name} runs out on {valid.ends:%Y-%m-%d %H:%M} UTC; then it is passed over.")
                elif valid.begins is not None and at < valid.begins:
                    news.append(f"The {name} begins on {valid.begins:%Y-%m-%d %H:%M} UTC; till then it is passed over.")
    return list(dict.fromkeys(news))


def rule_words(data: object) -> str:
    """An audience rule in words, or why it can't be read."""
    try:
        return rule_reading(rule_parse(data))
    except Invalid as error:
        return error.message


def role_titles(path: Sequence[str]) -> list[str]:
    """The titles of an approval path's roles."""
    return [ROLE_BY_CODE[role].title if role in ROLE_BY_CODE else role for role in path]


def next_instant(*, playbook: Playbook, after: datetime) -> datetime | None:
    """When the schedule of what is published comes next; None without one."""
    if playbook.published is None:
        return None
    spec: PlaybookSpec = playbook.published.spec
    if spec["trigger"] != Playbook.Trigger.SCHEDULE:
        return None
    if schedule_problem(spec["schedule"]) or zone_problem(spec["time_zone"]):
        return None
    return next(instants(spec["schedule"], schedule_zone(spec), after=after), None)


def template_arrangement(*, template_id: int) -> dict[str, Any] | None:
    """How the playbook that used a template last fills its slots: `{"brand": code, "slots": …}`, blocks by id."""
    playbook = (
        Playbook.objects.filter(template=template_id)
        .exclude(slots={})
        .select_related("brand")
        .order_by("-updated_at", "-pk")
        .first()
    )
    return {"brand": playbook.brand.code, "slots": playbook.slots} if playbook is not None else None


def journey_counts(playbook: Playbook) -> list[tuple[str, int]]:
    """How many journeys of a playbook are in which state, in words; none of those that are nought."""
    counts = dict(Journey.objects.filter(playbook=playbook).values_list("state").annotate(Count("pk")).order_by())
    return [(str(state.label), counts[state.value]) for state in Journey.State if counts.get(state.value)]


def sensitive_objections_of(name: str) -> list[str]:
    """Where playbooks ask of an attribute what no sensitive one answers: drafts, what is published, and what people are
    on their way through; in words."""
    found = [
        f"a rule of the playbook “{playbook.name}”"
        for playbook in Playbook.objects.order_by("name")
        if asks_more_than_digests([playbook.slots, playbook.steps], name)
    ]
    journeys = Journey.objects.filter(state=Journey.State.ACTIVE).values("version_id")
    for version in PlaybookVersion.objects.filter(
        Q(pk__in=Playbook.objects.values("published_id")) | Q(pk__in=journeys)
    ):
        if asks_more_than_digests(version.spec, name):
            found.append(f"{version}, which is in service")
    return found
