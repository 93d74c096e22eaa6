"""News of decisions, for the apps above."""

from django.dispatch import Signal

decisions_made = Signal()
"""`run_id`: decisions wait to be taken up; `first_id`, `last_id` (may be left out): the lowest and highest id among the
new ones, so that delivery need not look through a large run. Sent on commit; the rows are the truth."""

run_stopped = Signal()
"""`run_id`: nothing more of this run may go out. Sent inside the transaction that cancels it."""
