"""News of events, for the apps above."""

from django.dispatch import Signal

events_recorded = Signal()
"""`names`: of the events that were recorded. Sent on commit; the rows are the truth."""
