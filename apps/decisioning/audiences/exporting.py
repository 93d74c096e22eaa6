"""An audience as a file: for people, or hashed as an advertising platform asks. Only who agreed to that is in it.

Formats and how values are normalised before they are hashed (SHA-256, hex), as their makers say it:
- google: Customer Match, https://support.google.com/google-ads/answer/7659867
- meta: Custom Audiences, https://developers.facebook.com/docs/marketing-api/audiences/guides/custom-audiences
"""

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final, TextIO

from apps.data.consent.models import Channel, Purpose
from apps.data.consent.selectors import gate_read
from apps.data.profiles.addresses import addresses_read
from apps.data.profiles.models import Profile
from apps.foundation.accounts.models import User
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Invalid, NotAllowed, NotFound
from apps.foundation.governance.services import audit_record

from .models import Audience
from .parsing import rule_parse
from .selectors import audience_ids

_BATCH: Final = 1_000
RIGHTS: Final = ("audiences.view_audience", "profiles.view_identifier")
"""Who may take an audience out: who may see addresses."""


@dataclass(frozen=True, slots=True)
class Person:
    """What a row is made of; "" where it is not known."""

    profile_id: int
    email: str
    phone: str
    first_name: str
    last_name: str
    country: str


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file. hashed: whether nothing in it is a person's own data as it is written."""

    title: str
    columns: tuple[str, ...]
    row: Callable[[Person], tuple[str, ...]]
    hashed: bool


@dataclass(frozen=True, slots=True)
class Exported:
    """What came of it. people: rows written; left_out: who is in the audience and not in the file; digest: of the
    file, SHA-256 in hex."""

    people: int
    left_out: int
    digest: str


def _hashed(text: str) -> str:
    return sha256(text.encode()).hexdigest() if text else ""


def _google_email(email: str) -> str:
    """Of Gmail's addresses without dots and without what follows a plus, as Google asks."""
    local, _, domain = email.strip().lower().rpartition("@")
    if domain in ("gmail.com", "googlemail.com"):
        local = local.partition("+")[0].replace(".", "")
    return f"{local}@{domain}" if local else ""


def _google(person: Person) -> tuple[str, ...]:
    first, last = (" ".join(name.lower().split()) for name in (person.first_name, person.last_name))
    return (
        _hashed(_google_email(person.email)),
        _hashed(person.phone),  # E.164, with its plus
        _hashed(first),
        _hashed(last),
        person.country.upper(),
    )


def _meta(person: Person) -> tuple[str, ...]:
    first, last = (re.sub(r"[\W_]+", "", name.lower()) for name in (person.first_name, person.last_name))
    return (
        _hashed(person.email.strip().lower()),
        _hashed(re.sub(r"\D", "", person.phone)),  # with the country's code, without its plus
        _hashed(first),
        _hashed(last),
        _hashed(person.country.lower()),
    )


def _plain(person: Person) -> tuple[str, ...]:
    texts = (person.email, person.phone, person.first_name, person.last_name, person.country)
    # what a spreadsheet would take for a formula is a text
    return (str(person.profile_id), *(f"'{text}" if text[:1] in "=@\t\r-" and text else text for text in texts))


FORMATS: Final[Mapping[str, Format]] = {
    "csv": Format(
        "File with addresses (CSV)",
        ("profile", "email", "phone", "first_name", "last_name", "country"),
        _plain,
        hashed=False,
    ),
    "google": Format(
        "Google Customer Match (hashed)",
        ("Email", "Phone", "First Name", "Last Name", "Country"),
        _google,
        hashed=True,
    ),
    "meta": Format("Meta Custom Audience (hashed)", ("email", "phone", "fn", "ln", "country"), _meta, hashed=True),
}


def export_allowed(by: User) -> bool:
    """Whether somebody may take audiences out."""
    return by.is_active and by.has_perms(RIGHTS)


def audience_export(
    *,
    audience_id: int,
    form: str,
    purpose: str,
    channel: str,
    by: User,
    out: TextIO,
    at: datetime | None = None,
    most: int | None = None,
) -> Exported:
    """Write an audience as a file. In it is who agreed to the purpose on the channel and did not withdraw it, has an
    address that is not suppressed, and is not restricted: whom the gate lets through now.

    form: of `FORMATS`; purpose: one that needs consent; most: people in the audience, more are refused. Audit-logged
    with the digest of the file, before its last line is given out.
    Raises NotAllowed, NotFound, Invalid, MasterKeyMissing.
    """
    if not export_allowed(by):
        raise NotAllowed("not_allowed", "Only who may see addresses may take an audience out")
    audience = Audience.objects.filter(pk=audience_id).first()
    if audience is None:
        raise NotFound("audience_unknown", f"There is no audience {audience_id}")
    if form not in FORMATS:
        raise Invalid("format_unknown", f"There is no format {form!r}: choose of {', '.join(FORMATS)}")
    if not Purpose.objects.filter(pk=purpose, needs_consent=True).exists():
        raise Invalid("purpose_unknown", f"{purpose!r} is no purpose that people agree to")
    if channel not in (Channel.EMAIL, Channel.SMS):
        raise Invalid("channel_unknown", "Choose email or sms: whose address is it to be?")
    moment = at or now()
    digest, people, left_out = sha256(), 0, 0
    for line, found, missed in _lines(audience, FORMATS[form], purpose, channel, moment, most):
        digest.update(line.encode())
        out.write(line)
        people, left_out = people + found, left_out + missed
    exported = Exported(people, left_out, digest.hexdigest())
    audit_record(
        action="audience.export",
        actor=by,
        subject=audience,
        data={
            "format": form,
            "purpose": purpose,
            "channel": channel,
            "people": people,
            "left_out": left_out,
            "sha256": exported.digest,
            "rule": audience.rule,
        },
    )
    return exported


def _lines(
    audience: Audience, form: Format, purpose: str, channel: str, at: datetime, most: int | None
) -> Iterator[tuple[str, int, int]]:
    """Pieces of the file, each with how many people are in it and how many are not."""
    yield _written([form.columns]), 0, 0
    seen = 0
    for ids in audience_ids(rule=rule_parse(audience.rule), as_of=at, batch=_BATCH):
        seen += len(ids)
        if most is not None and seen > most:
            raise Invalid("audience_too_large", f"There are more than {most:,} people: take them out by the command")
        rows = [form.row(person) for person in _people(ids, purpose, channel, at)]
        yield _written(rows), len(rows), len(ids) - len(rows)


def _people(ids: Sequence[int], purpose: str, channel: str, at: datetime) -> list[Person]:
    gate = gate_read(profile_ids=ids, purpose=purpose, channel=channel, at=at)
    may = [one for one in ids if one in gate and gate[one].allowed]
    emails = addresses_read(profile_ids=may, kind="email") if channel == Channel.EMAIL else {}
    phones = addresses_read(profile_ids=may, kind="phone") if channel == Channel.SMS else {}
    names = {
        row[0]: row[1:]
        for row in Profile.objects.filter(pk__in=may, restricted_at=None, erased_at=None).values_list(
            "pk", "first_name", "last_name", "country"
        )
    }
    return [
        Person(one, emails.get(one, ""), phones.get(one, ""), *names[one])
        for one in may
        if one in names and (one in emails or one in phones)
    ]


def _written(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()
