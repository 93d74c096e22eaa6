"""Reading a file into the staging tables, a chunk at a time, each committed together with how far it came."""

import json
import pickle
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.db import DataError, IntegrityError, connection, transaction
from django.db.models import Q

from apps.data.profiles.attributes import shapes_read
from apps.data.profiles.contracts import AttributeShape
from apps.data.profiles.errors import MasterKeyMissing
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid
from apps.foundation.core.live import live_publish
from apps.foundation.core.postgres import commit_lazily, copy_text

from .faults import Fault, FaultFile
from .forks import Fork, Forks
from .lines import Bad, FileDamaged, LineFile, Record, records_read
from .mapping import Binding, Mapping, header_bind, mapping_fits
from .models import Import, StagedLine, StagedPerson
from .newcomers import Arrivals, staged_of
from .people import PERSON_COLUMNS
from .reading import Line, Read, chunk_read
from .rows import LINE_COLUMNS, OrderRows, ProfileRows, rows_reader
from .sealing import StagingKey

CHUNK = 10_000
"""Lines in one transaction. A stop loses at most so many lines of work."""
_CHUNK_APART: Final = 5_000
"""The same where several processes read: each holds a chunk, in several forms."""
_CARRIED = b"carried"
_APART_FROM: Final = 2_000_000
"""Bytes of a file from which on processes of their own read it."""
_DRAW: Final = """
SELECT nextval((SELECT pg_get_serial_sequence('profiles_profile', 'id')::regclass)) FROM generate_series(1, %s)
"""
DELIMITERS = (",", ";", "\t", "|")


@dataclass(slots=True)
class Progress:
    """How far reading has come; kept in the Import row as JSON.

    key: what opens what is staged, wrapped; carried: of the order that was read last, sealed with it.
    """

    key: str = ""
    offset: int = 0
    line: int = 0
    records: int = 0
    bad: int = 0
    faults: int = 0
    people: int = 0
    lines: int = 0
    errors_size: int = 0
    carried: str = ""
    complete: bool = False
    damage: str = ""

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return {name: getattr(self, name) for name in self.__slots__}


class Stopped(Exception):
    """Somebody asked the import to stop. What was read is safe."""


def header_read(path: Path, mapping: Mapping) -> tuple[LineFile, Binding, str, int, int]:
    """Open a file and find its columns: the file, the binding, the delimiter, offset and line behind the header.

    Raises Invalid (`file_unreadable`, `columns_missing`).
    """
    file = LineFile(path)
    candidates = (mapping.delimiter,) if mapping.delimiter else DELIMITERS
    first: tuple[list[str], str, int, int] | None = None
    for delimiter in candidates:
        with closing(file.blocks(file.start)) as blocks:
            try:
                line, offset, _, header = next(
                    records_read(blocks, offset=file.start, delimiter=delimiter, encoding=mapping.encoding)
                )
            except (StopIteration, FileDamaged) as error:
                raise Invalid("file_unreadable", str(error) or "The file holds no line") from None
        if isinstance(header, Bad):
            raise Invalid("file_unreadable", f"The first line should name the columns, but {header.reason}")
        first = first or (header, delimiter, offset, line)
        if mapping_fits(mapping, header):
            return file, header_bind(mapping, header), delimiter, offset, line
    if first is None:
        raise Invalid("file_unreadable", "The file holds no line")
    return file, header_bind(mapping, first[0]), first[1], first[2], first[3]


def staging_clear(import_id: int) -> None:
    """Remove what is staged of an import."""
    for model in (StagedPerson, StagedLine):
        model.objects.filter(import_id=import_id).delete()


def staging_whole(import_id: int, progress: Progress) -> bool:
    """Whether all that was staged is still there: unlogged tables are emptied when the database crashes."""
    people = StagedPerson.objects.filter(import_id=import_id).count()
    return people == progress.people and StagedLine.objects.filter(import_id=import_id).count() == progress.lines


def staging_emptied(import_id: int, progress: dict[str, Any]) -> bool:
    """Whether nothing is there any more of what was staged: the database crashed."""
    return any(
        progress[name] and not model.objects.filter(import_id=import_id).exists()
        for model, name in ((StagedPerson, "people"), (StagedLine, "lines"))
    )


