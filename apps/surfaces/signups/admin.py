"""Sign-up forms, surveys and sign-ups in the admin."""

from typing import Any, cast

from django.conf import settings
from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.foundation.accounts.saving import ServiceAdmin
from apps.foundation.core.admin import ReadOnlyAdmin
from apps.foundation.core.clock import now

from .filled import boxes_shown
from .forms import SignUpFormForm, SurveyForm, languages
from .models import SignUp, SignUpForm, Survey
from .selectors import Source, answers_given, form_languages, form_words, questions_shown, sign_up_figures
from .services import ANSWERS, FORM_WORDS, QUESTIONS
from .tokens import preview_token

LINK = "text-primary-600 dark:text-primary-500 underline"
FIT = "min-w-0"  # of a fieldset, which else grows with its widest part on a phone
PLOT_HEIGHT = 96
"""Pixels of the tallest bar."""


@admin.register(SignUpForm)
class SignUpFormAdmin(ServiceAdmin):
    """What people sign up by."""

    empty_text = "A form by which people sign up on your site: whom it asks for what, and whether they confirm by mail."
    form = SignUpFormForm
    list_display = ("name", "code", "brand", "active", "asked_shown", "done_shown", "share_shown", "updated_at")
    list_filter = ("active",)
    list_select_related = ("brand",)
    search_fields = ("name", "code")
    search_help_text = "name or code"

    def get_form(self, request: HttpRequest, obj: SignUpForm | None = None, change: bool = False, **kwargs: Any) -> Any:
        kwargs["fields"] = [name for name in SignUpFormForm.Meta.fields if obj is None or name != "code"]
        if obj is not None and not self.has_change_permission(request, obj):
            kwargs["fields"] = []
        return super().get_form(request, obj, change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: SignUpForm | None = None) -> Any:
        if obj is not None and not self.has_change_permission(request, obj):
            looked = ("code", "name", "brand", "asks_name", "active", "where_shown")
            return [(None, {"classes": (FIT,), "fields": looked})]
        sets: list[Any] = [
            (None, {"classes": (FIT,), "fields": ("code", "name", "brand", "active")}),
            ("What it asks", {"classes": (FIT,), "fields": ("purposes", "asks_name", "interests")}),
            ("Afterwards", {"classes": (FIT,), "fields": ("survey", "mail_survey")}),
            ("On a site of your own", {"classes": (FIT,), "fields": ("origins",)}),
        ]
        if obj is not None:
            sets.insert(0, ("Where people find it", {"classes": (FIT,), "fields": ("where_shown", "snippet_shown")}))
        about = "A form is shown in the languages in which it has a title."
        for place, (language, name) in enumerate(languages()):
            fields = [f"{word}_{language}" for word in FORM_WORDS]
            described = {"description": about} if place == 0 else {}
            sets.append((f"In {name}", {"classes": (FIT,), "fields": fields, **described}))
        return sets

    def get_readonly_fields(self, request: HttpRequest, obj: SignUpForm | None = None) -> Any:
        looked = ("name", "brand", "asks_name", "active")
        may = obj is None or self.has_change_permission(request, obj)
        return ("where_shown", "snippet_shown", *(("code",) if obj is not None else ()), *(() if may else looked))

    def get_queryset(self, request: HttpRequest) -> QuerySet[SignUpForm]:
        done = Count("sign_ups", filter=Q(sign_ups__state=SignUp.State.DONE))
        found = cast("QuerySet[SignUpForm]", super().get_queryset(request))
        return found.annotate(asked_count=Count("sign_ups"), done_count=done)

    @admin.display(description="Asked", ordering="asked_count")
    def asked_shown(self, form: SignUpForm) -> int:
        return int(form.asked_count)  # type: ignore[attr-defined]  # annotated above

    @admin.display(description="Confirmed", ordering="done_count")
    def done_shown(self, form: SignUpForm) -> int:
        return int(form.done_count)  # type: ignore[attr-defined]  # annotated above

    @admin.display(description="Share")
    def share_shown(self, form: SignUpForm) -> str:
        share = Source("", self.asked_shown(form), self.done_shown(form)).share
        return f"{share} %" if share is not None else "–"

    @admin.display(description="Page")
    def where_shown(self, form: SignUpForm) -> SafeString:
        url = f"{settings.BASE_URL}{reverse('preferences:sign-up', args=[form.code])}"
        preview = f"{reverse('preferences:sign-up', args=[form.code])}?preview={preview_token(form.pk)}"
        said = "" if form.active else " People see it once it is active."
        return format_html(
            '<p><code class="break-all">{}</code>{}</p><p><a class="{}" href="{}" target="_blank">Preview</a></p>',
            url,
            said,
            LINK,
            preview,
        )

    @admin.display(description="For your own page")
    def snippet_shown(self, form: SignUpForm) -> SafeString:
        """A plain form to copy: it posts here, and works without JavaScript."""
        language = form_languages(form)[0]
        context = {
            "form": form,
            "words": form_words(form, language),
            "language": language,
            "action": f"{settings.BASE_URL}{reverse('preferences:sign-up', args=[form.code])}",
            "boxes": boxes_shown(form, language=language),
        }
        html = render_to_string("signups/snippet.html", context).strip()
        return format_html(
            "<details><summary>Show</summary><p>Paste it where your form shall be, and style it as you like. It holds "
            "the texts of today: copy it again when a wording changes. Name your site below, or it may not post.</p>"
            '<pre class="t-code" tabindex="0" style="white-space:pre-wrap;overflow-wrap:anywhere">{}</pre></details>',
            html,
        )


