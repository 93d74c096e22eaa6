"""Short surveys: after a sign-up, one question at a time, and in a welcome mail, one tap and a button.

A GET changes nothing, since scanners follow links. Each answer can be changed, and taken back.
"""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import translation

from apps.data.consent.links import LinkScope
from apps.data.consent.models import ConsentRecord
from apps.foundation.core.clock import now
from apps.foundation.core.signing import BadToken
from apps.surfaces.signups.models import SignUp
from apps.surfaces.signups.replies import reply_give, reply_take_back
from apps.surfaces.signups.selectors import (
    interests_of,
    mail_survey_of,
    questions_shown,
    reply_of,
    survey_is_open,
)
from apps.surfaces.signups.sign_ups import answer_keep
from apps.surfaces.signups.tokens import survey_read

from .forms import body_read, fields_read
from .opening import bad_link, bad_request, by_link, public_page, see_other
from .signing_up import framed


@public_page
def survey(request: HttpRequest, token: str) -> HttpResponse:
    """The survey after a sign-up, `?q=2` its second question. Answers wait with the sign-up for its confirmation."""
    try:
        sign_up_id = survey_read(token)
    except BadToken:
        return bad_link(request)
    sign_up = SignUp.objects.select_related("form__survey", "form__brand").filter(pk=sign_up_id).first()
    if sign_up is None or sign_up.form.survey is None:
        return bad_link(request)
    language = sign_up.locale
    with translation.override(language):
        chosen = {int(question): str(answer) for question, answer in sign_up.answers.items()}
        questions = questions_shown(sign_up.form.survey, language=language, chosen=chosen)
        here = reverse("preferences:survey", args=[token])
        asked = request.GET.get("q", "1")
        number = int(asked) if asked.isdecimal() and len(asked) < 3 else 1
        question = next((one for one in questions if one.number == number), None)
        context: dict[str, Any] = {
            "page": framed(sign_up.form.brand),
            "closed": not survey_is_open(sign_up, at=now()),
            "question": question,
            "count": len(questions),
            "here": here,
            "next": f"{here}?q={number + 1}",
        }
        if request.method != "POST":
            return render(request, "preferences/survey.html", context)
        picked = fields_read(body_read(request)).get("answer", [""])[0]
        if question is None or not question.words_of(picked):
            return bad_request(request)
        answer_keep(sign_up_id=sign_up.pk, question=question.number, interest=picked)
        return see_other(context["next"])


@by_link(LinkScope.ANSWER)
def mail_answer(request: HttpRequest, token: str, profile_id: int, message_id: UUID, number: int) -> HttpResponse:
    """An answer tapped in a mail: what was chosen, and one button that says so. POST sets it, or takes it back."""
    found = mail_survey_of(profile_id=profile_id, message_id=message_id)
    if found is None:
        return bad_link(request)
    asked, sign_up = found
    interests = interests_of(asked, 1)
    if not 0 < number <= len(interests):
        return bad_link(request)
    picked = interests[number - 1]
    source = f"answer in a mail, by the link of message {message_id}"
    said = request.GET.get("done", "")
    if request.method == "POST":
        do = fields_read(body_read(request)).get("do", [""])[0]
        if do == "answer":
            reply_give(
                profile_id=profile_id,
                survey=asked,
                question=1,
                interest=picked,
                method=ConsentRecord.Method.PREFERENCES,
                source=source,
            )
        elif do == "take_back":
            reply_take_back(
                profile_id=profile_id,
                survey_id=asked.pk,
                question=1,
                method=ConsentRecord.Method.PREFERENCES,
                source=source,
            )
        else:
            return bad_request(request)
        return see_other(f"{reverse('preferences:mail-answer', args=[token, number])}?done={do}")
    given = reply_of(profile_id=profile_id, survey_id=asked.pk, question=1)
    before = given.interest_id if given is not None else ""
    shown = questions_shown(asked, language=translation.get_language() or settings.LANGUAGE_CODE, chosen={1: before})[0]
    context = {
        "page": framed(sign_up.form.brand),
        "question": shown,
        "picked": shown.words_of(picked),
        "holds": before == picked,
        "before": shown.words_of(before),
        "said": said,
        "others": [
            {"text": one.text, "url": reverse("preferences:mail-answer", args=[token, one.position])}
            for one in shown.answers[:3]
            if one.interest != picked
        ],
        "here": reverse("preferences:mail-answer", args=[token, number]),
    }
    return render(request, "preferences/mail_answer.html", context)