def file_stage(job: Import, mapping: Mapping, *, told: Callable[[Import], None]) -> Progress:
    """Read a file from where it was left to its end. `told` is called after each chunk.

    Raises Invalid for a file that can't be this import's, Stopped, Conflict when another process took it over.
    A file that ends too early is no error here: `Progress.damage` says so.
    """
    file, binding, delimiter, offset, line = header_read(Path(job.path), mapping)
    progress = Progress(**job.progress) if job.progress else Progress(offset=offset, line=line)
    key = _key(job.pk, progress.key)
    if key is None or not staging_whole(job.pk, progress):
        staging_clear(job.pk)
        key = StagingKey.make(job.pk)
        progress = Progress(offset=offset, line=line, key=key.text)
    if progress.complete:
        return progress
    carried = json.loads(key.open(_CARRIED, bytes.fromhex(progress.carried))) if progress.carried else {}
    reader = rows_reader(mapping, binding, job.pk, key, {}, carried)
    # an order goes on from line to line, so that one after the other must read them
    large = mapping.kind == "profiles" and file.size >= _APART_FROM
    # an address that is made gives way to a real one of any line: the merge has all of them
    arrivals = Arrivals(job.pk, list(binding.attributes), large and not mapping.address_template)
    with FaultFile(Path(job.errors_path), size=progress.errors_size) as faults:
        stage = _Stage(job, file, progress, reader, faults, told, key, binding, arrivals)
        records = records_read(
            file.blocks(progress.offset),
            offset=progress.offset,
            line=progress.line,
            width=binding.width,
            delimiter=delimiter,
            encoding=mapping.encoding,
        )
        stage.take(records, settings.IMPORT_PROCESSES if large else 0)
    return progress


def _key(import_id: int, text: str) -> StagingKey | None:
    """The key of what is staged; None when it can't be had any more, and the file is to be read anew."""
    try:
        return StagingKey.load(import_id, text)
    except (MasterKeyMissing, ValueError):
        return None


@dataclass(slots=True)
class _Chunk:
    """Records, and where they end: offset and line; position: how far the file on disk was read; shapes: the
    definitions of attributes by which they are read."""

    lines: list[Line]
    offset: int
    line: int
    position: int
    last: bool = False
    shapes: dict[str, AttributeShape] = field(default_factory=dict)


