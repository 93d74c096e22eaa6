"""Asking the systems that do not tell by themselves."""

from celery import shared_task

from .asking import systems_ask_due


@shared_task
def systems_ask() -> None:
    """Ask those that are due. Lost or run twice, it changes nothing: each is asked by one process at a time."""
    systems_ask_due()
