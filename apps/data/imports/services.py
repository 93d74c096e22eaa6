"""Imports: opened once for each file, run by whoever holds their lock, stopped, and taken up again."""

import hashlib
import json
import logging
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import IntegrityError, InterfaceError, OperationalError, connection, transaction

from apps.data.consent.models import Purpose
from apps.data.features.services import orders_changed
from apps.data.profiles.attributes import shapes_read
from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import may
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid, NotFound
from apps.foundation.core.live import live_publish
from apps.foundation.governance.services import audit_record

from .forks import ForkDied
from .granting import grants_give
from .mapping import Mapping, mapping_parse
from .merge import import_merge
from .models import Import
from .sealing import StagingKey
from .staging import Progress, Stopped, file_stage, header_read, staging_clear, staging_emptied

logger = logging.getLogger(__name__)

_MERGE_TRIES = 3


@dataclass(frozen=True, slots=True)
class Grant:
    """A named person vouches that everybody in the file agreed to a purpose, and says how they know."""

    purpose: str
    evidence: str
    by: User


def import_open(
    *,
    kind: str,
    path: Path,
    mapping: Mapping,
    grant: Grant | None = None,
    by: User | None = None,
    file_name: str = "",
    in_background: bool = False,
    again: bool = False,
) -> Import:
    """The import of this file with this mapping: a new one, or the one that there is, ready to go on.

    file_name: what people call the file, where that differs from the path. again: read a file anew that is done.
    Raises Invalid for a file, a header or a consent that can't be right, before anything is recorded.
    """
    path = path.resolve()
    _consent_check(mapping, grant)
    header_read(path, mapping)
    consent = {"grant": {"purpose": grant.purpose, "evidence": grant.evidence, "by": grant.by.pk}} if grant else {}
    digest = _digest(path, kind, mapping, consent)
    by = by or (grant.by if grant else None)
    with transaction.atomic():
        try:
            with transaction.atomic():
                job, created = Import.objects.exclude(state=Import.State.FAILED).get_or_create(
                    digest=digest,
                    defaults={
                        "kind": kind,
                        "file_name": (file_name or path.name)[-255:],
                        "path": str(path),
                        "mapping": mapping.as_json(),
                        "source": mapping.source,
                        "consent": consent,
                        "bytes_total": path.stat().st_size,
                        "created_by": by,
                        "in_background": in_background,
                    },
                )
        except IntegrityError:
            raise Conflict("import_opened_elsewhere", "This import was opened elsewhere just now; try again") from None
        if created:
            job.errors_path = str(Path(settings.DATA_DIR).resolve() / "imports" / f"{job.pk}-errors.csv")
            job.save(update_fields=["errors_path"])
            audit_record(action="imports.import.opened", actor=by, subject=job, data={"kind": kind, "digest": digest})
        elif job.state == Import.State.DONE and again:
            _ready(job, progress={}, path=str(path), counts={}, lines_done=0, bytes_done=0, finished_at=None)
        elif job.state == Import.State.STOPPED:
            _ready(job, path=str(path))
    return job


def import_take(
    *, kind: str, chunks: Iterable[bytes], mapping: Mapping, grant: Grant | None, by: User, file_name: str
) -> Import:
    """Put a file that was sent in into place, and open its import for a worker, whom the caller wakes.

    The same file with the same mapping is the import that there is. Raises as `import_open` does; nothing is kept then.
    """
    # the name that came with it names nothing on this machine
    path = Path(settings.DATA_DIR).resolve() / "uploads" / f"{secrets.token_hex(16)}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("wb") as target:
            for chunk in chunks:
                target.write(chunk)
        job = import_open(
            kind=kind,
            path=path,
            mapping=mapping,
            grant=grant,
            by=by,
            file_name=name_clean(file_name),
            in_background=True,
        )
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    if job.path != str(path):
        path.unlink()  # the same file again: it is here already
    return job


