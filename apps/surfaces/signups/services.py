"""What staff set up: sign-up forms and surveys. Each change is checked, and in the audit log."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypedDict
from urllib.parse import urlsplit

from django.db import IntegrityError, transaction

from apps.data.consent.models import Interest, Purpose
from apps.data.profiles.normalize import language_tag
from apps.decisioning.content.models import Brand
from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import right_require
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid, NotFound
from apps.foundation.core.text import is_blank
from apps.foundation.governance.services import audit_record

from .models import SignUpForm, Survey

Words = Mapping[str, Mapping[str, str]]
"""Texts by language, then by what they are."""

FORM_WORDS: Final = ("title", "intro", "thanks")
_LIMITS: Final = {"title": 120, "intro": 600, "thanks": 600}
LINE_LIMIT: Final = 120
"""Characters of a question or an answer."""
QUESTIONS: Final = 3
ANSWERS: Final = 4


class FormFields(TypedDict):
    """All that staff say of a form."""

    name: str
    brand: Brand
    purposes: Sequence[Purpose]
    interests: Sequence[Interest]
    asks_name: bool
    words: Words
    origins: Sequence[str]
    survey: Survey | None
    mail_survey: Survey | None
    active: bool


class QuestionFields(TypedDict):
    """A question of a survey: its words by language, and the interests that are its answers, in order."""

    words: Mapping[str, str]
    interests: Sequence[str]


def sign_up_form_create(*, by: User, code: str, **fields: Any) -> SignUpForm:
    """A sign-up form; see `FormFields`. Raises NotAllowed, Invalid (at a field), Conflict."""
    right_require(by, "add", SignUpForm, what="add sign-up forms")
    given = _form_checked(FormFields(**fields))  # type: ignore[typeddict-item]
    try:
        with transaction.atomic():
            form = SignUpForm(code=code, created_by=by)
            _form_write(form, given)
            audit_record(action="signups.form.created", actor=by, subject=form, data={"active": form.active})
    except IntegrityError:
        raise Conflict("code_taken", f"There is a form {code} already: choose another code") from None
    return form


def sign_up_form_update(*, form_id: int, by: User, **fields: Any) -> SignUpForm:
    """Change a form; see `FormFields`. Raises NotFound, NotAllowed, Invalid (at a field)."""
    given = _form_checked(FormFields(**fields))  # type: ignore[typeddict-item]
    with transaction.atomic():
        form = SignUpForm.objects.select_for_update(no_key=True).filter(pk=form_id).first()
        if form is None:
            raise NotFound("form_unknown", "There is no such form")
        right_require(by, "change", form, what="change this form")
        form.version += 1
        _form_write(form, given)
        audit_record(
            action="signups.form.changed",
            actor=by,
            subject=form,
            data={"version": form.version, "active": form.active},
        )
    return form


def _form_write(form: SignUpForm, given: FormFields) -> None:
    for name in ("name", "brand", "asks_name", "words", "origins", "survey", "mail_survey", "active"):
        setattr(form, name, given[name])
    form.updated_at = now()
    form.save()
    form.purposes.set(given["purposes"])
    form.interests.set(given["interests"])


def _form_checked(given: FormFields) -> FormFields:
    if is_blank(given["name"]):
        raise _refused("name_missing", "name", "Give it a name")
    if not given["purposes"]:
        raise _refused("purposes_missing", "purposes", "Choose what people can sign up for")
    needless = [purpose.name for purpose in given["purposes"] if not purpose.needs_consent]
    if needless:
        said = f"Nobody has to agree to {', '.join(needless)}: a box for it would ask for nothing"
        raise _refused("purpose_needs_none", "purposes", said)
    words = _words_checked(given["words"], FORM_WORDS, _LIMITS)
    if not words:
        raise _refused("words_missing", "title_en", "Write the title in one language at least")
    return {**given, "name": given["name"].strip(), "words": words, "origins": origins_checked(given["origins"])}


def _words_checked(given: Words, names: Sequence[str], limits: Mapping[str, int]) -> dict[str, dict[str, str]]:
    """The languages in which the first of `names` is written; blanks left out. Raises Invalid."""
    kept: dict[str, dict[str, str]] = {}
    for language, texts in given.items():
        if language_tag(language) != language:
            raise _refused("language_unknown", "words", f"There is no language {language!r}")
        own = {name: " ".join(texts.get(name, "").split()) for name in names}
        if is_blank(own[names[0]]):
            if any(not is_blank(text) for text in own.values()):
                said = f"In {language} there is no {names[0]}: write it, or leave that language out"
                raise _refused("words_incomplete", f"{names[0]}_{language}", said)
            continue
        for name, text in own.items():
            if len(text) > limits[name]:
                said = f"At most {limits[name]} characters: this has {len(text)}"
                raise _refused("words_long", f"{name}_{language}", said)
        kept[language] = {name: text for name, text in own.items() if not is_blank(text)}
    return kept


def origins_checked(given: Iterable[str]) -> list[str]:
    """Origins (RFC 6454) in their one spelling, each once: `https://shop.example`. Raises Invalid."""
    found: dict[str, None] = {}
    for text in given:
        try:
            parts = urlsplit(text.strip().rstrip("/").lower())
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.path
            or parts.query
            or "@" in parts.netloc
        ):
            said = f"{text.strip()!r} is no site: write it as https://shop.example"
            raise _refused("origin_invalid", "origins", said)
        usual = {"http": 80, "https": 443}[parts.scheme]
        found[f"{parts.scheme}://{parts.hostname}{f':{port}' if port not in (None, usual) else ''}"] = None
    return list(found)


def survey_save(
    *, by: User, survey_id: int | None, code: str, name: str, questions: Sequence[QuestionFields]
) -> Survey:
    """Add or change a survey. What was answered to questions that are gone stays as people said it.

    Raises NotAllowed, NotFound, Invalid, Conflict.
    """
    checked = [_question_checked(question, number) for number, question in enumerate(questions, 1)]
    if is_blank(name):
        raise _refused("name_missing", "name", "Give it a name")
    if not 1 <= len(checked) <= QUESTIONS:
        raise _refused("questions_count", "question_1_en", f"Ask one to {QUESTIONS} questions")
    with transaction.atomic():
        survey = Survey.objects.select_for_update(no_key=True).filter(pk=survey_id).first() if survey_id else Survey()
        if survey is None:
            raise NotFound("survey_unknown", "There is no such survey")
        action = "change" if survey.pk else "add"
        right_require(by, action, survey if survey.pk else Survey, what=f"{action} surveys")
        survey.code, survey.name, survey.questions, survey.updated_at = code, name.strip(), checked, now()
        try:
            with transaction.atomic():
                survey.save()
        except IntegrityError:
            raise Conflict("code_taken", f"There is a survey {code} already: choose another code") from None
        done = "changed" if action == "change" else "added"
        audit_record(action=f"signups.survey.{done}", actor=by, subject=survey)
    return survey


def _question_checked(given: QuestionFields, number: int) -> dict[str, Any]:
    words = _lines_checked(given["words"], f"question_{number}")
    if not words:
        raise _refused("question_empty", f"question_{number}_en", "Write the question in one language at least")
    interests = list(given["interests"])
    known = set(Interest.objects.filter(pk__in=interests).values_list("pk", flat=True))
    if not 2 <= len(interests) <= ANSWERS or len(set(interests)) < len(interests) or set(interests) - known:
        said = f"Give question {number} two to {ANSWERS} answers, each another interest"
        raise _refused("answers_count", f"answer_{number}_1", said)
    return {"words": words, "interests": interests}


def _refused(code: str, where: str, mend: str) -> Invalid:
    """An error that stands at a field of the form."""
    return Invalid(code, mend, {"problems": [{"where": where, "line": 0, "token": "", "mend": mend}]})


def _lines_checked(given: Mapping[str, str], field: str) -> dict[str, str]:
    kept = {language: " ".join(text.split()) for language, text in given.items() if not is_blank(text)}
    for language, text in kept.items():
        if language_tag(language) != language:
            raise _refused("language_unknown", field, f"There is no language {language!r}")
        if len(text) > LINE_LIMIT:
            raise _refused("words_long", field, f"At most {LINE_LIMIT} characters: {text[:30]}… has more")
    return kept
