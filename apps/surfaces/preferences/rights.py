"""What a person has a right to, asked for by themselves: a copy, a correction, an objection, a restriction, erasure.

A link from any message does all that protects a person, or that they could undo. What can't be undone asks for a link
that has just come to their address: an old message may have been passed on. Copies go to their address only.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from django.conf.locale import LANG_INFO
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _

from apps.data.consent.links import LinkScope, preferences_url
from apps.data.privacy.address_changes import Asked, address_change_ask, address_changes_offered
from apps.data.privacy.correcting import correction_make
from apps.data.privacy.erasing import erasure_ask
from apps.data.privacy.exporting import MAIL, export_ask, export_fetch, export_of, request_of_mail
from apps.data.privacy.limiting import objection_record, restriction_lift, restriction_set
from apps.data.privacy.models import RightsRequest
from apps.data.privacy.selectors import requests_running
from apps.data.profiles.attributes import attributes_read, names_held, shapes_read
from apps.data.profiles.contracts import AttributeShape
from apps.data.profiles.countries import COUNTRY_NAMES
from apps.data.profiles.mail import MailKind, mail_ready, mail_want
from apps.data.profiles.models import Identifier, Profile, label_of
from apps.data.profiles.vault import Erased
from apps.decisioning.decisions.selectors import occasion_of
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid, NotFound
from apps.foundation.core.limits import allowed, visitor_network

from .forms import body_read, fields_read
from .opening import bad_link, bad_request, by_link, see_other
from .selectors import message_of, page_read
from .speaking import country_name

FRESH: Final = timedelta(hours=24)
"""For how long a link that was asked for shows that its mailbox is the person's."""
FIELDS: Final = ("first_name", "last_name", "language", "country")
_TYPES: Final = {"json": "application/json", "html": "text/html; charset=utf-8"}
_LANGUAGES: Final = sorted(
    ((code, str(info["name_local"])) for code, info in LANG_INFO.items() if "name_local" in info and "-" not in code),
    key=lambda pair: pair[1].casefold(),
)
_MOST_ATTRIBUTES: Final = 30
"""Of those that people may correct: a form of the page has so many fields at most."""
SAID: Final[Mapping[str, Any]] = {
    "export": gettext_lazy("Done: your copy is being made. A link to it comes to your address within minutes."),
    "export_by_staff": gettext_lazy("Done: we got your request for a copy, and answer it within a month."),
    "correct": gettext_lazy("Done: we know you by what you wrote from now on."),
    "same": gettext_lazy("Nothing was changed: that is what we know already."),
    "address": gettext_lazy(
        "Done: we wrote to the new address. Open that message and confirm there; until then nothing changes."
    ),
    "address_same": gettext_lazy("Nothing was changed: that is your address already."),
    "address_link": gettext_lazy(
        "Done: we mailed a link to your present address. Open it within a day, and change your address there."
    ),
    "marketing": gettext_lazy("Done: no news or offers come to you any more."),
    "profiling": gettext_lazy("Done: nothing is fitted to you, measured or learnt from your data any more."),
    "restrict": gettext_lazy("Done: we keep your data, and do nothing else with it."),
    "lift": gettext_lazy("Done: the restriction has ended."),
    "erase": gettext_lazy("Done: we are erasing what we know about you. Nothing is sent to you any more."),
    "erase_mail": gettext_lazy(
        "Nothing is sent to you any more. To be sure that it is you, we mailed you a link: open it, and confirm there "
        "within a day."
    ),
    "erase_by_staff": gettext_lazy(
        "Nothing is sent to you any more. Somebody looks at your request now, and answers it within a month."
    ),
    "often": gettext_lazy("You asked for this a few times already. Please try again tomorrow."),
}
"""What was done, by the word in the address of the page that says so."""


@by_link(LinkScope.PREFERENCES)
def data(request: HttpRequest, token: str, profile_id: int, message_id: UUID) -> HttpResponse:
    """What is known and what can be asked; `do` says which. A GET changes nothing."""
    if request.method == "POST":
        return _do(request, token, profile_id, message_id)
    return _shown(request, token, profile_id, message_id)


