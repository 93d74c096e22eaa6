"""Work on the database with a deadline: whatever hangs, it ends in time, in the thread of whoever asked.

A time limit of a statement is the server's business, and a server that was stopped keeps none; nor has libpq one for a
query that was sent. So a watch of this process shuts the socket of a connection when its work is late: to whoever waits
on it that looks like a server that went away, at once. Connections are made by a thread of their own, so that nobody
waits for one that hangs; after some that were late in a row nobody is let in, until that thread has made one that
answers.
"""

import logging
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from os import dup
from threading import Condition, Event, Lock, Thread
from time import monotonic, sleep
from typing import Any, Final

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from .postgres import Plans

logger = logging.getLogger(__name__)

FAULTS: Final = 3
"""So many in a row that were late or could not be connected, and the database is left alone."""
PAUSE_SECONDS: Final = 0.5
"""Between two tries to reach it then."""
_TICK_SECONDS: Final = 0.05


class Late(Exception):
    """The database could not be asked in time, or is being left alone because others could not."""


@dataclass(slots=True, eq=False)
class _Held:
    """A connection, and a handle on its socket that stays ours whatever becomes of the connection."""

    wrapper: BaseDatabaseWrapper
    handle: socket.socket
    cut: bool = False

    def shut(self) -> None:
        self.cut = True
        with suppress(OSError):
            self.handle.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with suppress(DatabaseError, InterfaceError):
            self.wrapper.close()
        self.handle.close()


class _Watch:
    """Shuts what is late. One thread, which sleeps while nothing is under way."""

    def __init__(self) -> None:
        self._due: dict[_Held, float] = {}
        self._lock = Lock()
        self._any = Event()
        Thread(target=self._look, daemon=True, name="timely-watch").start()

    def begin(self, held: _Held, deadline: float) -> None:
        with self._lock:
            self._due[held] = deadline
            if not self._any.is_set():
                self._any.set()

    def end(self, held: _Held) -> None:
        with self._lock:
            self._due.pop(held, None)

    def _look(self) -> None:
        while True:
            self._any.wait()
            with self._lock:
                at = monotonic()
                for held in [one for one, deadline in self._due.items() if deadline <= at]:
                    del self._due[held]
                    held.shut()
                first = min(self._due.values(), default=0.0)
                if not self._due:
                    self._any.clear()
                    continue
            sleep(min(max(first - at, 0.001), _TICK_SECONDS))


@dataclass(slots=True)
class _Pool:
    """Connections that are free, and the thread that makes more while somebody wants one."""

    most: int
    watch: _Watch = field(default_factory=_Watch)
    _free: list[_Held] = field(default_factory=list)
    _size: int = 0
    _wanted: int = 0
    _failed: int = 0
    _faults: int = 0
    _connecting: bool = False
    _changed: Any = field(default_factory=Condition)

    def __post_init__(self) -> None:
        Thread(target=self._supply, daemon=True, name="timely-connect").start()

    def take(self, deadline: float) -> _Held:
        if self._faults < FAULTS:
            try:
                return self._free.pop()
            except IndexError:
                pass
        with self._changed:
            failed = self._failed
            self._wanted += 1
            self._changed.notify_all()
            try:
                while self._faults < FAULTS and self._failed == failed:
                    if self._free:
                        return self._free.pop()
                    left = deadline - monotonic()
                    if left <= 0:
                        self._faults += self._connecting  # that all are taken is no fault of the database
                        break
                    self._changed.wait(left)
            finally:
                self._wanted -= 1
        raise Late

    def give(self, held: _Held, weight: int) -> None:
        good = not held.cut and _usable(held.wrapper)
        if good and not self._faults:
            self._free.append(held)
            if self._wanted:  # looked at after: who began to wait before that finds it, who does later is seen here
                with self._changed:
                    self._changed.notify_all()
            return
        with self._changed:
            if good:
                self._faults = 0
                self._free.append(held)
            else:
                self._faults += weight * held.cut
                self._drop([held])
                if not held.cut or self._faults >= FAULTS:  # those that lie here were lost as well
                    self._drop_free()
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._drop_free()
            self._faults = 0

    def _drop_free(self) -> None:
        """One by one, for others take some without the lock."""
        while True:
            try:
                self._drop([self._free.pop()])
            except IndexError:
                return

    def _drop(self, some: list[_Held]) -> None:
        self._size -= len(some)
        for one in some:
            one.close()

    def _supply(self) -> None:
        while True:
            with self._changed:
                while not (self._faults >= FAULTS or (self._wanted and not self._free and self._size < self.most)):
                    self._changed.wait()
                self._size += 1
                self._connecting = True
            try:
                held = _connected(self.watch)
            except Exception as error:  # noqa: BLE001  # whatever it is, this thread goes on
                logger.warning("no connection for answers: %s", type(error).__name__)
                with self._changed:
                    self._connecting = False
                    self._size -= 1
                    self._failed += 1
                    self._faults += 1
                    closed = self._faults < FAULTS
                    self._changed.notify_all()
                if not closed:
                    sleep(PAUSE_SECONDS)
            else:
                with self._changed:
                    self._connecting = False
                    self._faults = 0
                    self._free.append(held)
                    self._changed.notify_all()