def name_clean(name: str) -> str:
    """A file's name as it may be shown: its last part, printable, not too long."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(c for c in last if c.isprintable()).strip()[-120:] or "upload.csv"


def _ready(job: Import, **changes: Any) -> None:
    changes |= {"state": Import.State.WAITING, "stop_wanted": False, "updated_at": now()}
    for name, value in changes.items():
        setattr(job, name, value)
    job.save(update_fields=list(changes))


def import_run(*, import_id: int, told: Callable[[Import], None] | None = None) -> Import:
    """Read and merge an import, from wherever it was left. Returns it done, stopped or failed (see `problem`).

    told: called with the import after each chunk. Raises Conflict (`import_running`) while another process does it.
    An interrupt (Ctrl-C) leaves it stopped; when the process or the database dies it stays as it is, and the next
    call goes on from the last chunk that was committed.
    """
    told = told or (lambda job: None)
    with _only_one(import_id):
        job = _import_get(import_id)
        if job.state in (Import.State.DONE, Import.State.FAILED):
            return job
        try:
            _run(job, told)
        except Stopped:
            _finish(job, Import.State.STOPPED)
        except KeyboardInterrupt:
            _finish(job, Import.State.STOPPED)
            raise
        except Invalid as error:
            _finish(job, Import.State.FAILED, problem=error.message)
        except (OperationalError, InterfaceError, Conflict, ForkDied):
            # the database is away, somebody else has it now, or what read was killed: nothing is lost, it is taken up
            # again
            raise
        except Exception as error:
            # whatever it is, it would come again at every try: let people see it and stop trying
            _finish(job, Import.State.FAILED, problem=f"Something unforeseen stopped it: {type(error).__name__}.")
            raise
    return job


def _run(job: Import, told: Callable[[Import], None]) -> None:
    mapping = mapping_parse(job.mapping, kind=job.kind)
    if job.stop_wanted:
        raise Stopped
    if job.progress.get("merged") and staging_emptied(job.pk, job.progress):
        # the database crashed while it granted, and emptied what is staged: who was granted is known by now
        job.progress = {}
        job.save(update_fields=["progress"])
    if not job.progress.get("merged"):
        path = Path(job.path)
        if not path.is_file():
            raise Invalid("file_unreadable", f"The file {job.file_name} is gone. Import it anew.")
        if _digest(path, job.kind, mapping, job.consent) != job.digest:
            raise Invalid("file_changed", "The file was changed after the import began. Import it anew.")
        _state_set(job, Import.State.READING)
        audit_record(action="imports.import.started", actor=job.created_by, subject=job)
        progress = file_stage(job, mapping, told=told)
        _state_set(job, Import.State.MERGING)
        told(job)
        _merge(job, mapping, progress)
    _state_set(job, Import.State.MERGING)
    grants_give(job, mapping)
    damage = job.progress.get("damage", "")
    _finish(job, Import.State.FAILED if damage else Import.State.DONE, problem=damage)
    told(job)


def _merge(job: Import, mapping: Mapping, progress: Progress) -> None:
    for attempt in range(1, _MERGE_TRIES + 1):
        try:
            with transaction.atomic():
                figures = import_merge(
                    import_id=job.pk,
                    mapping=mapping,
                    key=StagingKey.load(job.pk, progress.key),
                    complete=not progress.bad and not progress.damage,
                )
                if mapping.kind == "orders":
                    orders_changed(profile_ids=None)
                job.counts = {
                    "lines_read": progress.records,
                    "lines_bad": progress.bad,
                    "values_bad": progress.faults,
                    **figures,
                    # of a go that a crash of the database ended
                    **{name: told for name, told in job.counts.items() if name == "consents"},
                }
                if mapping.attributes:
                    defined = shapes_read(mapping.attributes)
                    job.counts["undefined"] = sorted(set(mapping.attributes).difference(defined))
                job.progress = {**progress.as_json(), "merged": True, "carried": "", "key": ""}
                job.save(update_fields=["counts", "progress"])
            return
        except IntegrityError:
            # somebody else made the same person meanwhile: the next try finds them
            if attempt == _MERGE_TRIES:
                raise
            logger.warning("import %s: merging again", job.pk)


def may_steer(by: User, job: Import) -> bool:
    """Whether somebody may stop an import, let it go on and fetch its errors: their own, or by their role anybody's."""
    own = job.created_by_id == by.pk and may(by, "add", Import)
    return own or may(by, "change", job)


