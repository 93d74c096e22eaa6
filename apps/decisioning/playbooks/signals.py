"""News of runs, for the apps above."""

from django.dispatch import Signal

run_started = Signal()
"""`run_id`: its audience is to be put down. Sent inside the transaction that starts it."""

run_batches_ready = Signal()
"""`run_id`: batches wait to be decided. Sent on commit; the rows are the truth."""

run_cancelled = Signal()
"""`run_id`: nothing more of this run may go out. Sent inside the transaction that cancels it."""

mails_wanted = Signal()
"""System mail is wanted. Sent inside the transaction of whoever wants it; the rows are the truth."""

journeys_due = Signal()
"""Journeys may have to be moved on. Sent on commit; the rows are the truth."""
