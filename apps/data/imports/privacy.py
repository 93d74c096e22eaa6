"""What it tells of the personal data it holds: staged rows, uploaded files and errors files."""

import csv
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db.models import Q

from apps.data.privacy.registry import (
    Because,
    Forgotten,
    Person,
    erase_step,
    processing_declare,
    retention_rule,
)
from apps.data.profiles.contracts import AttributeShape
from apps.data.profiles.models import Identifier
from apps.data.profiles.registry import sensitive_traces
from apps.foundation.core.errors import Conflict

from .models import Import, StagedLine, StagedPerson
from .staging import staging_clear

_RUNNING = (Import.State.WAITING, Import.State.READING, Import.State.MERGING)


def _names(person: Person) -> Callable[[str], bool]:
    """Whether a line of a file may be about a person: their address, phone or number, or first and last name.

    Rather a line too many: what is lost is a line of a file that was read already.
    """
    words = []
    for kind, value in person.identifiers:
        if kind == "external_id":
            words.append(rf"(?<![\w.-]){re.escape(value.rpartition(':')[2])}(?![\w-])")
        elif kind == "email":
            words.append(re.escape(value))
    known = re.compile("|".join(words), re.IGNORECASE) if words else None
    phones = [value[-9:] for kind, value in person.identifiers if kind == "phone"]
    names = [name.casefold() for name in person.names] if len(person.names) > 1 else []

    def about(line: str) -> bool:
        if known is not None and known.search(line):
            return True
        if phones:
            digits = re.sub(r"\D", "", line)
            if any(phone in digits for phone in phones):
                return True
        return bool(names) and all(name in line.casefold() for name in names)

    return about


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        yield from file


def _forget(person: Person) -> Forgotten:
    """Their rows in staging, the uploads that have a line of theirs, and their lines in errors files."""
    if Import.objects.filter(state__in=_RUNNING).exists():
        raise Conflict("import_running", "An import is under way: its files are looked at once it is done")
    known = Identifier.objects.filter(profile_id=person.profile_id)
    digests = [bytes(digest) for digest in known.values_list("digest", flat=True)]
    staged = StagedPerson.objects.filter(
        Q(profile_id=person.profile_id)
        | Q(email_digest__in=digests)
        | Q(phone_digest__in=digests)
        | Q(external_digest__in=digests)
    )
    keys = list(staged.exclude(key=b"").values_list("key", flat=True))
    StagedLine.objects.filter(key__in=keys).delete()
    # who has a stopped import's key could derive theirs: it is forgotten, and the file read anew
    for job in Import.objects.select_for_update().filter(
        pk__in=list(staged.values_list("import_id", flat=True)), state=Import.State.STOPPED
    ):
        job.progress = {**job.progress, "key": ""}
        job.save(update_fields=["progress"])
    count, _kinds = staged.delete()
    about = _names(person)
    for path in _files("uploads"):
        if any(about(line) for line in _lines(path)):
            path.unlink()
            count += 1
    for path in _files("imports"):
        count += _lines_take_out(path, about)
    return Forgotten(
        count,
        "Files that were imported by a command lie outside Tessera: whoever brought them must delete them there.",
    )


def _files(folder: str) -> list[Path]:
    place = Path(settings.DATA_DIR) / folder
    return sorted(place.glob("*.csv")) if place.is_dir() else []


def _lines_take_out(path: Path, about: Callable[[str], bool]) -> int:
    """Take lines out of an errors file. A stopped import goes on writing at its new end."""
    if not any(about(line) for line in _lines(path)):
        return 0
    cleaned, count = path.with_suffix(".cleaned"), 0
    with path.open(encoding="utf-8", newline="") as read, cleaned.open("w", encoding="utf-8", newline="") as written:
        writer = csv.writer(written, quoting=csv.QUOTE_ALL)
        for row in csv.reader(read):
            if about("\n".join(row)):
                count += 1
            else:
                writer.writerow(row)
    size = cleaned.stat().st_size
    cleaned.replace(path)
    for job in Import.objects.select_for_update().filter(errors_path=str(path.resolve()), state=Import.State.STOPPED):
        job.progress = {**job.progress, "errors_size": size}
        job.save(update_fields=["progress"])
    return count


def import_files_forget(before: datetime, limit: int) -> int:
    """Remove uploads and errors files of imports that ended before a moment, and uploads that belong to none."""
    open_still = Import.objects.filter(Q(finished_at=None) | Q(finished_at__gte=before))
    needed = {Path(path) for pair in open_still.values_list("path", "errors_path") for path in pair if path}
    gone = 0
    for path in [*_files("uploads"), *_files("imports")]:
        if gone < limit and path.resolve() not in needed and path.stat().st_mtime < before.timestamp():
            path.unlink(missing_ok=True)
            gone += 1
    return gone


def attribute_traces_remove(shape: AttributeShape) -> int:
    """An attribute became sensitive: remove what files that came in hold of it. Returns how many were removed.

    Errors files, and uploads that are done with; a stopped import reads its file anew.
    Raises Conflict while an import is under way that brings it.
    """
    carrying = Import.objects.filter(mapping__attributes__has_key=shape.name)
    if carrying.filter(state__in=_RUNNING).exists():
        raise Conflict(
            "import_running", "An import is under way that brings it: its files are looked at once it is done"
        )
    gone = 0
    for job in carrying:
        if job.state == Import.State.STOPPED and not job.progress.get("merged"):
            staging_clear(job.pk)
            Import.objects.filter(pk=job.pk).update(progress={})
        uploaded = Path(job.path).parent == (Path(settings.DATA_DIR) / "uploads").resolve()
        for path in [job.errors_path, job.path if uploaded and job.state != Import.State.STOPPED else ""]:
            if path and Path(path).is_file():
                Path(path).unlink()
                gone += 1
    return gone


def privacy_register() -> None:
    """Say what this app holds."""
    sensitive_traces.append(attribute_traces_remove)
    erase_step("imports", _forget, title="Their lines in files that came in")
    retention_rule("import_files", "Uploaded files, and lines of them that could not be read", "IMPORT_FILE_KEEP_DAYS",
                   import_files_forget)  # fmt: skip
    purpose = "Taking over customers and orders from the shop's systems"
    basis = "contract; legitimate interest"
    merged = Because("What the file said of a person is told as what is known of them.")
    processing_declare(
        Import,
        purpose=purpose,
        lawful_basis=basis,
        categories=("names, addresses, numbers, attributes and orders, in the file and its errors file",),
        kept="import_files",
        exported=merged,
        erased="imports",
    )
    for model in (StagedPerson, StagedLine):
        processing_declare(
            model,
            purpose=purpose,
            lawful_basis=basis,
            categories=("names, addresses, numbers, attributes and orders, as a file tells of them",),
            kept=Because("Gone as soon as the import has merged them, or failed."),
            exported=merged,
            erased="imports",
        )
