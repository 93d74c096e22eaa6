"""News of rehearsals, for this app's own tasks. Sent on commit; the rows are the truth."""

from django.dispatch import Signal

dry_run_moves = Signal()
"""`dry_run_id`: there is something to do for a dry run."""

own_test_waits = Signal()
"""`test_send_id`: a test waits to be handed over."""
