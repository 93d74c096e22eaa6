"""What this app tells its own receivers."""

from django.dispatch import Signal

request_waits = Signal()
"""A request is to be carried out (`request`); sent in the transaction that makes it so."""
