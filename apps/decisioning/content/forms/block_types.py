"""The form of a block type."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import (
    UnfoldAdminTextareaWidget,
)

from apps.decisioning.content import services
from apps.decisioning.content.errors import BreaksBlocks
from apps.decisioning.content.models import BlockType
from apps.foundation.accounts.saving import ServiceForm

from .inputs import FieldsBuilder, JsonField, code_area


class BlockTypeForm(ServiceForm):
    """A block type: fields as JSON, layouts as sources."""

    layout = forms.CharField(
        required=False,
        strip=False,
        widget=code_area(20),
        help_text="MJML, one or more mj-section; [[ name ]] puts in a field. Leave it empty for lines of plain text.",
    )
    text_layout = forms.CharField(strip=False, widget=code_area(8), help_text="The same as plain text.")

    asks_later = (BreaksBlocks,)

    class Meta:
        model = BlockType
        fields = ("code", "name", "description", "fields", "layout", "text_layout")
        field_classes = {"fields": JsonField}
        widgets = {"fields": FieldsBuilder, "description": UnfoldAdminTextareaWidget({"rows": 2})}
        help_texts = {
            "fields": (
                "As JSON: a list of objects with name, label, kind, and the limits of the kind. "
                'With "fixed": true and a value (one, or one for each language) only this page changes it.'
            )
        }

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if "_back" in self.data:  # from the page that asks about blocks that would break
            raise ValidationError("Nothing is saved yet. Change what you like, and save again.")
        return data

    def service(self) -> BlockType:
        values = {name: self.cleaned_data[name] for name in self.Meta.fields if name in self.cleaned_data}
        for name in ("layout", "text_layout"):
            values[name] = values[name].replace("\r\n", "\n")
        if self.instance.pk is None:
            return services.block_type_create(by=self.user, **values)
        values.pop("code", None)
        return services.block_type_update(
            block_type_id=self.instance.pk,
            by=self.user,
            seen_at=self.instance.updated_at,
            confirmed=self.data.get("confirmed", ""),
            **values,
        )

    def field_of(self, where: str) -> str | None:
        if where.endswith(", layout"):
            return "layout"
        if where.endswith(", text layout"):
            return "text_layout"
        return "fields" if where.startswith("field") else super().field_of(where)
