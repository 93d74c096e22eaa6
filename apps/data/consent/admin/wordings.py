"""Purposes, wordings and privacy policies in the admin."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.data.consent.asking import standing_of
from apps.data.consent.forms import PrivacyPolicyForm, PurposeForm, WordingForm, text_name, wording_form_class
from apps.data.consent.governing import consequence_words
from apps.data.consent.models import PrivacyPolicy, Purpose, Wording, WordingVersion
from apps.foundation.accounts.saving import ServiceAdmin
from apps.foundation.core.admin import once
from apps.foundation.governance.models import State
from apps.foundation.governance.pages import GovernedAdmin
from apps.foundation.governance.registry import workflow_of
from apps.foundation.governance.selectors import version_state, version_states

FIT = "min-w-0"  # of a fieldset, which else grows with its widest part on a phone


@admin.register(Purpose)
class PurposeAdmin(ServiceAdmin):
    """What consent is asked for, and how."""

    empty_text = (
        "A purpose is what somebody agrees to, or not: news and offers, being followed, learning from their data."
    )
    form = PurposeForm
    list_display = ("name", "code", "needs_consent", "double_opt_in", "gpc_opts_out", "description")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # what is done for a new purpose is code

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("name", "code", "description", "needs_consent", "double_opt_in", "gpc_opts_out")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("name", "code", "description", "needs_consent")


@admin.register(Wording)
class WordingAdmin(GovernedAdmin, ServiceAdmin):
    """What people read before they agree."""

    empty_text = (
        "The words by which people are asked for consent, in each language and version. Each record of consent "
        "names the version that was shown."
    )
    form = WordingForm
    list_display = ("__str__", "newest_shown", "languages_shown", "asks_shown", "updated_at")
    list_filter = ("purpose", "channel")
    list_select_related = ("purpose",)
    list_display_links = ("__str__",)

    class Media:
        css = {"all": ["tessera/governance.css"]}

    def get_form(self, request: HttpRequest, obj: Wording | None = None, change: bool = False, **kwargs: Any) -> Any:
        newest = _newest(obj)
        kwargs["form"] = wording_form_class(newest.texts if newest is not None else {})
        if obj is not None and not self.has_change_permission(request, obj):
            kwargs["form"] = type(
                "Looked", (WordingForm,), {"Meta": type("Meta", (), {"model": Wording, "fields": ()})}
            )
        form = super().get_form(request, obj, change, **kwargs)
        if newest is not None and "base" in form.base_fields:
            form.base_fields["base"].initial = newest.number
            if version_state(newest) not in (State.PUBLISHED, State.RETIRED):  # a draft goes on as it is
                form.base_fields["material"].initial = "yes" if newest.material else "no"
                form.base_fields["holds_until"].initial = newest.holds_until
                form.base_fields["why"].initial = newest.why
        return form

    def get_fieldsets(self, request: HttpRequest, obj: Wording | None = None) -> Any:
        about = ("What it is about", {"classes": (FIT,), "fields": ("purpose", "channel")})
        edits = self.has_add_permission(request) if obj is None else self.has_change_permission(request, obj)
        newest = _newest(obj)
        sets: list[Any] = [about]
        if obj is not None:
            sets.append(("Whom it concerns", {"classes": (FIT,), "fields": ("standing_shown",)}))
        if edits:
            languages = wording_form_class(newest.texts if newest is not None else {}).languages
            texts = [text_name(language) for language in languages]
            sets.append(
                (
                    "What people read",
                    {
                        "classes": (FIT,),
                        "fields": texts,
                        "description": "Plain text, shown beside the switch or box. A language left empty is shown "
                        "the English text.",
                    },
                )
            )
            sets.append(
                ("What the change means", {"classes": (FIT,), "fields": ("material", "holds_until", "why", "base")})
            )
        else:
            sets.append(("What people read", {"classes": (FIT,), "fields": ("texts_shown",)}))
        return sets

    def get_readonly_fields(self, request: HttpRequest, obj: Wording | None = None) -> Any:
        return ("standing_shown", "texts_shown", *(("purpose", "channel") if obj is not None else ()))

    @admin.display(description="Newest version")
    def newest_shown(self, wording: Wording) -> str:
        newest = _newest(wording)
        return f"v{newest.number}, {version_state(newest).label}" if newest is not None else "none"

    @admin.display(description="Languages")
    def languages_shown(self, wording: Wording) -> str:
        newest = _newest(wording)
        return ", ".join(newest.texts) if newest is not None else ""

    @admin.display(description="To be asked again")
    def asks_shown(self, wording: Wording) -> str:
        live = _live(wording)
        if live is None:
            return "nothing is published"
        return str(standing_of(live).older) if live.material else "nobody"

    @admin.display(description="Texts")
    @once
    def texts_shown(self, wording: Wording) -> SafeString:
        newest = _newest(wording)
        texts = newest.texts if newest is not None else {}
        return format_html_join("", '<p dir="auto"><strong>{}</strong><br>{}</p>', texts.items())

    @admin.display(description="Before and after")
    @once
    def standing_shown(self, wording: Wording) -> SafeString:
        """What the live version means for people, and what the newest would mean."""
        newest, live = _newest(wording), _live(wording)
        lines = [_standing_line(version, live=version == live) for version in dict.fromkeys((live, newest)) if version]
        return format_html('<ul class="t-plain">{}</ul>', format_html_join("", "<li>{}</li>", ((x,) for x in lines)))


def _newest(wording: Wording | None) -> WordingVersion | None:
    return wording.versions.order_by("-number").first() if wording is not None and wording.pk else None


def _live(wording: Wording) -> WordingVersion | None:
    flow = workflow_of(Wording)
    versions = list(wording.versions.all())
    states = version_states(flow, versions) if flow is not None else {}
    return next((version for version in versions if states.get(version.pk) == State.PUBLISHED), None)


def _standing_line(version: WordingVersion, *, live: bool) -> str:
    standing = standing_of(version)
    when = "is live" if live else f"is {version_state(version).label}"
    people = f"{standing.agreed} people agree to this purpose now, {standing.older} of them by another text"
    meaning = consequence_words(version)
    return f"v{version.number} {when}: {people}. {'Of these: ' if version.material else ''}{meaning}."


@admin.register(PrivacyPolicy)
class PrivacyPolicyAdmin(ServiceAdmin):
    """Versions of the privacy policy; consent records name the one that was in force."""

    empty_text = (
        "Enter each version of your privacy policy with the day it came into force: records of consent name the "
        "one that held."
    )
    form = PrivacyPolicyForm
    list_display = ("version", "in_force_from", "url", "created_by")
    list_select_related = ("created_by",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # records name it

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("version", "url", "in_force_from") + (("created_by", "created_at") if obj is not None else ())
