"""Background work of privacy: ids in, one service call out."""

import logging

from celery import shared_task

from apps.foundation.core.errors import Conflict
from apps.foundation.core.queue import enqueue_on_commit

from . import carrying, deadlines, retention, selectors

logger = logging.getLogger(__name__)


@shared_task
def request_work(request_id: int) -> None:
    """Carry out a request, or go on with it. Safe to run twice."""
    try:
        carrying.request_carry_out(request_id=request_id)
    except Conflict as conflict:
        logger.info("request %s: %s, tried again later", request_id, conflict.code)


@shared_task
def requests_sweep() -> None:
    """Take up requests that nobody carries out, remind of those that are due, and remove exports past their time."""
    for request_id in selectors.requests_to_carry_out():
        enqueue_on_commit(request_work, request_id)
    deadlines.deadlines_tell()


@shared_task
def retention_work() -> None:
    """Forget what was kept long enough."""
    retention.retention_run()
