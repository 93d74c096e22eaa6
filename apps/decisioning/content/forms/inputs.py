"""Inputs of the content forms: JSON, lines, colours."""

import json
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe
from unfold.widgets import UnfoldAdminTextareaWidget

from apps.decisioning.content.limits import ALL_LIMITS, KINDS, LIMITS
from apps.decisioning.content.readability import FORMULAS

MAX_JSON = 200_000
_CODE = {"spellcheck": "false", "autocomplete": "off", "autocapitalize": "off", "wrap": "off"}


def code_area(rows: int) -> UnfoldAdminTextareaWidget:
    """A text area for sources: monospace, no wrapping, no spelling."""
    return UnfoldAdminTextareaWidget({**_CODE, "rows": rows, "class": "t-code"})


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
    order = ("name", "label", "kind", "fixed", "value", "required", *ALL_LIMITS, "by_language", "help")
    lines = [
        json.dumps(
            {key: field[key] for key in (*order, *sorted(set(field) - set(order))) if key in field}, ensure_ascii=False
        )
        for field in fields
    ]
    return "[\n" + ",\n".join(f"  {line}" for line in lines) + "\n]" if lines else "[]"


class FieldsBuilder(UnfoldAdminTextareaWidget):
    """The fields of a type as JSON, and on a page with scripts as rows to add, move, fill in and remove."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__({"rows": 14, "class": "t-code", "spellcheck": "false", "wrap": "off", **(attrs or {})})

    def render(self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None) -> SafeString:
        known = {
            "kinds": KINDS,
            "limits": LIMITS,
            "formulas": {language: formula.name for language, formula in FORMULAS.items()},
        }
        context = {"textarea": super().render(name, value, attrs, renderer), "known": known}
        return mark_safe(render_to_string("content/parts/fields_builder.html", context))  # noqa: S308  # our own


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


class LabelsField(forms.CharField):
    """Words by label and language, `chosen de Für Sie ausgewählt`, one a line."""

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, str):
            return value
        return "\n".join(
            f"{name} {language} {text}" for name, own in (value or {}).items() for language, text in own.items()
        )

    def clean(self, value: Any) -> Any:
        labels: dict[str, dict[str, str]] = {}
        for number, line in enumerate(super().clean(value).splitlines(), 1):
            if line.strip():
                parts = line.split(maxsplit=2)
                if len(parts) < 3 or parts[1] in labels.get(parts[0], {}):
                    message = f"Line {number}: write a label, a language and words, such as: chosen en Chosen for you"
                    raise ValidationError(message)
                labels.setdefault(parts[0], {})[parts[1]] = parts[2]
        return labels
