"""What staff may do with a request, by its kind and state: each a page that asks once more, and a POST."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from apps.data.profiles.mail import mail_ready, mail_want
from apps.data.profiles.models import Profile
from apps.foundation.accounts.models import User
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid

from .correcting import FIELDS, correction_make
from .erasing import erasure_begin
from .exporting import MAIL, export_ask, export_of, mail_key
from .forms import ATTRIBUTE, ConfirmForm, CorrectionForm, EraseForm, ObjectionForm, ReasonForm
from .limiting import objection_record, restriction_lift, restriction_set
from .models import RightsRequest
from .registry import erase_steps
from .services import request_extend, request_refuse, request_withdraw

Kind, State = RightsRequest.Kind, RightsRequest.State


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing to do. fits: whether it can be done now; do: does it with what was filled in, and says so; lines: what
    to know before, of the request; initial: what the form shows at first."""

    code: str
    button: str
    heading: str
    fits: Callable[[RightsRequest], bool]
    do: Callable[[RightsRequest, Mapping[str, Any], User], str]
    lines: Callable[[RightsRequest], Sequence[str]]
    form: type[ConfirmForm] = ConfirmForm
    initial: Callable[[RightsRequest], dict[str, Any]] = field(default=lambda request: {})
    danger: bool = False
    first: bool = False


def _open(kind: RightsRequest.Kind) -> Callable[[RightsRequest], bool]:
    return lambda request: request.kind == kind and request.state == State.OPEN


def _build(request: RightsRequest, said: Mapping[str, Any], by: User) -> str:
    export_ask(profile_id=request.profile_id, shown_by=request.shown_by, actor=by)
    return "The export is being made. It lies here once it is done, in a moment."


def _has_export(request: RightsRequest) -> bool:
    return request.kind == Kind.EXPORT and request.files.filter(removed_at=None, until__gt=now()).exists()


def _mail(request: RightsRequest, said: Mapping[str, Any], by: User) -> str:
    export_of(request_id=request.pk, at=now())
    if not mail_ready(MAIL):
        raise Conflict("mail_not_ready", "No system playbook of the kind export is published: hand it over otherwise")
    mail_want(kind=MAIL, profile_id=request.profile_id, key=mail_key(request.pk))
    return "A link to the export goes to the person's main address."


def _correct(request: RightsRequest, said: Mapping[str, Any], by: User) -> str:
    attributes = {
        name.removeprefix(ATTRIBUTE): text for name, text in said.items() if name.startswith(ATTRIBUTE) and text
    }
    made = correction_make(
        profile_id=request.profile_id,
        values={name: said[name] for name in FIELDS},
        attributes=attributes,
        shown_by=request.shown_by,
        actor=by,
    )
    if made is None:
        raise Invalid("nothing_changed", "Nothing was changed: that is what is known already")
    return f"Corrected: {', '.join(made.report['corrected']).replace('_', ' ')}."


def _object(request: RightsRequest, said: Mapping[str, Any], by: User) -> str:
    objection_record(profile_id=request.profile_id, against=said["against"], shown_by=request.shown_by, actor=by)
    return "It is recorded in the consent ledger, and holds from now on."


def _restrict(request: RightsRequest, said: Mapping[str, Any], by: User) -> str:
    restriction_set(profile_id=request.profile_id, shown_by=request.shown_by, actor=by)
    return "Their data is restricted from now on."


def _restricted(request: RightsRequest) -> bool:
    return (
        request.kind == Kind.RESTRICTION
        and request.state == State.DONE
        and Profile.objects.filter(pk=request.profile_id).exclude(restricted_at=None).exists()
    )


def _lift(request: RightsRequest, said: Mapping[str, Any], by: User) -> str:
    restriction_lift(profile_id=request.profile_id, because=said["because"], actor=by)
    return "The restriction is lifted."


