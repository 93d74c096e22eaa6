"""Background work of tracking. Each is safe to lose: beat wakes it again within seconds."""

import logging

import redis
from celery import shared_task

from . import services

logger = logging.getLogger(__name__)


@shared_task
def seen_take() -> None:
    """Bring what was seen into the ledger, and from there to the events of people."""
    try:
        while services.seen_take() >= services.BATCH:
            pass
    except redis.RedisError as error:
        logger.warning("what was seen waits: %s", type(error).__name__)
    while services.events_pass_on() >= services.PASSED_ON_AT_ONCE:
        pass
