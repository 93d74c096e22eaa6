"""What clients of the API may be limited to, such as brands and purposes, and what they are trusted for.

A higher app says which of its objects a client can be limited to; this one knows none of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Options = Callable[[], Sequence[tuple[str, str]]]


@dataclass(frozen=True, slots=True)
class Reach:
    """A list that an administrator can set for a client.

    key: in `ApiClient.reach`; options: what can be chosen, `(value, words)`; help: what it means for whom.
    """

    key: str
    title: str
    options: Options
    help: str = ""


REACHES: dict[str, Reach] = {}


def reach_declare(reach: Reach) -> None:
    """An app calls it in its `ready()`, once for each kind of object."""
    REACHES[reach.key] = reach