def _erase(request: RightsRequest, said: Mapping[str, Any], by: User) -> str:
    if said["number"].strip() != str(request.profile_id):
        raise Invalid("number_differs", "This is not the number of the profile: look at whom you erase")
    erasure_begin(request_id=request.pk, actor=by)
    return "The erasure has begun. Each step appears in the report."


def _extend(request: RightsRequest, said: Mapping[str, Any], by: User) -> str:
    extended = request_extend(request_id=request.pk, because=said["because"], actor=by)
    return f"It is due on {extended.due_at:%-d %B %Y} now. Tell the person, within the first month."


def _refuse(request: RightsRequest, said: Mapping[str, Any], by: User) -> str:
    request_refuse(request_id=request.pk, because=said["because"], actor=by)
    return "It is refused. Tell the person why, and that they may complain to the supervisory authority."


def _take_back(request: RightsRequest, said: Mapping[str, Any], by: User) -> str:
    request_withdraw(request_id=request.pk, actor=by)
    return "It is noted that the person took it back."


DEEDS: Sequence[Deed] = (
    Deed(
        "build", "Make the export", "Make the export", _open(Kind.EXPORT), _build,
        lambda request: ["A worker gathers all that is known of the person, and seals it until it is fetched."],
        first=True,
    ),
    Deed(
        "mail", "Mail the link", "Mail the link to the export", _has_export, _mail,
        lambda request: ["The link goes to the main address of the person. It is good for as long as the files are."],
        first=True,
    ),
    Deed(
        "correct", "Correct", "Correct what is known", _open(Kind.CORRECTION), _correct,
        lambda request: ["What you change holds at once. The values themselves are in no record."],
        form=CorrectionForm,
        initial=lambda request: {name: getattr(request.profile, name) for name in FIELDS},
        first=True,
    ),
    Deed(
        "object", "Record the objection", "Record the objection", _open(Kind.OBJECTION), _object,
        lambda request: ["What they object to ends on every channel, and no import brings it back."],
        form=ObjectionForm,
        first=True,
    ),
    Deed(
        "restrict", "Restrict", "Restrict what is done with their data", _open(Kind.RESTRICTION), _restrict,
        lambda request: [
            "Their data is kept, and nothing else: no decision, no message they did not ask for, no change by imports.",
        ],
        first=True,
    ),
    Deed(
        "lift", "Lift the restriction", "Lift the restriction", _restricted, _lift,
        lambda request: ["Tell the person before you do (Art. 18(3)). From then on all is as it was before."],
        form=ReasonForm,
    ),
    Deed(
        "erase", "Erase", "Erase this person", _open(Kind.ERASURE), _erase,
        lambda request: [
            "Nothing brings it back. What is done, one after the other:",
            "; ".join(step.title[0].lower() + step.title[1:] for step in erase_steps()) + ".",
        ],
        form=EraseForm, danger=True, first=True,
    ),
    Deed(
        "extend", "Extend", "Take two more months",
        lambda request: request.running and not request.extended_because, _extend,
        lambda request: ["Once, where requests are many or complex (Art. 12(3)). The person must be told why."],
        form=ReasonForm,
    ),
    Deed(
        "refuse", "Refuse", "Refuse this request", lambda request: request.state == State.OPEN, _refuse,
        lambda request: [
            "Only where identity can't be shown, where it is manifestly unfounded or excessive (Art. 12(5)), or where "
            "the law says so (such as Art. 17(3)).",
        ],
        form=ReasonForm, danger=True,
    ),
    Deed(
        "take-back", "They took it back", "Note that they took it back",
        lambda request: request.state == State.OPEN, _take_back,
        lambda request: ["It is closed without anything done."],
    ),
)  # fmt: skip
"""All of them, in the order of their buttons."""


def deeds_of(request: RightsRequest) -> list[Deed]:
    """What can be done with a request now."""
    return [deed for deed in DEEDS if deed.fits(request)]
