"""What profiles ask of higher floors, filled in their `ready()`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from .contracts import AttributeShape

sensitive_objections: Final[list[Callable[[str], list[str]]]] = []
"""Who uses an attribute by its name in a way that no sensitive one can be used, in words: it can't become sensitive
before they are changed."""

sensitive_traces: Final[list[Callable[[AttributeShape], int]]] = []
"""Who keeps copies of values outside the profiles: called when a name became sensitive, until nothing is left. Returns
how many were removed. Raises Conflict where it can't be done yet: it is asked again."""


@dataclass(frozen=True, slots=True)
class Merging:
    """A merge that is being made or undone. kept, absorbed: ids of profiles; since: the moment of the merge."""

    merge_id: int
    kept: int
    absorbed: int
    since: datetime


class MergePart(NamedTuple):
    """How an app merges what it holds of people.

    take: give what is the absorbed one's to the kept one, and return (as JSON) what undoes it; give: undo it by that.
    Both are called in the merge's transaction, under both people's locks. What came after a merge stays with the one
    who was kept.
    """

    name: str
    take: Callable[[Merging], Any]
    give: Callable[[Merging, Any], None]


merge_parts: Final[list[MergePart]] = []
"""In the order in which they take and give. Records that are never changed (the ledger of
consent, decisions, what went out) stay with the number they name, and are read for all numbers of a person."""

merge_locks: Final[list[Callable[[Sequence[int]], object]]] = []
"""Called first, with both ids: whoever holds such a lock of one of them has committed before the merge, or waits."""

identifier_pointers: Final[list[tuple[str, str]]] = []
"""Tables and columns above profiles that refer to an identifier: they follow where two people had the same one."""
