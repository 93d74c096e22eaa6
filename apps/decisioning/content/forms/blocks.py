"""The form of a block: what it is, and what it says in each language."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC
from typing import Any, cast

from django import forms
from django.utils.html import escape
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from apps.decisioning.content import services
from apps.decisioning.content.fields import Field, language_is_valid
from apps.decisioning.content.models import Block, BlockType, BlockVersion
from apps.decisioning.content.selectors import markets_of
from apps.decisioning.content.services import VersionFacts
from apps.decisioning.content.tables import limits_said
from apps.decisioning.content.values import image_value
from apps.foundation.accounts.rights import may
from apps.foundation.accounts.saving import ServiceForm

_POSTED = re.compile(r"content__([A-Za-z0-9-]{2,20})__[a-z0-9_]+")
_MOMENT = "%Y-%m-%dT%H:%M"
IMAGE_PARTS = ("alt", "width", "height")


class BlockForm(ServiceForm):
    """A block with what it says in each language; the fields are made from its type by `block_form_class`."""

    tells_lines = False

    tags_line = forms.CharField(
        label="Tags",
        required=False,
        widget=UnfoldAdminTextInputWidget({"autocomplete": "off"}),
        help_text="Words, with commas between. They say who must agree: a block tagged offer needs legal, for example.",
    )
    valid_from = forms.DateTimeField(
        label="Valid from",
        required=False,
        input_formats=[_MOMENT, "%Y-%m-%d %H:%M", "%Y-%m-%d"],
        widget=UnfoldAdminTextInputWidget({"type": "datetime-local"}),
        help_text="UTC. Empty: at once.",
    )
    valid_until = forms.DateTimeField(
        label="Valid until",
        required=False,
        input_formats=[_MOMENT, "%Y-%m-%d %H:%M", "%Y-%m-%d"],
        widget=UnfoldAdminTextInputWidget({"type": "datetime-local"}),
        help_text="UTC. Empty: for good. Then tiers with this block are passed over.",
    )
    written_by_model = forms.BooleanField(
        label="Written by a model",
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text="The message tells the customer so, below the block.",
    )
    base = forms.IntegerField(required=False, widget=forms.HiddenInput)
    block_type: BlockType
    declared: Sequence[Field] = ()
    languages: Sequence[str] = ()

    class Meta:
        model = Block
        fields = ("name", "tier", "market")
        widgets = {"market": UnfoldAdminSelectWidget}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is not None:
            self.initial["tags_line"] = ", ".join(self.instance.tags)
        if not hasattr(self, "user"):  # a panel for one more language, made for its fields alone
            return
        central = self.user.has_perm("content.add_block")
        market = self.fields["market"]
        if isinstance(market, forms.ModelChoiceField):
            market.queryset, market.required = markets_of(self.user), not central
            market.empty_label = "All markets" if central else None
        if not central:
            self.fields["tier"].choices = [  # type: ignore[attr-defined]  # a choice field, as the model has choices
                choice for choice in Block.Tier.choices if choice[0] != Block.Tier.FOUNDATION
            ]
        if self.instance.pk is not None and not may(self.user, "describe", self.instance):
            for name in ("name", "tier", "market", "tags_line"):
                self.fields[name].disabled = True

    def content(self) -> dict[str, dict[str, Any]]:
        """The values of the flexible fields by language; a language that nobody wrote in is left out."""
        data = self.cleaned_data if hasattr(self, "cleaned_data") else {}
        return content_of(self.declared, self.languages, data)

    def facts(self) -> VersionFacts:
        """What holds for the version as a whole."""
        data = self.cleaned_data
        moments = [data.get(name) for name in ("valid_from", "valid_until")]
        begins, ends = (moment.astimezone(UTC) if moment else None for moment in moments)
        return VersionFacts(begins, ends, bool(data.get("written_by_model")))

    def service(self) -> Block:
        data = self.cleaned_data
        values: dict[str, Any] = {
            "name": data["name"],
            "tier": data["tier"],
            "market": data["market"],
            "tags": tags_read(data["tags_line"]),
        }
        content, facts = self.content(), self.facts()
        if self.instance.pk is None:
            return services.block_create(
                by=self.user, type_id=self.block_type.pk, content=content, facts=facts, **values
            )
        services.block_version_create(
            block_id=self.instance.pk, content=content, by=self.user, base=data["base"] or None, facts=facts
        )
        return services.block_update(block_id=self.instance.pk, by=self.user, **values)

    def field_of(self, where: str) -> str | None:
        return problem_field(where, self.declared, self.languages) or super().field_of(where)


def problem_field(where: str, declared: Sequence[Field], languages: Iterable[str]) -> str | None:
    """The form's field that a problem's place belongs to."""
    for language in languages:
        for field in declared:
            if where.endswith(f", {language}, {field.label}"):
                return content_name(language, field)
    return None


def tags_read(line: str) -> list[str]:
    """Tags from a line with commas, each once."""
    return list(dict.fromkeys(tag.strip() for tag in line.split(",") if tag.strip()))


def content_of(
    declared: Sequence[Field], languages: Iterable[str], data: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """What a form or a POST says, by language; a language that nobody wrote in is left out."""
    found: dict[str, dict[str, Any]] = {}
    for language in languages:
        values = {
            field.name: _value(field, language, data)
            for field in declared
            if not field.fixed and field.kind != "products"
        }
        written = any(
            value != "" and value != {"url": "", "alt": "", "width": 0, "height": 0} for value in values.values()
        )
        if written or not values:
            found[language] = values
    return found


def _value(field: Field, language: str, data: Mapping[str, Any]) -> Any:
    name = content_name(language, field)
    text = str(data.get(name) or "").strip()
    if field.kind != "image":
        return text
    parts = {part: str(data.get(f"{name}__{part}") or "").strip() for part in IMAGE_PARTS}
    return {
        "url": text,
        "alt": parts["alt"],
        # A size that isn't a number stays as it was typed, so that the check can say so.
        **{side: int(parts[side]) if parts[side].isdecimal() else parts[side] or 0 for side in ("width", "height")},
    }


def languages_posted(data: Mapping[str, Any]) -> list[str]:
    """The languages that a POST has fields of."""
    found = (match[1] for name in data if (match := _POSTED.fullmatch(name)))
    return [language for language in dict.fromkeys(found) if language_is_valid(language)][:60]


def content_name(language: str, field: Field) -> str:
    """The name of a block's field in a language, within the form."""
    return f"content__{language}__{field.name}"