@admin.register(Survey)
class SurveyAdmin(ServiceAdmin):
    """One to three questions after a sign-up, or in a welcome mail."""

    empty_text = (
        "A survey asks a few questions after somebody signed up; their answers become attributes that rules can read."
    )
    form = SurveyForm
    list_display = ("name", "code", "questions_shown", "replies_shown", "updated_at")
    search_fields = ("name", "code")
    search_help_text = "name or code"

    def get_form(self, request: HttpRequest, obj: Survey | None = None, change: bool = False, **kwargs: Any) -> Any:
        kwargs["fields"] = ["name"] if obj is not None else ["code", "name"]
        if obj is not None and not self.has_change_permission(request, obj):
            kwargs["fields"] = []
        return super().get_form(request, obj, change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Survey | None = None) -> Any:
        sets: list[Any] = [(None, {"classes": (FIT,), "fields": ("code", "name", "asked_shown")})]
        if obj is not None and not self.has_change_permission(request, obj):
            return sets
        for number in range(1, QUESTIONS + 1):
            words = [f"question_{number}_{language}" for language, _ in languages()]
            answers = tuple(f"answer_{number}_{place}" for place in range(1, ANSWERS + 1))
            title = "Question 1" if number == 1 else f"Question {number}, if you like"
            sets.append((title, {"classes": (FIT,), "fields": (*words, *answers)}))
        return sets

    def get_readonly_fields(self, request: HttpRequest, obj: Survey | None = None) -> Any:
        looked = () if obj is None or self.has_change_permission(request, obj) else ("name",)
        return ("asked_shown", *(("code",) if obj is not None else ()), *looked)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Survey]:
        found = cast("QuerySet[Survey]", super().get_queryset(request))
        return found.annotate(reply_count=Count("replies"))

    @admin.display(description="Questions")
    def questions_shown(self, survey: Survey) -> int:
        return len(survey.questions)

    @admin.display(description="Answers given", ordering="reply_count")
    def replies_shown(self, survey: Survey) -> int:
        return int(survey.reply_count)  # type: ignore[attr-defined]  # annotated above

    @admin.display(description="As people see it")
    def asked_shown(self, survey: Survey) -> SafeString | str:
        """Each question with its answers, how often each was given, and its name as a link in a mail."""
        if survey.pk is None:
            return "Save it first."
        given = answers_given(survey)
        lines = []
        for question in questions_shown(survey, language="en", chosen={}):
            answers = ", ".join(
                f"{answer.text} ({given.get((question.number, answer.interest), 0)})" for answer in question.answers
            )
            lines.append((question.text, answers))
        links = ", ".join(
            f"links.answer_{number} is “{answer.text}”"
            for question in questions_shown(survey, language="en", chosen={})[:1]
            for number, answer in enumerate(question.answers[:3], 1)
        )
        return format_html(
            "<ol>{}</ol><p>In a welcome mail: {}.</p>",
            format_html_join("", "<li><strong>{}</strong> {}</li>", lines),
            links,
        )


@admin.register(SignUp)
class SignUpAdmin(ReadOnlyAdmin):
    """Who signed up, and where from. The address is on the profile, for those who may see it."""

    empty_text = "Who signs up by a form appears here, with where they came from and whether they confirmed."
    list_display = ("created_at", "form", "profile", "source_shown", "device", "state", "done_at")
    list_filter = ("state", "form", "device")
    list_select_related = ("form", "profile")
    list_before_template = "signups/figures.html"
    search_fields = ("=profile__id", "utm_source", "utm_campaign", "referrer_host")
    search_help_text = "profile number, source, campaign, or site before"
    ordering = ("-created_at",)
    fieldsets = (
        (None, {"classes": (FIT,), "fields": ("form", "form_version", "profile", "state", "created_at", "done_at")}),
        ("What was ticked", {"classes": (FIT,), "fields": ("purposes", "locale")}),
        (
            "Where from",
            {
                "classes": (FIT,),
                "fields": (
                    "landing_page", "referrer_host", "device",
                    "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content",
                ),
            },
        ),
    )  # fmt: skip

    @admin.display(description="Source")
    def source_shown(self, sign_up: SignUp) -> str:
        return sign_up.utm_source or sign_up.referrer_host or "direct"

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        figures = sign_up_figures(until=now())
        most = max((day.done + day.waiting for day in figures.days), default=0)
        plot = [
            {
                "day": day,
                "done": PLOT_HEIGHT * day.done / most if most else 0,
                "waiting": PLOT_HEIGHT * day.waiting / most if most else 0,
            }
            for day in figures.days
        ]
        return super().changelist_view(request, {**(extra_context or {}), "figures": figures, "sign_up_plot": plot})
