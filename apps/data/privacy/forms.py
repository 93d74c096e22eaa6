"""What staff fill in for a rights request."""

from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from apps.data.profiles.addresses import holders_of
from apps.data.profiles.attribute_values import KINDS
from apps.data.profiles.attributes import shapes_read
from apps.data.profiles.models import Profile
from apps.data.profiles.normalize import email_normalize, external_id_normalize
from apps.foundation.core.errors import Invalid

from .correcting import FIELDS
from .limiting import OBJECTIONS
from .models import RightsRequest

ATTRIBUTE = "attribute:"
"""Goes before the name of an attribute among the fields of a correction."""
_LABELS = {"time_zone": "Time zone"}
_HELP = {
    "language": "Such as de or pt-BR",
    "country": "Such as Austria or AT",
    "time_zone": "Such as Europe/Vienna",
}


class RequestForm(forms.Form):
    """A request that reached somebody by another way than the person's own page."""

    person = forms.CharField(
        label="Person",
        max_length=320,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Profile number, whole e-mail address, or customer number such as shop:123",
    )
    kind = forms.ChoiceField(
        label="What they ask for",
        choices=[
            (RightsRequest.Kind.EXPORT, "Export: a copy of all that is known (Art. 15 and 20)"),
            (RightsRequest.Kind.CORRECTION, "Correction: something is wrong (Art. 16)"),
            (RightsRequest.Kind.OBJECTION, "Objection: to marketing, or to profiling (Art. 21)"),
            (RightsRequest.Kind.RESTRICTION, "Restriction: keep the data, do nothing with it (Art. 18)"),
            (RightsRequest.Kind.ERASURE, "Erasure: forget them (Art. 17)"),
        ],
        widget=UnfoldAdminSelectWidget(),
    )
    shown_by = forms.CharField(
        label="How they showed that it is them",
        max_length=200,
        widget=UnfoldAdminTextInputWidget(),
        help_text="In a few words, without what was shown: called back at the number we know.",
    )

    def clean_person(self) -> int:
        """The profile's number; of an address that several people have, they must be told apart by number."""
        term = str(self.cleaned_data["person"]).strip()
        found: list[int] = []
        if term.isascii() and term.isdigit() and len(term) < 19:
            found = list(Profile.objects.filter(pk=int(term)).values_list("pk", flat=True))
        for kind, normalize in (("email", email_normalize), ("external_id", external_id_normalize)):
            if not found:
                try:
                    found = holders_of(kind=kind, value=normalize(term))
                except Invalid:
                    continue
        if not found:
            raise forms.ValidationError("Nobody is known by this. Look them up under Profiles.")
        if len(found) > 1:
            numbers = ", ".join(map(str, sorted(found)))
            raise forms.ValidationError(f"Several people have this address: give the number of one: {numbers}.")
        return found[0]


class ConfirmForm(forms.Form):
    """A button to press."""


class ReasonForm(ConfirmForm):
    """A deed that needs a reason."""

    because = forms.CharField(
        label="Why",
        max_length=300,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="It is kept with the request, and the person must be told. Name nobody.",
    )


class ObjectionForm(ConfirmForm):
    """To what somebody objects."""

    against = forms.ChoiceField(
        label="They object to",
        choices=[
            ("marketing", "Direct marketing: no news and offers any more"),
            ("profiling", "Profiling: nothing is fitted to them, measured or learnt from them"),
        ],
        widget=UnfoldAdminSelectWidget(),
    )

    assert set(OBJECTIONS) == {"marketing", "profiling"}  # noqa: S101  # the words above are of these


class EraseForm(ConfirmForm):
    """The profile's number once more, because nothing brings it back."""

    number = forms.CharField(label="Profile number, to be sure", max_length=19, widget=UnfoldAdminTextInputWidget())


class CorrectionForm(ConfirmForm):
    """What is known, to be corrected."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in FIELDS:
            self.fields[name] = forms.CharField(
                label=_LABELS.get(name, name.replace("_", " ").capitalize()),
                required=False,
                max_length=120,
                widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
                help_text=_HELP.get(name, ""),
            )
        for name, shape in shapes_read().items():
            self.fields[f"{ATTRIBUTE}{name}"] = forms.CharField(
                label=name,
                required=False,
                max_length=1000,
                widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "dir": "auto"}),
                help_text=f"{KINDS[shape.kind].capitalize()}. Empty: it stays as it is.",
            )