def block_form_class(
    *, block_type: BlockType, declared: Sequence[Field], languages: Sequence[str], newest: BlockVersion | None
) -> type[BlockForm]:
    """A form for a block of this type, with a field for each flexible field and language.

    newest: its newest version, None for a block that is not there yet.
    """
    content: Mapping[str, Any] = newest.content if newest is not None else {}
    made: dict[str, Any] = {
        "block_type": block_type,
        "declared": tuple(declared),
        "languages": tuple(languages),
        "__module__": __name__,
    }
    for language in languages:
        for field in declared:
            if field.kind != "products" and not field.fixed:
                made |= content_fields(field, language, (content.get(language) or {}).get(field.name))
    made["base"] = forms.IntegerField(
        required=False, widget=forms.HiddenInput, initial=newest.number if newest is not None else 0
    )
    form = cast(type[BlockForm], type("BlockForm", (BlockForm,), made))
    if newest is not None:
        for name in ("valid_from", "valid_until"):
            moment = getattr(newest, name)
            form.base_fields[name].initial = moment.strftime(_MOMENT) if moment else None
        form.base_fields["written_by_model"].initial = newest.written_by_model
    return form


def content_fields(field: Field, language: str, value: Any) -> dict[str, forms.Field]:
    """The form's fields for a field of the type in a language, by name: one, of an image four."""
    name = content_name(language, field)
    attributes: dict[str, Any] = {"lang": language, **_described(name)}
    # The service says what is missing, in the languages that are written in.
    common: dict[str, Any] = {"label": field.label, "required": False, "help_text": escape(_help(field, language))}
    if field.kind == "image":
        image = image_value(value)
        address = {**attributes, "inputmode": "url", "spellcheck": "false", "data-image": ""}
        pixels = {**attributes, "inputmode": "numeric", "size": "6"}
        return {
            name: forms.CharField(initial=image["url"], widget=UnfoldAdminTextInputWidget(address), **common),
            f"{name}__alt": forms.CharField(
                label="Alternative text",
                required=False,
                initial=image["alt"],
                widget=UnfoldAdminTextInputWidget({**attributes, **_described(f"{name}__alt")}),
                help_text="What the picture shows, for those who don't see it.",
            ),
            **{
                f"{name}__{side}": forms.CharField(
                    label=side.capitalize(),
                    required=False,
                    initial=image["width" if side == "width" else "height"] or "",
                    widget=UnfoldAdminTextInputWidget({**pixels, **_described(f"{name}__{side}")}),
                    help_text="Pixels.",
                )
                for side in ("width", "height")
            },
        }
    choices = field.limits_in(language).choices
    if field.kind == "choice" or (field.kind == "colour" and choices):
        kept = [value] if isinstance(value, str) and value and value not in choices else []
        options = [("", "—"), *((choice, choice) for choice in (*choices, *kept))]
        widget: forms.Widget = UnfoldAdminSelectWidget(attributes)
        return {name: forms.ChoiceField(choices=options, widget=widget, initial=value, **common)}
    if field.kind == "rich_text":
        widget = UnfoldAdminTextareaWidget({**attributes, "rows": 5})
    elif field.kind in ("link", "colour"):
        mode = {"inputmode": "url"} if field.kind == "link" else {"data-colour": ""}
        widget = UnfoldAdminTextInputWidget({**attributes, **mode, "spellcheck": "false"})
    elif field.kind == "number":
        widget = UnfoldAdminTextInputWidget({**attributes, "inputmode": "decimal"})
    else:
        widget = UnfoldAdminTextInputWidget(attributes)
    return {name: forms.CharField(widget=widget, strip=True, initial=value, **common)}


def _described(name: str) -> dict[str, str]:
    """What stands below an input says what is allowed and what is wrong."""
    return {"aria-describedby": f"id_{name}_help id_{name}_told"}


def _help(field: Field, language: str) -> str:
    """What is allowed, in words."""
    limits = [field.help.rstrip(".") + "."] if field.help else []
    said = limits_said(field.limits_in(language))
    if said:
        limits.append(f"{'; '.join(said)[:1].upper()}{'; '.join(said)[1:]}.")
    if field.kind == "rich_text":
        limits.append("Paragraphs, bold, italic, links and lists.")
    if field.kind in ("link", "image") and not field.limits_in(language).hosts:
        limits.append("https://, to a host of the brand.")
    if field.kind == "colour" and not field.limits_in(language).choices:
        limits.append("Such as #1a2b3c.")
    if not field.required:
        limits.append("May stay empty.")
    return " ".join(limits)
