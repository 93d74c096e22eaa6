"""The form of a persona."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminTextareaWidget

from apps.decisioning.content import services
from apps.decisioning.content.models import Persona
from apps.foundation.accounts.saving import ServiceForm

_NUMBER_MAX = 15


class AttributesField(forms.CharField):
    """Names with values, one a line: `first_name: Anna`. A number stays one, `yes` and `no` are true and false."""

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, str):
            return value
        words = {True: "yes", False: "no"}
        return "\n".join(f"{n}: {words[v] if isinstance(v, bool) else v}" for n, v in (value or {}).items())

    def clean(self, value: Any) -> Any:
        found: dict[str, Any] = {}
        for number, line in enumerate(super().clean(value).splitlines(), 1):
            if not line.strip():
                continue
            name, colon, text = (part.strip() for part in line.partition(":"))
            if not colon or not name or name in found:
                raise ValidationError(f"Line {number}: write a new name, a colon and a value, such as first_name: Anna")
            found[name] = _typed(text)
        return found

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.prepare_value(initial) != data)


def _typed(text: str) -> Any:
    if text in ("yes", "no"):
        return text == "yes"
    if (
        text.lstrip("-").isdecimal()
        and len(text) <= _NUMBER_MAX
        and (text == "0" or not text.lstrip("-").startswith("0"))
    ):
        return int(text)
    return text


class PersonaForm(ServiceForm):
    """A persona: a name and what would be known of such a person."""

    profile = AttributesField(
        label="What is known of them",
        required=False,
        widget=UnfoldAdminTextareaWidget({"rows": 8, "spellcheck": "false", "class": "t-code"}),
        help_text="One a line, such as first_name: Anna, country: DE. What is left out is missing.",
    )

    class Meta:
        model = Persona
        fields = ("name", "description", "profile")

    def service(self) -> Persona:
        values = {name: self.cleaned_data[name] for name in self.Meta.fields if name in self.cleaned_data}
        if self.instance.pk is None:
            return services.persona_create(by=self.user, **values)
        return services.persona_update(persona_id=self.instance.pk, by=self.user, **values)