def errors_path(job: Import) -> Path | None:
    """Where the lines are that an import left out; None without any."""
    path = Path(job.errors_path)
    return path if job.errors_path and path.is_file() else None


def import_stop(*, import_id: int, by: User | None = None) -> Import:
    """Ask an import to stop; it does at the end of its chunk. Nothing that was read is lost."""
    with transaction.atomic():
        job = Import.objects.select_for_update().get(pk=import_id)
        if not job.running:
            raise Conflict("import_not_running", "This import is not running")
        job.stop_wanted = True
        if job.state == Import.State.WAITING:
            job.state = Import.State.STOPPED
        job.updated_at = now()
        job.save(update_fields=["stop_wanted", "state", "updated_at"])
        audit_record(action="imports.import.stop_asked", actor=by, subject=job)
    live_publish(f"import-{import_id}")
    return job


def import_go_on(*, import_id: int, by: User | None = None) -> Import:
    """Let a stopped import go on; the caller wakes a worker. Raises Conflict when it is not stopped."""
    with transaction.atomic():
        job = Import.objects.select_for_update().get(pk=import_id)
        if job.state != Import.State.STOPPED:
            raise Conflict("import_not_stopped", "Only an import that was stopped can go on")
        _ready(job, in_background=True)
        audit_record(action="imports.import.gone_on", actor=by, subject=job)
    live_publish(f"import-{import_id}")
    return job


def _consent_check(mapping: Mapping, grant: Grant | None) -> None:
    purposes = {*mapping.consent, *([grant.purpose] if grant else [])}
    known = set(Purpose.objects.filter(needs_consent=True).values_list("code", flat=True))
    if unknown := sorted(purposes - known):
        raise Invalid(
            "purpose_unknown",
            f"No consent is given for {', '.join(unknown)}. The purposes are: {', '.join(sorted(known))}.",
        )
    if grant is not None:
        if grant.purpose in mapping.consent:
            raise Invalid("consent_twice", "Take the grants from a column or from a person's word, not from both")
        if len(grant.evidence.strip()) < 10:
            raise Invalid("evidence_missing", "Say how you know that these people agreed: where, when, in which words")


def _digest(path: Path, kind: str, mapping: Mapping, consent: dict[str, Any]) -> str:
    with path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    rest = json.dumps([kind, mapping.as_json(), consent], sort_keys=True)
    return hashlib.sha256(f"{content}\n{rest}".encode()).hexdigest()


def _import_get(import_id: int) -> Import:
    try:
        return Import.objects.select_related("created_by").get(pk=import_id)
    except Import.DoesNotExist:
        raise NotFound("import_unknown", "There is no such import") from None


def _state_set(job: Import, state: Import.State) -> None:
    job.state = state
    job.updated_at = now()
    job.save(update_fields=["state", "updated_at"])
    live_publish(f"import-{job.pk}")


def _finish(job: Import, state: Import.State, *, problem: str = "") -> None:
    with transaction.atomic():
        job.state = state
        job.problem = problem
        job.updated_at = now()
        job.stop_wanted = False
        fields = ["state", "problem", "updated_at", "stop_wanted"]
        if state != Import.State.STOPPED:
            job.finished_at = job.updated_at
            fields.append("finished_at")
            staging_clear(job.pk)
        if state == Import.State.FAILED:
            job.progress = {**job.progress, "key": ""}
            fields.append("progress")
        job.save(update_fields=fields)
        audit_record(action=f"imports.import.{state.value}", actor=job.created_by, subject=job)
    live_publish(f"import-{job.pk}")


@contextmanager
def _only_one(import_id: int) -> Iterator[None]:
    """Hold the import's lock. It belongs to the database session, so that it goes with a process that dies."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtext('tessera import'), %s)", [import_id])
        if not cursor.fetchone()[0]:
            raise Conflict("import_running", "Another process is running this import right now")
    try:
        yield
    finally:
        if connection.connection is not None and not connection.connection.closed:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(hashtext('tessera import'), %s)", [import_id])