@lru_cache(maxsize=1)
def _pool() -> _Pool:
    return _Pool(settings.ANSWER_CONNECTIONS)


def _usable(wrapper: BaseDatabaseWrapper) -> bool:
    raw: Any = wrapper.connection
    return raw is not None and not raw.closed and not wrapper.in_atomic_block and wrapper.autocommit


def _connected(watch: _Watch) -> _Held:
    """A connection that answers. Its statements end by themselves too, it keeps plans, and its commits don't wait for
    the disk."""
    known = connections.settings[DEFAULT_DB_ALIAS]
    terms = {**known, "OPTIONS": {**known["OPTIONS"], "connect_timeout": 2}, "CONN_HEALTH_CHECKS": False}
    wrapper = connections.create_connection(DEFAULT_DB_ALIAS)
    wrapper.settings_dict = terms
    wrapper.inc_thread_sharing()
    wrapper.connect()
    wrapper.close_at = None
    wrapper.plans = Plans()  # type: ignore[attr-defined]  # see `postgres.planned_rows`
    held = _Held(wrapper, socket.socket(fileno=dup(wrapper.connection.fileno())))
    watch.begin(held, monotonic() + 2)
    try:
        with wrapper.cursor() as cursor:
            milliseconds = str(int(settings.ANSWER_SECONDS * 1000))
            cursor.execute(
                "SET statement_timeout = %s; SET synchronous_commit = off; SET plan_cache_mode = force_generic_plan",
                [milliseconds],
            )
    except BaseException:
        held.close()
        raise
    finally:
        watch.end(held)
    return held


class timely:  # noqa: N801  # read as `with timely(deadline)`
    """Inside, `connection` is one whose work ends by the deadline (of `time.monotonic`): what is late fails with an
    OperationalError. Raises Late where none can be had. weight: for how many it is done at once, who are all late if it
    is.

    Within a transaction of the caller it is the caller's: another would not see what it did.
    """

    __slots__ = ("_deadline", "_held", "_own", "_weight")

    def __init__(self, deadline: float, *, weight: int = 1) -> None:
        self._deadline, self._weight = deadline, weight
        self._held: _Held | None = None

    def __enter__(self) -> None:
        self._own = connections[DEFAULT_DB_ALIAS]
        if self._own.in_atomic_block:
            return
        pool = _pool()
        self._held = held = pool.take(self._deadline)
        connections[DEFAULT_DB_ALIAS] = held.wrapper
        pool.watch.begin(held, self._deadline)

    def __exit__(self, *error: object) -> None:
        if self._held is None:
            return
        pool = _pool()
        pool.watch.end(self._held)
        connections[DEFAULT_DB_ALIAS] = self._own
        pool.give(self._held, self._weight)
