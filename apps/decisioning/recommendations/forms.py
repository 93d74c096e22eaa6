"""The form of editorial picks."""

from typing import Any, Final

from django import forms
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from apps.decisioning.content.forms.inputs import LinesField
from apps.foundation.accounts.saving import ServiceForm

from .models import EditorialPicks
from .services import MOST_PICKS, picks_create, picks_update

_MOMENT: Final = "%Y-%m-%dT%H:%M"
_MOMENTS: Final = [_MOMENT, "%Y-%m-%d %H:%M", "%Y-%m-%d"]


def _moment(label: str, help_text: str) -> forms.DateTimeField:
    return forms.DateTimeField(
        label=label,
        required=False,
        input_formats=_MOMENTS,
        widget=UnfoldAdminTextInputWidget({"type": "datetime-local"}),
        help_text=help_text,
    )


class PicksForm(ServiceForm):
    """A list of picks: which items, in which order, where, for whom, and from when until when."""

    items = LinesField(
        label="Items",
        widget=UnfoldAdminTextareaWidget({"rows": 8, "spellcheck": "false", "class": "t-code"}),
        help_text=f"Numbers of items, one a line, best first: at most {MOST_PICKS}. Name some to spare: who bought one "
        "lately is shown the next, and so is everybody while one is sold out.",
    )
    category = forms.CharField(
        label="Shown to who buys most of",
        required=False,
        widget=UnfoldAdminTextInputWidget(),
        help_text="A category of the catalog: people whose top category it is. Empty: everybody.",
    )
    valid_from = _moment("Valid from", "UTC. Empty: at once.")
    valid_until = _moment("Valid until", "UTC. Empty: for good.")

    class Meta:
        model = EditorialPicks
        fields = ("name", "brand", "placement", "category", "items", "valid_from", "valid_until")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("valid_from", "valid_until"):
            if name in self.fields and (moment := getattr(self.instance, name)):
                self.initial[name] = moment.strftime(_MOMENT)
        if "placement" in self.fields:
            self.fields["placement"].help_text = "Of a playbook that is asked for over the API, such as home-hero."
        if "brand" in self.fields:
            self.fields["brand"].empty_label = "All brands"  # type: ignore[attr-defined]  # it is a choice of models

    def service(self) -> EditorialPicks:
        values = {name: self.cleaned_data[name] for name in self.Meta.fields if name in self.cleaned_data}
        if self.instance.pk is None:
            return picks_create(by=self.user, **values)
        return picks_update(picks_id=self.instance.pk, by=self.user, **values)
