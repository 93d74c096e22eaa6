"""Limits of contact that hold across playbooks and channels: the setting `CONTACT_LIMITS`."""

from dataclasses import dataclass

from environs import EnvError

_KEYS = {"count", "days", "purpose", "channel"}
_MOST_DAYS = 92


@dataclass(frozen=True, slots=True)
class ContactLimit:
    """At most `count` messages to one person within `days`. purpose "": of all that need consent together; channel "":
    by all channels together."""

    count: int
    days: int
    purpose: str = ""
    channel: str = ""


def item_limit_read(data: object) -> ContactLimit | None:
    """The setting `ITEM_LIMIT`: count and days, or null for none. Raises EnvError."""
    if data is None:
        return None
    if not isinstance(data, dict) or data.keys() != {"count", "days"}:
        raise EnvError('ITEM_LIMIT must be a JSON object such as {"count": 2, "days": 30}, or null')
    try:
        [limit] = contact_limits_read([data])
    except EnvError as error:
        raise EnvError(str(error).replace("CONTACT_LIMITS", "ITEM_LIMIT")) from None
    return limit


def contact_limits_read(data: object) -> tuple[ContactLimit, ...]:
    """The setting: a list of objects with count, days, and where it is for one alone purpose and channel.

    Raises EnvError.
    """
    if not isinstance(data, list):
        raise EnvError('CONTACT_LIMITS must be a JSON list, such as [{"count": 1, "days": 1}]')
    found = []
    for entry in data:
        if not isinstance(entry, dict) or not entry.keys() <= _KEYS or not {"count", "days"} <= entry.keys():
            raise EnvError(f"CONTACT_LIMITS: {entry!r} must have count and days, and may have purpose and channel")
        limit = ContactLimit(**entry)
        numbers = (limit.count, limit.days)
        if not all(isinstance(number, int) and not isinstance(number, bool) and number >= 1 for number in numbers):
            raise EnvError(f"CONTACT_LIMITS: count and days of {entry!r} must be whole numbers from 1")
        if limit.days > _MOST_DAYS:
            raise EnvError(f"CONTACT_LIMITS: at most {_MOST_DAYS} days can be looked back")
        if not isinstance(limit.purpose, str) or limit.channel not in ("", "email", "sms", "push", "web"):
            raise EnvError(f"CONTACT_LIMITS: purpose or channel of {entry!r} is none")
        found.append(limit)
    return tuple(found)
