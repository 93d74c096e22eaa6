"""Webhooks in the admin: endpoints with their secret, and each delivery, which can be sent again."""

import json
from collections.abc import Callable
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from apps.foundation.accounts.models import User
from apps.foundation.core.admin import ReadOnlyAdmin
from apps.foundation.core.errors import DomainError

from . import services
from .models import WebhookDelivery, WebhookEndpoint
from .rules import KINDS


def tell(request: HttpRequest, done: str, deed: Callable[..., object], **arguments: Any) -> None:
    """Do something as the one who asks, and say what came of it."""
    try:
        deed(by=cast(User, request.user), **arguments)
    except DomainError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, done)


class EndpointForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """An endpoint; the service says what is wrong with it."""

    kinds = forms.MultipleChoiceField(
        choices=[(kind, f"{kind}: {words}") for kind, words in KINDS.items() if kind != "webhook.test"],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        label="News",
        help_text="What is told. Each holds ids only; who may know more asks the API.",
    )

    class Meta:
        model = WebhookEndpoint
        fields = ("name", "url", "kinds", "active")

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if not self.errors:
            try:
                services.endpoint_check(data["name"], data["url"], data["kinds"])
            except DomainError as error:
                self.add_error(error.extra.get("field"), error.message)
        return data


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(ModelAdmin):
    """Where news goes."""

    empty_text = (
        "An endpoint is an address of another system that is told what happens here: messages sent, consent "
        "changed, work approved. Each call is signed."
    )
    form = EndpointForm
    list_display = ("name", "url", "kinds_shown", "standing", "waiting")
    list_filter = ("active",)
    search_fields = ("name", "url")
    actions = ("test_send", "secret_change")
    compressed_fields = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookEndpoint]:
        waiting = Count("deliveries", filter=Q(deliveries__state=WebhookDelivery.State.WAITING))
        return cast("QuerySet[WebhookEndpoint]", super().get_queryset(request)).annotate(waiting_count=waiting)

    def get_fieldsets(self, request: HttpRequest, obj: WebhookEndpoint | None = None) -> Any:
        shown = ("name", "url", "kinds", *(("active", "standing", "secret_shown") if obj is not None else ()))
        return ((None, {"classes": ("min-w-0",), "fields": shown}),)

    def get_readonly_fields(self, request: HttpRequest, obj: WebhookEndpoint | None = None) -> Any:
        return ("standing", "secret_shown") if obj is not None else ()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # its deliveries say what was told; switch it off instead

    def save_model(self, request: HttpRequest, obj: WebhookEndpoint, form: Any, change: bool) -> None:
        by = cast(User, request.user)
        given = {name: form.cleaned_data[name] for name in ("name", "url", "kinds")}
        if change:
            saved = services.endpoint_update(endpoint_id=obj.pk, by=by, active=form.cleaned_data["active"], **given)
        else:
            saved = services.endpoint_create(by=by, **given)
        obj.__dict__.update(saved.__dict__)

    @admin.display(description="News")
    def kinds_shown(self, endpoint: WebhookEndpoint) -> str:
        return ", ".join(endpoint.kinds)

    @admin.display(description="On its way")
    def waiting(self, endpoint: WebhookEndpoint) -> int:
        return int(endpoint.waiting_count)  # type: ignore[attr-defined]  # annotated above

    @admin.display(description="Standing")
    def standing(self, endpoint: WebhookEndpoint) -> str:
        if not endpoint.active:
            return endpoint.disabled_because or "Off"
        if not endpoint.failures:
            return "Well"
        tries = "try" if endpoint.failures == 1 else "tries"
        left = f"; left alone until {endpoint.open_until:%H:%M:%S} UTC" if endpoint.open_until else ""
        return f"The last {endpoint.failures} {tries} failed{left}"

    @admin.display(description="Secret")
    def secret_shown(self, endpoint: WebhookEndpoint) -> SafeString | str:
        if endpoint.pk is None:
            return ""
        old = (
            f" The one before signs beside it until {endpoint.old_until:%d %B, %H:%M} UTC."
            if endpoint.old_until is not None
            else ""
        )
        return format_html(
            '<details><summary>Show</summary><code class="break-all">{}</code></details>'
            "<span>With it the receiver verifies (Standard Webhooks 1.0.0).{}</span>",
            services.endpoint_secret(endpoint),
            old,
        )

    @admin.action(description="Send a test", permissions=["change"])
    def test_send(self, request: HttpRequest, queryset: QuerySet[WebhookEndpoint]) -> None:
        said = "A test is on its way to {}: what came of it stands among the deliveries."
        for endpoint in queryset:
            tell(request, said.format(endpoint), services.endpoint_test, endpoint_id=endpoint.pk)

    @admin.action(description="Change the secret", permissions=["change"])
    def secret_change(self, request: HttpRequest, queryset: QuerySet[WebhookEndpoint]) -> None:
        said = "{} has a new secret. The old one signs beside it for two days: give the new one to the receiver."
        for endpoint in queryset:
            tell(request, said.format(endpoint), services.endpoint_secret_change, endpoint_id=endpoint.pk)


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnlyAdmin):
    """What was told to whom, and what came of it."""

    empty_text = (
        "Each call to an endpoint is listed here, with its answer and when it is tried again. Add an endpoint first."
    )
    list_display = ("kind", "endpoint", "created", "state", "attempts", "status", "error", "next_shown")
    list_filter = ("state", "endpoint")
    list_select_related = ("event", "endpoint")
    search_fields = ("=event__id",)
    search_help_text = "id of the news"
    fields = (
        "kind", "endpoint", "created", "state", "attempts", "status", "error", "next_shown", "finished_at", "payload"
    )  # fmt: skip
    readonly_fields = fields
    ordering = ("-id",)
    actions = ("again",)

    @admin.display(description="News")
    def kind(self, delivery: WebhookDelivery) -> str:
        return delivery.event.kind

    @admin.display(description="Told")
    def created(self, delivery: WebhookDelivery) -> Any:
        return delivery.event.created_at

    @admin.display(description="Next try")
    def next_shown(self, delivery: WebhookDelivery) -> Any:
        return delivery.next_at if delivery.state == WebhookDelivery.State.WAITING else None

    @admin.display(description="Body")
    def payload(self, delivery: WebhookDelivery) -> SafeString:
        return format_html("<pre>{}</pre>", json.dumps(delivery.event.payload, indent=2, ensure_ascii=False))

    def has_again_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("webhooks.change_webhookendpoint"))

    @admin.action(description="Send again", permissions=["again"])
    def again(self, request: HttpRequest, queryset: QuerySet[WebhookDelivery]) -> None:
        for delivery in queryset:
            tell(
                request, f"{delivery.event.kind} is on its way again.", services.delivery_again, delivery_id=delivery.pk
            )
