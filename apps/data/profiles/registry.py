"""What profiles ask of higher floors, filled in their `ready()`."""

from collections.abc import Callable
from typing import Final

from .contracts import AttributeShape

sensitive_objections: Final[list[Callable[[str], list[str]]]] = []
"""Who uses an attribute by its name in a way that no sensitive one can be used, in words: it can't become sensitive
before they are changed."""

sensitive_traces: Final[list[Callable[[AttributeShape], int]]] = []
"""Who keeps copies of values outside the profiles: called when a name became sensitive, until nothing is left. Returns
how many were removed. Raises Conflict where it can't be done yet: it is asked again."""
