"""The audit log as CSV, line by line, so that a million rows need no memory."""

import csv
import json
from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet

from .models import AuditEntry

HEAD = ("at", "actor", "action", "kind", "object id", "object", "request id", "details")
_RISKY = ("=", "+", "-", "@", "\t", "\r", "\n")


class _Echo:
    def write(self, line: str) -> str:
        return line


def cell_defused(value: object) -> str:
    """A value as a cell that no spreadsheet takes for a formula (OWASP, CSV Injection): an apostrophe in front of
    what begins like one, after spaces too.
    """
    text = str(value)
    return f"'{text}" if text.lstrip(" \u00a0\ufeff").startswith(_RISKY) or text.startswith(_RISKY) else text


def audit_csv(entries: QuerySet[AuditEntry]) -> Iterator[str]:
    """The lines of the file, the head first."""
    writer = csv.writer(_Echo())
    yield writer.writerow(HEAD)
    for entry in entries.select_related("actor", "content_type").iterator(chunk_size=1000):
        row: tuple[Any, ...] = (
            entry.at.isoformat(),
            entry.actor.email if entry.actor is not None else "",
            entry.action,
            f"{entry.content_type.app_label}.{entry.content_type.model}" if entry.content_type is not None else "",
            entry.object_id,
            entry.object_label,
            entry.request_id or "",
            json.dumps(entry.data, ensure_ascii=False, sort_keys=True),
        )
        yield writer.writerow([cell_defused(value) for value in row])
