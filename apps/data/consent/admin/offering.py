"""Topics and interests in the admin."""

from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from apps.data.consent.models import Interest, Offered, Topic
from apps.data.consent.offering import offered_put
from apps.foundation.accounts.models import User

_LANGUAGES = [(code, title) for code, title in settings.LANGUAGES if code != "en"]


class OfferedForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """What is offered, with its words in each language of the customers' pages."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for language, title in _LANGUAGES:
            words = (self.instance.translations or {}).get(language, {})
            self.fields[f"name_{language}"] = forms.CharField(
                label=f"Name, {title}",
                max_length=80,
                required=False,
                initial=words.get("name", ""),
                widget=UnfoldAdminTextInputWidget({"lang": language, "dir": "auto"}),
            )
            self.fields[f"description_{language}"] = forms.CharField(
                label=f"Description, {title}",
                required=False,
                initial=words.get("description", ""),
                widget=UnfoldAdminTextareaWidget({"lang": language, "dir": "auto", "rows": 2}),
            )

    def translations(self) -> dict[str, dict[str, str]]:
        """The words in the languages of this form, and those in others as they were."""
        return dict(self.instance.translations or {}) | {
            language: {key: self.cleaned_data[f"{key}_{language}"] for key in ("name", "description")}
            for language, _ in _LANGUAGES
        }


class OfferedAdmin(ModelAdmin):
    """What people can choose. It is never deleted, only offered no more: what they chose names it."""

    form = OfferedForm
    list_display = ("name", "code", "offered", "position")
    list_filter = ("offered",)
    search_fields = ("name", "code")
    search_help_text = "name or code"

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        own = ("In English", {"fields": ("code", "name", "description", "position", "offered")})
        if not (self.has_change_permission(request, obj) if obj else self.has_add_permission(request)):
            return [own]
        return [
            own,
            *((title, {"fields": (f"name_{code}", f"description_{code}")}) for code, title in _LANGUAGES),
        ]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        kwargs["fields"] = ("code", "name", "description", "position", "offered")
        return super().get_form(request, obj, change, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("code",) if obj is not None else ()

    def save_model(self, request: HttpRequest, obj: Offered, form: Any, change: bool) -> None:
        """Through the service, which asks for the right and keeps the audit log."""
        offered_put(
            model=cast("type[Topic]", type(obj)),
            by=cast(User, request.user),
            code=obj.pk,
            name=obj.name,
            description=obj.description,
            translations=form.translations(),
            position=obj.position,
            offered=obj.offered,
        )


@admin.register(Topic)
class TopicAdmin(OfferedAdmin):
    """What messages are about: people switch off what they don't want to hear of."""

    empty_text = "Topics are kinds of messages that people switch on and off for themselves on their page."


@admin.register(Interest)
class InterestAdmin(OfferedAdmin):
    """What people may say that they like."""

    empty_text = (
        "Interests are what people say they like, on their page or when they sign up. Rules and recommendations "
        "read them."
    )
