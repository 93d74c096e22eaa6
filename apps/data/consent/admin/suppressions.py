"""Suppressed addresses in the admin: seen, and added by hand, one or a list of them."""

from typing import Any, Final, cast

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminTextareaWidget

from apps.data.consent.models import Suppression
from apps.data.consent.services import suppressions_add
from apps.data.profiles.models import Identifier
from apps.data.profiles.normalize import domain_normalize, email_normalize, phone_normalize
from apps.foundation.accounts.models import User
from apps.foundation.core.admin import ReadOnlyAdmin
from apps.foundation.core.errors import Invalid
from apps.foundation.core.signing import address_digest

MOST: Final = 20_000
"""Addresses that are taken at once."""


class SuppressionForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """Takes addresses, one or a list such as one of spam traps and their domains; keeps their digests only."""

    address = forms.CharField(
        required=False,
        max_length=MOST * 330,
        widget=UnfoldAdminTextareaWidget,
        help_text="An e-mail address, or a phone number with its country (+43…); or several, one on each line. Among "
        "spam traps also domains. Kept only as keyed digests: they can't be read back.",
    )
    file = forms.FileField(
        required=False, help_text=f"or a text file with one address on each line, {MOST:,} at most, such as spam traps"
    )

    class Meta:
        model = Suppression
        fields = ("address", "file", "reason", "note")

    def clean(self) -> dict[str, Any]:
        """`by_kind`: the addresses, normalized, by what they are."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        text = str(cleaned.get("address") or "")
        if cleaned.get("file") is not None:
            text += "\n" + cleaned["file"].read(MOST * 330).decode("utf-8", "replace")
        lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        if not lines or len(lines) > MOST:
            raise forms.ValidationError(f"Give an address, or at most {MOST:,}, one on each line")
        self.by_kind: dict[str, set[str]] = {}
        faults: list[int] = []
        for number, line in lines:
            try:
                kind, value = _read(line, domains=cleaned.get("reason") == Suppression.Reason.SPAM_TRAP)
            except Invalid as problem:
                if len(lines) == 1:
                    raise forms.ValidationError({"address": problem.message}) from None
                faults.append(number)
            else:
                self.by_kind.setdefault(kind, set()).add(value)
        if faults:
            named = ", ".join(map(str, faults[:10])) + (" and others" if len(faults) > 10 else "")
            raise forms.ValidationError(f"Nothing was taken: there is no address on line {named}")
        return cleaned


def _read(line: str, *, domains: bool) -> tuple[str, str]:
    """What a line names: its kind, and the value normalized. domains: whether they are taken. Raises Invalid."""
    if "@" in line.lstrip("@"):
        return Identifier.Kind.EMAIL, email_normalize(line)
    if domains and any(letter.isalpha() for letter in line):
        return Suppression.DOMAIN, domain_normalize(line)
    return Identifier.Kind.PHONE, phone_normalize(line)


@admin.register(Suppression)
class SuppressionAdmin(ReadOnlyAdmin):
    """Addresses that get nothing, by digest."""

    empty_text = (
        "Addresses that get nothing any more, whatever was agreed to: hard bounces, complaints, spam traps, "
        "whoever left before."
    )
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
        return ("address", "file", "reason", "note") if obj is None else self.fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if obj is None else self.readonly_fields

    def save_model(self, request: HttpRequest, obj: Suppression, form: Any, change: bool) -> None:
        """Through the service, which locks the gates of those who hold the addresses."""
        added = sum(
            suppressions_add(
                kind=kind,
                values=values,
                reason=Suppression.Reason(obj.reason),
                note=obj.note,
                actor=cast(User, request.user),
            )
            for kind, values in form.by_kind.items()
        )
        given = sum(map(len, form.by_kind.values()))
        if added < given:
            messages.info(request, f"{given - added} of {given} were suppressed already, and stay as they were.")
        kind = next(iter(form.by_kind))
        obj.pk = Suppression.objects.get(digest=address_digest(kind, min(form.by_kind[kind]))).pk
