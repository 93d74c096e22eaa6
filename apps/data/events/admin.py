"""What people did and bought, in the admin: looked at, never edited; and what events look like, which is."""

import json
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.admin import TabularInline
from unfold.widgets import UnfoldAdminTextareaWidget

from apps.foundation.accounts.models import User
from apps.foundation.accounts.saving import ServiceAdmin, ServiceForm
from apps.foundation.core.admin import ReadOnlyAdmin
from apps.foundation.core.errors import DomainError
from apps.foundation.core.money import price_text

from .models import DeadLetter, Event, EventSchema, Order, OrderLine, UnknownName
from .replaying import letters_replay
from .services import event_schema_save


class OrderLineInline(TabularInline):
    """The lines of an order."""

    model = OrderLine
    fields = ("number", "item", "quantity", "price_shown", "is_purchase")
    readonly_fields = fields
    ordering = ("number",)
    extra = 0
    per_page = 50
    can_delete = False

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("item", "order")

    @admin.display(description="Unit price")
    def price_shown(self, line: OrderLine) -> str:
        return price_text(line.unit_price, line.order.currency)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Order)
class OrderAdmin(ReadOnlyAdmin):
    """Orders, newest first."""

    empty_text = (
        "Orders come over the API, from your shop's webhooks, or from a file. Popularity, lifetime value and "
        "“bought together” are made of them."
    )
    list_display = ("external_id", "source", "status", "profile", "placed_at", "revenue_shown", "country")
    list_filter = ("status",)
    list_select_related = ("profile",)
    search_fields = ("=external_id", "=profile__id")
    search_help_text = "order number or profile number"
    ordering = ("-placed_at", "-id")
    exclude = ("revenue", "currency")
    readonly_fields = ("revenue_shown",)
    inlines = (OrderLineInline,)

    @admin.display(description="Revenue", ordering="revenue")
    def revenue_shown(self, order: Order) -> str:
        return price_text(order.revenue, order.currency)


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    """Events, newest first."""

    empty_text = (
        "What people do comes in by “POST /api/v1/events”, or from Segment's libraries with only the host changed."
    )
    list_display = ("name", "profile", "occurred_at", "recorded_at", "source", "faulty", "message_id")
    list_select_related = ("profile",)
    search_fields = ("=message_id", "=profile__id")
    search_help_text = "the sender's id of the event, or a profile number"
    ordering = ("-id",)
    exclude = ("anonymous",)
    readonly_fields = ("device_known",)

    @admin.display(description="Fits its schema", boolean=True)
    def faulty(self, event: Event) -> bool:
        return not event.faults

    @admin.display(description="From a device that is told again", boolean=True)
    def device_known(self, event: Event) -> bool:
        return event.anonymous is not None


