"""Reviews as their answerers see them: what waits for whom, and exactly what is approved."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db.models import Q

from apps.decisioning.audiences.rules import rule_parse, rule_reading
from apps.decisioning.audiences.selectors import audience_count
from apps.decisioning.content.contracts import Rendered, TierSpec, tier_block
from apps.decisioning.content.errors import RenderError
from apps.decisioning.content.models import BlockVersion, TemplateVersion
from apps.decisioning.content.rendering import render
from apps.decisioning.content.selectors import compiled_load
from apps.decisioning.playbooks.models import PlaybookVersion
from apps.decisioning.playbooks.pictures import Picture, picture_of_spec
from apps.decisioning.playbooks.rules import SOURCES
from apps.decisioning.playbooks.steps import message_spec, message_steps, step_title
from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import may, may_publish
from apps.foundation.accounts.roles import ROLE_BY_CODE
from apps.foundation.accounts.services import role_codes
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Invalid
from apps.foundation.governance.models import Publication, Review
from apps.foundation.governance.registry import workflows
from apps.foundation.governance.selectors import review_standing, reviews_newest, reviews_waiting_for

from .words import tier_in_words

SAMPLE_PERSON = {
    "first_name": "Alex",
    "last_name": "Moreau",
    "country": "FR",
    "language": "fr",
    "time_zone": "Europe/Paris",
}
"""Who a preview is rendered for, beside the person of whom nothing is known."""

_SAMPLE_ITEMS = [
    {"sku": f"SAMPLE-{number}", "title": title, "price": price, "url": "", "image_url": ""}
    for number, (title, price) in enumerate(
        [("A sample product", "€12.50"), ("Another sample product", "€8.00"), ("A third sample product", "€24.90")], 1
    )
]


@dataclass(frozen=True, slots=True)
class Part:
    """One role of a review's path, and what it said. mine: it waits for the one who looks."""

    role: str
    by: str
    verdict: str
    comment: str
    mine: bool


@dataclass(frozen=True, slots=True)
class ReviewRow:
    """One review in the inbox. why_not: why the one who looks can't answer it, in words, else ""."""

    review: Review
    parts: Sequence[Part]
    waits_for_me: bool
    why_not: str


@dataclass(frozen=True, slots=True)
class TierShown:
    """One tier of a slot, in words."""

    name: str
    tier: str
    block: str
    wanted: str


@dataclass(frozen=True, slots=True)
class Preview:
    """One language for one person. problem: why it could not be rendered, else ""."""

    key: str
    language: str
    person: str
    rendered: Rendered | None
    problem: str


@dataclass(frozen=True, slots=True)
class VersionShown:
    """Exactly what a review of a playbook version is about."""

    version: PlaybookVersion
    spec: dict[str, Any]
    audience: str
    people: int | None
    template: str
    slots: Sequence[tuple[str, Sequence[TierShown]]]
    previews: Sequence[Preview]
    roles: Sequence[str]
    picture: Picture

    @property
    def chosen(self) -> list[tuple[str, Sequence[TierShown]]]:
        """Slots with more than one tier."""
        return [(slot, tiers) for slot, tiers in self.slots if len(tiers) > 1]

    @property
    def fixed(self) -> list[tuple[str, TierShown]]:
        """Slots that look the same for everybody."""
        return [(slot, tiers[0]) for slot, tiers in self.slots if len(tiers) == 1]


def role_title(code: str) -> str:
    """A role for people."""
    return ROLE_BY_CODE[code].title if code in ROLE_BY_CODE else code


def review_row(review: Review, user: User, roles: frozenset[str] | None = None) -> ReviewRow:
    """A review as one person sees it. roles: the user's, where many reviews are asked about."""
    standing = review_standing(review=review, user=user, roles=roles)
    said = {approval.role: approval for approval in review.approvals.all()}
    parts = [
        Part(
            role=role_title(role),
            by=str(said[role].by) if role in said else "",
            verdict=said[role].verdict if role in said else "",
            comment=said[role].comment if role in said else "",
            mine=role in standing.mine,
        )
        for role in review.roles
    ]
    return ReviewRow(review, parts, bool(standing.mine), standing.why_not)


def inbox(user: User) -> tuple[list[ReviewRow], list[ReviewRow], list[ReviewRow]]:
    """Reviews that wait for a person, others that are open, and the last twenty closed."""
    roles = role_codes(user)
    rows = [review_row(review, user, roles) for review in reviews_newest(open_only=True).order_by("requested_at", "pk")]
    closed = reviews_newest().exclude(state=Review.State.OPEN).order_by("-closed_at", "-pk")[:20]
    return (
        [row for row in rows if row.waits_for_me],
        [row for row in rows if not row.waits_for_me],
        [review_row(review, user, roles) for review in closed],
    )


def authored(user: User) -> list[ReviewRow]:
    """What a person asked for or wrote and was answered, or became void, within two weeks; the newest first."""
    since = now() - timedelta(days=14)
    found = reviews_newest().filter(Q(requested_by=user) | Q(authors__contains=user.pk), closed_at__gte=since)
    roles = role_codes(user)
    return [review_row(review, user, roles) for review in found.order_by("-closed_at", "-pk")[:20]]


