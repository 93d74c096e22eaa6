"""Work with a deadline: done by another thread, so that whoever asked has an answer in time whatever hangs.

A time limit of a statement is the server's business, and a server that was stopped keeps none; so the waiting is done
here. A thread that hangs stays taken until what it waits for ends. When all are taken, nothing waits: the caller is
told at once.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import lru_cache
from threading import BoundedSemaphore, local
from time import monotonic
from typing import TypeVar

from django.conf import settings
from django.db import close_old_connections, connection

T = TypeVar("T")
_ready = local()


class Late(Exception):
    """The work was not done in time, or nobody was free to do it."""


@lru_cache(maxsize=1)
def _pool() -> tuple[ThreadPoolExecutor, BoundedSemaphore]:
    size = settings.ANSWER_THREADS
    return ThreadPoolExecutor(size, thread_name_prefix="answers"), BoundedSemaphore(size)


def bounded(work: Callable[[], T], *, deadline: float) -> T:
    """What `work` gives, or Late once the deadline (of `time.monotonic`) has passed. Raises what `work` raises.

    Within a transaction of the caller it is done here: another thread would not see what it did.
    """
    if connection.in_atomic_block:
        return work()
    pool, free = _pool()
    if not free.acquire(timeout=max(deadline - monotonic(), 0)):
        raise Late
    context = copy_context()

    def run() -> T:
        try:
            _connection_ready()
            return context.run(work)
        finally:
            close_old_connections()
            free.release()

    try:
        future: Future[T] = pool.submit(run)
    except BaseException:
        free.release()
        raise
    try:
        return future.result(timeout=max(deadline - monotonic(), 0))
    except TimeoutError:
        if future.done():  # its own time limit
            raise
        raise Late from None


def _connection_ready() -> None:
    """A connection of this thread, whose statements end by themselves in time, and whose commits don't wait for the
    disk: what was answered can be lost with the machine's last half second, and nothing else."""
    close_old_connections()
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    if getattr(_ready, "connection", None) is not connection.connection:
        with connection.cursor() as cursor:
            milliseconds = str(int(settings.ANSWER_SECONDS * 1000))
            cursor.execute("SET statement_timeout = %s; SET synchronous_commit = off", [milliseconds])
        _ready.connection = connection.connection
