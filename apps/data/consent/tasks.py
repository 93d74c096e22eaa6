"""Background work of consent."""

from celery import shared_task

from . import chain


@shared_task
def ledger_link() -> None:
    """Link what a crash left without its link."""
    chain.chain_extend()
