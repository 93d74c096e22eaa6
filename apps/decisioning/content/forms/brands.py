"""The form of a brand."""

from django import forms
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from apps.decisioning.content import services
from apps.decisioning.content.models import Brand
from apps.foundation.accounts.saving import ServiceForm

from .inputs import ColoursField, LabelsField, LinesField


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

    labels = LabelsField(
        label="Labels for what a model did",
        required=False,
        widget=UnfoldAdminTextareaWidget({"rows": 4}),
        help_text="What customers read where a model chose products (chosen) or wrote words (written). One a line: "
        "label, language, words, such as: chosen de Für dich ausgewählt. Without: words of Tessera's own.",
    )

    unsafe_words = LinesField(
        required=False,
        label="Words that no product may have",
        widget=UnfoldAdminTextareaWidget({"rows": 3}),
        help_text="One a line. No message shows a product whose title or category holds one of them.",
    )
    page_accent = forms.CharField(
        label="Colour of buttons and links",
        required=False,
        max_length=7,
        widget=UnfoldAdminTextInputWidget({"placeholder": "#0f766e", "spellcheck": "false"}),
        help_text="On the customers' pages, such as #1a5446: dark enough to be read on white.",
    )
    page_words = LabelsField(
        label="Words of its own",
        required=False,
        widget=UnfoldAdminTextareaWidget({"rows": 6}),
        help_text="One a line: name, title, intro or goodbye, a language, words, such as: title en What you get from "
        "Fern & Field. What is not here reads in Tessera's words.",
    )

    class Meta:
        model = Brand
        fields = (
            "code", "name", "from_name", "from_email", "reply_to", "postal_address", "shop_url", "link_hosts",
            "colours", "default_language", "labels", "unsafe_words", "page_accent", "page_words",
        )  # fmt: skip

    def service(self) -> Brand:
        values = {name: self.cleaned_data[name] for name in self.Meta.fields if name in self.cleaned_data}
        if self.instance.pk is None:
            return services.brand_create(by=self.user, **values)
        values.pop("code", None)
        return services.brand_update(
            brand_id=self.instance.pk, by=self.user, seen_at=self.instance.updated_at, **values
        )
