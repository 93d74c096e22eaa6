"""News of reviews, for the apps whose objects are reviewed."""

from django.dispatch import Signal

review_closed = Signal()
"""`review`: the Review, approved or refused just now; sent inside the transaction that closed it."""
