"""The sign-up page, and the door for a shop's own form. No login, no cookie, and no answer tells who is known.

Told apart from programs by a field that people don't see and by the time that reading takes. A form on another site
posts here from the origins that staff allowed, as JSON or as a plain form.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _

from apps.data.consent.wordings import policy_current
from apps.data.profiles.address_check import address_check
from apps.data.profiles.rules import Verdict
from apps.decisioning.content.models import Brand
from apps.foundation.core.clock import now
from apps.foundation.core.limits import allowed, visitor_network
from apps.foundation.core.signing import BadToken
from apps.surfaces.signups.filled import Fault, Filled, boxes_shown, filled_read
from apps.surfaces.signups.models import SignUpForm
from apps.surfaces.signups.selectors import form_languages, form_words, interests_shown
from apps.surfaces.signups.sign_ups import sign_up_make
from apps.surfaces.signups.tokens import preview_holds, shown_at, shown_token, survey_read, survey_token
from apps.surfaces.signups.visitors import (
    UTM,
    host_bare,
    language_choose,
    languages_accepted,
    page_bare,
    visit_read,
)

from .forms import body_read, fields_read
from .opening import bad_link, bad_request, origin_of, public_page, see_other
from .speaking import Tongue

TRAP = "website"
"""The field that people don't see."""
_HOUR, _DAY = 3600, 24 * 3600
_CARRIED = (*UTM, "landing_page", "referrer", "time_zone")


@public_page
def sign_up(request: HttpRequest, code: str) -> HttpResponse:
    """The form, and what is posted to it: by the page itself, or from a site that may."""
    form = SignUpForm.objects.select_related("brand", "survey").filter(code=code).first()
    preview = form is not None and preview_holds(form.pk, request.GET.get("preview", ""))
    if form is None or not (form.active or preview):
        return bad_link(request)
    origin = _foreign_origin(request)
    if origin and origin not in form.origins:
        return _problem(403, _("This form may not be sent from there.")) if _is_json(request) else bad_request(request)
    if request.method == "OPTIONS":
        response = HttpResponse(status=204, headers={"Allow": "GET, HEAD, POST, OPTIONS"})
    elif request.method == "POST" and not preview:
        response = _posted(request, form, own=not origin)
    else:
        response = _shown(request, form, _language(request, form, {}), _arrived(request), preview=preview)
    return _cors(response, origin)


def _posted(request: HttpRequest, form: SignUpForm, *, own: bool) -> HttpResponse:
    body = body_read(request)
    as_json = _is_json(request)
    fields = _json_fields(body) if as_json else fields_read(body)
    if fields is None:
        return _problem(400, _("The body is no JSON object of texts and lists of texts."))
    one = {name: values[0] for name, values in fields.items() if values}
    language = _language(request, form, one)
    with translation.override(language):
        if not allowed(name="sign-up", who=visitor_network(request), count=settings.SIGN_UPS_PER_HOUR, seconds=_HOUR):
            return _too_many(request, as_json)
        if one.get(TRAP):  # a program: it is thanked like everybody
            return _thanks(form, language, "", as_json)
        visit = visit_read(
            one,
            user_agent=request.headers.get("User-Agent", ""),
            accept_language=request.headers.get("Accept-Language", ""),
            referer="" if own else request.headers.get("Referer", ""),
        )
        filled = filled_read(form, fields, visit=visit, language=language, gpc=request.headers.get("Sec-GPC") == "1")
        hurried = own and not as_json and _hurried(form, one.get("shown", ""))
        if filled.ask is None or hurried:
            if as_json:
                return _faults_told(filled)
            return _shown(request, form, language, one, fields=fields, filled=filled, hurried=hurried, status=422)
        token = ""
        if allowed(name="sign-up.address", who=filled.ask.address, count=settings.SIGN_UPS_PER_ADDRESS, seconds=_DAY):
            sign_up_id = sign_up_make(
                form=form,
                ask=filled.ask,
                visit=visit,
                origin=origin_of(request),
            )
            token = survey_token(sign_up_id)
        return _thanks(form, language, token, as_json)


# --- what is shown ---


