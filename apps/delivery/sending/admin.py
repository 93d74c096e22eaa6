"""The send ledger in the admin: looked at, and a run's sending paused, resumed or cancelled. Nothing is edited here."""

from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import TabularInline

from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import may
from apps.foundation.core.admin import ReadOnlyAdmin
from apps.foundation.core.errors import DomainError

from .models import DeliveryAttempt, Dispatch, Message, MessageEvent
from .services import dispatch_cancel, dispatch_pause, dispatch_resume

REASONS = (
    "withdrawn",
    "no_consent",
    "wording_outdated",
    "suppressed",
    "frequency_cap",
    "duplicate_address",
    "invalid_address",
    "sealed_address",
    "too_late",
    "refused",
    "retries_exhausted",
    "render_failed",
    "erased",
    "tampered",
)


class ReasonFilter(admin.SimpleListFilter):
    """Why a message was withheld or failed; a fixed list, so that the ledger is not searched for its values."""

    title = "reason"
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(reason, reason.replace("_", " ")) for reason in REASONS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(reason=self.value()) if self.value() else queryset


class DeliveryAttemptInline(TabularInline):
    """What was tried."""

    model = DeliveryAttempt
    extra = 0
    fields = ("number", "started_at", "finished_at", "outcome", "code", "response")
    readonly_fields = fields
    ordering = ("number",)
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class MessageEventInline(TabularInline):
    """What came back."""

    model = MessageEvent
    extra = 0
    fields = ("occurred_at", "kind", "bounce", "reason", "code", "response", "link", "machine")
    readonly_fields = fields
    ordering = ("occurred_at", "pk")
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(MessageEvent)
class MessageEventAdmin(ReadOnlyAdmin):
    """What came back of messages, as it was heard, the newest first."""

    empty_text = (
        "What mail servers and providers report, and what people open and follow, is listed here as it comes back: "
        "deliveries, bounces, complaints, clicks."
    )
    list_display = ("occurred_at", "kind", "bounce", "reason", "code", "machine", "link", "message_page")
    list_filter = ("kind", "bounce")
    search_fields = ("id",)
    search_help_text = "message id"
    ordering = ("-id",)
    fields = (
        "message_page",
        "kind",
        "occurred_at",
        "recorded_at",
        "source",
        "bounce",
        "reason",
        "code",
        "response",
        "link",
        "machine",
        "applied_at",
    )
    readonly_fields = fields

    @admin.display(description="message")
    def message_page(self, event: MessageEvent) -> SafeString:
        return format_html('<a href="{}">open</a>', reverse("console:message", args=[event.message_id]))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By index only: the events of one message."""
        term = search_term.strip()
        if not term:
            return queryset, False
        try:
            return queryset.filter(message_id=UUID(term)), False
        except ValueError:
            return queryset.none(), False


@admin.register(Message)
class MessageAdmin(ReadOnlyAdmin):
    """The ledger, newest first (ids sort by time)."""

    empty_text = (
        "Each message of a run appears here with its state, from the moment it is decided until it is sent, "
        "withheld or failed. Start a run from a published playbook."
    )
    list_display = ("id", "dispatch", "profile_number", "state", "reason", "attempts", "sending_at", "as_sent")
    list_filter = ("state", ReasonFilter)
    list_select_related = ("dispatch",)
    search_fields = ("id",)
    search_help_text = "message id, or profile number"
    ordering = ("-id",)
    inlines = (DeliveryAttemptInline, MessageEventInline)
    fields = (
        "id",
        "as_sent",
        "dispatch",
        "profile",
        "purpose",
        "channel",
        "state",
        "reason",
        "attempts",
        "not_before",
        "created_at",
        "sending_at",
        "finished_at",
        "dated_at",
        "tracked",
        "size",
        "content_digest",
    )
    readonly_fields = fields

    @admin.display(description="profile")
    def profile_number(self, message: Message) -> int:
        return message.profile_id

    @admin.display(description="as sent, and why")
    def as_sent(self, message: Message) -> SafeString:
        return format_html('<a href="{}">open</a>', reverse("console:message", args=[message.pk]))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By index only: one message, or the messages of one person."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if term.isdigit() and len(term) < 19:
            return queryset.filter(profile_id=int(term)), False
        try:
            return queryset.filter(pk=UUID(term)), False
        except ValueError:
            return queryset.none(), False


@admin.register(Dispatch)
class DispatchAdmin(ReadOnlyAdmin):
    """The runs as delivery knows them, and their orders."""

    empty_text = (
        "A run whose messages are to be handed over has its controls here. Start a run from a published playbook."
    )
    list_display = ("label", "state", "purpose", "channel", "not_after", "created_at", "run_page")
    list_filter = ("state", "channel")
    search_fields = ("label",)
    ordering = ("-id",)
    actions = ("pause", "resume", "cancel")
    fields = (
        "label",
        "run_page",
        "state",
        "occasion",
        "purpose",
        "needs_consent",
        "channel",
        "from_name",
        "from_email",
        "reply_to",
        "cap_count",
        "cap_days",
        "not_after",
        "created_at",
    )
    readonly_fields = fields

    @admin.display(description="run")
    def run_page(self, dispatch: Dispatch) -> SafeString:
        return format_html('<a href="{}">open</a>', reverse("console:run", args=[dispatch.run_id]))

    def has_stop_permission(self, request: HttpRequest) -> bool:
        """Whether one may stop any run; the service asks about each."""
        return may(cast(User, request.user), "stop", Dispatch)

    def has_run_permission(self, request: HttpRequest) -> bool:
        """Whether one may let any run go on; the service asks about each."""
        return may(cast(User, request.user), "run", Dispatch)

    @admin.action(description="Pause sending", permissions=["stop"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Dispatch]) -> None:
        self._order(request, queryset, dispatch_pause, "paused")

    @admin.action(description="Resume sending", permissions=["run"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Dispatch]) -> None:
        self._order(request, queryset, dispatch_resume, "resumed")

    @admin.action(description="Cancel for good what is not sent yet", permissions=["stop"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Dispatch]) -> None:
        self._order(request, queryset, dispatch_cancel, "cancelled")

    def _order(self, request: HttpRequest, queryset: QuerySet[Dispatch], order: Callable[..., None], done: str) -> None:
        for dispatch in queryset:
            try:
                order(dispatch_id=dispatch.pk, by=cast(User, request.user))
            except DomainError as error:
                messages.error(request, f"{dispatch}: {error.message}")
            else:
                messages.success(request, f"{dispatch}: {done}")
