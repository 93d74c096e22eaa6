"""The form of a new import: the file, what its columns are, and who vouches for consent."""

from typing import Any

import yaml
from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _

from apps.data.consent.models import Purpose
from apps.foundation.accounts.models import User
from apps.foundation.core.errors import DomainError, Invalid

from .mapping import Mapping, mapping_parse
from .models import Import
from .presets import preset_data
from .services import Grant, import_take

_MAPPING_LIMIT = 100_000
_PRESETS = [
    ("shopify", "Shopify"),
    ("mailchimp", _("Mailchimp audience")),
    ("online-retail", _("UCI Online Retail")),
    ("own", _("A mapping of your own")),
]
_CONSENT = [
    ("none", _("Grant nothing")),
    ("column", _("A column of the file says who agreed")),
    ("grant", _("I vouch for everybody in the file")),
]


class ImportForm(forms.Form):
    """Takes a file in. `save` opens the import; the caller wakes a worker."""

    file = forms.FileField(
        label=_("File"), help_text=_("CSV, plain or compressed as .gz. Its first line names the columns.")
    )
    kind = forms.ChoiceField(
        label=_("What is in it"), choices=Import.Kind.choices, widget=forms.RadioSelect, initial="orders"
    )
    preset = forms.ChoiceField(
        label=_("Where it comes from"), choices=_PRESETS, widget=forms.RadioSelect, initial="shopify"
    )
    mapping = forms.FileField(
        label=_("Mapping"), required=False, help_text=_("A YAML file that says which column is what.")
    )
    address_template = forms.CharField(
        label=_("Address for people without one"),
        required=False,
        max_length=200,
        help_text=_("Leave it empty, or say for example customer-{id}@example.com"),
    )
    consent = forms.ChoiceField(label=_("Consent"), choices=_CONSENT, widget=forms.RadioSelect, initial="none")
    purpose = forms.ModelChoiceField(
        label=_("Purpose"), queryset=Purpose.objects.filter(needs_consent=True), required=False, empty_label=None
    )
    column = forms.CharField(
        label=_("Column"), required=False, max_length=200, help_text=_("The grant counts where this column says yes.")
    )
    evidence = forms.CharField(
        label=_("How do you know?"),
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("Where they agreed, when, and in which words. It is kept with your name."),
    )

    def clean_file(self) -> "UploadedFile[Any]":
        """Refuse what is too large."""
        file: UploadedFile[Any] = self.cleaned_data["file"]
        if (file.size or 0) > settings.IMPORT_UPLOAD_LIMIT:
            limit = settings.IMPORT_UPLOAD_LIMIT // 1_000_000
            raise forms.ValidationError(
                _("The file is larger than %(limit)s MB. Use manage.py on the server for it.") % {"limit": limit}
            )
        return file

    def clean(self) -> dict[str, Any]:
        """Check what depends on a choice, and read the mapping."""
        data: dict[str, Any] = super().clean() or {}
        if data.get("preset") == "own" and not data.get("mapping"):
            self.add_error("mapping", _("Choose the file with your mapping"))
        if data.get("consent") == "column" and not data.get("column", "").strip():
            self.add_error("column", _("Name the column"))
        if data.get("consent") == "grant" and len(data.get("evidence", "").strip()) < 10:
            self.add_error("evidence", _("Say how you know that these people agreed: where, when, in which words"))
        if data.get("consent") in ("column", "grant") and not data.get("purpose"):
            self.add_error("purpose", _("Choose the purpose"))
        if not self.errors:
            try:
                data["parsed"] = self._mapping(data)
            except Invalid as error:
                self.add_error("mapping" if data["preset"] == "own" else "preset", error.message)
        return data

    def _mapping(self, data: dict[str, Any]) -> Mapping:
        kind: str = data["kind"]
        plain: Any
        if data["preset"] == "own":
            try:
                plain = yaml.safe_load(data["mapping"].read(_MAPPING_LIMIT).decode("utf-8"))
            except (yaml.YAMLError, UnicodeDecodeError):
                raise Invalid("mapping_unreadable", "The mapping is no YAML in UTF-8") from None
        else:
            plain = preset_data(data["preset"], kind=kind)
        changes: dict[str, Any] = {}
        if data["address_template"].strip():
            changes["address_template"] = data["address_template"].strip()
        if data["consent"] == "column":
            changes["consent"] = {data["purpose"].pk: data["column"].strip()}
        return mapping_parse({**plain, **changes} if isinstance(plain, dict) else plain, kind=kind)

    def save(self, *, by: User) -> Import | None:
        """Put the file into place and open its import. None when the file can't be what was said: see the errors."""
        data = self.cleaned_data
        upload: UploadedFile[Any] = data["file"]
        grant = None
        if data["consent"] == "grant":
            grant = Grant(purpose=data["purpose"].pk, evidence=data["evidence"].strip(), by=by)
        try:
            return import_take(
                kind=data["kind"],
                chunks=upload.chunks(),
                mapping=data["parsed"],
                grant=grant,
                by=by,
                file_name=upload.name or "",
            )
        except DomainError as error:
            self.add_error("file", error.message)
            return None
