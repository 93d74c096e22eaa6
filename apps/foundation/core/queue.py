"""Waking background work. PostgreSQL is the record of work, so a wake-up that is lost costs time, nothing else."""

import logging
from typing import Any

from celery import Task
from django.db import transaction
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)


def enqueue_on_commit(task: "Task[..., Any]", *args: int | str) -> None:
    """Wake `task` once the transaction has committed; args are ids, never personal data.

    A broker that is down is logged and left: the sweeper of that work re-drives it.
    """

    def wake() -> None:
        try:
            task.apply_async(args=args, retry=False)
        except OperationalError:
            logger.warning("could not wake %s; its sweeper will", task.name)

    transaction.on_commit(wake)
