"""The form of a market."""

from unfold.widgets import UnfoldAdminTextareaWidget

from apps.decisioning.content import services
from apps.decisioning.content.models import Market
from apps.foundation.accounts.saving import ServiceForm

from .inputs import LinesField


class MarketForm(ServiceForm):
    """A market."""

    languages = LinesField(
        widget=UnfoldAdminTextareaWidget({"rows": 3, "spellcheck": "false"}),
        help_text="One a line, such as de or de-AT. The first leads.",
    )

    class Meta:
        model = Market
        fields = ("code", "name", "languages")

    def service(self) -> Market:
        values = {name: self.cleaned_data[name] for name in ("name", "languages")}
        if self.instance.pk is None:
            return services.market_create(by=self.user, code=self.cleaned_data["code"], **values)
        return services.market_update(
            market_id=self.instance.pk, by=self.user, seen_at=self.instance.updated_at, **values
        )