def _shown(
    request: HttpRequest,
    token: str,
    profile_id: int,
    message_id: UUID,
    *,
    wrong: Mapping[str, str] | None = None,
    typed: Mapping[str, str] | None = None,
) -> HttpResponse:
    """The page. wrong: what to mend, by the field's name; typed: what was sent, shown again."""
    profile = Profile.objects.get(pk=profile_id)
    typed = typed or {}
    corrected = typed if typed.get("do") == "correct" else {}
    context = {
        "token": token,
        "page": page_read(profile_id=profile_id, message_id=message_id),
        "here": request.path,
        "preferences": reverse("preferences:preferences", args=[token]),
        "said": SAID.get(request.GET.get("done", ""), ""),
        "person": profile,
        "running": [] if profile.erased_at else requests_running().filter(profile_id=profile_id),
        "fresh": _fresh(profile_id, message_id),
        "address_change": address_changes_offered() and mail_ready(MailKind.LINK),
        "typed": typed.get("email", "")[:320],
        "named": {name: corrected.get(name, getattr(profile, name))[:120] for name in ("first_name", "last_name")},
        "sure": request.GET.get("sure") == "erase",
        "languages": _LANGUAGES,
        "countries": sorted(((code, country_name(code)) for code in COUNTRY_NAMES), key=lambda pair: pair[1]),
        "spoken": corrected.get("language", profile.language).partition("-")[0],
        "country": corrected.get("country", profile.country),
        "wrong": wrong or {},
        "attributes": [] if profile.erased_at else _correctable(profile_id, corrected, wrong or {}),
    }
    return render(request, "preferences/data.html", context, status=422 if wrong else 200)


def _fresh(profile_id: int, message_id: UUID) -> bool:
    """Whether the link came by a mail that was asked for lately, to the address that is the person's by now."""
    occasion = occasion_of(message_id=message_id, profile_id=profile_id)
    message = message_of(profile_id=profile_id, message_id=message_id)
    if occasion is None or occasion.kind != MailKind.LINK or message is None or message.sending_at is None:
        return False
    main = Identifier.objects.filter(profile_id=profile_id, kind=Identifier.Kind.EMAIL, main=True)
    came_here = main.filter(digest=bytes(message.address_digest or b"")).exists()
    return came_here and message.sending_at > now() - FRESH


def _do(request: HttpRequest, token: str, profile_id: int, message_id: UUID) -> HttpResponse:
    fields = {name: values[0] for name, values in fields_read(body_read(request)).items()}
    deed = _DEEDS.get(fields.get("do", ""))
    if deed is None:
        return bad_request(request)
    try:
        done = deed({**fields, "network": visitor_network(request)}, profile_id, message_id)
    except Invalid as problem:
        return _shown(request, token, profile_id, message_id, wrong=_wrong(problem, fields), typed=fields)
    except (Conflict, NotFound):  # erased, or lifted, meanwhile: the page says what is
        done = ""
    return see_other(f"{request.path}?done={done}" if done else request.path)


def _wrong(problem: Invalid, typed: Mapping[str, str]) -> dict[str, str]:
    """What to mend, by the name of the field of the form; "" where it is none that a person fills in."""
    name = str(problem.extra.get("field", ""))
    if name == "email":
        return {"email": _("This can't be right: look at it again.")}
    shape = next((one for one in _shapes_correctable() if one.name == name), None)
    if shape is None:
        return {name if name in FIELDS else "": _("This can't be right: look at it again.")}
    words = {
        "number": _("Please write a number, like 38 or 7.5."),
        "date": _("Please write a day, like 2001-05-27."),
        "choice": _("Please choose one of the list."),
        "bool": _("Please choose one of the list."),
    }
    if shape.required and not typed.get(_field(shape), "").strip():
        return {_field(shape): _("This can't be empty.")}
    return {_field(shape): words.get(shape.kind, _("This can't be right: look at it again."))}


def _how(message_id: UUID) -> str:
    return f"the link of message {message_id}"


def _export(fields: Mapping[str, str], profile_id: int, message_id: UUID) -> str:
    if not allowed(name="rights.export", who=str(profile_id), count=3, seconds=86_400):
        return "often"
    export_ask(profile_id=profile_id, shown_by=_how(message_id))
    return "export" if mail_ready(MAIL) else "export_by_staff"


def _correct(fields: Mapping[str, str], profile_id: int, message_id: UUID) -> str:
    values = {name: fields.get(name, "") for name in FIELDS}
    known = Profile.objects.values_list("language", flat=True).get(pk=profile_id)
    if values["language"] == known.partition("-")[0]:
        values["language"] = known  # the page offers languages without their countries
    attributes = _attributes_said(fields) if "attributes" in fields else {}
    made = correction_make(profile_id=profile_id, values=values, shown_by=_how(message_id), attributes=attributes)
    return "same" if made is None else "correct"


def _address(fields: Mapping[str, str], profile_id: int, message_id: UUID) -> str:
    """Write to a new address; by a link that may have been passed on, mail a fresh one to the present address."""
    if not address_changes_offered():
        return ""
    if not _fresh(profile_id, message_id):
        if not mail_ready(MailKind.LINK):
            return ""
        if not allowed(name="rights.address", who=str(profile_id), count=3, seconds=86_400):
            return "often"
        mail_want(kind=MailKind.LINK, profile_id=profile_id, key=f"address:{now():%Y%m%d%H%M}")
        return "address_link"
    asked = address_change_ask(
        profile_id=profile_id,
        address=fields.get("email", ""),
        forget_old=fields.get("forget") == "old",
        shown_by=_how(message_id),
        network=fields["network"],
    )
    return {Asked.MAILED: "address", Asked.SAME: "address_same", Asked.OFTEN: "often"}[asked]


