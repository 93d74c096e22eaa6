"""How fast mail may go out, as the settings say it. Pure; loud about what can't be meant."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from environs import EnvError

_KINDS: Final = {"providers": "provider", "domains": "domain"}
_WRONG: Final = (
    'SEND_LIMITS: give JSON such as {"providers": {"smtp": {"per_minute": 6000}}, "domains": {"example.com": '
    '{"per_minute": 600, "warm_up": {"from": "2026-12-01", "first": 500, "grows": 2}}}}'
)


@dataclass(frozen=True, slots=True)
class SendLimit:
    """Messages a minute and a day (of UTC) at most; None: no such limit.

    Warm-up: from the day `warm_from` on, `warm_first` messages a day, each day `warm_grows` times as many, until that
    is more than per_day, or WARM_DAYS are over.
    """

    per_minute: int | None = None
    per_day: int | None = None
    warm_from: date | None = None
    warm_first: int = 0
    warm_grows: float = 1.0

    WARM_DAYS = 60

    def of_day(self, day: date) -> int | None:
        """How many messages of that day; None: as many as there are."""
        if self.warm_from is None:
            return self.per_day
        grown = (day - self.warm_from).days
        if grown >= self.WARM_DAYS:
            return self.per_day
        ramp = int(self.warm_first * self.warm_grows ** max(grown, 0))
        return ramp if self.per_day is None else min(ramp, self.per_day)


def send_limits_read(given: object) -> dict[str, SendLimit]:
    """SEND_LIMITS, by `provider:NAME` and `domain:NAME`. Raises EnvError."""
    if not isinstance(given, Mapping) or not set(given) <= set(_KINDS):
        raise EnvError(_WRONG)
    read: dict[str, SendLimit] = {}
    for kind, entries in given.items():
        if not isinstance(entries, Mapping):
            raise EnvError(_WRONG)
        for name, values in entries.items():
            read[f"{_KINDS[kind]}:{name.lower()}"] = _limit(name, values)
    return read


def _limit(name: str, values: Any) -> SendLimit:
    if not isinstance(values, Mapping) or not values or not set(values) <= {"per_minute", "per_day", "warm_up"}:
        raise EnvError(f"{_WRONG}; {name} may have per_minute, per_day and warm_up")
    warm = values.get("warm_up")
    if warm is not None and (not isinstance(warm, Mapping) or set(warm) != {"from", "first", "grows"}):
        raise EnvError(
            f"SEND_LIMITS: the warm-up of {name} needs from (a day), first (messages) and grows (times a day)"
        )
    numbers = [values[key] for key in ("per_minute", "per_day") if key in values]
    if any(type(number) is not int or number < 1 for number in numbers):
        raise EnvError(f"SEND_LIMITS: per_minute and per_day of {name} are whole numbers above 0")
    if warm is None:
        return SendLimit(values.get("per_minute"), values.get("per_day"))
    try:
        day, first, grows = date.fromisoformat(warm["from"]), int(warm["first"]), float(warm["grows"])
    except (TypeError, ValueError):
        raise EnvError(f"SEND_LIMITS: the warm-up of {name} can't be read") from None
    if first < 1 or not 1 <= grows <= 10:
        raise EnvError(f"SEND_LIMITS: the warm-up of {name} begins with 1 or more, and grows 1 to 10 times a day")
    return SendLimit(values.get("per_minute"), values.get("per_day"), day, first, grows)
