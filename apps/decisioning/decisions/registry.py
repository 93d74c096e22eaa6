"""What decisions ask of higher floors: they fill this in their `ready()`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from .limits import Counted


class MessageCounter(Protocol):
    """Counts the messages of a purpose that people got, or are about to get, since a moment."""

    def __call__(self, *, profile_ids: Sequence[int], purpose: str, since: datetime) -> dict[int, int]:
        """By profile id; who is missing got none."""


class ContactCounter(Protocol):
    """Counts the messages that people got, or are about to get, across playbooks and channels."""

    def __call__(self, *, profile_ids: Sequence[int], counted: Sequence[Counted]) -> dict[int, Sequence[int]]:
        """By profile id, for each of what is counted; who is missing got none."""


class ItemCounter(Protocol):
    """Counts how often people were shown items, or are about to be, within the days of the limit."""

    def __call__(self, *, profile_ids: Sequence[int]) -> dict[tuple[int, bytes], int]:
        """By profile id and digest of the item; what is missing was not shown."""


class RunHold(Protocol):
    """Which of these runs somebody paused."""

    def __call__(self, *, run_ids: Sequence[int]) -> set[int]:
        """Those of them that may not go out at present."""


run_holds: list[RunHold] = []
"""Asked for what is collected: a piece of a run that is paused waits for the next digest."""

contact_counters: list[ContactCounter] = []
"""The same for limits of contact."""

item_counters: list[ItemCounter] = []
"""The same for the limit of one item."""

message_counters: list[MessageCounter] = []
"""Filter ahead for caps: the ledger, read under the gate at send, is the truth."""
