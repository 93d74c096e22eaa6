"""The forms of consent in the admin."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.conf import settings
from django.utils.translation import get_language_info
from unfold.widgets import (
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminSplitDateTimeWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldAdminURLInputWidget,
)

from apps.foundation.accounts.saving import ServiceForm

from . import wordings
from .models import PrivacyPolicy, Purpose, Wording
from .opt_ins import purpose_ask


class WordingForm(ServiceForm):
    """A wording with the texts of its newest version, a field for each language."""

    tells_lines = False
    languages: Sequence[str] = ()

    material = forms.TypedChoiceField(
        label="What changes",
        choices=(
            ("no", "How it is said: who agreed before goes on"),
            ("yes", "What it says: who agreed before must be asked again"),
        ),
        coerce=lambda value: value == "yes",
        initial="no",
        widget=UnfoldAdminRadioSelectWidget,
    )
    holds_until = forms.SplitDateTimeField(
        label="Older agreements hold until",
        required=False,
        widget=UnfoldAdminSplitDateTimeWidget,
        help_text="UTC, of a new meaning only. Empty: until this version is published. After it they count as not "
        "given: nobody gets anything by them.",
    )
    why = forms.CharField(
        label="Why",
        required=False,
        max_length=400,
        widget=UnfoldAdminTextInputWidget,
        help_text="For those who agree to it, and for the history.",
    )
    base = forms.IntegerField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = Wording
        fields = ("purpose", "channel")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        form: Any = self
        if "purpose" in self.fields:
            form.fields["purpose"].queryset = Purpose.objects.filter(needs_consent=True)
        if "channel" in self.fields:
            own = [choice for choice in form.fields["channel"].choices if choice[0]]
            form.fields["channel"].choices = [("", "every channel without one of its own"), *own]

    def field_of(self, where: str) -> str | None:
        return text_name(where) if text_name(where) in self.fields else None

    def service(self) -> Wording:
        data = self.cleaned_data
        values: dict[str, Any] = {
            "texts": {language: data[text_name(language)] for language in self.languages},
            "material": data["material"],
            "holds_until": data["holds_until"],
            "why": data["why"],
        }
        if self.instance.pk is None:
            return wordings.wording_create(by=self.user, purpose=data["purpose"].pk, channel=data["channel"], **values)
        return wordings.wording_version_create(
            wording_id=self.instance.pk, by=self.user, base=data["base"] or None, **values
        ).wording


def text_name(language: str) -> str:
    """The name of the field for a language's text."""
    return f"text__{language}"


def wording_form_class(texts: dict[str, str]) -> type[WordingForm]:
    """The form with a field for each language: those of the pages, and those that the newest version has."""
    pages = [code for code, _ in settings.LANGUAGES]
    languages = [*pages, *sorted(texts.keys() - set(pages))]
    fields = {text_name(language): _text_field(language, texts.get(language, "")) for language in languages}
    return type("WordingTextsForm", (WordingForm,), {"languages": languages, **fields})


def _text_field(language: str, text: str) -> forms.CharField:
    try:
        info = get_language_info(language)
        title, right_to_left = info["name"], info["bidi"]
    except KeyError:
        title, right_to_left = language, False
    attributes = {"rows": 4, "lang": language, "dir": "rtl" if right_to_left else "ltr", "spellcheck": "true"}
    return forms.CharField(
        label=title,
        required=False,
        max_length=wordings.LONGEST,
        initial=text,
        widget=UnfoldAdminTextareaWidget(attributes),
    )


class PurposeForm(ServiceForm):
    """How a purpose is asked for."""

    class Meta:
        model = Purpose
        fields = ("double_opt_in", "gpc_opts_out")

    def service(self) -> Purpose:
        data = self.cleaned_data
        return purpose_ask(
            code=self.instance.pk,
            by=self.user,
            double_opt_in=data["double_opt_in"],
            gpc_opts_out=data["gpc_opts_out"],
        )


class PrivacyPolicyForm(ServiceForm):
    """A version of the privacy policy; once entered it stays."""

    url = forms.URLField(
        label="Address",
        assume_scheme="https",
        max_length=500,
        widget=UnfoldAdminURLInputWidget,
        help_text="Where people read it.",
    )

    class Meta:
        model = PrivacyPolicy
        fields = ("version", "in_force_from")  # its address has a field of its own

    def service(self) -> PrivacyPolicy:
        return wordings.policy_add(by=self.user, **self.cleaned_data)
