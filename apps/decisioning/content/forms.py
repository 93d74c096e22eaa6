"""The forms of the admin. Each asks the service whether it would save, and shows every problem at its field."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.html import escape
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from apps.foundation.accounts.models import User
from apps.foundation.core.errors import DomainError

from . import services
from .fields import Field
from .models import Block, BlockType, Brand, Template

MAX_JSON = 200_000
_CODE = {"spellcheck": "false", "autocomplete": "off", "autocapitalize": "off", "wrap": "off"}


def code_area(rows: int) -> UnfoldAdminTextareaWidget:
    """A text area for sources: monospace, no wrapping, no spelling."""
    return UnfoldAdminTextareaWidget({**_CODE, "rows": rows, "class": "t-code"})


class ServiceForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """Its check is the service itself, rolled back: what the form accepts, the service saves."""

    user: User

    def service(self) -> Any:
        """Save by the service, as `user`; the row."""
        raise NotImplementedError

    def field_of(self, where: str) -> str | None:
        """The form's field that a problem's place belongs to; None for the whole form."""
        return where if where in self.fields else None

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]  # Django's hook behind the cleaning of fields
        if self.errors:
            return
        try:
            with transaction.atomic():
                self.service()
                transaction.set_rollback(True)
        except DomainError as error:
            problems = error.extra.get("problems") or [{"where": "", "line": 0, "token": "", "mend": error.message}]
            for problem in problems:
                field = self.field_of(problem["where"])
                self.add_error(
                    field, _sentence(problem, with_place=field is None, lines=not isinstance(self, BlockForm))
                )

    def validate_unique(self) -> None:
        """Left to the service, which says which name is taken."""


def _sentence(problem: Mapping[str, Any], *, with_place: bool, lines: bool) -> str:
    line = f"Line {problem['line']}: " if lines and problem["line"] else ""
    place = f"{problem['where']}: " if with_place and problem["where"] else ""
    token = f"{problem['token']} " if problem["token"] else ""
    text = f"{token}{problem['mend']}"
    return place + line + (text if token or line or place else text[:1].upper() + text[1:])


class JsonField(forms.CharField):
    """JSON as text in, data out; a fault is told with its line."""

    def __init__(self, *, encoder: Any = None, decoder: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)  # the model's field offers its codecs; there are none

    def prepare_value(self, value: Any) -> Any:
        return value if isinstance(value, str) else _declaration(value)

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if len(text) > MAX_JSON:
            raise ValidationError(f"This has {len(text):,} characters, {MAX_JSON:,} are allowed")
        try:
            return json.loads(text or "[]")
        except json.JSONDecodeError as fault:
            message = f"Line {fault.lineno}, column {fault.colno}: this is not JSON yet ({fault.msg})"
            raise ValidationError(message) from None
        except (RecursionError, ValueError):
            raise ValidationError("This is nested too deep, or holds a number too large") from None

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(json.loads(data or "[]") != initial)
        except (RecursionError, ValueError):
            return True


def _declaration(fields: Any) -> str:
    """A type's fields for reading and editing: one a line, name and kind first."""
    if not isinstance(fields, list) or not all(isinstance(field, dict) for field in fields):
        return json.dumps(fields, indent=2, ensure_ascii=False)
    order = ("name", "label", "kind", "fixed", "value", "required", "max_length", "choices", "help")
    lines = [
        json.dumps(
            {key: field[key] for key in (*order, *sorted(set(field) - set(order))) if key in field}, ensure_ascii=False
        )
        for field in fields
    ]
    return "[\n" + ",\n".join(f"  {line}" for line in lines) + "\n]" if lines else "[]"


class LinesField(forms.CharField):
    """A list, one entry a line."""

    def prepare_value(self, value: Any) -> Any:
        return value if isinstance(value, str) else "\n".join(value or [])

    def clean(self, value: Any) -> Any:
        return [line.strip() for line in super().clean(value).splitlines() if line.strip()]


class ColoursField(forms.CharField):
    """Colours by name, `accent #1a2b3c`, one a line."""

    def prepare_value(self, value: Any) -> Any:
        return value if isinstance(value, str) else "\n".join(f"{name} {c}" for name, c in (value or {}).items())

    def clean(self, value: Any) -> Any:
        colours: dict[str, str] = {}
        for number, line in enumerate(super().clean(value).splitlines(), 1):
            if line.strip():
                name, _, colour = line.strip().partition(" ")
                if not colour.strip() or name in colours:
                    raise ValidationError(f"Line {number}: write a new name and a colour, such as: accent #1a2b3c")
                colours[name] = colour.strip()
        return colours


class BrandForm(ServiceForm):
    """A brand."""

    link_hosts = LinesField(
        widget=UnfoldAdminTextareaWidget({"rows": 3, "spellcheck": "false"}),
        help_text="One a line, such as shop.example. Links and pictures of messages go there and nowhere else.",
    )
    colours = ColoursField(
        required=False,
        widget=UnfoldAdminTextareaWidget({"rows": 6, "spellcheck": "false", "class": "t-code"}),
        help_text="One a line: a name and a colour, such as: accent #1a2b3c. Templates use [[ brand.colours.accent ]].",
    )

    class Meta:
        model = Brand
        fields = (
            "code", "name", "from_name", "from_email", "reply_to", "postal_address", "shop_url", "link_hosts",
            "colours", "default_language",
        )  # fmt: skip

    def service(self) -> Brand:
        values = {name: self.cleaned_data[name] for name in self.Meta.fields if name in self.cleaned_data}
        if self.instance.pk is None:
            return services.brand_create(by=self.user, **values)
        values.pop("code", None)
        return services.brand_update(brand_id=self.instance.pk, by=self.user, **values)


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


class TemplateForm(ServiceForm):
    """A template with the sources of its newest version."""

    subject = forms.CharField(strip=False, widget=code_area(2), help_text="Plain text.")
    mjml = forms.CharField(
        label="MJML",
        strip=False,
        widget=code_area(36),
        help_text="[[ slot:NAME ]] puts in a slot, [[ brand.name ]] a value of the brand; "
        '{{ profile.first_name | fallback("friend") }} is filled for each person.',
    )
    text = forms.CharField(label="Plain text", strip=False, widget=code_area(18), help_text="The same message as text.")
    base = forms.IntegerField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = Template
        fields = ("code", "name")

    def service(self) -> Template:
        data = self.cleaned_data
        sources = {name: data[name] for name in ("subject", "mjml", "text")}
        if self.instance.pk is None:
            return services.template_create(by=self.user, code=data["code"], name=data["name"], **sources)
        services.template_version_create(
            template_id=self.instance.pk, by=self.user, base=data["base"] or None, **sources
        )
        return services.template_update(template_id=self.instance.pk, by=self.user, name=data["name"])


class BlockForm(ServiceForm):
    """A block with what it says in each language; the fields are made from its type by `block_form_class`."""

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
