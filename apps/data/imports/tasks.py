"""Background work of imports: ids in, one service call out."""

import logging

from celery import shared_task

from apps.foundation.core.errors import Conflict
from apps.foundation.core.queue import enqueue_on_commit

from .selectors import imports_left_alone
from .services import import_run

logger = logging.getLogger(__name__)


@shared_task
def import_work(import_id: int) -> None:
    """Run an import, or go on with it. Safe to run twice: its lock lets one do it."""
    try:
        import_run(import_id=import_id)
    except Conflict as conflict:
        logger.info("import %s: %s", import_id, conflict.code)


@shared_task
def imports_sweep() -> None:
    """Take up the imports whose worker died."""
    for import_id in imports_left_alone():
        enqueue_on_commit(import_work, import_id)
