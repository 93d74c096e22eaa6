"""One message to somebody who works here: over the same channel as customers' messages, and not in their ledger.

Staff are no profiles: no consent, no cap and no occasion binds what they asked for themselves. Whoever calls this keeps
a row of their own that says what was handed over, and commits before that it is about to.
"""

from apps.delivery.channels.contracts import Envelope, Receipt

from .windows import channel_open


def staff_mail_hand_over(*, sender: str, recipient: str, content: bytes) -> Receipt:
    """Hand a message to a member of staff over, by a connection of its own. Tried once; it may take minutes.

    Raises Unavailable and RetryableError (surely not taken), PermanentError, OutcomeUnknown (nobody knows).
    """
    channel = channel_open()
    try:
        return channel.hand_over(Envelope(sender=sender, recipient=recipient, content=content), lambda: True)
    finally:
        channel.close()
