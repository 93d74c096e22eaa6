"""What somebody filled in, looked at field by field, and the texts that they were shown beside each box."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from apps.data.consent.contracts import WordingShown
from apps.data.consent.models import Channel, WordingText
from apps.data.consent.offering import words_in
from apps.data.consent.wordings import wordings_shown
from apps.data.profiles.address_check import AddressCheck, address_check
from apps.data.profiles.normalize import text_clean
from apps.data.profiles.rules import Verdict

from .models import SignUpForm
from .sign_ups import Ask
from .visitors import Visit

NAME_LIMIT: Final = 60
_CHANNEL: Final = Channel.EMAIL


@dataclass(frozen=True, slots=True)
class Fault:
    """Something to mend. field: which (`email`, `purposes`, `first_name`); code: what; suggestion: an address."""

    field: str
    code: str
    suggestion: str = ""


@dataclass(frozen=True, slots=True)
class Box:
    """A purpose as a form puts it: an unticked box with its wording."""

    code: str
    name: str
    text: str
    digest: str
    ticked: bool


@dataclass(frozen=True, slots=True)
class Filled:
    """What came of it. ask: None with faults; told: cautions that don't stop anybody."""

    ask: Ask | None
    faults: Sequence[Fault] = ()
    told: Sequence[Fault] = ()


def boxes_shown(form: SignUpForm, *, language: str, ticked: Sequence[str] = ()) -> list[Box]:
    """The purposes of a form with the text that holds now, in the page's order."""
    shown = wordings_shown(channel=_CHANNEL, locale=language)
    return [
        Box(
            purpose.code,
            words_in(purpose, language)[0],
            shown[purpose.code].text,
            shown[purpose.code].digest,
            purpose.code in ticked,
        )
        for purpose in form.purposes.all()
    ]


def filled_read(
    form: SignUpForm, fields: Mapping[str, Sequence[str]], *, visit: Visit, language: str, gpc: bool
) -> Filled:
    """Look at what was posted.

    fields: `email` (or `use`, a suggestion that was taken), `purpose` and `interest` (several each), `wording_CODE`
    (SHA-256 of the text that was shown beside a purpose), `first_name`, `kept` (an address that was typed on purpose,
    though it looks like a slip).
    """
    one = {name: values[0] for name, values in fields.items() if values}
    check = address_check(one.get("use") or one.get("email", ""))
    faults = [*_address_faults(check, kept=one.get("kept", ""))]
    first_name = text_clean(one.get("first_name", "")) if form.asks_name else ""
    if len(first_name) > NAME_LIMIT:
        faults.append(Fault("first_name", "long"))
    wordings: dict[str, WordingShown] = {}
    wanted = [purpose.code for purpose in form.purposes.all() if purpose.code in fields.get("purpose", ())]
    if not wanted:
        faults.append(Fault("purposes", "none"))
    for code in wanted:
        shown = _wording_of(code, one.get(f"wording_{code}", ""), language)
        if shown is None:
            faults.append(Fault("purposes", "wording"))
            break
        wordings[code] = shown
    told = [Fault("email", check.code, check.suggestion)] if check.verdict == Verdict.WARN else []
    if faults:
        return Filled(None, faults=faults, told=told)
    offered = set(form.interests.values_list("pk", flat=True))
    return Filled(
        Ask(
            address=check.address,
            wordings=wordings,
            interests=tuple(code for code in dict.fromkeys(fields.get("interest", ())) if code in offered),
            first_name=first_name,
            locale=language,
            language=visit.languages[0] if visit.languages else language,
            gpc=gpc,
        ),
        told=told,
    )


def _address_faults(check: AddressCheck, *, kept: str) -> list[Fault]:
    """A slip is asked about once; who keeps the address as it is, may. A role is no reason to stop anybody."""
    if check.verdict == Verdict.REFUSE:
        return [Fault("email", check.code, check.suggestion)]
    if check.code == "typo" and kept.strip().lower() != check.address:
        return [Fault("email", check.code, check.suggestion)]
    return []


def _wording_of(purpose: str, digest: str, language: str) -> WordingShown | None:
    """The text that was shown, by its digest: one of ours that was ever published, or what holds now. Else None.

    A form on another site may still have an older one; what that one is worth, the gate says.
    """
    now_shown = wordings_shown(channel=_CHANNEL, locale=language).get(purpose)
    if now_shown is not None and now_shown.digest == digest:
        return now_shown
    text = WordingText.objects.filter(purpose=purpose, channel__in=(_CHANNEL, ""), digest=digest)
    found = text.select_related("version").order_by("-published_at").first()
    if found is None:
        return None
    return WordingShown(found.version_id, found.version.number, found.text, found.digest, found.locale)
