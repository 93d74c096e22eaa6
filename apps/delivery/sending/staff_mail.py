"""Mail to the people who work here: over the same channel as customers' messages, and not in their ledger.

Staff are no profiles: no consent, no cap and no occasion binds what they asked for themselves. Whoever calls this keeps
a row of their own that says what was handed over, and commits before that it is about to.
"""

from apps.delivery.channels.contracts import Envelope, Receipt
from apps.delivery.channels.mime import Letter, letter_bytes

from .windows import channel_open


def staff_mail_hand_over(letter: Letter) -> Receipt:
    """Hand one letter to a member of staff over, by a connection of its own. Tried once; it may take minutes.

    Raises Unavailable and RetryableError (surely not taken), PermanentError, OutcomeUnknown (nobody knows).
    """
    return content_hand_over(sender=letter.from_email, recipient=letter.to, content=letter_bytes(letter))


def content_hand_over(*, sender: str, recipient: str, content: bytes) -> Receipt:
    """As `staff_mail_hand_over`, for a message that is made up already."""
    channel = channel_open()
    try:
        return channel.hand_over(Envelope(sender=sender, recipient=recipient, content=content), lambda: True)
    finally:
        channel.close()
