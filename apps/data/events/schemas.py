"""Schemas of events as the writing of a batch uses them: compiled once, looked up by any name that means the same.

Schemas are JSON Schema, draft 2020-12, by jsonschema-rs: patterns run in linear time, and nothing outside the document
is ever fetched.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import jsonschema_rs
import orjson
from django.db import connection

from apps.foundation.core.errors import Invalid

FAULTS_MOST: Final = 10
_FRESH_SECONDS: Final = 1.0
_SIZE_MOST: Final = 64_000

_CHANGED: Final = "SELECT count(*), max(updated_at) FROM events_eventschema"
_ALL: Final = """
SELECT schema.name, schema.aliases, schema.on_fault, schema.purpose_id, version.number, version.document
FROM events_eventschema AS schema
LEFT JOIN LATERAL (SELECT number, document FROM events_eventschemaversion WHERE schema_id = schema.id
                   ORDER BY number DESC LIMIT 1) AS version ON true
"""


def _nothing_outside(uri: str) -> Any:
    raise ValueError(f"{uri} is outside of the schema: write it into the schema itself, below $defs")


def validator_make(document: Any) -> Any:
    """A compiled schema. Raises Invalid (`schema_invalid`) for what is none."""
    if not isinstance(document, dict):
        raise Invalid("schema_invalid", "A schema is a JSON object")
    if len(str(document)) > _SIZE_MOST:
        raise Invalid("schema_invalid", "A schema has at most 64,000 characters")
    try:
        return jsonschema_rs.Draft202012Validator(
            document,
            validate_formats=True,
            retriever=_nothing_outside,
            pattern_options=jsonschema_rs.RegexOptions(size_limit=1_000_000),
        )
    except (ValueError, RecursionError) as error:  # its errors of schemas are ValueErrors
        raise Invalid("schema_invalid", f"This is no JSON Schema: {str(error).splitlines()[0][:200]}") from None


def faults_find(validator: Any, properties: Any) -> list[str]:
    """What does not fit, as `place: rule`, never a value; nothing where all does."""
    if validator.is_valid(properties):
        return []
    found = []
    for error in validator.iter_errors(properties):
        place = "/".join(map(str, error.instance_path))[:80] or "the properties"
        rule = str(error.schema_path[-1]) if error.schema_path else "schema"
        lacking = getattr(error.kind, "property", None)
        found.append(f"{place}: lacks {lacking}" if lacking else f"{place}: does not fit “{rule}”")
        if len(found) == FAULTS_MOST:
            break
    return found


@dataclass(frozen=True, slots=True)
class Known:
    """A schema ready for use. known: the properties it names, None where it names none; version: 0 without any."""

    name: str
    validator: Any
    version: int
    sets_aside: bool
    purpose: str
    known: frozenset[str] | None


class Schemas:
    """All schemas of one process. `fresh` looks for changes once in a second."""

    def __init__(self) -> None:
        self._by_name: Mapping[str, Known] = {}
        self._seen: Any = None
        self._looked = 0.0

    def fresh(self) -> Mapping[str, Known]:
        """By name and alias."""
        if time.monotonic() - self._looked >= _FRESH_SECONDS or self._seen is None:
            with connection.cursor() as cursor:
                cursor.execute(_CHANGED)
                seen = cursor.fetchone()
                if seen != self._seen:
                    cursor.execute(_ALL)
                    self._by_name = _compiled(cursor.fetchall())
                    self._seen = seen
            self._looked = time.monotonic()
        return self._by_name

    def forget(self) -> None:
        """Read all anew the next time."""
        self._seen = None


def _compiled(rows: list[Any]) -> dict[str, Known]:
    found: dict[str, Known] = {}
    named: dict[str, Known] = {}
    for name, aliases, on_fault, purpose, number, document in rows:
        document = orjson.loads(document) if document else None
        validator = validator_make(document) if document else None
        properties = document.get("properties") if isinstance(document, dict) else None
        known = frozenset(properties) if isinstance(properties, dict) and properties else None
        one = Known(name, validator, number or 0, on_fault == "set_aside", purpose or "", known)
        named[name] = one
        found |= dict.fromkeys(aliases, one)
    return found | named  # a name of its own goes before an alias
