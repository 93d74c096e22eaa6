"""The forms of sign-up forms and surveys in the admin: a part for each language, and each answer an interest."""

from typing import Any

from django import forms
from django.conf import settings
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from apps.data.consent.models import Interest, Purpose
from apps.foundation.accounts.saving import ServiceForm

from . import services
from .models import SignUpForm, Survey
from .services import ANSWERS, FORM_WORDS, QUESTIONS

_LABELS = {"title": "Title", "intro": "What people get", "thanks": "Thanks, after it"}


def languages() -> list[tuple[str, str]]:
    """Code and own name of each language of the customers' pages."""
    return [(code, str(name)) for code, name in settings.LANGUAGES]


class SignUpFormForm(ServiceForm):
    """A sign-up form."""

    purposes = forms.ModelMultipleChoiceField(
        queryset=Purpose.objects.filter(needs_consent=True),
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        label="What people can agree to",
        required=False,
        help_text="Each is a box that is not ticked, with its approved wording.",
    )
    interests = forms.ModelMultipleChoiceField(
        queryset=Interest.objects.filter(offered=True),
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        label="What people may say they like",
        required=False,
    )
    origins = forms.CharField(
        required=False,
        label="Sites whose own forms may post here",
        widget=UnfoldAdminTextareaWidget({"rows": 2, "spellcheck": "false"}),
        help_text="One a line, such as https://shop.example. Tessera's own page needs none.",
    )

    class Meta:
        model = SignUpForm
        fields = ("code", "name", "brand", "asks_name", "survey", "mail_survey", "active")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        form, saved = self.instance, self.instance.words or {}
        if form.pk is not None:
            self.fields["purposes"].initial = [one.pk for one in form.purposes.all()]
            self.fields["interests"].initial = [one.pk for one in form.interests.all()]
            self.fields["origins"].initial = "\n".join(form.origins)
        for language, _ in languages():
            for name in FORM_WORDS:
                rows = {"lang": language, "dir": "auto", "rows": 2}
                self.fields[f"{name}_{language}"] = forms.CharField(
                    label=_LABELS[name],
                    required=False,
                    initial=saved.get(language, {}).get(name, ""),
                    widget=UnfoldAdminTextInputWidget({"lang": language, "dir": "auto"})
                    if name == "title"
                    else UnfoldAdminTextareaWidget(rows),
                )

    def words(self) -> dict[str, dict[str, str]]:
        """What the form says, by language; languages that it has no fields for stay as they are."""
        return dict(self.instance.words or {}) | {
            language: {name: self.cleaned_data[f"{name}_{language}"] for name in FORM_WORDS}
            for language, _ in languages()
        }

    def service(self) -> SignUpForm:
        data = self.cleaned_data
        plain = ("name", "brand", "asks_name", "survey", "mail_survey", "active", "purposes", "interests")
        fields: dict[str, Any] = {name: data[name] for name in plain}
        fields |= {"words": self.words(), "origins": data["origins"].split()}
        if self.instance.pk is None:
            return services.sign_up_form_create(by=self.user, code=data["code"], **fields)
        return services.sign_up_form_update(form_id=self.instance.pk, by=self.user, **fields)


class SurveyForm(ServiceForm):
    """A survey: up to three questions, each with up to four interests as its answers."""

    class Meta:
        model = Survey
        fields = ("code", "name")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        interests = Interest.objects.filter(offered=True)
        for number in range(1, QUESTIONS + 1):
            saved = self.instance.questions[number - 1] if number <= len(self.instance.questions) else {}
            for language, name in languages():
                self.fields[f"question_{number}_{language}"] = forms.CharField(
                    label=f"Question, {name}",
                    required=False,
                    max_length=services.LINE_LIMIT,
                    initial=saved.get("words", {}).get(language, ""),
                    widget=UnfoldAdminTextInputWidget({"lang": language, "dir": "auto"}),
                )
            answers = [*saved.get("interests", ()), *("",) * ANSWERS]
            for place in range(1, ANSWERS + 1):
                self.fields[f"answer_{number}_{place}"] = forms.ModelChoiceField(
                    queryset=interests,
                    label=f"Answer {place}",
                    required=False,
                    initial=answers[place - 1],
                    widget=UnfoldAdminSelectWidget,
                )

    def questions(self) -> list[services.QuestionFields]:
        """The questions of which anything is filled in."""
        found: list[services.QuestionFields] = []
        for number in range(1, QUESTIONS + 1):
            words = {language: self.cleaned_data[f"question_{number}_{language}"] for language, _ in languages()}
            chosen = [self.cleaned_data[f"answer_{number}_{place}"] for place in range(1, ANSWERS + 1)]
            interests = [interest.pk for interest in chosen if interest is not None]
            if any(words.values()) or interests:
                found.append({"words": words, "interests": interests})
        return found

    def service(self) -> Survey:
        return services.survey_save(
            by=self.user,
            survey_id=self.instance.pk,
            code=self.cleaned_data.get("code") or self.instance.code,
            name=self.cleaned_data["name"],
            questions=self.questions(),
        )
