"""Asking systems that do not tell by themselves: over HTTP with a cursor, or a table of one's own in PostgreSQL.

What comes is taken like a webhook's body, thing by thing; how far it got is kept after each page. Killed anywhere, it
goes on from there, and what is read twice is known by how new it is. A system that fails is left alone for a while.
"""

import logging
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import orjson
import psycopg2
from django.conf import settings
from django.db import connection
from psycopg2 import sql
from psycopg2.extras import RealDictCursor

from apps.foundation.core.clock import now
from apps.foundation.core.errors import Invalid
from apps.foundation.core.outward import OutwardFault, outward_get

from .bodies import at, moment_of
from .feeds import FeedFault, feed_take
from .models import InboundSystem
from .services import one_take, system_of

logger = logging.getLogger(__name__)

_LOCK: Final = 7341
_NOT_ASKED: Final = "could not be asked"
PAGE: Final = 500
"""Rows of a table that are read at once."""
PAGES: Final = 40
"""Pages that one go takes, so that none keeps a worker for long; the next go follows at once."""
BODY_MOST: Final = 20 * 1024 * 1024
TIMEOUT_SECONDS: Final = 20.0
STATEMENT_SECONDS: Final = 30
PAUSE_MOST: Final = timedelta(hours=1)


class _Fault(Exception):
    """A system could not be asked. The text is a code."""


def systems_ask_due() -> int:
    """Ask each system that is due. Returns how many things they told. One that fails leaves the others alone."""
    told = 0
    for code, terms in settings.INBOUND_SYSTEMS.items():
        if terms["kind"] not in ("pull", "table", "feed"):
            continue
        system = system_of(code)
        if not system.stopped and system.due_at <= now():
            told += system_ask(code)
    return told


def system_ask(code: str) -> int:
    """Ask a system once, by one process at a time. Returns how many things it told; 0 while somebody else asks it."""
    with _alone(code) as ours:
        if not ours:
            return 0
        terms, system = settings.INBOUND_SYSTEMS[code], system_of(code)
        if terms["kind"] == "feed":
            return _feed_ask(code, terms, system.cursor)
        pages = _pages_pulled(terms, system.cursor) if terms["kind"] == "pull" else _pages_read(terms, system.cursor)
        told, more = 0, False
        try:
            for number, (things, cursor) in enumerate(pages, 1):
                for thing in things:
                    one_take(code=code, topic="", told=thing)
                told += len(things)
                InboundSystem.objects.filter(pk=code).update(cursor=cursor, last_at=now(), faults=0)
                if InboundSystem.objects.filter(pk=code, stopped=True).exists():
                    break
                if more := number >= PAGES:
                    break
        except _Fault as error:
            _failed(code, terms, str(error))
            return told
        pause = timedelta(0) if more else timedelta(seconds=terms["every_seconds"])
        _went_well(code, pause)
        return told


def _feed_ask(code: str, terms: Mapping[str, Any], cursor: Mapping[str, Any]) -> int:
    """Take a product feed. Returns how many items were new in it."""
    try:
        told, reached = feed_take(code, terms, cursor)
    except FeedFault as error:
        _failed(code, terms, str(error))
        return 0
    _went_well(code, timedelta(seconds=terms["every_seconds"]))
    InboundSystem.objects.filter(pk=code).update(cursor=reached, last_at=now(), good_at=now())
    return told


def _went_well(code: str, pause: timedelta) -> None:
    InboundSystem.objects.filter(pk=code).update(due_at=now() + pause, faults=0)
    InboundSystem.objects.filter(pk=code, last_problem__startswith=_NOT_ASKED).update(last_problem="")


def _failed(code: str, terms: Mapping[str, Any], why: str) -> None:
    """Leave a system alone, twice as long each time and never for the same time as others, an hour at most."""
    system = system_of(code)
    faults = min(system.faults + 1, 30)
    pause = min(PAUSE_MOST, timedelta(seconds=max(5, terms["every_seconds"])) * 2 ** min(faults - 1, 12))
    pause *= random.uniform(0.8, 1.2)  # noqa: S311  # not a secret
    InboundSystem.objects.filter(pk=code).update(
        faults=faults, due_at=now() + pause, last_problem=f"{_NOT_ASKED}: {why}"[:300]
    )
    logger.warning("%s could not be asked (%s); asked again in %.0f s", code, why, pause.total_seconds())


