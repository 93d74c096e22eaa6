"""The online copy: what features are made of, of each person, in Redis, made void by what changes it.

A copy is a row of numbers (moments, counts, amounts; features are made of them when they are read, so that days since
something pass by themselves) and a tail (texts and lists). PostgreSQL is the truth: a copy that is not there is made
from it by whoever reads, and written only if nobody made it void meanwhile. So never an older one over a newer.

- Whoever changes something writes a *mark* in its place before the commit and takes it away after: while it stands,
  nobody puts a copy there. A process that dies in between leaves the mark, which ends by itself.
- Redis away: values come from PostgreSQL, and who could not be told is put down (`StaleCopy`) for the sweep.
"""

import logging
import struct
import sys
from array import array
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256
from typing import Any, TypeVar, cast
from uuid import uuid4

import orjson
import redis
from django.conf import settings
from django.db import connection, transaction

from apps.foundation.core.quick import Ahead, LeftAlone, QuickRedis, redis_quick

from .definitions import (
    FEATURES,
    Cases,
    DaysSince,
    Feature,
    FeatureValue,
    Ratio,
    RecentItems,
    Tally,
    TopCategory,
    tallies_of,
)
from .models import StaleCopy
from .sql import FeatureSql

logger = logging.getLogger(__name__)
T = TypeVar("T")

_WAIT_SECONDS = 0.25
_FEW, _FEW_SECONDS = 100, 0.05
"""Of so few people one is waited for: a page, or an app."""
_GENERATION = "features:generation"
_NONE = -(2**63)
_NEVER = 2**63 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_MICROSECONDS = 86_400_000_000
_PLACES = Decimal("0.0001")
_MARK_SECONDS = 600
"""How long a mark stands whose process died; longer than any transaction that records events."""
_COPY, _MARK = b"C", b"M"

TALLIES: tuple[Tally, ...] = tuple(dict.fromkeys(tally for one in FEATURES.values() for tally in tallies_of(one)))
_PLACE = {tally: place + 3 for place, tally in enumerate(TALLIES)}
_TOP = next(one.of for one in FEATURES.values() if isinstance(one.of, TopCategory))
_RECENT = next(one.of for one in FEATURES.values() if isinstance(one.of, RecentItems))
_FORM = 2
"""Of the bytes: another number where they mean something else."""
_LAYOUT = int.from_bytes(sha256(repr((_FORM, TALLIES, _TOP, _RECENT)).encode()).digest()[:7], "big")
"""A copy of other definitions is not read."""
_WIDTH = len(TALLIES) + 3
_ROW = struct.Struct(f"<{_WIDTH}q")
_HEAD = struct.Struct("<3q")
"""Until when it holds, layout, generation, and the tallies."""
_END = 1 + _ROW.size
"""Where the tail begins: the length of the top category in UTF-8 (two bytes), it, and the recent items as JSON."""
_TEXT = struct.Struct("<H")
_LIFETIME_MILLISECONDS = int(min(one.lifetime for one in FEATURES.values()).total_seconds() * 1000)

# Before the commit: a mark on each, in one command.
_VOID = """
for _, key in ipairs(KEYS) do redis.call('SET', key, ARGV[1], 'PX', ARGV[2]) end
"""
# KEYS: the copies; ARGV: milliseconds, then for each what was there when it was asked for, and what to write.
_FILL = """
local filled = 0
for i, key in ipairs(KEYS) do
    local seen = ARGV[2 * i]
    local there = redis.call('GET', key) or ''
    if there == seen and string.sub(there, 1, 1) ~= 'M' then
        redis.call('SET', key, ARGV[2 * i + 1], 'PX', ARGV[1])
        filled = filled + 1
    end
end
return filled
"""
# After the commit: away with the copy, unless somebody else's mark stands there.
_CLEAR = """
for _, key in ipairs(KEYS) do
    local there = redis.call('GET', key)
    if not there or there == ARGV[1] or string.sub(there, 1, 1) ~= 'M' then
        redis.call('SET', key, ARGV[2], 'PX', ARGV[3])
    end
end
"""
_PORTION = 1000


