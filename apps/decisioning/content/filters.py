"""The filters of templates: one table, for what is checked at save and for what runs.

Each says what it makes of blankness: `fallback` ends it; the others keep what is not blank not blank, which
`_keeping` makes sure of ("ı" in upper case is "I", and a cut text could begin with spaces).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from math import isfinite

from markupsafe import Markup

from apps.foundation.core.text import is_blank


@dataclass(frozen=True, slots=True)
class Filter:
    """run: what it does; arguments: the kinds of its literal arguments, all needed; proves: whether its result is
    never blank; keeps: whether it is not blank when the value was not; number: whether the result is one.
    """

    run: Callable[..., object]
    arguments: tuple[type, ...] = ()
    proves: bool = False
    keeps: bool = False
    number: bool = False


def _keeping(change: Callable[..., str]) -> Callable[..., object]:
    @wraps(change)
    def run(value: object, *args: object) -> object:
        # Only text is changed; a number, or what is missing, stays as it is for the filters behind.
        if not isinstance(value, str):
            return value
        plain = str(value.unescape()) if isinstance(value, Markup) else value
        changed = change(plain, *args)
        return plain if is_blank(changed) else changed

    return run


def _fallback(value: object, instead: str) -> object:
    return instead if value is True or value is False or is_blank(value) else value


def _number(value: object, instead: int) -> int | float:
    """A finite number as it is (3.0 as 3), else `instead`."""
    if type(value) is float and isfinite(value):
        return int(value) if value == int(value) else value
    return value if type(value) is int else instead


def _cut(value: str, length: int) -> str:
    """At most `length` characters, the last one an ellipsis when something was cut."""
    length = max(length, 2)
    return value if len(value) <= length else value[: length - 1].rstrip() + "…"


def _length(value: object) -> int:
    return len(value) if isinstance(value, list | str) else 0


FILTERS: Mapping[str, Filter] = {
    "fallback": Filter(_fallback, (str,), proves=True),
    "number": Filter(_number, (int,), proves=True, number=True),
    "upper": Filter(_keeping(str.upper), keeps=True),
    "lower": Filter(_keeping(str.lower), keeps=True),
    "capitalize": Filter(_keeping(str.capitalize), keeps=True),
    "trim": Filter(_keeping(str.strip), keeps=True),
    "truncate": Filter(_keeping(_cut), (int,), keeps=True),
    "length": Filter(_length, proves=True, number=True),
}
"""By name. Nothing else can be used in a template."""