def publishable(user: User) -> list[Review]:
    """Approved versions that a person may publish now, the longest waiting first."""
    found: list[Review] = []
    approved = reviews_newest().filter(state=Review.State.APPROVED).order_by("closed_at", "pk")
    kinds = set(approved.order_by().values_list("content_type_id", flat=True).distinct())
    for flow in workflows():
        kind = ContentType.objects.get_for_model(flow.version)
        if kind.pk not in kinds or not may(user, "publish", flow.head):
            continue
        live = Publication.objects.filter(content_type=ContentType.objects.get_for_model(flow.head))
        waiting = list(approved.filter(content_type=kind).exclude(object_id__in=live.values("version_id"))[:50])
        versions = flow.version._default_manager.select_related(flow.link).in_bulk([row.object_id for row in waiting])
        found += [
            row
            for row in waiting
            if row.object_id in versions and may_publish(user, flow.head_of(versions[row.object_id]))
        ]
    return found


def reviews_waiting(user: User) -> int:
    """How many reviews wait for a person: for an answer, or to be published."""
    return len(reviews_waiting_for(user)) + len(publishable(user))


def version_shown(version: PlaybookVersion) -> VersionShown:
    """Everything that a review of this version is about, in words, with its previews."""
    spec: dict[str, Any] = version.spec
    try:
        rule = rule_parse(spec["audience_rule"])
        audience, people = rule_reading(rule), audience_count(rule=rule, as_of=now())
    except Invalid as error:
        audience, people = f"This rule can't be read: {error.message}", None
    template = TemplateVersion.objects.select_related("template").filter(pk=spec["template_version"]).first()
    return VersionShown(
        version=version,
        spec=spec,
        audience=audience,
        people=people,
        template=str(template or ""),
        slots=[
            (f"{step_title(version.spec, step)}: {slot}" if spec.get("steps") else slot, tiers)
            for step in message_steps(version.spec)
            for slot, tiers in _slots(dict(message_spec(version.spec, step)))
        ],
        previews=[
            preview
            for step in message_steps(version.spec)
            for language in sorted(version.compiled, key=lambda code: code != spec["brand"]["default_language"])
            for preview in _previews(version, step, language)
        ],
        roles=[role_title(code) for code in spec["approval_path"]],
        picture=picture_of_spec(version.spec),
    )


def _slots(spec: dict[str, Any]) -> list[tuple[str, list[TierShown]]]:
    wanted = {tier["block_version"] for tiers in spec["slots"].values() for tier in tiers}
    blocks = {
        version.pk: str(version) for version in BlockVersion.objects.select_related("block").filter(pk__in=wanted)
    }
    return [
        (
            slot,
            [
                TierShown(
                    name=tier["name"],
                    tier=tier_in_words(tier["tier"]),
                    block=blocks.get(tier["block_version"], ""),
                    wanted=_wanted(tier),
                )
                for tier in tiers
            ],
        )
        for slot, tiers in sorted(spec["slots"].items())
    ]


def _wanted(tier: dict[str, Any]) -> str:
    parts = []
    if tier["when"] is not None:
        parts.append(rule_reading(rule_parse(tier["when"])))
    if tier["source"] is not None:
        parts.append(f"{tier['count']} items: {SOURCES.get(tier['source'], tier['source'])}")
    return " and ".join(parts) or "always"


def _previews(version: PlaybookVersion, step: str, language: str) -> list[Preview]:
    spec = message_spec(version.spec, step)
    compiled: dict[str, int] = version.compiled_steps.get(step, version.compiled)
    title = step_title(version.spec, step)
    bare = {slot: {"block": tier_block(tiers[-1]), "tier": tiers[-1]["tier"]} for slot, tiers in spec["slots"].items()}
    best = {slot: _first_tier(tiers[0]) for slot, tiers in spec["slots"].items()}
    links = {"unsubscribe": "https://example.com/u/preview", "preferences": "https://example.com/p/preview"}
    contexts = [
        ("nobody", "Somebody of whom nothing is known", {"profile": {}, "slots": bare, "links": links}),
        (
            "sample",
            "A sample person, first tier of each slot",
            {"profile": SAMPLE_PERSON, "slots": best, "links": links},
        ),
    ]
    previews = []
    for key, person, context in contexts:
        try:
            rendered, problem = render(compiled_load(compiled[language]), context), ""
        except RenderError as error:
            rendered, problem = None, str(error)
        whom = f"{title}: {person}" if title else person
        previews.append(Preview(f"{step}-{language}-{key}", language, whom, rendered, problem))
    return previews


def _first_tier(tier: TierSpec) -> dict[str, Any]:
    chosen: dict[str, Any] = {"block": tier_block(tier), "tier": tier["tier"]}
    if tier["source"] is not None:
        chosen["items"] = [_SAMPLE_ITEMS[index % len(_SAMPLE_ITEMS)] for index in range(tier["count"])]
    return chosen
