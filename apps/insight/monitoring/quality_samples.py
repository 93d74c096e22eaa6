"""Whom it is that lacks something: some people for each attribute, source and measure, noted when it is measured.

So the page that shows them scans nothing. Numbers of people only, of the newest measurement only, most of them 20.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from django.db.backends.utils import CursorWrapper

from apps.data.profiles.contracts import AttributeShape

from .models import QualitySample

MOST: Final = 20
"""People that are noted of one attribute, source and measure."""
_TEXTS_MOST: Final = 500
ALIVE: Final = "p.merged_into_id IS NULL AND p.erased_at IS NULL"
GONE: Final = """
(EXISTS (SELECT FROM consent_suppression AS gone
         WHERE gone.digest = held.digest AND gone.reason IN ('bounce', 'spam_trap'))
 OR EXISTS (SELECT FROM consent_addressverdict AS verdict
            WHERE verdict.digest = held.digest AND verdict.verdict = 'refuse' AND verdict.code <> 'silent'))
"""
"""SQL: whether an address that is held is no good."""

_SOME: Final = f"SELECT p.source, (array_agg(p.id))[1:{MOST}] FROM profiles_profile AS p"  # noqa: S608  # names of our own
_SOME_HELD: Final = f"{_SOME} JOIN profiles_identifier AS held ON held.profile_id = p.id AND held.main"
_COLUMN: Final = "to_jsonb(p.{column})::text"
_ATTRIBUTE: Final = "(p.attributes -> %(name)s::text)::text"
_KNOWN: Final = "(jsonb_exists(p.attributes, %(name)s) AND p.attributes ->> %(name)s::text <> '')"
_OF_TEXTS: Final = " JOIN unnest(%(sources)s::text[], %(texts)s::text[]) AS odd(source, text) ON odd.source = p.source"

Odd = Mapping[str, Mapping[str, Sequence[str]]]
"""Measure → source → texts (JSON) that do not fit, or are not written as most are."""


def samples_of_column(cursor: CursorWrapper, column: str, odd: Odd) -> Iterable[QualitySample]:
    """Of a column of profiles. column: one of our own names."""
    yield from _found(cursor, column, "known", f"{_SOME} WHERE {ALIVE} AND p.{column} = '' GROUP BY 1", {})
    yield from _odd(cursor, column, _COLUMN.format(column=column), odd)


def samples_of_attribute(
    cursor: CursorWrapper, shape: AttributeShape, name: str, odd: Odd, since: Any
) -> Iterable[Any]:
    """Of an attribute. since: from when on news of it is fresh."""
    named = {"name": name, "since": since, "definition": shape.id}
    if shape.sensitive:
        known = (
            "EXISTS (SELECT FROM profiles_sealedattribute AS held"
            " WHERE held.profile_id = p.id AND held.definition_id = %(definition)s)"
        )
    else:
        known = _KNOWN
        yield from _odd(cursor, name, _ATTRIBUTE, odd, named)
    if shape.required:
        yield from _found(cursor, name, "known", f"{_SOME} WHERE {ALIVE} AND NOT {known} GROUP BY 1", named)
    if shape.fresh_days:
        stale = f"{_SOME} WHERE {ALIVE} AND {known} AND p.updated_at < %(since)s GROUP BY 1"
        yield from _found(cursor, name, "fresh", stale, named)


def samples_of_address(cursor: CursorWrapper, kind: str) -> Iterable[QualitySample]:
    """Of the address of a kind: who has none, one that is no good, and one that somebody else has too."""
    held = "SELECT FROM profiles_identifier AS held WHERE held.profile_id = p.id AND held.main AND held.kind = %(kind)s"
    shared = "SELECT digest FROM profiles_identifier WHERE kind = %(kind)s GROUP BY 1 HAVING count(*) > 1"
    queries = {
        "known": f"{_SOME} WHERE {ALIVE} AND NOT EXISTS ({held}) GROUP BY 1",
        "fitting": f"{_SOME_HELD} WHERE {ALIVE} AND held.kind = %(kind)s AND {GONE} GROUP BY 1",
        "distinct": f"{_SOME_HELD} WHERE {ALIVE} AND held.kind = %(kind)s AND held.digest IN ({shared}) GROUP BY 1",
    }
    for measure, query in queries.items():
        yield from _found(cursor, kind, measure, query, {"kind": kind})


def _odd(
    cursor: CursorWrapper, name: str, text: str, odd: Odd, values: Mapping[str, Any] | None = None
) -> Iterable[QualitySample]:
    """People whose value is among the texts that were found odd."""
    for measure, by_source in odd.items():
        pairs = [(source, one) for source, texts in by_source.items() for one in texts[:_TEXTS_MOST]]
        if pairs:
            given = {
                **(values or {}),
                "sources": [source for source, _ in pairs],
                "texts": [one for _, one in pairs],
            }
            query = f"{_SOME}{_OF_TEXTS} AND {text} = odd.text WHERE {ALIVE} GROUP BY 1"
            yield from _found(cursor, name, measure, query, given)


def _found(
    cursor: CursorWrapper, name: str, measure: str, query: str, values: Mapping[str, Any]
) -> Iterable[QualitySample]:
    cursor.execute(query, dict(values))
    for source, people in cursor.fetchall():
        yield QualitySample(attribute=name, source=source, measure=measure, profile_ids=people)
