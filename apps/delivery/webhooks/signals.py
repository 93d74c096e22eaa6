"""News of webhooks."""

from django.dispatch import Signal

news_waits = Signal()
"""Something waits to be carried out. Sent inside the transaction that wrote it; the rows are the truth."""
