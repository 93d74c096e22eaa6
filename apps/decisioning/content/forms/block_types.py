"""The form of a block type."""

from django import forms
from unfold.widgets import (
    UnfoldAdminTextareaWidget,
)

from apps.decisioning.content import services
from apps.decisioning.content.models import BlockType

from .inputs import JsonField
from .saving import ServiceForm, code_area


class BlockTypeForm(ServiceForm):
    """A block type: fields as JSON, layouts as sources."""

    layout = forms.CharField(
        required=False,
        strip=False,
        widget=code_area(20),
        help_text="MJML, one or more mj-section; [[ name ]] puts in a field. Leave it empty for lines of plain text.",
    )
    text_layout = forms.CharField(strip=False, widget=code_area(8), help_text="The same as plain text.")

    class Meta:
        model = BlockType
        fields = ("code", "name", "description", "fields", "layout", "text_layout")
        field_classes = {"fields": JsonField}
        widgets = {"fields": code_area(12), "description": UnfoldAdminTextareaWidget({"rows": 2})}
        help_texts = {
            "fields": (
                'A list: [{"name": "headline", "label": "Headline", "kind": "text", "max_length": 60}, …]. '
                "kind: text, rich_text, image, link, colour, choice (with choices), number, products. "
                'With "fixed": true and a value (one, or one for each language) only this page changes it.'
            )
        }

    def service(self) -> BlockType:
        values = {name: self.cleaned_data[name] for name in self.Meta.fields if name in self.cleaned_data}
        for name in ("layout", "text_layout"):
            values[name] = values[name].replace("\r\n", "\n")
        if self.instance.pk is None:
            return services.block_type_create(by=self.user, **values)
        values.pop("code", None)
        return services.block_type_update(block_type_id=self.instance.pk, by=self.user, **values)

    def field_of(self, where: str) -> str | None:
        if where.endswith(", layout"):
            return "layout"
        if where.endswith(", text layout"):
            return "text_layout"
        return "fields" if where.startswith("field") else super().field_of(where)
