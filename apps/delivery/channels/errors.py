"""What can come of a hand-over beside a receipt.

`RetryableError`: surely not taken, may be later; `PermanentError`: never will be; and the three below.
"""

from apps.foundation.core.errors import ProviderError, RetryableError


class Unavailable(RetryableError):
    """The provider itself is out of reach or closing: nothing was tried, and the message is not to blame."""


class OutcomeUnknown(ProviderError):
    """The message was handed over whole, and no answer came: it may have been taken or not."""


class Withdrawn(Exception):
    """The caller took the message back before it was handed over whole. The provider does not have it."""