def _client(count: int = _FEW + 1) -> QuickRedis:
    """The client for a read or write about so many people."""
    return redis_quick(settings.REDIS_URL, _FEW_SECONDS if count <= _FEW else _WAIT_SECONDS)


def _key(profile_id: int) -> str:
    return f"features:{profile_id}"


def copies_void(*, profile_ids: Sequence[int]) -> None:
    """Make the copies of people void, in the transaction that changes what they are made of. Redis away: put down."""
    if not profile_ids:
        return
    mark = _MARK + uuid4().bytes
    client = _client()
    keys = [_key(profile_id) for profile_id in profile_ids]
    try:
        for begin in range(0, len(keys), _PORTION):
            some = keys[begin : begin + _PORTION]
            client.eval(_VOID, len(some), *some, mark, _MARK_SECONDS * 1000)
    except redis.RedisError as error:
        logger.warning("online copies could not be made void: %s", type(error).__name__)
        StaleCopy.objects.bulk_create(StaleCopy(profile_id=profile_id) for profile_id in profile_ids)
        return
    transaction.on_commit(lambda: _clear(keys, mark), robust=True)


def _clear(keys: Sequence[str], mark: bytes) -> None:
    client = _client()
    token = b"V" + mark[1:]
    try:
        for begin in range(0, len(keys), _PORTION):
            some = keys[begin : begin + _PORTION]
            client.eval(_CLEAR, len(some), *some, mark, token, _MARK_SECONDS * 1000)
    except redis.RedisError as error:  # the marks end by themselves
        logger.warning("marks on online copies stay for a while: %s", type(error).__name__)


def all_copies_void() -> None:
    """Make everybody's copies void after the commit, for changes of too many to name. Put down, so that it is done."""
    StaleCopy.objects.create(profile=None)
    transaction.on_commit(stale_copies_void, robust=True)


def stale_copies_void() -> int:
    """Make void what could not be; returns how many were put down. Redis still away: later."""
    with transaction.atomic():
        rows = list(StaleCopy.objects.select_for_update(skip_locked=True).order_by("pk")[: 10 * _PORTION])
        if not rows:
            return 0
        client = _client()
        try:
            if any(row.profile_id is None for row in rows):
                client.incr(_GENERATION)
            with client.pipeline(transaction=False) as pipeline:
                for row in rows:
                    if row.profile_id is not None:  # a void of its own, so that no copy of before is put there
                        pipeline.set(_key(row.profile_id), b"V" + uuid4().bytes, ex=_MARK_SECONDS)
                pipeline.execute()
        except redis.RedisError as error:
            logger.warning("online copies still can't be made void: %s", type(error).__name__)
            return 0
        StaleCopy.objects.filter(pk__in=[row.pk for row in rows]).delete()
    return len(rows)


class CopiesAhead:
    """Copies that Redis was asked for while something else is read (`copies_ask`). Used as `with`."""

    __slots__ = ("_answers", "_asked", "_places")

    def __init__(self, profile_ids: Sequence[int], asked: Ahead | None) -> None:
        self._places = {one: place for place, one in enumerate(profile_ids, 1)}
        self._asked = asked
        self._answers: list[Any] | None = None

    def get(self, ids: Sequence[int]) -> tuple[int, list[bytes | None] | None]:
        """The generation and what Redis has for each; None where Redis can't be asked."""
        if self._asked is not None:
            asked, self._asked = self._asked, None
            with asked:
                self._answers = _told(asked.answer)
        if self._answers is None:
            return 0, None
        return int(self._answers[0] or 0), [self._answers[self._places[one]] for one in ids]

    def __enter__(self) -> "CopiesAhead":
        return self

    def __exit__(self, kind: type[BaseException] | None = None, *_: object) -> None:
        if self._asked is not None:
            self._asked.__exit__(kind)


