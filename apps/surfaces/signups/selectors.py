"""Reads about sign-up forms, sign-ups and surveys."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db.models import Count, Q, QuerySet
from django.db.models.functions import TruncDate

from apps.data.consent.models import Interest
from apps.data.consent.offering import words_in
from apps.data.profiles.mail import MailKind
from apps.decisioning.decisions.selectors import occasion_of
from apps.decisioning.playbooks.models import Playbook

from .models import SignUp, SignUpForm, Survey, SurveyReply

KEY: Final = "sign-up:"
"""What the key of a sign-up begins with, in events and mails; its id follows."""
EVENT: Final = "Signed Up"
"""The event that is recorded of a sign-up once its address is known to be the person's."""


def in_language(words: Mapping[str, str], language: str) -> str:
    """What `words` says in a language: de-AT, then de, then English, then whatever there is; `""` of nothing."""
    for tag in (language, language.partition("-")[0], settings.LANGUAGE_CODE):
        if words.get(tag):
            return words[tag]
    return next(iter(words.values()), "")


def form_languages(form: SignUpForm) -> list[str]:
    """The languages in which a form is written, the brand's own first."""
    own = form.brand.default_language
    return sorted(form.words, key=lambda code: (code != own, code != own.partition("-")[0], code != "en", code))


def form_words(form: SignUpForm, language: str) -> dict[str, str]:
    """Title, intro and thanks of a form, in one of its languages."""
    return {"title": "", "intro": "", "thanks": "", **form.words.get(language, {})}


@dataclass(frozen=True, slots=True)
class AnswerShown:
    """An answer as it is put. position: its place, from 1."""

    interest: str
    position: int
    text: str


@dataclass(frozen=True, slots=True)
class QuestionShown:
    """A question as it is put. number: from 1; chosen: the interest that was answered, `""` without an answer."""

    number: int
    text: str
    answers: Sequence[AnswerShown]
    chosen: str

    def words_of(self, interest: str) -> str:
        """What an answer reads as, `""` if it is none."""
        return next((answer.text for answer in self.answers if answer.interest == interest), "")


def questions_shown(survey: Survey, *, language: str, chosen: Mapping[int, str]) -> list[QuestionShown]:
    """The questions of a survey with their answers. chosen: the interest that was answered, by question."""
    asked = {code for question in survey.questions for code in question["interests"]}
    names = {one.pk: words_in(one, language)[0] for one in Interest.objects.filter(pk__in=asked)}
    return [
        QuestionShown(
            number,
            in_language(question["words"], language),
            [
                AnswerShown(code, place, names[code])
                for place, code in enumerate(question["interests"], 1)
                if code in names
            ],
            chosen.get(number, ""),
        )
        for number, question in enumerate(survey.questions, 1)
    ]


def interests_of(survey: Survey, question: int) -> list[str]:
    """The interests that are answers to a question (counted from 1), in order; none of a question that isn't there."""
    return list(survey.questions[question - 1]["interests"]) if 0 < question <= len(survey.questions) else []


def welcome_is_carried() -> bool:
    """Whether a published playbook begins with `Signed Up`: then it welcomes people, and no system mail does."""
    return Playbook.objects.filter(
        published__spec__trigger=Playbook.Trigger.EVENT, published__spec__event__name=EVENT
    ).exists()


@dataclass(frozen=True, slots=True)
class InterestShown:
    """Something that people may say they like, as a form puts it."""

    code: str
    name: str
    ticked: bool


def interests_shown(form: SignUpForm, *, language: str, ticked: Sequence[str] = ()) -> list[InterestShown]:
    """What a form offers to like, in the page's order."""
    offered = form.interests.filter(offered=True)
    return [InterestShown(one.pk, words_in(one, language)[0], one.pk in ticked) for one in offered]