@contextmanager
def _alone(code: str) -> Iterator[bool]:
    """Whether this process alone asks the system, as long as it does."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", [_LOCK, code])
        ours = bool(cursor.fetchone()[0])
    try:
        yield ours
    finally:
        if ours:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", [_LOCK, code])


_Pages = Iterator[tuple[Sequence[Any], dict[str, Any]]]
"""Things, and the cursor once they are taken."""


# --- over HTTP ---


def _pages_pulled(terms: Mapping[str, Any], cursor: Mapping[str, Any]) -> _Pages:
    """Pages of a system's own API. Raises _Fault.

    With `next` the answers bring a cursor of theirs, which is kept; without it the newest moment of change is asked
    from, a little before it, so that what was changed meanwhile is not passed over.
    """
    headers = {"Authorization": f"Bearer {terms['token']}"} if terms.get("token") else {}
    theirs, newest = cursor.get("next"), _moment(cursor.get("at"))
    while True:
        since = theirs if "next" in terms else _iso(newest, terms["overlap_seconds"])
        said = _asked(_url(terms["url"], terms["since"], since), headers)
        things = at(said, terms["items"]) if terms["items"] else said
        if not isinstance(things, list):
            raise _Fault("no list of things where items says")
        if "next" in terms:
            following = at(said, terms["next"])
            ended = following is None or following in ("", theirs) or not isinstance(following, str | int)
            theirs = theirs if ended else following
            yield things, {"next": theirs}
            if ended or not things:
                return
            continue
        before = newest
        newest = max([one for one in (*map(_moment_read(terms), things), newest) if one is not None], default=None)
        yield things, {"at": newest.isoformat()} if newest is not None else {}
        if newest is None or newest == before:
            return


def _moment_read(terms: Mapping[str, Any]) -> Callable[[Any], datetime | None]:
    """Reads when a thing was changed, None where it does not say: it is set aside when it is taken."""

    def read(thing: Any) -> datetime | None:
        try:
            return moment_of(at(thing, terms["mapping"]["at"]), zone=UTC)
        except Invalid:
            return None

    return read


def _asked(url: str, headers: Mapping[str, str]) -> Any:
    """An answer's JSON; asked twice where that may help. Raises _Fault."""
    for last in (False, True):
        try:
            body = outward_get(
                url,
                headers=headers,
                timeout=TIMEOUT_SECONDS,
                most=BODY_MOST,
                inside=settings.WEBHOOK_INSIDE_HOSTS,
            )
            return orjson.loads(body)
        except OutwardFault as error:
            if last or not error.later or error.status == 429:
                raise _Fault(error.code) from None
        except ValueError:
            raise _Fault("no JSON") from None
    raise AssertionError("the loop above returns")


def _url(url: str, name: str, since: Any) -> str:
    if since is None:
        return url
    parts = urlsplit(url)
    query = [(key, value) for key, value in parse_qsl(parts.query, keep_blank_values=True) if key != name]
    return urlunsplit(parts._replace(query=urlencode([*query, (name, str(since))])))


def _iso(moment: datetime | None, overlap: int) -> str | None:
    return None if moment is None else (moment - timedelta(seconds=overlap)).isoformat()


def _moment(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None


# --- a table of one's own ---


def _pages_read(terms: Mapping[str, Any], cursor: Mapping[str, Any]) -> _Pages:
    """Rows of a table in the order of their change, from a little before where it had come to, so that what was
    committed late is seen. Raises _Fault.
    """
    reached = _moment(cursor.get("at"))
    after: tuple[Any, Any] | None = None
    if reached is not None:
        after = (reached - timedelta(seconds=terms["overlap_seconds"]), None)  # a column without a zone reads as UTC
    try:
        own = psycopg2.connect(terms["dsn"], connect_timeout=10, application_name="tessera")
    except psycopg2.Error as error:
        raise _Fault(_code(error)) from None
    try:
        own.set_session(readonly=True, autocommit=True)
        while True:
            rows = _rows(own, terms, after)
            if rows:
                after = (rows[-1].pop("tessera_at"), rows[-1].pop("tessera_key"))
                last = after[0] if after[0].tzinfo is not None else after[0].replace(tzinfo=UTC)
                reached = last if reached is None else max(reached, last)
            yield [_plain(row) for row in rows], {"at": reached.isoformat()} if reached is not None else {}
            if len(rows) < PAGE:
                return
    except psycopg2.Error as error:
        raise _Fault(_code(error)) from None
    finally:
        own.close()


def _rows(own: Any, terms: Mapping[str, Any], after: tuple[Any, Any] | None) -> list[dict[str, Any]]:
    changed, key = sql.Identifier(terms["changed"]), sql.Identifier(terms["key"])
    table = sql.Identifier(*terms["table"].split("."))
    where: sql.Composable = sql.SQL("TRUE")
    values: list[Any] = []
    if after is not None and after[1] is None:
        where, values = sql.SQL("{} >= %s").format(changed), [after[0]]
    elif after is not None:
        where, values = sql.SQL("({}, {}) > (%s, %s)").format(changed, key), [*after]
    query = sql.SQL(
        "SELECT *, {changed} AS tessera_at, {key} AS tessera_key FROM {table}"
        " WHERE {changed} IS NOT NULL AND {where} ORDER BY {changed}, {key} LIMIT %s"
    ).format(changed=changed, key=key, table=table, where=where)
    with own.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(f"SET statement_timeout = '{STATEMENT_SECONDS}s'; SET TIME ZONE 'UTC'")
        cursor.execute(query, [*values, PAGE])
        return [dict(row) for row in cursor.fetchall()]


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row as JSON has it. Moments all say their zone: those of a column without one are UTC."""
    plain: dict[str, Any] = orjson.loads(orjson.dumps(row, default=str, option=orjson.OPT_NAIVE_UTC))
    return plain


def _code(error: psycopg2.Error) -> str:
    """What is wrong, without the address and without values."""
    return f"PostgreSQL {error.pgcode}" if error.pgcode else type(error).__name__
