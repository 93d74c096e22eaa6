"""What staff fill in for a definition of an attribute."""

from typing import Any

from django import forms
from django.conf import settings
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from apps.foundation.accounts.saving import ServiceForm
from apps.foundation.core.errors import DomainError

from .models import AttributeDefinition
from .services import attribute_change, attribute_define

LABELS = [(f"label_{code}", code, title) for code, title in settings.LANGUAGES]


class DefinitionForm(ServiceForm):
    """A definition, with its label in each language of the customers' pages."""

    allowed = forms.CharField(
        label="Allowed values",
        required=False,
        widget=UnfoldAdminTextareaWidget({"rows": 4, "dir": "auto"}),
        help_text="One a line, as it is stored: for one of a list, and for a list of texts.",
    )
    fallback = forms.CharField(
        label="Fallback",
        required=False,
        max_length=1000,
        widget=UnfoldAdminTextInputWidget({"dir": "auto"}),
        help_text="What reads well where nothing is known, for whoever writes a template to take over.",
    )

    class Meta:
        model = AttributeDefinition
        fields = (
            "name", "kind", "description", "required", "sensitive", "correctable", "allowed", "fallback", "fresh_days",
        )  # fmt: skip
        widgets = {"description": UnfoldAdminTextareaWidget({"rows": 2})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        row = self.instance
        self.initial["allowed"] = "\n".join(row.allowed or [])
        self.initial["fallback"] = _fallback_said(row.fallback)
        self._labels = dict(row.labels or {})
        for field, code, title in LABELS:
            self.fields[field] = forms.CharField(
                label=f"Label, {title}",
                max_length=80,
                required=False,
                initial=self._labels.get(code, ""),
                widget=UnfoldAdminTextInputWidget({"lang": code, "dir": "auto"}),
            )

    def service(self) -> AttributeDefinition:
        data = self.cleaned_data
        names = ("kind", "description", "required", "sensitive", "correctable", "fresh_days")
        said: dict[str, Any] = {name: data[name] for name in names} | {
            "labels": self._labels | {code: data[field] for field, code, _ in LABELS},  # those in other languages stay
            "allowed": data["allowed"].splitlines(),
            "fallback": data["fallback"] or None,
        }
        try:
            if self.instance.pk is None:
                return attribute_define(name=data["name"], by=self.user, **said)
            seen_at = self.instance.updated_at
            return attribute_change(definition_id=self.instance.pk, by=self.user, seen_at=seen_at, **said)
        except DomainError as error:
            place = {"where": error.extra.get("field", ""), "line": 0, "token": "", "mend": error.message}
            raise type(error)(error.code, error.message, {**error.extra, "problems": [place]}) from None


def _fallback_said(value: Any) -> str:
    """As it can be typed in again."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(f'"{one}"' if "," in one else one for one in value)
    return "" if value is None else str(value)


class OpenForm(forms.Form):
    """The name once more, because what was read meanwhile is not sealed again."""

    name = forms.CharField(
        label="Name of the attribute, to be sure", max_length=120, widget=UnfoldAdminTextInputWidget()
    )
