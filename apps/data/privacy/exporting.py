"""A person's export: built by a worker into sealed files, fetched by a link that came by mail, or by staff."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import chain
from typing import Any, Final
from uuid import UUID

import orjson
from django.conf import settings
from django.db import transaction
from django.utils import translation

from apps.data.profiles.mail import MailKind, mail_want
from apps.data.profiles.merging import family_of
from apps.data.profiles.models import Profile
from apps.data.profiles.vault import Place, keys_make, vault_open
from apps.foundation.accounts.models import User
from apps.foundation.core.clock import now
from apps.foundation.core.crypto import key_make
from apps.foundation.core.errors import Conflict, NotFound
from apps.foundation.core.ids import uuid7
from apps.foundation.governance.services import audit_record

from . import pages
from .files import FORMATS, SealedWriter, export_read, export_remove, strays
from .models import ExportFile, RightsRequest
from .registry import ExportPart, Row, export_parts
from .services import State, request_locked, request_move, request_open
from .signals import request_waits

FORMAT: Final = "tessera-export/1"
MAIL: Final = MailKind.EXPORT
_MAIL_KEY: Final = "rights-request"
_BUILDING: Final = timedelta(days=1)
"""No export takes so long to be written: a file without a row is then one that a crash left."""


def export_ask(*, profile_id: int, shown_by: str, actor: User | None = None) -> RightsRequest:
    """Want an export; a worker makes it. The one under way, if there is one. Raises Invalid, NotFound, Conflict."""
    with transaction.atomic():
        request = request_open(profile_id=profile_id, kind=RightsRequest.Kind.EXPORT, shown_by=shown_by, actor=actor)
        if request.state == State.OPEN:
            request_move(request, to=State.WORKING, actor=actor)
            request_waits.send(RightsRequest, request=request)
    return request


def mail_key(request_id: int) -> str:
    """What the mail with the link is about."""
    return f"{_MAIL_KEY}:{request_id}"


def request_of_mail(key: str) -> int | None:
    """The request that a mail with the link is about."""
    name, _colon, number = key.partition(":")
    return int(number) if name == _MAIL_KEY and number.isascii() and number.isdigit() else None


def export_build(*, request_id: int) -> RightsRequest:
    """Write the files, note them, and want the mail where the person asked. Built anew after a crash.

    Rows are read and written one by one: how much is known of a person takes no memory.
    """
    request = RightsRequest.objects.select_related("profile").get(pk=request_id)
    if request.state != State.WORKING or request.kind != RightsRequest.Kind.EXPORT:
        return request
    export_id, key, at = uuid7(), key_make(), now()
    keys_make([request.profile_id])
    try:
        with transaction.atomic(), translation.override(_language(request.profile)):
            counts, sizes = _write(export_id, request.profile_id, key, at)
        with transaction.atomic():
            request = request_locked(request_id)
            if request.state != State.WORKING:
                raise Conflict("request_closed", "It was made already, or is not wanted any more")
            sealed = vault_open([request.profile_id]).seal(request.profile_id, _place(export_id), key)
            ExportFile.objects.create(
                id=export_id,
                request=request,
                profile_id=request.profile_id,
                key=sealed,
                sizes=sizes,
                made_at=at,
                until=at + timedelta(days=settings.EXPORT_KEEP_DAYS),
            )
            request_move(request, to=State.DONE, report={"parts": counts})
            if request.asked_by == RightsRequest.AskedBy.PERSON:
                mail_want(kind=MAIL, profile_id=request.profile_id, key=mail_key(request_id))
    except BaseException:
        export_remove([export_id])
        raise
    return request


def _language(profile: Profile) -> str:
    language = profile.language.partition("-")[0].lower()
    return language if translation.check_for_language(language) else "en"


def _place(export_id: UUID) -> Place:
    return Place("privacy_exportfile", "key", str(export_id))


def _write(export_id: UUID, profile_id: int, key: bytes, at: datetime) -> tuple[dict[str, int], dict[str, int]]:
    """Both formats from one reading. Returns how many rows each part has, and the sizes."""
    counts: dict[str, int] = {}
    with SealedWriter(export_id, "json", key) as data, SealedWriter(export_id, "html", key) as page:
        opening = {"format": FORMAT, "profile": profile_id, "made_at": at.isoformat()}
        data.write(orjson.dumps(opening)[:-1] + b',"parts":{')
        page.write(pages.head(export_parts(), made_at=at))
        for number, part in enumerate(export_parts()):
            rows = _Told(part, profile_id, data, first=number == 0)
            for text in pages.part_told(part, iter(rows)):
                page.write(text)
            counts[part.name] = rows.end()
        data.write(b"}}\n")
        page.write(pages.foot())
        return counts, {"json": data.size, "html": page.size}


class _Told:
    """The rows of a part, written as JSON while the page reads them."""

    def __init__(self, part: ExportPart, profile_id: int, data: SealedWriter, *, first: bool) -> None:
        numbers = family_of(profile_id) if part.name != "profile" else [profile_id]
        self._rows = chain.from_iterable(part.read(number) for number in numbers)
        self._data, self._count = data, 0
        opening = {"title": str(part.title), "words": {name: str(words) for name, words in part.words.items()}}
        data.write(b"" if first else b",")
        data.write(orjson.dumps(part.name) + b":" + orjson.dumps(opening)[:-1] + b',"rows":[')

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self._data.write((b"," if self._count else b"") + orjson.dumps(dict(row), default=_plain))
            self._count += 1
            yield row

    def end(self) -> int:
        self._data.write(b"]}")
        return self._count


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Iterable):
        return list(value)
    return str(value)


def export_of(*, request_id: int, at: datetime) -> ExportFile:
    """The export that can be fetched for a request. Raises NotFound once it is past its time, or there is none."""
    found = ExportFile.objects.filter(request_id=request_id, removed_at=None, until__gt=at).order_by("-made_at").first()
    if found is None:
        raise NotFound("export_gone", "This export is not there any more: ask for a new one")
    return found


def export_fetch(*, export: ExportFile, form: str, actor: User | None = None) -> Iterator[bytes]:
    """What an export says, in one format, piece by piece. By staff it is in the audit log.

    Raises NotFound for another format and for a file that is gone, Erased once the person's key is.
    """
    if form not in FORMATS:
        raise NotFound("export_format", f"An export comes as {' or '.join(FORMATS)}")
    key = vault_open([export.profile_id]).open(export.profile_id, _place(export.pk), bytes(export.key))
    pieces = export_read(export.pk, form, key)
    try:
        first = next(pieces)
    except FileNotFoundError:
        raise NotFound("export_gone", "This export is not there any more: ask for a new one") from None
    with transaction.atomic():
        ExportFile.objects.filter(pk=export.pk).update(fetched_at=now())
        if actor is not None:
            audit_record(action="privacy.export.fetched", actor=actor, subject=export.request, data={"format": form})
    return _after(first, pieces)


def _after(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def exports_forget(before: datetime, limit: int) -> int:
    """Remove exports past their time, and files that a crash left: exports say themselves until when they are kept."""
    gone = ExportFile.objects.filter(until__lte=now(), removed_at=None).order_by("until")[:limit]
    count = _remove(list(gone.values_list("pk", flat=True)))
    kept = {str(pk) for pk in ExportFile.objects.filter(removed_at=None).values_list("pk", flat=True)}
    for path in strays(kept, older_than=now() - _BUILDING):
        path.unlink(missing_ok=True)
    return count


def exports_of_person_remove(profile_id: int) -> int:
    """Remove all exports of a person."""
    return _remove(list(ExportFile.objects.filter(profile_id=profile_id, removed_at=None).values_list("pk", flat=True)))


def _remove(export_ids: list[UUID]) -> int:
    export_remove(export_ids)
    ExportFile.objects.filter(pk__in=export_ids).update(removed_at=now(), key=b"")
    return len(export_ids)