class _Stage:
    """What brings chunks into the staging tables, one after the other."""

    def __init__(
        self,
        job: Import,
        file: LineFile,
        progress: Progress,
        reader: ProfileRows | OrderRows,
        faults: FaultFile,
        told: Callable[[Import], None],
        key: StagingKey,
        binding: Binding,
        arrivals: Arrivals,
    ) -> None:
        self._arrivals = arrivals
        self._job = job
        self._file = file
        self._progress = progress
        self._reader = reader
        self._faults = faults
        self._told = told
        self._key = key
        self._attributes = binding.attributes
        self._masked: set[int] = set()
        self._shapes: dict[str, AttributeShape] = {}
        self._numbers: list[int] = []
        self._damage = ""
        self._define()

    def _define(self) -> None:
        """Go by the definitions of attributes as they are now: a chunk later one may have become sensitive."""
        shapes = shapes_read(self._attributes) if self._attributes else {}
        if shapes == self._shapes:
            return
        self._shapes = shapes
        self._reader.defined(shapes)
        self._masked = {place for name, place in self._attributes.items() if name in shapes and shapes[name].sensitive}

    def take(self, records: Iterator[Record], apart: int) -> None:
        """Stage the records, committing each full chunk. apart: how many processes read them; 0: this one."""
        chunks = self._chunks(records, min(CHUNK, _CHUNK_APART) if apart else CHUNK)
        with closing(self._read_apart(chunks, apart) if apart else self._read(chunks)) as reads:
            for chunk, read in reads:
                self.commit(chunk, read)

    def _chunks(self, records: Iterator[Record], size: int) -> Iterator[_Chunk]:
        offset, line = self._progress.offset, self._progress.line
        lines: list[Line] = []
        try:
            for number, end, raw, fields in records:
                lines.append(
                    (number, raw, None, fields.reason) if isinstance(fields, Bad) else (number, raw, fields, "")
                )
                # a quoted field may have run over several lines
                offset, line = end, number + raw.count(b"\n")
                if len(lines) == size:
                    yield _Chunk(lines, offset, line, self._file.position)
                    lines = []
        except FileDamaged as damage:
            self._damage = f"{damage}. What could be read, up to line {line}, was taken over."
        yield _Chunk(lines, offset, line, self._file.size, last=True)

    def _read(self, chunks: Iterator[_Chunk]) -> Generator[tuple[_Chunk, Read]]:
        for chunk in chunks:
            chunk.shapes, new = self._shapes, self._arrivals.wanted
            yield chunk, chunk_read(self._reader, chunk.lines, self._draw(len(chunk.lines)), self._masked, new)

    def _read_apart(self, chunks: Iterator[_Chunk], count: int) -> Generator[tuple[_Chunk, Read]]:
        """The same by processes of their own: each has a chunk, while another's is committed here.

        What became sensitive meanwhile is told with the next chunk of each.
        """

        def work(task: tuple[bytes, list[Line], list[int], set[int], bool]) -> tuple[Any, ...]:
            shapes, lines, numbers, masked, new = task
            if shapes:
                self._reader.defined(pickle.loads(shapes))  # noqa: S301  # written by ourselves, a few lines on
            return chunk_read(self._reader, lines, numbers, masked, new).plain()

        with Forks(count, work) as forks, closing(_ahead(chunks)) as cut:
            known = dict.fromkeys(forks.all, self._shapes)
            free = deque(forks.all)
            busy: deque[tuple[Fork, _Chunk]] = deque()
            for chunk in cut:
                done: tuple[_Chunk, Read] | None = None
                if not free:
                    fork, before = busy.popleft()
                    done = before, Read(*fork.receive())
                    free.append(fork)
                fork = free.popleft()
                shapes = b"" if known[fork] == self._shapes else pickle.dumps(self._shapes)
                known[fork] = chunk.shapes = self._shapes
                numbers = self._draw(len(chunk.lines))
                fork.send((shapes, chunk.lines, numbers, self._masked, self._arrivals.wanted))
                chunk.lines = []  # it is there now
                busy.append((fork, chunk))
                if done:
                    yield done
            for fork, chunk in busy:
                yield chunk, Read(*fork.receive())

    def _draw(self, count: int) -> list[int]:
        """Numbers of profiles that nobody has: each for one who turns out to be new. The others are never given."""
        if len(self._numbers) < count:
            with connection.cursor() as cursor:
                cursor.execute(_DRAW, [count - len(self._numbers)])
                self._numbers += [row[0] for row in cursor.fetchall()]
        drawn, self._numbers = self._numbers[:count], self._numbers[count:]
        return drawn

    def commit(self, chunk: _Chunk, read: Read) -> None:
        """COPY the chunk and record how far reading came, in one transaction."""
        progress = self._progress
        self._numbers = read.left + self._numbers
        for line, column, reason, whole, shown in read.errors:
            self._faults.add(line, Fault(column, reason, whole), shown)
        progress.records += read.records
        progress.bad += read.bad
        progress.faults += read.faults
        progress.people += read.people_count
        progress.lines += read.lines_count
        progress.offset, progress.line = chunk.offset, chunk.line
        if chunk.last:
            progress.complete, progress.damage = True, self._damage
        carried = self._reader.carried()
        progress.carried = self._key.seal(_CARRIED, json.dumps(carried)).hex() if carried else ""
        try:
            self._write(chunk, read)
        except (IntegrityError, DataError):
            # somebody else made the same person meanwhile, or the database does not take one as new: the merge looks
            read.people, read.new = staged_of(read.new) if read.new else read.people, {}
            self._write(chunk, read)
        live_publish(f"import-{self._job.pk}")
        self._told(self._job)
        if Import.objects.filter(pk=self._job.pk, stop_wanted=True).exists():
            raise Stopped
        self._define()

    def _write(self, chunk: _Chunk, read: Read) -> None:
        job, progress, before = self._job, self._progress, self._job.progress
        with transaction.atomic():
            commit_lazily()
            people = self._arrivals.write(read, chunk.shapes)
            for table, columns, rows in (
                ("imports_stagedperson", PERSON_COLUMNS, people),
                ("imports_stagedline", LINE_COLUMNS, read.lines),
            ):
                if rows and (lost := _copy(table, columns, rows)):
                    self._lost(table, lost)
            progress.errors_size = self._faults.flush()
            job.lines_done = progress.records
            job.bytes_done = chunk.position
            job.updated_at = now()
            job.progress = progress.as_json()
            # the offset before is a fence: whoever lost the lock meanwhile must not stage lines twice
            mine = Import.objects.filter(pk=job.pk, state=Import.State.READING).filter(_progress_is(before))
            if not mine.update(
                progress=job.progress,
                lines_done=job.lines_done,
                bytes_done=job.bytes_done,
                updated_at=job.updated_at,
            ):
                raise Conflict("import_taken_over", "Another process took this import over")
        self._arrivals.staged(people)

    def _lost(self, table: str, lost: list[tuple[int, str]]) -> None:
        progress = self._progress
        for line, reason in lost:
            self._faults.add(line, Fault("", f"the database does not take it: {reason}", True), b"")
        if table == "imports_stagedline":
            progress.lines -= len(lost)
            progress.bad += len(lost)
        else:
            progress.people -= len(lost)
            progress.faults += len(lost)


def _ahead(chunks: Iterator[_Chunk]) -> Generator[_Chunk]:
    """The chunks, each cut while the database takes in what was read of one before."""
    with ThreadPoolExecutor(1, thread_name_prefix="lines") as cutting:
        following = cutting.submit(next, chunks, None)
        while (chunk := following.result()) is not None:
            following = cutting.submit(next, chunks, None)
            yield chunk


def _progress_is(before: dict[str, Any]) -> Q:
    if not before:
        return Q(progress={})
    return Q(progress__offset=before["offset"])


def _copy(table: str, columns: tuple[str, ...], rows: bytes) -> list[tuple[int, str]]:
    """COPY rows; what the database does not take is left out. Returns the lines left out, each with the reason.

    Everything was looked at before, so this is for what nobody thought of: it must not cost the whole import.
    """
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            copy_text(cursor, table, columns, BytesIO(rows))
        return []
    except DataError as error:
        single = rows.splitlines(keepends=True) if rows.count(b"\n") > 1 else []
        if not single:
            return [(int(rows.split(b"\t", 2)[1]), str(error).partition("\n")[0])]
        half = len(single) // 2
        return _copy(table, columns, b"".join(single[:half])) + _copy(table, columns, b"".join(single[half:]))
