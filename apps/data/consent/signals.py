"""News of consent, for the apps above."""

from django.dispatch import Signal

consent_changed = Signal()
"""`profile_id`: what this person agreed to changed. Sent on commit; the ledger is the truth."""
