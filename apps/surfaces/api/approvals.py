"""Versions of content on their way through approval: handed in, taken back and looked at.

Others agree, and publish, in the admin: nothing here does (ADR 161).
"""

from collections.abc import Sequence
from typing import Any

from django.db.models import Max, Model
from rest_framework import serializers

from apps.foundation.governance.registry import workflow_of
from apps.foundation.governance.selectors import publications_live, review_of, version_states
from apps.foundation.governance.services import roles_missing

from .serializers import Strict


class HandIn(Strict):
    """What is said to those who are asked."""

    note = serializers.CharField(max_length=2_000, required=False, allow_blank=True)


class Answer(serializers.Serializer[object]):
    """What somebody said of a version, in a role."""

    role = serializers.CharField()
    verdict = serializers.CharField(help_text="approve or refuse")
    comment = serializers.CharField()
    at = serializers.DateTimeField()


class Review(serializers.Serializer[object]):
    """The newest request that others agree to a version."""

    id = serializers.IntegerField(source="pk")
    state = serializers.CharField(help_text="open, approved, refused (changes requested), void")
    digest = serializers.CharField(help_text="SHA-256 of what they agree to")
    waits_for = serializers.SerializerMethodField(help_text="roles that have not agreed yet")
    answers = serializers.SerializerMethodField()
    requested_at = serializers.DateTimeField()
    closed_at = serializers.DateTimeField(allow_null=True)
    closed_why = serializers.CharField()

    def get_waits_for(self, review: Any) -> list[str]:
        return roles_missing(review) if review.state == review.State.OPEN else []

    def get_answers(self, review: Any) -> list[dict[str, Any]]:
        return [dict(Answer(one).data) for one in review.approvals.order_by("at", "pk")]


class ContentVersionLine(serializers.Serializer[object]):
    """A version in a list."""

    number = serializers.IntegerField()
    state = serializers.CharField(
        help_text="draft, in_review, approved, refused (changes requested), void, published, retired"
    )
    digest = serializers.CharField()
    why = serializers.CharField(help_text="why it was made")
    created_at = serializers.DateTimeField()


class ContentVersionPage(serializers.Serializer[object]):
    """A page of versions."""

    items = ContentVersionLine(many=True)
    next = serializers.CharField(allow_null=True, help_text="cursor of the next page; null at the end")


def versions_told(versions: Sequence[Any]) -> list[dict[str, Any]]:
    """Versions of one kind with their states, in two statements."""
    flow = workflow_of(type(versions[0])) if versions else None
    states = version_states(flow, versions) if flow is not None else {}
    names = ("number", "digest", "why", "created_at")
    return [{**{name: getattr(one, name) for name in names}, "state": str(states[one.pk].value)} for one in versions]


def review_told(version: Model) -> dict[str, Any] | None:
    """The newest request about a version; None where it was never handed in."""
    review = review_of(version)
    return None if review is None else dict(Review(review).data)


def numbers_told(heads: Sequence[Any]) -> dict[int, dict[str, int | None]]:
    """Of blocks or templates by id, the number of the newest version and of the one that is live; three statements."""
    if not heads:
        return {}
    flow = workflow_of(type(heads[0]))
    assert flow is not None  # noqa: S101  # blocks and templates have one
    link = f"{flow.link}_id"
    rows = flow.version._default_manager
    ids = [head.pk for head in heads]
    newest = dict(rows.filter(**{f"{link}__in": ids}).order_by().values_list(link).annotate(Max("number")))
    live = {pk: publication.version_id for pk, publication in publications_live(type(heads[0]), ids).items()}
    numbers = dict(rows.filter(pk__in=live.values()).values_list("pk", "number"))
    return {pk: {"newest": newest.get(pk), "live": numbers.get(live.get(pk))} for pk in ids}
