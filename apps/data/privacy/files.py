"""Exports on the disk: written and read a piece at a time, each piece sealed and bound to its place in its file."""

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from apps.foundation.core.crypto import Tampered, binding, seal, unseal

FORMATS: Final = ("json", "html")
_PIECE: Final = 1 << 20
_LENGTH: Final = 4


def export_path(export_id: UUID, form: str) -> Path:
    """Where a format of an export lies."""
    return Path(settings.DATA_DIR) / "exports" / f"{export_id}.{form}.sealed"


def _bound(export_id: UUID, form: str, number: int, *, last: bool) -> bytes:
    return binding("export", str(export_id), form, number, "last" if last else "more")


class SealedWriter:
    """Writes one format of an export; `close` makes it whole. size: bytes of what was written, before sealing."""

    def __init__(self, export_id: UUID, form: str, key: bytes) -> None:
        self._id, self._form, self._cipher = export_id, form, AESGCM(key)
        path = export_path(export_id, form)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = path.open("wb")
        self._held: list[bytes] = []
        self._holding = 0
        self._number = 0
        self.size = 0

    def write(self, text: str | bytes) -> None:
        """Add to the file."""
        plain = text.encode() if isinstance(text, str) else text
        self._held.append(plain)
        self._holding += len(plain)
        self.size += len(plain)
        if self._holding >= _PIECE:
            self._put(last=False)

    def _put(self, *, last: bool) -> None:
        sealed = seal(self._cipher, b"".join(self._held), _bound(self._id, self._form, self._number, last=last))
        self._file.write(len(sealed).to_bytes(_LENGTH, "big") + sealed)
        self._held, self._holding, self._number = [], 0, self._number + 1

    def __enter__(self) -> "SealedWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._put(last=True)
        self._file.close()


def export_read(export_id: UUID, form: str, key: bytes) -> Iterator[bytes]:
    """What was written, piece by piece. Raises FileNotFoundError, and Tampered for a file that was changed or cut."""
    cipher, number, last = AESGCM(key), 0, False
    with export_path(export_id, form).open("rb") as file:
        while length := file.read(_LENGTH):
            if last:
                raise Tampered("an export goes on after its end")
            sealed = file.read(int.from_bytes(length, "big"))
            try:
                yield unseal(cipher, sealed, _bound(export_id, form, number, last=False))
            except Tampered:
                yield unseal(cipher, sealed, _bound(export_id, form, number, last=True))
                last = True
            number += 1
    if not last:
        raise Tampered("an export is cut")


def export_remove(export_ids: Iterable[UUID]) -> None:
    """Take exports off the disk, those that are there."""
    for export_id in export_ids:
        for form in FORMATS:
            export_path(export_id, form).unlink(missing_ok=True)


def strays(kept: Collection[str], *, older_than: datetime) -> Iterator[Path]:
    """Files of exports that are not among those kept, by id, and were not written to since a moment."""
    folder = Path(settings.DATA_DIR) / "exports"
    for path in folder.glob("*.sealed") if folder.is_dir() else ():
        if path.name.partition(".")[0] not in kept and path.stat().st_mtime < older_than.timestamp():
            yield path
