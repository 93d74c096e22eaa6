"""Suppressed addresses in the admin: seen, and added by hand."""

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest

from apps.data.consent.models import Suppression
from apps.data.consent.services import suppression_add
from apps.data.profiles.models import Identifier
from apps.data.profiles.normalize import email_normalize, phone_normalize
from apps.foundation.accounts.models import User
from apps.foundation.core.admin import ReadOnlyAdmin
from apps.foundation.core.errors import Invalid
from apps.foundation.core.signing import address_digest


class SuppressionForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """Takes an address, keeps its digest only."""

    address = forms.CharField(
        max_length=320,
        help_text="An e-mail address, or a phone number with its country (+43…). "
        "Kept only as a keyed digest: it can't be read back.",
    )
    kind = Identifier.Kind.EMAIL

    class Meta:
        model = Suppression
        fields = ("address", "reason", "note")

    def clean_address(self) -> str:
        """Normalized; `kind` says as what."""
        text = self.cleaned_data["address"].strip()
        try:
            if "@" in text:
                return email_normalize(text)
            self.kind = Identifier.Kind.PHONE
            return phone_normalize(text)
        except Invalid as problem:
            raise forms.ValidationError(problem.message) from None


@admin.register(Suppression)
class SuppressionAdmin(ReadOnlyAdmin):
    """Addresses that get nothing, by digest."""

    list_display = ("created_at", "kind", "reason", "note", "actor")
    list_filter = ("reason", "kind")
    list_select_related = ("actor",)
    ordering = ("-id",)
    readonly_fields = ("kind", "created_at", "actor")
    fields = ("kind", "reason", "note", "created_at", "actor")

    def get_queryset(self, request: HttpRequest) -> Any:
        """Each address once, also while two versions of the lookup key are live."""
        return super().get_queryset(request).filter(carried=False)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return cast(User, request.user).has_perm("consent.add_suppression")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is None:
            kwargs["form"] = SuppressionForm
            kwargs["fields"] = None
        return super().get_form(request, obj, change, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("address", "reason", "note") if obj is None else self.fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if obj is None else self.readonly_fields

    def save_model(self, request: HttpRequest, obj: Suppression, form: Any, change: bool) -> None:
        """Through the service, which locks the gates of those who hold the address."""
        address = form.cleaned_data["address"]
        created = suppression_add(
            kind=form.kind,
            value=address,
            reason=Suppression.Reason(obj.reason),
            note=obj.note,
            actor=cast(User, request.user),
        )
        if not created:
            messages.info(request, "This address was suppressed already; nothing changed.")
        obj.pk = Suppression.objects.get(digest=address_digest(form.kind, address)).pk
