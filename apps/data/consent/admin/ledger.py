"""The ledger in the admin, and what holds: read only. It changes through services alone."""

from typing import cast

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.data.consent.models import ConsentRecord, ConsentState
from apps.foundation.core.admin import ReadOnlyAdmin


@admin.register(ConsentRecord)
class ConsentRecordAdmin(ReadOnlyAdmin):
    """The ledger, newest first."""

    empty_text = (
        "Each grant and each withdrawal is put down here for good, with its source, its wording and its evidence."
    )
    list_display = ("occurred_at", "profile", "purpose", "channel", "action", "method", "source")
    list_filter = ("purpose", "channel", "action", "method")
    search_fields = ("=profile__id", "source")
    search_help_text = "profile number, or source"
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ConsentRecord]:
        return cast("QuerySet[ConsentRecord]", super().get_queryset(request)).select_related("profile", "purpose")


@admin.register(ConsentState)
class ConsentStateAdmin(ReadOnlyAdmin):
    """What holds now."""

    empty_text = "What somebody has agreed to now, by purpose and channel, as the records say."
    list_display = ("profile", "purpose", "channel", "granted", "changed_at")
    list_filter = ("purpose", "channel", "granted")
    search_fields = ("=profile__id",)
    search_help_text = "profile number"
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ConsentState]:
        return cast("QuerySet[ConsentState]", super().get_queryset(request)).select_related("profile", "purpose")
