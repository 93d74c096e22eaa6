"""The form of a template."""

from django import forms

from apps.decisioning.content import services
from apps.decisioning.content.models import Template
from apps.foundation.accounts.saving import ServiceForm

from .inputs import code_area


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
