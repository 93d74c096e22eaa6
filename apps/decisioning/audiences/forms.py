"""The audience's form: a rule is written as JSON, with examples to begin from and its meaning beside it."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NoReturn

from django import forms
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe
from unfold.widgets import UnfoldAdminTextareaWidget

from apps.foundation.core.conflicts import ConflictForm
from apps.foundation.core.errors import Invalid

from .models import Audience
from .rules import Rule, rule_parse, rule_to_json
from .selectors import rule_admit

MAX_CHARACTERS = 20_000

_LINE = 56

EXAMPLES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("Everybody", {"all": []}),
    ("From some countries", {"attribute": "country", "in": ["DE", "AT", "CH"]}),
    (
        "Bought before, not lately",
        {"all": [{"orders": {"at_least": 2}}, {"orders": {"exactly": 0, "within_days": 60}}]},
    ),
    ("Bought from a category", {"orders": {"at_least": 1, "within_days": 365, "category": "Garden"}}),
    (
        "Looked, did not buy",
        {
            "all": [
                {"event": "Product Viewed", "at_least": 3, "within_days": 7},
                {"orders": {"exactly": 0, "within_days": 7}},
            ]
        },
    ),
    (
        "Agreed, country not known",
        {"all": [{"consent": "marketing", "channel": "email", "is": True}, {"attribute": "country", "known": False}]},
    ),
    (
        "Agreed to an older text, to be asked again",
        {"asked_again": "marketing", "channel": "email", "is": True},
    ),
    ("Chose an interest", {"interest": "cooking", "is": True}),
    ("About to be lost", {"feature": "lifecycle_stage", "in": ["lapsing", "lapsed"]}),
    ("Power users", {"feature": "is_power_user", "is": True}),
)


def rule_read(text: str) -> Rule:
    """The rule that a text holds. Raises Invalid with the place of the fault, in the JSON or in the rule."""
    if not text.strip():
        raise Invalid("rule_empty", "Write a rule, or take one of the examples")
    if len(text) > MAX_CHARACTERS:
        raise Invalid("rule_too_long", f"A rule may have {MAX_CHARACTERS:,} characters, and this has {len(text):,}")
    try:
        data = json.loads(text, parse_constant=_constant_refuse)
    except json.JSONDecodeError as fault:
        message = f"Line {fault.lineno}, column {fault.colno}: this is not JSON yet ({fault.msg})"
        raise Invalid("rule_not_json", message) from None
    except (RecursionError, ValueError):
        raise Invalid("rule_not_json", "This is nested too deep, or holds a number too large") from None
    return rule_admit(data)


def _constant_refuse(name: str) -> NoReturn:
    raise ValueError(name)


def rule_text(data: object) -> str:
    """A rule for people to read and edit: in canonical order, and what is short stays on one line."""
    with suppress(Invalid):  # one kept from other days is shown as it is: the panel says what is wrong
        data = rule_to_json(rule_parse(data))
    return _laid_out(data, "")


def _laid_out(data: object, indent: str) -> str:
    line = json.dumps(data, ensure_ascii=False)
    if len(indent) + len(line) <= _LINE or not data or not isinstance(data, dict | list):
        return line
    deeper = indent + "  "
    if isinstance(data, list):
        parts = [f"{deeper}{_laid_out(value, deeper)}" for value in data]
        return "[\n" + ",\n".join(parts) + f"\n{indent}]"
    inside = indent if len(data) == 1 else deeper  # {"all": [ … ]} needs no level of its own
    parts = [f"{json.dumps(key, ensure_ascii=False)}: {_laid_out(value, inside)}" for key, value in data.items()]
    if len(parts) == 1:
        return "{" + parts[0] + "}"
    return "{\n" + ",\n".join(f"{deeper}{part}" for part in parts) + f"\n{indent}}}"


class RuleWidget(UnfoldAdminTextareaWidget):
    """A text area with examples above it, and a panel that says what the rule means and whom it finds."""

    class Media:
        css = {"all": ["tessera/audience.css"]}
        js = ["tessera/audience.js", "tessera/audience-builder.js"]

    def __init__(self, preview_url: str = "", catalog: Mapping[str, Any] | None = None) -> None:
        super().__init__({"rows": 12, "spellcheck": "false", "autocomplete": "off", "autocapitalize": "off"})
        self.preview_url = preview_url
        self.catalog = catalog

    def render(self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None) -> SafeString:
        textarea = super().render(name, value, {**(attrs or {}), "aria-describedby": "rule-preview"}, renderer)
        context = {
            "textarea": textarea,
            "preview_url": self.preview_url,
            "catalog": self.catalog,
            "examples": [(title, rule_text(rule)) for title, rule in EXAMPLES],
        }
        return mark_safe(render_to_string("audiences/rule_widget.html", context))  # noqa: S308  # our own template


class RuleField(forms.CharField):
    """JSON text in, the rule's canonical JSON out."""

    widget = RuleWidget

    def prepare_value(self, value: Any) -> Any:
        return value if isinstance(value, str) or value is None else rule_text(value)

    def clean(self, value: Any) -> Any:
        try:
            return rule_to_json(rule_read(value or ""))
        except Invalid as fault:
            raise forms.ValidationError(fault.message, code=fault.code) from None

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(rule_to_json(rule_read(data or "")) != initial)
        except Invalid:
            return True


class AudienceForm(ConflictForm, forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """Name, description and rule; who owns it is who makes it."""

    rule = RuleField(
        help_text="A playbook that is published keeps the rule that was approved; a change here is a new version there."
    )

    class Meta:
        model = Audience
        fields = ("name", "description", "rule", "watched")
        widgets = {"description": UnfoldAdminTextareaWidget({"rows": 2})}
