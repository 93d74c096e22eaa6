"""Background work of consent."""

from celery import shared_task

from . import chain, platforms


@shared_task
def ledger_link() -> None:
    """Link what a crash left without its link."""
    chain.chain_extend()


@shared_task
def awaited_apply() -> None:
    """Record what people withdrew elsewhere before they were known here."""
    platforms.awaited_apply()
