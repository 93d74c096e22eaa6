"""The process that sends: its row, its heartbeat and its journal."""

import logging
import os
import socket
import threading
import time
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from uuid import UUID

from django.db import DatabaseError, InterfaceError, connection
from django.db.models.functions import Now

from apps.foundation.core.ids import uuid7
from apps.foundation.core.postgres import plans_keep

from .journal import Journal
from .models import Sender

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS: Final = 5.0


def boottime() -> float:
    """Seconds since the machine started; unlike the monotonic clock it also counts while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """What the kernel calls its present run."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def process_started(pid: int) -> int:
    """When a process started, in clock ticks since boot (proc(5), `stat`, field 22)."""
    stat = Path(f"/proc/{pid}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[19])


@lru_cache(maxsize=1)
def host_name() -> str:
    """This machine's name."""
    return socket.gethostname()[:120]


class SenderProcess:
    """This process as a sender: use it in `with`, for as long as it holds messages.

    Left without an error it is settled: it holds nothing, and its journal goes. Left with one, its journal stays and
    is unlocked, and the sweeper settles what it held.
    """

    def __init__(self) -> None:
        self.id: UUID = uuid7()
        self._stop = threading.Event()
        self._beating = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        """Raises OSError without a journal, DatabaseError without a row: then nothing may be sent."""
        self.journal = Journal(self.id)
        plans_keep()
        try:
            pid = os.getpid()
            with connection.cursor() as cursor:
                cursor.execute(
                    "INSERT INTO sending_sender (id, host, boot_id, pid, pid_started, journal, started_at,"
                    " heartbeat_at) VALUES (%s, %s, %s, %s, %s, %s, clock_timestamp(), clock_timestamp())",
                    [self.id, host_name(), boot_id(), pid, process_started(pid), str(self.journal.path)],
                )
        except BaseException:
            self.journal.close(remove=True)
            raise
        self._beating.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._beating.join()
        settled = False
        try:
            if kind is None:
                with connection.cursor() as cursor:
                    cursor.execute(
                        "UPDATE sending_sender SET settled_at = clock_timestamp() WHERE id = %s AND NOT EXISTS"
                        " (SELECT FROM sending_message WHERE sender_id = %s AND state IN ('claimed', 'sending'))",
                        [self.id, self.id],
                    )
                    settled = cursor.rowcount == 1
        except (DatabaseError, InterfaceError):
            logger.warning("sender %s could not say that it is done; the sweeper will settle it", self.id)
        finally:
            self.journal.close(remove=settled)

    def _beat(self) -> None:
        """Runs in a thread with a database connection of its own, so that it goes on while SMTP waits."""
        while not self._stop.wait(HEARTBEAT_SECONDS):
            try:
                Sender.objects.filter(pk=self.id).update(heartbeat_at=Now())
            except (DatabaseError, InterfaceError):
                logger.warning("sender %s could not send its heartbeat", self.id)
                connection.close()
        connection.close()
