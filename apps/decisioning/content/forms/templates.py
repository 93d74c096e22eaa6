"""The forms of a template: one for each channel that it can be written for."""

from collections.abc import Mapping
from typing import Any, Final

from django import forms
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from apps.decisioning.content import services
from apps.decisioning.content.models import Template, TemplateVersion
from apps.decisioning.content.short_messages import (
    BODY_MOST,
    BODY_SHOWN,
    TITLE_SHOWN,
    Push,
    push_sources,
    push_written,
    sms_sources,
    sms_text,
)
from apps.foundation.accounts.saving import ServiceForm

from .inputs import code_area

_FILLED = '{{ profile.first_name | fallback("friend") }} is filled for each person, [[ brand.name ]] by the brand'


def _told(words: str) -> SafeString:
    """A field's help, with the place where the page tells how long the message is."""
    return format_html("{}<span data-size-beside></span>", words)


class TemplateForm(ServiceForm):
    """A template with the sources of its newest version."""

    channel: str = Template.Channel.EMAIL
    written: tuple[str, ...] = ("subject", "mjml", "text")  # fields of what it says

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

    @classmethod
    def sources(cls, data: Mapping[str, Any]) -> dict[str, Any]:
        """The three sources, out of what the form holds."""
        return {name: str(data.get(name) or "") for name in ("subject", "mjml", "text")}

    @classmethod
    def shown(cls, version: TemplateVersion) -> dict[str, str]:
        """What the form shows of a version, by field."""
        return {"subject": version.subject, "mjml": version.mjml, "text": version.text}

    def service(self) -> Template:
        data = self.cleaned_data
        sources = self.sources(data)
        if self.instance.pk is None:
            return services.template_create(
                by=self.user, code=data["code"], name=data["name"], channel=self.channel, **sources
            )
        services.template_version_create(
            template_id=self.instance.pk, by=self.user, base=data["base"] or None, **sources
        )
        return services.template_update(template_id=self.instance.pk, by=self.user, name=data["name"])


class SmsForm(TemplateForm):
    """An SMS: its text is all there is."""

    channel = Template.Channel.SMS
    written = ("text",)
    tells_lines = False

    subject = mjml = None  # type: ignore[assignment]  # Django's way to leave out a field
    text = forms.CharField(
        widget=UnfoldAdminTextareaWidget({"rows": 7}),
        help_text=_told(
            f"{_FILLED}, [[ slot:NAME ]] by a block. Links go out in full length: none is shortened, so write short "
            "ones. The link to leave is put at the end, unless you write {{ links.unsubscribe }} somewhere."
        ),
    )

    @classmethod
    def sources(cls, data: Mapping[str, Any]) -> dict[str, Any]:
        return sms_sources(str(data.get("text") or ""))

    @classmethod
    def shown(cls, version: TemplateVersion) -> dict[str, str]:
        return {"text": sms_text(version.text)}

    def field_of(self, where: str) -> str | None:
        return where if where in self.fields else "text"


class PushForm(TemplateForm):
    """A push message: what a notification shows, and what a press opens."""

    channel = Template.Channel.PUSH
    written = ("title", "body", "link", "image")
    tells_lines = False

    subject = mjml = text = None  # type: ignore[assignment]  # as above
    title = forms.CharField(
        max_length=200,
        widget=UnfoldAdminTextInputWidget(),
        help_text=f"{_FILLED}. Lock screens show about {TITLE_SHOWN} characters.",
    )
    body = forms.CharField(
        label="Text",
        max_length=2_000,
        widget=UnfoldAdminTextareaWidget({"rows": 4}),
        help_text=_told(
            f"[[ slot:NAME ]] puts in a block. Lock screens show about {BODY_SHOWN} characters; what is above "
            f"{BODY_MOST} is left out. Without addresses: the link has a field of its own."
        ),
    )
    link = forms.CharField(
        required=False,
        max_length=500,
        widget=UnfoldAdminTextInputWidget({"inputmode": "url", "placeholder": "https://"}),
        help_text="What a press opens, on a host of the brand. Without one, a press closes the notification.",
    )
    image = forms.CharField(
        label="Picture",
        required=False,
        max_length=500,
        widget=UnfoldAdminTextInputWidget({"inputmode": "url", "placeholder": "https://"}),
        help_text="Chrome and Edge show it below the text, twice as wide as high; Safari and Firefox leave it out.",
    )

    def clean_body(self) -> str:
        body = str(self.cleaned_data["body"])
        if "http://" in body or "https://" in body:
            raise forms.ValidationError("The text of a notification ends at its first address: put it into Link")
        return body

    @classmethod
    def sources(cls, data: Mapping[str, Any]) -> dict[str, Any]:
        return push_sources(Push(**{name: str(data.get(name) or "") for name in cls.written}))

    @classmethod
    def shown(cls, version: TemplateVersion) -> dict[str, str]:
        push = push_written(subject=version.subject, mjml=version.mjml, text=version.text)
        return {name: getattr(push, name) for name in cls.written}

    def field_of(self, where: str) -> str | None:
        return {"subject": "title", "mjml": "image"}.get(where, where if where in self.fields else "body")


FORM_OF: Final[dict[str, type[TemplateForm]]] = {form.channel: form for form in (TemplateForm, SmsForm, PushForm)}
"""The form of each channel that a template can be written for."""
