"""News of decisions, for the apps above."""

from django.dispatch import Signal

decisions_made = Signal()
"""`run_id`: decisions wait to be taken up. Sent on commit; the rows are the truth."""