def _shown(
    request: HttpRequest,
    form: SignUpForm,
    language: str,
    carried: Mapping[str, str],
    *,
    fields: Mapping[str, Sequence[str]] | None = None,
    filled: Filled | None = None,
    hurried: bool = False,
    preview: bool = False,
    status: int = 200,
) -> HttpResponse:
    given = fields or {}
    with translation.override(language):
        faults = {fault.field: fault for fault in filled.faults} if filled is not None else {}
        policy = policy_current()
        context = {
            "form": form,
            "words": form_words(form, language),
            "page": _page(form, language, carried),
            "here": reverse("preferences:sign-up", args=[form.code]),
            "check": reverse("preferences:sign-up-address", args=[form.code]),
            "language": language,
            "boxes": boxes_shown(form, language=language, ticked=given.get("purpose", ())),
            "interests": interests_shown(form, language=language, ticked=given.get("interest", ())),
            "email": given.get("email", [""])[0],
            "first_name": given.get("first_name", [""])[0],
            "said": _address_said(faults.get("email")),
            "faults": faults,
            "hurried": hurried and not faults,
            "carried": {name: carried.get(name, "") for name in _CARRIED},
            "shown": _shown_token(form, given),
            "policy": policy.url if policy is not None else "",
            "preview": preview,
            "trap": TRAP,
        }
        return _spoken(render(request, "preferences/sign_up.html", context, status=status), language)


def _shown_token(form: SignUpForm, given: Mapping[str, Sequence[str]]) -> str:
    """When the form was first shown: whoever mends a field has read it already, and is not made to wait again."""
    token = (given.get("shown") or [""])[0]
    at = shown_at(form.pk, token)
    return token if at is not None and (now() - at).total_seconds() <= _DAY else shown_token(form.pk, now())


def framed(brand: Brand) -> dict[str, str]:
    """Who speaks, in their colour."""
    accent = brand.page_accent.removeprefix("#").lower()
    return {"brand": brand.name, "postal_address": brand.postal_address, "accent": accent}


def _spoken(response: HttpResponse, language: str) -> HttpResponse:
    response["Content-Language"] = language
    return response


