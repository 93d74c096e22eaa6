"""Clients of the API in the admin: what they may do, and their keys, each shown once."""

import types
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from unfold.decorators import action
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, DomainError, Invalid, NotAllowed, NotFound

from .api_clients import OVERLAP, client_create, client_update, key_issue, key_revoke
from .api_reach import REACHES, Reach
from .api_scopes import KIND_OF_CLIENT, KINDS_OF_CLIENTS, SCOPES_OF_API
from .models import ApiClient, ApiKey, User
from .saving import ServiceAdmin, ServiceForm

_PREFIX = "reach_"
_FIT = "min-w-0"
_STATUS: dict[type[DomainError], int] = {Invalid: 400, NotFound: 404, Conflict: 409}


class ClientForm(ServiceForm):
    """A client; the service says what is wrong with it."""

    tells_lines = False
    scopes = forms.MultipleChoiceField(
        choices=[(scope.code, f"{scope.code}: {scope.does}") for scope in SCOPES_OF_API],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="What its keys open. Give as little as it needs.",
    )

    class Meta:
        model = ApiClient
        fields = ("name", "code", "kind", "owner", "per_minute", "active")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "kind" in self.fields:
            kinds = [(kind.code, f"{kind.title}: {kind.does}") for kind in KINDS_OF_CLIENTS]
            cast(forms.ChoiceField, self.fields["kind"]).choices = kinds
        if "owner" in self.fields:
            owners = cast("forms.ModelChoiceField[User]", self.fields["owner"])
            owners.queryset = User.objects.filter(is_active=True) | User.objects.filter(pk=self.instance.owner_id)
            owners.required = False
            owners.help_text = "It acts for this person, and never may more than they; empty: for you."
        for key in REACHES:
            if _PREFIX + key in self.fields:
                self.initial[_PREFIX + key] = self.instance.reach.get(key, [])

    def field_of(self, where: str) -> str | None:
        name = where if where in self.fields else _PREFIX + where
        return name if name in self.fields else None

    def service(self) -> ApiClient:
        data = self.cleaned_data
        reach = {key: data[_PREFIX + key] for key in REACHES if data.get(_PREFIX + key)}
        said: dict[str, Any] = {
            "by": self.user,
            "name": data["name"],
            "scopes": data["scopes"],
            "reach": reach,
            "per_minute": data["per_minute"],
            "owner": data["owner"] or self.user,
        }
        try:
            if self.instance._state.adding:
                return client_create(code=data["code"], kind=data["kind"], **said)
            return client_update(client_id=self.instance.pk, active=data["active"], **said)
        except DomainError as error:
            field = error.extra.get("field")
            if field is not None:
                problem = {"where": field, "line": 0, "token": "", "mend": error.message}
                error.extra["problems"] = [problem]
            raise


def _reach_field(reach: Reach) -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(
        choices=reach.options,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        required=False,
        label=reach.title,
        help_text=reach.help,
    )


@admin.register(ApiClient)
class ApiClientAdmin(ServiceAdmin):
    """Systems that use the API."""

    empty_text = (
        "A client is another system that may use the API. It gets a key, which is shown once, for what it needs "
        "and nothing more."
    )
    list_display = ("name", "code", "kind", "owner", "keys_shown", "last_used", "active")
    list_filter = ("active", "kind")
    list_select_related = ("owner",)
    search_fields = ("name", "code")
    actions_detail = ("keys_page",)

    class Media:
        css = {"all": ["tessera/governance.css"]}

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("keys")

    def get_form(self, request: HttpRequest, obj: ApiClient | None = None, change: bool = False, **kwargs: Any) -> Any:
        fields: dict[str, Any] = {_PREFIX + reach.key: _reach_field(reach) for reach in REACHES.values()}
        kwargs["form"] = types.new_class("ClientForm", (ClientForm,), exec_body=lambda body: body.update(fields))
        return super().get_form(request, obj, change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: ApiClient | None = None) -> Any:
        about = ["name", "code", "kind", "owner", "per_minute", *(["active"] if obj is not None else [])]
        sets = [(None, {"classes": (_FIT,), "fields": about}), ("Scopes", {"classes": (_FIT,), "fields": ["scopes"]})]
        if REACHES:
            reaches = [_PREFIX + key for key in REACHES]
            sets.append(("Limits and trust", {"classes": (_FIT,), "fields": reaches}))
        return sets

    def get_readonly_fields(self, request: HttpRequest, obj: ApiClient | None = None) -> Any:
        return ("code", "kind") if obj is not None else ()

    @admin.display(description="Keys that are good")
    def keys_shown(self, client: ApiClient) -> int:
        at = now()
        return sum(
            key.revoked_at is None and (key.expires_at is None or key.expires_at > at) for key in client.keys.all()
        )

    @admin.display(description="Last used")
    def last_used(self, client: ApiClient) -> Any:
        return max((key.last_used_at for key in client.keys.all() if key.last_used_at is not None), default=None)

    @action(  # type: ignore[untyped-decorator]  # unfold has no types
        description="Keys", url_path="keys", icon="key"
    )
    def keys_page(self, request: HttpRequest, object_id: Any) -> HttpResponse:
        """The keys of a client; by POST a new one, which this answer alone shows, or the end of one."""
        client = self._of_id(object_id)
        if not self.has_view_permission(request, cast(Any, client)):
            raise PermissionDenied
        if not isinstance(client, ApiClient):
            raise Http404
        may_change, done, problem, status = self.has_change_permission(request, client), ("", ""), "", 200
        if request.method == "POST":
            if not may_change:
                raise PermissionDenied
            try:
                done = _deed(request, client, cast(User, request.user))
            except NotAllowed as error:
                raise PermissionDenied(error.message) from error
            except DomainError as error:
                problem, status = error.message, _STATUS.get(type(error), 400)
        context = {
            **self.admin_site.each_context(request),
            "title": f"{client}: keys",
            "opts": self.opts,
            "back": reverse("admin:accounts_apiclient_change", args=[client.pk]),
            "client": client,
            "kind": KIND_OF_CLIENT[client.kind],
            "keys": list(client.keys.select_related("created_by")),
            "now": now(),
            "may_change": may_change,
            "new_key": done[1],
            "done": done[0],
            "problem": problem,
            "overlap_days": OVERLAP.days,
        }
        answer = render(request, "accounts/keys.html", context, status=status)
        answer["Cache-Control"] = "no-store"
        return answer


def _deed(request: HttpRequest, client: ApiClient, by: User) -> tuple[str, str]:
    """What was done, in words, and the text of a key that was made."""
    deed = request.POST.get("do", "")
    if deed == "make":
        text = key_issue(client_id=client.pk, by=by)[1]
        return "Here is the new key. The others stay as they are.", text
    if deed == "rotate":
        said = request.POST.get("days", "")
        if not said.isdecimal() or len(said) > 3:
            raise Invalid("overlap_wrong", "Say in whole days how long the old keys go on")
        text = key_issue(client_id=client.pk, by=by, overlap=timedelta(days=int(said)))[1]
        return f"Here is the new key. The others end {f'in {said} days' if int(said) else 'now'}.", text
    if deed == "revoke":
        try:
            key = ApiKey.objects.filter(client=client, pk=UUID(request.POST.get("key", ""))).first()
        except ValueError:
            key = None
        if key is None:
            raise NotFound("key_unknown", "There is no such key")
        key_revoke(key_id=key.pk, by=by)
        return f"The key …{key.hint} opens nothing any more.", ""
    raise NotFound("deed_unknown", "There is no such step")