class _Pretty(json.JSONEncoder):
    """JSON as people read and edit it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "indent": 2, "ensure_ascii": False})


def _pretty(document: object) -> str:
    return json.dumps(document, cls=_Pretty)


class _DocumentField(forms.JSONField):
    """JSON, or nothing."""

    def prepare_value(self, value: Any) -> Any:
        return "" if value is None else super().prepare_value(value)


class EventSchemaForm(ServiceForm):
    """A schema; the service says what is wrong with it."""

    tells_lines = False
    names = forms.CharField(
        label="Other names",
        required=False,
        widget=UnfoldAdminTextareaWidget({"rows": 3}),
        help_text="One a line: names under which the same thing is sent, such as PDP_Visit.",
    )
    document = _DocumentField(
        label="JSON Schema of its properties",
        required=False,
        encoder=_Pretty,
        widget=UnfoldAdminTextareaWidget({"rows": 18, "class": "t-code", "spellcheck": "false"}),
        help_text="Draft 2020-12. Empty: nothing is looked at. Each change makes the next version.",
    )

    class Meta:
        model = EventSchema
        fields = ("name", "description", "on_fault", "purpose", "owner")

    def field_of(self, where: str) -> str | None:
        return super().field_of("names" if where == "aliases" else where)

    def service(self) -> EventSchema:
        data = self.cleaned_data
        return event_schema_save(
            by=self.user,
            schema_id=self.instance.pk,
            name=data["name"],
            aliases=data["names"].splitlines(),
            description=data["description"],
            on_fault=data["on_fault"],
            purpose=data["purpose"].pk if data["purpose"] else None,
            owner_id=data["owner"].pk if data["owner"] else None,
            document=data["document"],
        )


@admin.register(EventSchema)
class EventSchemaAdmin(ServiceAdmin):
    """What events look like, by name."""

    empty_text = "A schema says what an event is called, by which other names it comes, and which properties it has."
    form = EventSchemaForm
    list_display = ("name", "also", "on_fault", "purpose", "owner", "updated_at")
    list_filter = ("on_fault",)
    list_select_related = ("purpose", "owner")
    search_fields = ("name", "aliases")

    class Media:
        css = {"all": ["tessera/governance.css"]}

    def get_fieldsets(self, request: HttpRequest, obj: EventSchema | None = None) -> Any:
        fields = ["name", "names", "description", "on_fault", "purpose", "owner", "document"]
        return [(None, {"classes": ("min-w-0",), "fields": [*fields, "told"] if obj is not None else fields})]

    def get_readonly_fields(self, request: HttpRequest, obj: EventSchema | None = None) -> Any:
        return ("told",)

    def get_form(
        self, request: HttpRequest, obj: EventSchema | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        if obj is not None and "document" in form.base_fields:
            newest = obj.versions.order_by("-number").first()
            form.base_fields["document"].initial = newest.document if newest is not None else None
            form.base_fields["names"].initial = "\n".join(obj.aliases)
        return form

    @admin.display(description="Other names")
    def also(self, schema: EventSchema) -> str:
        return ", ".join(schema.aliases) or "–"

    @admin.display(description="Versions")
    def told(self, schema: EventSchema) -> SafeString | str:
        rows = [
            (
                one.number,
                f"{one.made_at:%Y-%m-%d %H:%M}",
                one.made_by or "it came along",
                _pretty(one.document),
            )
            for one in schema.versions.select_related("made_by").order_by("-number")
        ]
        if not rows:
            return "None yet: its properties are not looked at."
        text = '<details><summary>Version {}, {} UTC, {}</summary><pre class="t-pre" tabindex="0">{}</pre></details>'
        return format_html_join("", text, rows)


@admin.register(UnknownName)
class UnknownNameAdmin(ReadOnlyAdmin):
    """What was sent under names that no schema has."""

    empty_text = (
        "Names of events that no schema has are kept and counted here, so that you can give them a schema or make "
        "them another name of one."
    )
    list_display = ("name", "property_shown", "source", "count", "first_at", "last_at")
    list_filter = ("source",)
    search_fields = ("name", "property")
    ordering = ("-last_at", "-count")

    @admin.display(description="Property", ordering="property")
    def property_shown(self, one: UnknownName) -> str:
        return one.property or "– (the name itself)"


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin):
    """What could not become an event, and why; never what was in it."""

    empty_text = (
        "Everything that came in could be written down. What could not would be kept here with its reason, and "
        "could be tried again."
    )
    list_display = ("failed_at", "reason", "name", "source", "problem", "tries")
    list_filter = ("reason", "source")
    search_fields = ("=message_id", "=name")
    search_help_text = "the sender's id, or the event's name"
    ordering = ("-failed_at",)
    exclude = ("sealed", "digests")
    actions = ("try_again",)

    def has_replay_permission(self, request: HttpRequest) -> bool:
        """Whether somebody may have letters tried again."""
        return request.user.has_perm("events.change_deadletter")

    @admin.action(description="Try again", permissions=["replay"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> None:
        try:
            done = letters_replay(by=cast(User, request.user), letter_ids=queryset.values_list("pk", flat=True))
        except DomainError as error:
            messages.error(request, error.message)
            return
        said = f"{done.written} written down, {done.known} known already, {done.again} set aside again."
        (messages.warning if done.again else messages.success)(request, said)