def _page(form: SignUpForm, language: str, carried: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What every page around a form shows: who speaks, and its languages with what is carried along."""
    own = dict(settings.LANGUAGES)
    utm = urlencode({name: text for name in UTM if (text := (carried or {}).get(name))})
    return {
        **framed(form.brand),
        "tongues": [Tongue(code, str(own.get(code, code)), code == language) for code in form_languages(form)],
        "query": f"&{utm}" if utm else "",
    }


def _address_said(fault: Fault | None) -> dict[str, str]:
    """What is said below the address: words, a tone, and what was probably meant."""
    if fault is None:
        return {}
    words = {
        "empty": _("Please write your e-mail address."),
        "syntax": _("This is not a whole e-mail address. It looks like name@example.com."),
        "disposable": _("Mailboxes that vanish can't be used here: please take one that you keep."),
        "no_mail": _("No mail can be delivered there: please look at what stands after the @."),
        "null_mx": _("This site says that it takes no mail: please use another address."),
        "typo": _("Is this address right?"),
        "role": _("Several people seem to read this mailbox. Each of them could change what it gets."),
    }
    tone = "caution" if fault.code in ("typo", "role") else "fault"
    return {"words": words[fault.code], "tone": tone, "suggestion": fault.suggestion, "code": fault.code}


@public_page
def sign_up_address(request: HttpRequest, code: str) -> HttpResponse:
    """An address looked at as it is typed. POST, so that it stands in no log of addresses of pages."""
    form = SignUpForm.objects.filter(code=code, active=True).first()
    if form is None or request.method != "POST":
        return bad_link(request)
    origin = _foreign_origin(request)
    if origin and origin not in form.origins:
        return _problem(403, _("This form may not be sent from there."))
    fields = (_json_fields(body_read(request)) if _is_json(request) else fields_read(body_read(request))) or {}
    one = {name: values[0] for name, values in fields.items() if values}
    with translation.override(_language(request, form, one)):
        if not allowed(name="sign-up.check", who=visitor_network(request), count=120, seconds=600):
            return _cors(HttpResponse(status=204), origin)
        check = address_check(one.get("email", ""))
        fault = Fault("email", check.code, check.suggestion) if check.verdict != Verdict.OK else None
        if request.headers.get("HX-Request"):
            context = {"said": _address_said(fault) if check.code != "empty" else {}, "email": one.get("email", "")}
            return render(request, "preferences/parts/sign_up_address.html", context)
        said = {"verdict": str(check.verdict), "code": check.code, "suggestion": check.suggestion}
        return _cors(JsonResponse({**said, "detail": _address_said(fault).get("words", "")}), origin)


@public_page
def sign_up_thanks(request: HttpRequest, code: str) -> HttpResponse:
    """What comes next: the same for everybody who signed up, known or not; and the way to the survey."""
    form = SignUpForm.objects.select_related("brand", "survey").filter(code=code).first()
    if form is None or request.method == "POST":
        return bad_link(request)
    language = _language(request, form, {})
    token = _survey_of(request.GET.get("s", ""))
    with translation.override(language):
        context = {
            "form": form,
            "words": form_words(form, language),
            "page": framed(form.brand),
            "survey": reverse("preferences:survey", args=[token]) if form.survey is not None and token else "",
            "confirms": form.purposes.filter(double_opt_in=True).exists(),
        }
        return _spoken(render(request, "preferences/sign_up_thanks.html", context), language)


def _survey_of(token: str) -> str:
    """A survey's token, `""` for one that is none of ours."""
    try:
        survey_read(token)
    except BadToken:
        return ""
    return token


def _thanks(form: SignUpForm, language: str, token: str, as_json: bool) -> HttpResponse:
    if as_json:
        survey = f"{settings.BASE_URL}{reverse('preferences:survey', args=[token])}" if token and form.survey else ""
        return JsonResponse({"status": "taken", "survey": survey}, status=202)
    query = urlencode([("lang", language), *([("s", token)] if token and form.survey is not None else [])])
    return see_other(f"{reverse('preferences:sign-up-thanks', args=[form.code])}?{query}")


# --- who posts ---


def _hurried(form: SignUpForm, token: str) -> bool:
    """Whether the form came back before anybody could have read it, or was never shown here, or days ago."""
    at = shown_at(form.pk, token)
    return at is None or not settings.SIGN_UP_SECONDS <= (now() - at).total_seconds() <= _DAY


def _foreign_origin(request: HttpRequest) -> str:
    """The site whose page sent this, `""` for our own. `null` is what our own pages send, which name no referrer."""
    origin = request.headers.get("Origin", "").lower()
    own = urlsplit(settings.BASE_URL)
    ours = (f"{own.scheme}://{own.netloc}".lower(), f"{request.scheme}://{request.get_host()}".lower(), "null", "")
    return "" if origin in ours else origin


def _cors(response: HttpResponse, origin: str) -> HttpResponse:
    """Let the page of an allowed origin read the answer (Fetch, CORS protocol)."""
    if origin:
        response["Access-Control-Allow-Origin"] = origin
        response["Access-Control-Allow-Methods"] = "POST"
        response["Access-Control-Allow-Headers"] = "content-type"
        response["Access-Control-Max-Age"] = "600"
    patch_vary_headers(response, ["Origin"])
    return response


def _language(request: HttpRequest, form: SignUpForm, fields: Mapping[str, str]) -> str:
    """The page's language: the one chosen, else the browser's, of those in which the form is written."""
    chosen = fields.get("lang") or request.GET.get("lang", "")
    accepted = languages_accepted(request.headers.get("Accept-Language", ""))
    return language_choose([*([chosen] if chosen else []), *accepted], form_languages(form))


def _arrived(request: HttpRequest) -> dict[str, str]:
    """Where a visitor of the page came from, for its hidden fields: hosts and pages, no queries."""
    asked = dict(parse_qsl(request.META.get("QUERY_STRING", "")[:2000]))
    host = host_bare(asked.get("referrer", "") or request.headers.get("Referer", ""))
    landing = page_bare(asked.get("landing_page", "")) or page_bare(request.build_absolute_uri(request.path))
    return {
        **{name: asked.get(name, "")[:100] for name in UTM},
        "landing_page": landing,
        "referrer": f"https://{host}/" if host else "",
    }


# --- JSON ---


def _is_json(request: HttpRequest) -> bool:
    return request.content_type == "application/json"


def _json_fields(body: bytes) -> dict[str, list[str]] | None:
    """The fields of a JSON object: texts, or lists of texts. None for anything else."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    fields = {name: value if isinstance(value, list) else [value] for name, value in data.items() if value is not None}
    if any(not isinstance(text, str) for texts in fields.values() for text in texts):
        return None
    return fields


def _problem(status: int, title: str, **more: Any) -> HttpResponse:
    """A problem as RFC 9457 has it."""
    body = {"type": "about:blank", "title": title, "status": status, **more}
    return JsonResponse(body, status=status, content_type="application/problem+json")


def _faults_told(filled: Filled) -> HttpResponse:
    words = {
        ("first_name", "long"): _("The name is too long."),
        ("purposes", "none"): _("Please choose at least one."),
        ("purposes", "wording"): _("The text beside a box is not one of ours: show the one that holds now."),
    }
    errors = [
        {
            "field": fault.field,
            "code": fault.code,
            "detail": words.get((fault.field, fault.code)) or _address_said(fault)["words"],
            **({"suggestion": fault.suggestion} if fault.suggestion else {}),
        }
        for fault in filled.faults
    ]
    return _problem(422, _("Some of it needs mending."), errors=errors)


def _too_many(request: HttpRequest, as_json: bool) -> HttpResponse:
    said = _("That was very often. Please try again in an hour.")
    if as_json:
        return _problem(429, said)
    return render(request, "preferences/sign_up_often.html", {"said": said}, status=429)