def copies_ask(*, profile_ids: Sequence[int]) -> CopiesAhead:
    """Ask Redis for the copies of some people, and read the answer later: `copies_read` takes it."""
    ids = list(dict.fromkeys(profile_ids))
    return CopiesAhead(ids, _told(lambda: _client(len(ids)).ahead("MGET", _GENERATION, *map(_key, ids))))


def copies_read(
    *, profile_ids: Sequence[int], names: Sequence[str], as_of: datetime, ahead: CopiesAhead | None = None
) -> dict[int, dict[str, FeatureValue]]:
    """The named features of people now: from their copies in one MGET, and from PostgreSQL where there is none.

    ahead: copies that were asked for already, of these people or more.

    The hot path: one round trip, all numbers in one array, a column over all people for each feature, one dict for a
    person; text is decoded only for who asks for it.
    """
    ids = list(dict.fromkeys(profile_ids))
    if not ids:
        return {}
    now_at = _microseconds(as_of)
    generation, found = _get(ids) if ahead is None else ahead.get(ids)
    copies: list[bytes | None] = list(found or [None] * len(ids))
    for place, copy in enumerate(copies):
        if copy is not None and (copy[:1] != _COPY or not _holds(copy, now_at, generation)):
            copies[place] = None
    unfit: set[int] = set()
    if None in copies:
        missing = [place for place, copy in enumerate(copies) if copy is None]
        made = _copies_make([ids[place] for place in missing], as_of, generation)
        for place in missing:
            copies[place] = made.get(ids[place])
            if copies[place] is None:
                unfit.add(place)
        if found is not None:
            _fill(ids, [(found[place] or b"", place) for place in missing if place not in unfit], copies)
    fit = [one for place, one in enumerate(ids) if place not in unfit] if unfit else ids
    arrays = _Columns([copy for copy in copies if copy is not None], now_at)
    columns = [arrays.listed(FEATURES[name]) for name in names]
    if not columns:
        return {one: {} for one in ids}
    read: dict[int, dict[str, FeatureValue]] = dict(zip(fit, map(_dict_maker(tuple(names)), *columns), strict=True))
    if unfit:
        read |= features_select(profile_ids=[ids[place] for place in sorted(unfit)], names=names, as_of=as_of)
    return read


def _get(ids: Sequence[int]) -> tuple[int, list[bytes | None] | None]:
    """The generation and what Redis has for each; None where Redis can't be asked."""
    answers = _told(lambda: cast(list[Any], _client(len(ids)).mget([_GENERATION, *map(_key, ids)])))
    return (0, None) if answers is None else (int(answers[0] or 0), answers[1:])


def _told(ask: Callable[[], T]) -> T | None:
    """What Redis is asked; None where it can't be."""
    try:
        return ask()
    except redis.RedisError as error:
        if not isinstance(error, LeftAlone):  # said when it was asked
            logger.warning("features are read from PostgreSQL: %s", type(error).__name__)
        return None


def _fill(ids: Sequence[int], wanted: Sequence[tuple[bytes, int]], copies: Sequence[bytes | None]) -> int:
    """Write copies where still stands what was seen before they were made. Returns how many."""
    filled = 0
    client = _client(len(ids))
    wanted = [one for one in wanted if one[0][:1] != _MARK]
    try:
        for begin in range(0, len(wanted), _PORTION):
            some = wanted[begin : begin + _PORTION]
            arguments: list[Any] = [_LIFETIME_MILLISECONDS]
            for seen, place in some:
                arguments += [seen, copies[place]]
            answer = client.eval(_FILL, len(some), *[_key(ids[place]) for _, place in some], *arguments)
            filled += cast(int, answer)
    except redis.RedisError as error:
        logger.warning("online copies are not written: %s", type(error).__name__)
    return filled


