"""Consent platforms in the admin: their address and secret, how they are read, and what they told."""

import json
from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminTextareaWidget

from apps.data.consent import platforms
from apps.data.consent.models import ConsentPlatform
from apps.data.consent.platform_bodies import PRESETS
from apps.foundation.accounts.models import User
from apps.foundation.accounts.saving import ServiceAdmin, ServiceForm
from apps.foundation.core.errors import DomainError

_FIT = "min-w-0"
_SHOWN = 20


class _Pretty(json.JSONEncoder):
    """JSON as people read and edit it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "indent": 2, "ensure_ascii": False})


class PlatformForm(ServiceForm):
    """A platform; the service says what is wrong with its mapping."""

    tells_lines = False
    mapping = forms.JSONField(
        encoder=_Pretty,
        initial=PRESETS["plain"][1],
        widget=UnfoldAdminTextareaWidget({"rows": 22, "class": "t-code", "spellcheck": "false"}),
        help_text="Where in a body stands who chose what, and which purposes of ours theirs are. Examples below.",
    )

    class Meta:
        model = ConsentPlatform
        fields = ("name", "active")

    def service(self) -> ConsentPlatform:
        data = self.cleaned_data
        if self.instance.pk is None or self.instance._state.adding:
            return platforms.platform_create(by=self.user, name=data["name"], mapping=data["mapping"])
        return platforms.platform_update(
            platform_id=self.instance.pk,
            by=self.user,
            name=data["name"],
            mapping=data["mapping"],
            active=data["active"],
        )


@admin.register(ConsentPlatform)
class ConsentPlatformAdmin(ServiceAdmin):
    """Who tells us what people chose elsewhere."""

    empty_text = (
        "A consent platform, such as a banner on your site, tells Tessera what people agreed to there. Add it, and "
        "map its categories to purposes."
    )
    form = PlatformForm
    list_display = ("name", "active", "last_at", "standing")
    actions = ("secret_change",)

    class Media:
        css = {"all": ["tessera/governance.css"]}

    def get_fieldsets(self, request: HttpRequest, obj: ConsentPlatform | None = None) -> Any:
        about = ("name", "active", "address_shown", "secret_shown", "standing") if obj is not None else ("name",)
        sets = [
            ("The platform", {"classes": (_FIT,), "fields": about}),
            ("How its messages are read", {"classes": (_FIT,), "fields": ("mapping", "examples")}),
        ]
        if obj is not None:
            sets.append(("What it told", {"classes": (_FIT,), "fields": ("told",)}))
        return sets

    def get_readonly_fields(self, request: HttpRequest, obj: ConsentPlatform | None = None) -> Any:
        return ("address_shown", "secret_shown", "standing", "examples", "told")

    def get_form(
        self, request: HttpRequest, obj: ConsentPlatform | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        if obj is not None and "mapping" in form.base_fields:
            form.base_fields["mapping"].initial = obj.mapping
        return form

    @admin.display(description="Address")
    def address_shown(self, platform: ConsentPlatform) -> SafeString:
        path = reverse("preferences:consent-platform", args=[platform.pk])
        return format_html('<code class="break-all">{}{}</code>', settings.BASE_URL, path)

    @admin.display(description="Secret")
    def secret_shown(self, platform: ConsentPlatform) -> SafeString:
        old = f" The one before is good until {platform.old_until:%d %B, %H:%M} UTC." if platform.old_until else ""
        return format_html(
            '<details><summary>Show</summary><code class="break-all">{}</code></details>'
            "<span>The platform signs with it (Standard Webhooks 1.0.0).{}</span>",
            platforms.platform_secret(platform),
            old,
        )

    @admin.display(description="Standing")
    def standing(self, platform: ConsentPlatform) -> str:
        if not platform.active:
            return "Off: nothing is taken"
        if platform.last_at is None:
            return "Nothing came yet"
        return platform.last_problem or "Well"

    @admin.display(description="Examples")
    def examples(self, platform: ConsentPlatform) -> SafeString:
        return format_html_join(
            "",
            '<details><summary>{}</summary><pre class="t-pre" tabindex="0">{}</pre></details>',
            ((name, json.dumps(mapping, indent=2)) for name, mapping in PRESETS.values()),
        )

    @admin.display(description="The newest messages")
    def told(self, platform: ConsentPlatform) -> SafeString | str:
        rows = list(platform.notices.order_by("-taken_at")[:_SHOWN])
        if not rows:
            return "None yet. Give the platform the address and the secret, and let it send a test."
        cells = format_html_join(
            "",
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            ((f"{x.taken_at:%Y-%m-%d %H:%M:%S}", x.granted, x.withdrawn, x.awaited, x.ignored) for x in rows),
        )
        return format_html(
            '<div class="t-scroll"><table class="t-table"><thead><tr><th>Taken (UTC)</th><th>Agreed</th>'
            "<th>Withdrawn</th><th>Withdrawn, not known yet</th><th>Left out</th></tr></thead>"
            "<tbody>{}</tbody></table></div>",
            cells,
        )

    @admin.action(description="Change the secret", permissions=["change"])
    def secret_change(self, request: HttpRequest, queryset: QuerySet[ConsentPlatform]) -> None:
        for platform in queryset:
            try:
                platforms.platform_secret_change(platform_id=platform.pk, by=cast(User, request.user))
            except DomainError as error:
                messages.error(request, error.message)
            else:
                said = f"{platform} has a new secret. The old one is good beside it for two days: give it the new one."
                messages.success(request, said)
