"""Making the same thing again without making it: its rows are put aside the first time, and put back for other tests.

What a published playbook is made of takes a second of work: blocks tried, a template compiled, mails rendered, two
reviews. Most tests want one, and nothing of it is what they are about.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from datetime import time
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.db.backends.postgresql.psycopg_any import sql
from django.db.models import Model

from apps.decisioning.content.children import POOL, Pool
from apps.decisioning.content.errors import ContentMisbehaved
from apps.decisioning.content.frames import value_read, value_write
from apps.decisioning.content.jobs import TYPES
from apps.decisioning.content.selectors import compiled_load
from apps.decisioning.decisions import asking, generic
from apps.decisioning.decisions.services import version_plan
from apps.decisioning.playbooks import journeys
from apps.foundation.governance.models import Notice
from apps.surfaces.tracking import following

P = ParamSpec("P")
M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class _Rows:
    """What was made once: its key, and all rows that came with it, as SQL that puts them back."""

    pk: Any
    statement: str


_PUT_BACK = sql.SQL(
    "INSERT INTO {0} ({1}) SELECT {1} FROM json_populate_recordset(NULL::{0}, {2}) ON CONFLICT DO NOTHING"
)
_BY_NUMBER = (
    compiled_load,
    journeys._followed,
    version_plan,
    generic.pinned,
    generic._block,
    generic.block_values,
    generic.generic_slots,
    asking._ready,
    following._kept,
)
"""What a process remembers of rows by their numbers; a test before may have changed what has these."""
_kept: defaultdict[tuple[str, str, str], list[_Rows]] = defaultdict(list)
_under_way = False


def remembered(make: Callable[P, M]) -> Callable[P, M]:
    """Have a function that makes one object make it once for each test that asks, and really only as often as one
    test asks for the same.

    Only where all arguments are plain: what belongs to an object of the test is made for it. So is what starts by
    itself, for what happened since it was published. What migrations bring is there already, and stays as it is.
    """

    @wraps(make)
    def again(*args: P.args, **kwargs: P.kwargs) -> M:
        global _under_way
        if _under_way or kwargs.get("trigger", "hand") not in ("hand", "api") or not _plain([args, kwargs]):
            return make(*args, **kwargs)
        parts = {name: value for name, value in make.__globals__.items() if name.isupper() and _plain(value)}
        asked = repr((args, sorted(kwargs.items()), parts))  # a test may have it made of other parts
        kept = _kept[connection.settings_dict["NAME"], make.__name__, asked]
        model: type[M] = make.__annotations__["return"]
        there = set(model._default_manager.filter(pk__in=[one.pk for one in kept]).values_list("pk", flat=True))
        fresh = next((one for one in kept if one.pk not in there), None)
        if fresh is None:
            _under_way = True
            try:
                fresh = _recorded(lambda: make(*args, **kwargs))
            finally:
                _under_way = False
            kept.append(fresh)
        else:
            for cache in _BY_NUMBER:
                cache.cache_clear()
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(fresh.statement)
        return model._default_manager.get(pk=fresh.pk)

    return again


def is_remembered() -> bool:
    """Whether what is being made will be put back for other tests."""
    return _under_way


def _plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(map(_plain, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_plain, value))
    return value is None or isinstance(value, str | int | float | time)


def _recorded(make: Callable[[], Model]) -> _Rows:
    """Make it, and find what rows came with it: those that are younger than one that is written before."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE IF NOT EXISTS tests_begun (number int)")
        cursor.execute("INSERT INTO tests_begun VALUES (1) RETURNING xmin::text::bigint")
        begun = cursor.fetchone()[0]
        pk = make().pk
        cursor.execute(
            "SELECT relname, (SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute"
            " WHERE attrelid = relid AND attnum > 0 AND NOT attisdropped AND attgenerated = '')"
            " FROM pg_stat_xact_user_tables WHERE n_tup_ins > 0 AND schemaname = 'public' ORDER BY relname"
        )
        statements = []
        for table, names in cursor.fetchall():
            name, columns = sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, names))
            found = "SELECT json_agg(t)::text FROM {} t WHERE xmin::text::bigint >= %(begun)s"
            if table == Notice._meta.db_table:  # those of people who were there before are not among its parts
                found += " AND user_id IN (SELECT id FROM accounts_user WHERE xmin::text::bigint >= %(begun)s)"
            cursor.execute(sql.SQL(found).format(name), {"begun": begun})
            if rows := cursor.fetchone()[0]:
                statements.append(_PUT_BACK.format(name, columns, sql.Literal(rows)))
        return _Rows(pk, sql.SQL("; ").join(statements).as_string(cursor.cursor))


_answers: dict[bytes, Any] = {}


@contextmanager
def answers_remembered() -> Iterator[None]:
    """Have the children that try content asked only once for the same: hundreds of tests have the same texts tried.

    What one process of the tests was told is written down for the others of its run. What they refuse by ending is
    asked again, at once too: a machine that stands still for a moment has them use up their processor time with the
    lightest text. Other pools than the one of this process are left as they are.
    """

    def ask(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], *, about: str = "") -> Any:
        asked = value_write((name, args, kwargs), TYPES)
        if asked not in _answers:
            place = places / hashlib.sha256(asked).hexdigest()
            try:
                _answers[asked] = value_read(place.read_bytes(), TYPES)
            except FileNotFoundError:
                _answers[asked] = _asked(name, args, kwargs, about)
                _put(place, value_write(_answers[asked], TYPES))
        return deepcopy(_answers[asked])

    places = Path(settings.DATA_DIR) / "answers-to-tests" / os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    places.mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(POOL, "ask", ask)
        yield


def _asked(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], about: str) -> Any:
    try:
        return Pool.ask(POOL, name, args, kwargs, about=about)
    except ContentMisbehaved:
        return Pool.ask(POOL, name, args, kwargs, about=about)


def _put(place: Path, told: bytes) -> None:
    """Write it so that others see all of it or nothing."""
    half = place.with_name(f"{place.name}.{os.getpid()}")
    half.write_bytes(told)
    half.replace(place)


@contextmanager
def answers_forgotten() -> Iterator[None]:
    """Have them asked really, each time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(POOL, "ask")
        yield
