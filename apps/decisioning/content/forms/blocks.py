"""The forms of a block: what it is, and what it says in each language."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from django import forms
from django.utils.html import escape
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from apps.decisioning.content import services
from apps.decisioning.content.fields import Field
from apps.decisioning.content.models import Block, BlockType

from .saving import ServiceForm


class BlockForm(ServiceForm):
    """A block with what it says in each language; the fields are made from its type by `block_form_class`."""

    tells_lines = False

    tags_line = forms.CharField(
        label="Tags", required=False, widget=UnfoldAdminTextInputWidget(), help_text="Words, with commas between."
    )
    base = forms.IntegerField(required=False, widget=forms.HiddenInput)
    block_type: BlockType
    declared: Sequence[Field] = ()
    languages: Sequence[str] = ()

    class Meta:
        model = Block
        fields = ("name", "tier")

    def content(self) -> dict[str, dict[str, Any]]:
        """The values of the flexible fields by language; a language that nobody wrote in is left out."""
        data = self.cleaned_data if hasattr(self, "cleaned_data") else {}
        found: dict[str, dict[str, Any]] = {}
        for language in self.languages:
            values = {
                field.name: data.get(content_name(language, field)) or ""
                for field in self.declared
                if not field.fixed and field.kind != "products"
            }
            kept = {name: value for name, value in values.items() if str(value).strip()}
            if kept or not values:
                found[language] = values if values else {}
        return found

    def service(self) -> Block:
        data = self.cleaned_data
        tags = [tag.strip() for tag in data["tags_line"].split(",") if tag.strip()]
        values: dict[str, Any] = {"name": data["name"], "tier": data["tier"], "tags": tags}
        if self.instance.pk is None:
            return services.block_create(by=self.user, type_id=self.block_type.pk, content=self.content(), **values)
        services.block_version_create(
            block_id=self.instance.pk, content=self.content(), by=self.user, base=data["base"] or None
        )
        return services.block_update(block_id=self.instance.pk, by=self.user, **values)

    def field_of(self, where: str) -> str | None:
        for language in self.languages:
            for field in self.declared:
                if where.endswith(f", {language}, {field.label}"):
                    return content_name(language, field)
        return super().field_of(where)


def content_name(language: str, field: Field) -> str:
    """The name of a block's field in a language, within the form."""
    return f"content__{language}__{field.name}"


def block_form_class(
    *, block_type: BlockType, declared: Sequence[Field], languages: Sequence[str], content: Mapping[str, Any], base: int
) -> type[BlockForm]:
    """A form for a block of this type, with a field for each field and language.

    content, base: what its newest version says, and the number of that version.
    """
    made: dict[str, Any] = {
        "block_type": block_type,
        "declared": tuple(declared),
        "languages": tuple(languages),
        "__module__": __name__,
    }
    for language in languages:
        for field in declared:
            if field.kind != "products":
                given = (content.get(language) or {}).get(field.name)
                made[content_name(language, field)] = _field(field, language, given)
    made["base"] = forms.IntegerField(required=False, widget=forms.HiddenInput, initial=base)
    return cast(type[BlockForm], type("BlockForm", (BlockForm,), made))


_ROWS: Mapping[str, Callable[[], forms.Widget]] = {
    "rich_text": lambda: UnfoldAdminTextareaWidget({"rows": 4}),
    "link": lambda: UnfoldAdminTextInputWidget({"inputmode": "url", "spellcheck": "false"}),
    "image": lambda: UnfoldAdminTextInputWidget({"inputmode": "url", "spellcheck": "false"}),
}


def _field(field: Field, language: str, value: Any) -> forms.Field:
    attributes: dict[str, Any] = {
        "label": field.label,
        "required": False,  # the service says what is missing, in the languages that are written in
        "help_text": escape(_help(field)),  # Django puts help into the page as it is
        "initial": field.value_in(language) if field.fixed else value,
        "disabled": field.fixed,
    }
    if field.kind == "choice" and not field.fixed:
        choices = [("", "—"), *((choice, choice) for choice in field.choices)]
        return forms.ChoiceField(choices=choices, widget=UnfoldAdminSelectWidget, **attributes)
    widget = _ROWS.get(field.kind, UnfoldAdminTextInputWidget)()
    return forms.CharField(widget=widget, strip=True, **attributes)


def _help(field: Field) -> str:
    if field.fixed:
        return "Fixed: the same in every block, changed in the block type."
    limits = [field.help] if field.help else []
    if field.max_length:
        limits.append(f"At most {field.max_length} characters.")
    if field.kind == "rich_text":
        limits.append("<p>, <b>, <i>, <a href>, <ul> and <li> are kept, other tags are taken out.")
    if field.kind in ("link", "image"):
        limits.append("https://, to a host of the brand.")
    if field.kind == "colour":
        limits.append("Such as #1a2b3c.")
    if not field.required:
        limits.append("May stay empty.")
    return " ".join(limits)
