"""COPY: what goes in comes out."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from django.db import DataError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.foundation.core.postgres import Plans, copy_batches, copy_rows, planned_rows, plans_keep, texts_text
from tests.examples import tries

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
ROW = st.tuples(
    TEXT,
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.binary(max_size=20),
    st.dictionaries(TEXT, JSON),
)


@pytest.fixture
def table(db: None) -> str:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE copied (t text, i bigint, b boolean, y bytea, j jsonb) ON COMMIT DROP")
    return "copied"


@settings(max_examples=tries(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ROW, max_size=5))
def test_everything_comes_back(table: str, rows: list[tuple[Any, ...]]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE copied")
        copied = copy_rows(cursor, table, ["t", "i", "b", "y", "j"], rows)
        cursor.execute("SELECT t, i, b, y, j FROM copied ORDER BY ctid")
        back = [(t, i, b, bytes(y), j) for t, i, b, y, j in cursor.fetchall()]

    assert copied == len(rows)
    assert back == [(t, i, b, y, _as_json(j)) for t, i, b, y, j in rows]


def _as_json(value: object) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::jsonb", [json.dumps(value)])
        return str(cursor.fetchone()[0])


def test_nul_is_dropped_and_types_are_known(table: str) -> None:
    moment = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
    row = [
        "a\0b",
        1,
        True,
        b"\0",
        {"k\0": ["\0", "\\u0000", moment.isoformat(), str(Decimal("1.50")), str(UUID(int=7))]},
    ]
    with connection.cursor() as cursor:
        copy_rows(cursor, table, ["t", "i", "b", "y", "j"], [row])
        cursor.execute("SELECT t, j->>'k' FROM copied")
        back = cursor.fetchone()

    assert back == (
        "ab",
        '["", "\\\\u0000", "2026-11-22T10:00:00+00:00", "1.50", "00000000-0000-0000-0000-000000000007"]',
    )


def test_unknown_type_is_refused(table: str) -> None:
    with connection.cursor() as cursor, pytest.raises(TypeError, match="set is not provided for"):
        copy_rows(cursor, table, ["t"], [[{1}]])


def test_batches_come_in_whole_and_in_order(table: str) -> None:
    def batches() -> Iterator[Callable[[], list[list[int]]]]:
        for start in range(0, 5_000, 1_000):
            with connection.cursor() as asked:  # what gives a batch may ask the database
                asked.execute("SELECT count(*) FROM copied")
                there.append(asked.fetchone()[0])
            yield lambda start=start: [[number] for number in range(start, start + 1_000)]  # type: ignore[misc]

    there: list[int] = []
    with connection.cursor() as cursor:
        assert copy_batches(cursor, table, ["i"], batches()) == 5_000
        cursor.execute("SELECT i FROM copied ORDER BY ctid")
        assert [row[0] for row in cursor.fetchall()] == list(range(5_000))
    assert there == [0, 0, 1_000, 2_000, 3_000], "while one comes in, the next is made"
    with connection.cursor() as cursor:
        assert copy_batches(cursor, table, ["i"], []) == 0


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_a_fault_in_any_batch_is_told(table: str, bad: int) -> None:
    """Of the database, from the other thread too; and of what makes the rows."""
    given = [[[1]], [[2]], [[3]]]
    given[bad] = [["x"]]  # type: ignore[list-item]
    with connection.cursor() as cursor, pytest.raises(DataError), transaction.atomic():
        copy_batches(cursor, table, ["i"], [partial(list, batch) for batch in given])

    given[bad] = [[{1}]]  # type: ignore[list-item]
    with connection.cursor() as cursor, pytest.raises(TypeError, match="set is not provided for"):
        copy_batches(cursor, table, ["i"], [partial(list, batch) for batch in given])


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(TEXT | st.sampled_from(["", "NULL", "null", "a,b", '"', "\\", "{}", " x ", "a\nb"]), max_size=6))
def test_texts_come_back_from_the_text_of_an_array(db: None, texts: list[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::text[]", [texts_text(texts)])
        assert cursor.fetchone()[0] == texts


@pytest.fixture
def plans(transactional_db: None) -> Iterator[Plans]:
    plans_keep()
    yield connection.plans  # type: ignore[attr-defined]
    connection.close()
    connection.plans = None  # type: ignore[attr-defined]


_ASKED = "SELECT %(number)s::int + 1, %(text)s::text, current_setting('server_version') = %(text)s"


def test_a_plan_is_kept_and_made_anew_where_the_connection_was(plans: Plans) -> None:
    for number in (1, 2):
        assert planned_rows(_ASKED, {"number": number, "text": "x'"}) == [(number + 1, "x'", False)]
    assert list(plans) == [_ASKED]
    assert _statements_prepared() == 1

    connection.close()
    assert planned_rows(_ASKED, {"number": 3, "text": "y"}) == [(4, "y", False)]
    plans_keep()
    assert planned_rows(_ASKED, {"number": 4, "text": "y"}) == [(5, "y", False)]
    assert _statements_prepared() == 1


def test_a_statement_that_fails_leaves_its_plan_usable(plans: Plans) -> None:
    for number in (1, 0, 2):
        if number:
            assert planned_rows("SELECT 1 / %(by)s::int", {"by": number}) == [(1 // number,)]
        else:
            with pytest.raises(DataError), transaction.atomic():
                planned_rows("SELECT 1 / %(by)s::int", {"by": number})


def _statements_prepared() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements")
        return int(cursor.fetchone()[0])