def _correctable(profile_id: int, typed: Mapping[str, str], wrong: Mapping[str, str]) -> list[dict[str, Any]]:
    """The attributes that a person may correct, as inputs. Sensitive ones are empty: a link may have been passed on."""
    shapes, language = _shapes_correctable(), get_language() or "en"
    known = attributes_read(profile_id=profile_id, names=[one.name for one in shapes if not one.sensitive])
    held = names_held(profile_id)
    return [
        {
            "field": _field(shape),
            "label": label_of(shape.name, shape.labels, language),
            "kind": shape.kind,
            "allowed": shape.allowed,
            "value": typed.get(_field(shape), _typed(known.get(shape.name))),
            "hidden": shape.sensitive and shape.name in held,
            "wrong": wrong.get(_field(shape), ""),
        }
        for shape in shapes
    ]


def _field(shape: AttributeShape) -> str:
    return f"attribute_{shape.id}"


def _shapes_correctable() -> list[AttributeShape]:
    return [shape for shape in shapes_read().values() if shape.correctable][:_MOST_ATTRIBUTES]


def _typed(value: Any) -> str:
    """A value as it can be typed in again."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(f'"{one}"' if "," in str(one) else str(one) for one in value)
    return "" if value is None else str(value)


def _attributes_said(fields: Mapping[str, str]) -> dict[str, str]:
    """What a form of the page says of attributes, by name. An empty field empties one, but leaves a sensitive one."""
    said = [(shape, fields.get(_field(shape), "")) for shape in _shapes_correctable()]
    return {shape.name: text for shape, text in said if text or not shape.sensitive}


def _object(fields: Mapping[str, str], profile_id: int, message_id: UUID) -> str:
    against = fields.get("against", "")
    objection_record(profile_id=profile_id, against=against, shown_by=_how(message_id))
    return against


def _restrict(fields: Mapping[str, str], profile_id: int, message_id: UUID) -> str:
    restriction_set(profile_id=profile_id, shown_by=_how(message_id))
    return "restrict"


def _lift(fields: Mapping[str, str], profile_id: int, message_id: UUID) -> str:
    restriction_lift(profile_id=profile_id)
    return "lift"


def _erase(fields: Mapping[str, str], profile_id: int, message_id: UUID) -> str:
    fresh = _fresh(profile_id, message_id)
    asked = erasure_ask(profile_id=profile_id, shown_by=_how(message_id), sure=fresh)
    if fresh:
        return "erase"
    if not mail_ready(MailKind.LINK):
        return "erase_by_staff"
    if not allowed(name="rights.erase", who=str(profile_id), count=3, seconds=86_400):
        return "often"
    mail_want(kind=MailKind.LINK, profile_id=profile_id, key=f"rights-request:{asked.pk}:{now():%Y%m%d%H%M}")
    return "erase_mail"


_DEEDS: Final[Mapping[str, Callable[[Mapping[str, str], int, UUID], str]]] = {
    "export": _export,
    "correct": _correct,
    "address": _address,
    "object": _object,
    "restrict": _restrict,
    "lift": _lift,
    "erase": _erase,
}


@by_link(LinkScope.EXPORT)
def export(request: HttpRequest, token: str, profile_id: int, message_id: UUID) -> HttpResponse:
    """The copy that a person asked for: a page with its files, and by `?as=` a file itself."""
    occasion = occasion_of(message_id=message_id, profile_id=profile_id)
    asked = request_of_mail(occasion.key) if occasion is not None and occasion.kind == MailKind.EXPORT else None
    if asked is None or not RightsRequest.objects.filter(pk=asked, profile_id=profile_id).exists():
        return bad_link(request)
    preferences = preferences_url(profile_id=profile_id, message_id=message_id).rpartition("/")[2]
    context: dict[str, Any] = {
        "page": page_read(profile_id=profile_id, message_id=message_id),
        "preferences": reverse("preferences:preferences", args=[preferences]),
        "data": reverse("preferences:data", args=[preferences]),
        "export": None,
    }
    form = request.GET.get("as", "")
    try:
        found = export_of(request_id=asked, at=now())
        if form in _TYPES:
            return _file(export_fetch(export=found, form=form), form)
    except (NotFound, Erased):
        return render(request, "preferences/export.html", context, status=410)
    context["export"] = found
    return render(request, "preferences/export.html", context)


def _file(pieces: Any, form: str) -> HttpResponse:
    named = {"Content-Disposition": f'attachment; filename="my-data.{form}"'}
    return StreamingHttpResponse(pieces, content_type=_TYPES[form], headers=named)  # type: ignore[return-value]
