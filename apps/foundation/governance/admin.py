"""Reviews and the audit log, to be read. Answering a review is a page of the console."""

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from unfold.admin import TabularInline
from unfold.decorators import display

from apps.foundation.accounts.models import User
from apps.foundation.accounts.roles import ROLE_BY_CODE
from apps.foundation.accounts.services import role_codes
from apps.foundation.core.admin import ReadOnlyAdmin

from .models import Approval, AuditEntry, Review
from .rules import roles_asked
from .selectors import path_words, review_standing, reviews_newest

_STATE_COLOURS = {
    Review.State.OPEN: "info",
    Review.State.APPROVED: "success",
    Review.State.REFUSED: "warning",
    Review.State.VOID: "danger",
}


class ApprovalInline(TabularInline):
    """What was said in a review."""

    model = Approval
    fields = ("role", "verdict", "comment", "by", "at")
    extra = 0

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class WaitsForMe(admin.SimpleListFilter):
    """Reviews that the one who looks may answer."""

    title = "waits for"
    parameter_name = "waits"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("me", "me"), ("anybody", "anybody")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Review]) -> QuerySet[Review]:
        if self.value() is None:
            return queryset
        waiting = queryset.filter(state=Review.State.OPEN)
        if self.value() == "anybody" or not isinstance(request.user, User):
            return waiting
        user, roles = request.user, role_codes(request.user)
        mine = [review.pk for review in waiting if review_standing(review=review, user=user, roles=roles).mine]
        return waiting.filter(pk__in=mine)


@admin.register(Review)
class ReviewAdmin(ReadOnlyAdmin):
    """Reviews, those that wait first."""

    list_display = ("subject_label", "state_shown", "waits_for", "requested_by", "requested_at")
    list_filter = (WaitsForMe, "state")
    search_fields = ("subject_label", "note", "digest")
    ordering = ()  # as `reviews_newest` has them
    fieldsets = (
        (None, {"fields": ("subject_label", "state", "waits_for", "answer", "note")}),
        ("What exactly", {"classes": ("min-w-0",), "fields": ("subject_link", "digest_shown", "path_shown")}),
        ("Who and when", {"fields": ("requested_by", "requested_at", "closed_at")}),
    )
    readonly_fields = ("waits_for", "answer", "subject_link", "digest_shown", "path_shown")
    inlines = (ApprovalInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Review]:
        return reviews_newest()

    @display(description="State", label=_STATE_COLOURS)  # type: ignore[untyped-decorator]  # unfold has no types
    def state_shown(self, review: Review) -> tuple[str, str]:
        return review.state, review.get_state_display()

    @admin.display(description="Waits for")
    def waits_for(self, review: Review) -> str:
        given = [answer.role for answer in review.approvals.all() if answer.verdict == Approval.Verdict.APPROVE]
        if review.state != Review.State.OPEN:
            return "nobody"
        return ", ".join(map(_title, roles_asked(review.path, given)))

    @admin.display(description="Digest")
    def digest_shown(self, review: Review) -> str:
        return format_html('<span class="t-digest">{}</span>', review.digest)

    @admin.display(description="Must agree")
    def path_shown(self, review: Review) -> str:
        return path_words(review.path)

    @admin.display(description="Answer")
    def answer(self, review: Review) -> str:
        try:
            url = reverse("console:review", args=[review.pk])
        except NoReverseMatch:  # governance stands without the console
            return "-"
        return format_html('<a class="text-primary-600 dark:text-primary-500" href="{}">Open the review</a>', url)

    @admin.display(description="Subject")
    def subject_link(self, review: Review) -> str:
        kind = review.content_type
        try:
            url = reverse(f"admin:{kind.app_label}_{kind.model}_change", args=[review.object_id])
        except NoReverseMatch:
            return review.subject_label
        return format_html(
            '<a class="text-primary-600 dark:text-primary-500" href="{}">{}</a>', url, review.subject_label
        )


def _title(role: str) -> str:
    return ROLE_BY_CODE[role].title if role in ROLE_BY_CODE else role


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """Who did what. Append-only, in the database too."""

    list_display = ("at", "actor", "action", "object_label", "request_id")
    list_filter = ("at", "content_type")
    list_select_related = ("actor", "content_type")
    search_fields = ("action", "object_label", "object_id", "actor__email", "request_id")
    search_help_text = "By action, object, address of the person, or request id"
    date_hierarchy = "at"
    fields = ("at", "actor", "action", "content_type", "object_id", "object_label", "request_id", "data_shown")
    readonly_fields = ("data_shown",)

    @admin.display(description="Details")
    def data_shown(self, entry: AuditEntry) -> str:
        return format_html(
            '<pre class="whitespace-pre-wrap">{}</pre>', json.dumps(entry.data, indent=2, ensure_ascii=False)
        )