def mail_survey_of(*, profile_id: int, message_id: UUID) -> tuple[Survey, SignUp] | None:
    """The survey that a welcome mail asks, and the sign-up that it welcomes to; None for any other message."""
    about = occasion_of(message_id=message_id, profile_id=profile_id)
    if about is None or about.kind != MailKind.WELCOME or not about.key.startswith(KEY):
        return None
    sign_up = (
        SignUp.objects.select_related("form__mail_survey", "form__brand")
        .filter(pk=UUID(about.key.removeprefix(KEY)), profile_id=profile_id)
        .first()
    )
    if sign_up is None or sign_up.form.mail_survey is None:
        return None
    return sign_up.form.mail_survey, sign_up


def survey_is_open(sign_up: SignUp, *, at: datetime) -> bool:
    """Whether the survey after a sign-up still takes answers from whoever filled in the form.

    Until it is confirmed: from then on only the holder of the address may say what they like. Where the sign-up began
    the profile, whoever filled it in has a day.
    """
    if sign_up.state == SignUp.State.WAITING:
        return True
    return sign_up.starter and at - sign_up.created_at < timedelta(days=1)


def reply_of(*, profile_id: int, survey_id: int, question: int) -> SurveyReply | None:
    """What a person answered to a question."""
    return SurveyReply.objects.filter(profile_id=profile_id, survey_id=survey_id, question=question).first()


# --- figures ---


@dataclass(frozen=True, slots=True)
class Day:
    """One day of sign-ups. waiting: not confirmed (yet)."""

    day: date
    done: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Source:
    """Where sign-ups came from, and how many of those who asked confirmed."""

    name: str
    asked: int
    done: int

    @property
    def share(self) -> int | None:
        """Percent of those who asked that confirmed; None without any."""
        return round(100 * self.done / self.asked) if self.asked else None


@dataclass(frozen=True, slots=True)
class SignUpFigures:
    """Of some days up to now: by day with none left out, by source with the largest first, and in all."""

    days: Sequence[Day]
    sources: Sequence[Source]
    total: Source


def sign_up_figures(*, until: datetime, days: int = 30, sources: int = 8) -> SignUpFigures:
    """How many signed up by day and source, counted by the day on which they asked (UTC)."""
    first = until.date() - timedelta(days=days - 1)
    since = datetime.combine(first, datetime.min.time(), until.tzinfo)
    asked: QuerySet[SignUp] = SignUp.objects.filter(created_at__gte=since, created_at__lte=until)
    done = Count("pk", filter=Q(state=SignUp.State.DONE))
    by_day = {
        row["day"]: (row["all"], row["done"])
        for row in asked.annotate(day=TruncDate("created_at")).values("day").annotate(all=Count("pk"), done=done)
    }
    named: dict[str, tuple[int, int]] = {}
    for row in asked.values("utm_source", "referrer_host").annotate(all=Count("pk"), done=done):
        name = row["utm_source"] or row["referrer_host"] or "direct"
        before = named.get(name, (0, 0))
        named[name] = (before[0] + row["all"], before[1] + row["done"])
    ranked = sorted((Source(name, *counts) for name, counts in named.items()), key=lambda one: (-one.asked, one.name))
    shown = ranked[:sources]
    if rest := ranked[sources:]:
        shown.append(Source("others", sum(one.asked for one in rest), sum(one.done for one in rest)))
    return SignUpFigures(
        days=[
            Day(day, done=by_day.get(day, (0, 0))[1], waiting=by_day.get(day, (0, 0))[0] - by_day.get(day, (0, 0))[1])
            for day in (first + timedelta(days=number) for number in range(days))
        ],
        sources=shown,
        total=Source("", sum(one.asked for one in ranked), sum(one.done for one in ranked)),
    )


def answers_given(survey: Survey) -> dict[tuple[int, str], int]:
    """How often each answer was given, by question and interest."""
    rows = survey.replies.values_list("question", "interest_id").annotate(count=Count("pk"))
    return {(question, interest): count for question, interest, count in rows}
