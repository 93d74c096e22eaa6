"""Sign-up forms, who signed up by them, and the short surveys that people are asked."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from apps.data.consent.models import Interest, Purpose
from apps.data.profiles.models import Profile
from apps.decisioning.content.models import Brand
from apps.foundation.core.clock import now
from apps.foundation.core.ids import uuid7


class Survey(models.Model):
    """One to three questions, asked after a sign-up or in a welcome mail; an answer says what somebody likes.

    questions: in order, each with its words by language and the codes of the interests that are its answers:
    `[{"words": {"en": "…", "de": "…"}, "interests": ["hiking", "running"]}]`. Answers read as their interests do.
    """

    code = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=80, help_text="for staff")
    questions = models.JSONField(default=list)
    updated_at = models.DateTimeField(default=now)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class SurveyReply(models.Model):
    """What a person answered to a question of a survey (counted from 1): one reply each, the last.

    gave: whether the reply switched the interest on, so that taking it back switches it off, and leaves alone what the
    person had said before.
    """

    profile = models.ForeignKey(Profile, on_delete=models.CASCADE, related_name="survey_replies", db_index=False)
    survey = models.ForeignKey(Survey, on_delete=models.CASCADE, related_name="replies")
    question = models.PositiveSmallIntegerField()
    interest = models.ForeignKey(Interest, on_delete=models.PROTECT, related_name="+")
    gave = models.BooleanField(default=False)
    source = models.CharField(max_length=200, help_text="the page or message it came from")
    replied_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["profile", "survey", "question"], name="survey_reply_one_per_question")
        ]
        verbose_name_plural = "survey replies"

    def __str__(self) -> str:
        return f"Reply to question {self.question} of {self.survey}"


class SignUpForm(models.Model):
    """What people may sign up for at one place, and how it is put to them.

    words: by language `{"en": {"title", "intro", "thanks"}}`; the form is shown in these languages. version: grows with
    each change, so that a sign-up says what was on the page.
    """

    code = models.SlugField(max_length=40, unique=True, help_text="part of its address: /sign-up/CODE")
    name = models.CharField(max_length=80, help_text="for staff")
    brand = models.ForeignKey(Brand, on_delete=models.PROTECT, related_name="sign_up_forms")
    purposes = models.ManyToManyField(Purpose, related_name="sign_up_forms", help_text="each is an unticked box")
    interests = models.ManyToManyField(
        Interest, blank=True, related_name="sign_up_forms", help_text="what people may say that they like"
    )
    asks_name = models.BooleanField("asks for the first name", default=False, help_text="it is never required")
    words = models.JSONField(default=dict)
    origins = ArrayField(
        models.CharField(max_length=260),
        default=list,
        blank=True,
        help_text="sites whose own forms may post here, such as https://shop.example",
    )
    survey = models.ForeignKey(
        Survey,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="sign_up_forms",
        help_text="asked after it",
    )
    mail_survey = models.ForeignKey(
        Survey,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name="survey in the welcome mail",
        help_text="its first question; the mail's links answer_1 to answer_3 are its first three answers",
    )
    active = models.BooleanField(default=False, help_text="whether people can sign up by it")
    version = models.PositiveIntegerField(default=1)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=now)
    updated_at = models.DateTimeField(default=now)

    class Meta:
        ordering = ["name"]
        verbose_name = "sign-up form"

    def __str__(self) -> str:
        return self.name


class SignUp(models.Model):
    """Somebody filled in a sign-up form: where they came from, what they ticked, and whether they confirmed it.

    What was asked and where from is written once; only state, answers and their moments move. starter: the profile was
    made by this sign-up, and is forgotten with it if nobody confirms. given: what was said beside the address (first
    name, language, country, time zone, interests), which enters the profile once the address is confirmed.
    """

    class State(models.TextChoices):
        WAITING = "waiting", "to be confirmed"
        DONE = "done", "confirmed"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    form = models.ForeignKey(SignUpForm, on_delete=models.PROTECT, related_name="sign_ups", db_index=False)
    form_version = models.PositiveIntegerField()
    profile = models.ForeignKey(Profile, on_delete=models.PROTECT, related_name="sign_ups")
    starter = models.BooleanField(default=False)
    purposes = ArrayField(models.CharField(max_length=32), default=list)
    given = models.JSONField(default=dict)
    locale = models.CharField(max_length=20, blank=True, help_text="the language that the form was shown in")
    device = models.CharField(max_length=10, blank=True, help_text="phone, tablet or computer")
    utm_source = models.CharField(max_length=100, blank=True)
    utm_medium = models.CharField(max_length=100, blank=True)
    utm_campaign = models.CharField(max_length=100, blank=True)
    utm_term = models.CharField(max_length=100, blank=True)
    utm_content = models.CharField(max_length=100, blank=True)
    landing_page = models.CharField(max_length=300, blank=True, help_text="where they came in, without its query")
    referrer_host = models.CharField(max_length=253, blank=True, help_text="the site before that")
    answers = models.JSONField(default=dict, help_text="interests by question of the survey, until it is confirmed")
    opt_in = models.UUIDField(null=True, blank=True, help_text="the opt-in that waits for its confirmation")
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    created_at = models.DateTimeField("asked at", default=now)
    done_at = models.DateTimeField("confirmed at", null=True, blank=True)

    class Meta:
        verbose_name = "sign-up"
        indexes = [
            models.Index(fields=["form", "created_at"], name="sign_up_by_form"),
            models.Index(fields=["opt_in"], condition=Q(opt_in__isnull=False), name="sign_up_by_opt_in"),
            models.Index(fields=["created_at"], condition=Q(state="waiting"), name="sign_up_waiting"),
        ]

    def __str__(self) -> str:
        return f"Sign-up {self.pk}"
