"""News of reviews and notices, for the apps above."""

from django.dispatch import Signal

review_closed = Signal()
"""`review`: the Review, approved or refused just now; sent inside the transaction that closed it."""

notice_wanted = Signal()
"""Notices wait to be mailed. Sent on commit; the rows are the truth."""
