"""News of staff, for the apps above."""

from django.dispatch import Signal

user_changed = Signal()
"""`user`: whose account it is; `by`: who changed it; `action`: created, changed, roles, or the
key of a scope (`scopes.py`); `data`: what, and nothing personal. Sent inside the transaction of the change."""

api_client_changed = Signal()
"""`client`: which; `by`: who changed it; `action`: created, changed, key_made, key_revoked; `data`: what, and nothing
secret. Sent inside the transaction of the change."""
