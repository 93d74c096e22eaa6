"""Systems that tell us things: how each stands, and what could not be taken; never what was in it."""

from collections.abc import Callable
from typing import cast

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.foundation.accounts.models import User
from apps.foundation.core.admin import ReadOnlyAdmin
from apps.foundation.core.errors import DomainError

from .models import InboundLetter, InboundSystem
from .services import letter_retry, system_go_on, system_stop


def _may_change(request: HttpRequest) -> bool:
    return request.user.has_perm("inbound.change_inboundsystem")


@admin.register(InboundSystem)
class InboundSystemAdmin(ReadOnlyAdmin):
    """Who tells us things."""

    empty_text = (
        "A shop or a help desk that tells Tessera what happens there is named in the setting INBOUND_SYSTEMS, and its "
        "state is seen here."
    )
    list_display = (
        "code", "standing", "taken", "set_aside", "hit_rate", "good_at", "last_at", "due_at", "last_problem",
    )  # fmt: skip
    ordering = ("code",)
    actions = ("stop", "go_on")

    def has_order_permission(self, request: HttpRequest) -> bool:
        """Whether somebody may stop a system, or let it go on."""
        return _may_change(request)

    @admin.display(description="Standing")
    def standing(self, system: InboundSystem) -> str:
        if system.stopped:
            return "Stopped by staff"
        if system.last_at is None:
            return "Nothing came yet"
        if system.open_since is not None:
            return f"Left alone since {system.open_since:%Y-%m-%d %H:%M} UTC: what it said last is used"
        if system.faults:
            return f"Could not be asked {system.faults} times in a row"
        return "Something was set aside" if system.last_problem else "Well"

    @admin.display(description="Known without asking")
    def hit_rate(self, system: InboundSystem) -> str:
        """Of a live source, how often what is kept spared the question."""
        return f"{system.spared / system.wanted:.0%}" if system.wanted else "–"

    @admin.action(description="Stop: take nothing from it", permissions=["order"])
    def stop(self, request: HttpRequest, queryset: QuerySet[InboundSystem]) -> None:
        self._order(request, queryset, system_stop)

    @admin.action(description="Let it go on", permissions=["order"])
    def go_on(self, request: HttpRequest, queryset: QuerySet[InboundSystem]) -> None:
        self._order(request, queryset, system_go_on)

    def _order(self, request: HttpRequest, queryset: QuerySet[InboundSystem], order: Callable[..., None]) -> None:
        for system in queryset:
            try:
                order(code=system.pk, by=cast(User, request.user))
            except DomainError as error:
                messages.error(request, f"{system}: {error.message}")
            else:
                messages.success(request, f"{system}: done.")


@admin.register(InboundLetter)
class InboundLetterAdmin(ReadOnlyAdmin):
    """What other systems told and could not be taken, and why."""

    empty_text = "What a system sent and could not be taken is kept here with the reason, and can be tried again."
    list_display = ("received_at", "system", "topic", "reason", "problem", "tries")
    list_filter = ("system", "reason")
    ordering = ("-received_at",)
    exclude = ("sealed", "digests")
    actions = ("try_again",)

    def has_order_permission(self, request: HttpRequest) -> bool:
        """Whether somebody may have letters tried again."""
        return _may_change(request)

    @admin.action(description="Try again", permissions=["order"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[InboundLetter]) -> None:
        taken = again = 0
        for letter_id in queryset.values_list("pk", flat=True):
            try:
                done = letter_retry(letter_id=letter_id, by=cast(User, request.user))
            except DomainError as error:
                messages.error(request, error.message)
                return
            taken, again = taken + done, again + (not done)
        said = f"{taken} taken, {again} could not be taken again."
        (messages.warning if again else messages.success)(request, said)
