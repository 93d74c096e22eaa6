"""What decisions ask of higher floors: they fill this in their `ready()`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol


class MessageCounter(Protocol):
    """Counts the messages of a purpose that people got, or are about to get, since a moment."""

    def __call__(self, *, profile_ids: Sequence[int], purpose: str, since: datetime) -> dict[int, int]:
        """By profile id; who is missing got none."""


class RunHold(Protocol):
    """Which of these runs somebody paused."""

    def __call__(self, *, run_ids: Sequence[int]) -> set[int]:
        """Those of them that may not go out at present."""


run_holds: list[RunHold] = []
"""Asked for what is collected: a piece of a run that is paused waits for the next digest."""

message_counters: list[MessageCounter] = []
"""Filter ahead for caps: the ledger, read under the gate at send, is the truth."""