def copies_fill(*, profile_ids: Sequence[int], as_of: datetime) -> int:
    """Make the copies of people anew and write those that nobody makes void meanwhile. Returns how many.

    as_of: now. Raises redis.RedisError where Redis can't be asked.
    """
    ids = list(profile_ids)
    answers = cast(list[Any], _client().mget([_GENERATION, *map(_key, ids)]))
    made = _copies_make(ids, as_of, int(answers[0] or 0))
    wanted = [(answers[place + 1] or b"", place) for place, one in enumerate(ids) if one in made]
    return _fill(ids, wanted, [made.get(one) for one in ids])


def _copies_make(ids: Sequence[int], as_of: datetime, generation: int) -> dict[int, bytes]:
    """Copies from PostgreSQL; without those with an amount that no copy has room for."""
    sql = FeatureSql(as_of, "asked.id", ids)
    columns = []
    for tally in TALLIES:
        column = sql.tally(tally)
        if tally.take in ("last", "first"):
            column = f"(extract(epoch FROM {column}) * 1000000)::bigint"
        elif tally.take == "revenue":
            column = f"({column} * 10000)"
        columns.append(column)
    columns += [sql.top_category(_TOP), sql.recent_items(_RECENT)]
    columns.insert(0, f"(extract(epoch FROM {sql.until()}) * 1000000)::bigint")
    joins = sql.joins()
    made: dict[int, bytes] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT asked.id, {', '.join(columns)} FROM unnest(%s::bigint[]) AS asked(id)"  # noqa: S608  # our own names
            + " ".join(join.text for join in joins),
            [list(ids), *[value for join in joins for value in join.params]],
        )
        for profile_id, until, *values, top, recent in cursor.fetchall():
            numbers = [_NONE if value is None else int(value) for value in values]
            if not all(-(2**63) <= number < 2**63 for number in numbers):
                continue
            row = _ROW.pack(_NEVER if until is None else until, _LAYOUT, generation, *numbers)
            text = (top or "").encode()
            made[profile_id] = b"".join(
                (_COPY, row, _TEXT.pack(len(text)), text, orjson.dumps(list(dict.fromkeys(recent or ()))))
            )
    return made


def features_select(
    *, profile_ids: Sequence[int], names: Sequence[str], as_of: datetime
) -> dict[int, dict[str, FeatureValue]]:
    """The named features of people at a moment, from PostgreSQL alone: one statement, whatever their number."""
    sql = FeatureSql(as_of, "asked.id", profile_ids)
    columns = [sql.column(name) for name in names]
    joins = sql.joins()
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {', '.join(['asked.id', *(column.text for column in columns)])}"  # noqa: S608  # our own names
            " FROM unnest(%s::bigint[]) AS asked(id)" + " ".join(join.text for join in joins),
            [
                *[value for column in columns for value in column.params],
                list(profile_ids),
                *[value for join in joins for value in join.params],
            ],
        )
        return {
            profile_id: {name: _plain(FEATURES[name], value) for name, value in zip(names, values, strict=True)}
            for profile_id, *values in cursor.fetchall()
        }


def _plain(feature: Feature, value: Any) -> FeatureValue:
    if feature.kind == "items":
        return list(dict.fromkeys(value or ()))
    return cast(FeatureValue, value)


def _holds(copy: bytes, now_at: int, generation: int) -> bool:
    until, layout, made_in = _HEAD.unpack_from(copy, 1)
    return bool(until > now_at and layout == _LAYOUT and made_in == generation)


def _top_of(copy: bytes) -> str:
    begin = _END + 2
    return copy[begin : begin + _TEXT.unpack_from(copy, _END)[0]].decode()


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


@lru_cache(maxsize=256)
def _dict_maker(names: tuple[str, ...]) -> Callable[..., dict[str, FeatureValue]]:
    """A function of as many values as there are names that makes a dict of them, twice as quickly as `dict(zip(…))`.

    names: of features, which are identifiers of ours: `names_check` saw to that.
    """
    if not all(name in FEATURES and name.isidentifier() for name in names):
        raise ValueError("not names of features")
    arguments = [f"v{place}" for place in range(len(names))]
    pairs = ", ".join(f"{name!r}: {value}" for name, value in zip(names, arguments, strict=True))
    made: Callable[..., dict[str, FeatureValue]] = eval(f"lambda {', '.join(arguments)}: {{{pairs}}}")  # noqa: S307
    return made


class _Columns:
    """Features of all copies at once: a column of whole numbers each, and lists of values in the end.

    Their numbers lie one after another in one array, of which a column is each so many-th.
    """

    def __init__(self, copies: Sequence[bytes], now_at: int) -> None:
        self.copies, self.now_at = copies, now_at
        self.numbers = array("q", b"".join([copy[1:_END] for copy in copies]))
        if sys.byteorder == "big":
            self.numbers.byteswap()
        self._taken: dict[Tally, list[int]] = {}
        self._made: dict[str, Sequence[int]] = {}

    def _column(self, tally: Tally) -> list[int]:
        if tally not in self._taken:
            self._taken[tally] = self.numbers[_PLACE[tally] :: _WIDTH].tolist()
        return self._taken[tally]

    def listed(self, feature: Feature) -> list[FeatureValue]:
        """The values of a feature, for each row one."""
        made, default = feature.of, feature.default
        if isinstance(made, TopCategory):
            return [_top_of(copy) or default for copy in self.copies]
        if isinstance(made, RecentItems):
            return [orjson.loads(copy[_END + 2 + _TEXT.unpack_from(copy, _END)[0] :]) for copy in self.copies]
        if isinstance(made, Cases):
            return self._cases(made, default)
        whole = self._whole(feature)
        if feature.kind == "moment":
            # a double holds microseconds of a second up to the year 2242
            return [default if v == _NONE else datetime.fromtimestamp(v / 1e6, UTC) for v in whole]
        if feature.kind == "amount":
            return [default if v == _NONE else v * _PLACES for v in whole]
        return [default if v == _NONE else v for v in whole]

    def _whole(self, feature: Feature) -> Sequence[int]:
        """A feature as whole numbers, `_NONE` where there is nothing; made once, however many are made of it."""
        if feature.name not in self._made:
            self._made[feature.name] = self._whole_make(feature)
        return self._made[feature.name]

    def _whole_make(self, feature: Feature) -> Sequence[int]:
        made, now_at = feature.of, self.now_at
        if isinstance(made, Tally):
            return self._column(made)
        if isinstance(made, DaysSince):
            moments = self._column(made.moment)
            return [_NONE if v == _NONE else (now_at - v) // _DAY_MICROSECONDS if v <= now_at else 0 for v in moments]
        if isinstance(made, Ratio):
            pairs = zip(self._column(made.part), self._column(made.whole), strict=True)
            times = 1 if made.part.take == "revenue" else 10_000
            most = _NEVER if made.most is None else made.most * 10_000
            return [
                _NONE
                if whole <= 0
                else rounded
                if (rounded := (2 * times * (part if part > 0 else 0) + whole) // (2 * whole)) < most
                else most
                for part, whole in pairs
            ]
        raise AssertionError(f"{feature.name} is no number")

    def _cases(self, made: Cases, default: FeatureValue) -> list[FeatureValue]:
        """Case by case over all rows, the last first, so that the first that holds stays."""
        chosen: list[FeatureValue] = [default] * len(self.copies)
        for value, conditions in reversed(made.cases):
            met = [True] * len(chosen)
            for condition in conditions:
                than = condition.than
                known = self._known(FEATURES[condition.feature])
                if condition.op == "gte":  # nothing meets no condition, from above or from below
                    met = [held and one >= than and one != _NONE for held, one in zip(met, known, strict=True)]
                else:
                    met = [held and one <= than and one != _NONE for held, one in zip(met, known, strict=True)]
            chosen = [value if held else one for held, one in zip(met, chosen, strict=True)]
        return chosen

    def _known(self, feature: Feature) -> Sequence[int]:
        """A feature as whole numbers with its default, `_NONE` where it has none."""
        whole = self._whole(feature)
        if not isinstance(feature.default, int):
            return whole
        default = feature.default
        return [default if one == _NONE else one for one in whole]
