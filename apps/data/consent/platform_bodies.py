"""What consent platforms say, read by a mapping. Pure.

A mapping is data, so that a platform's own form needs no code:

    {"person": [{"at": "identifier", "kind": "email"}],
     "occurred_at": "date",
     "choices": {"at": "purposes", "id": "Id", "says": "TransactionType",
                 "granted": ["CONFIRMED"], "withdrawn": ["WITHDRAWN", "OPT_OUT"]},
     "purposes": {"8f5b-newsletter": ["marketing:email"]}}

`at` is a path of names with dots. `person` says by what people are known, what is found first counts; a customer number
says by `source` whose it is. `choices` is a list of objects with an id and what is said of it, or, without `id` and
`says`, an object of ids and what is said. `purposes` says which purposes and channels of ours an id of theirs is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from apps.data.profiles.normalize import email_normalize, external_id_scoped, phone_normalize
from apps.foundation.core.errors import Invalid

MOST_CHOICES: Final = 200
_KINDS: Final = ("email", "phone", "external_id")

PRESETS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "plain": (
        "Plain",
        {
            "person": [{"at": "email", "kind": "email"}, {"at": "phone", "kind": "phone"}],
            "occurred_at": "occurred_at",
            "choices": {"at": "choices", "granted": [True, "granted"], "withdrawn": [False, "withdrawn"]},
            "purposes": {"newsletter": ["marketing:email"], "analytics": ["tracking:email", "tracking:web"]},
        },
    ),
    "onetrust": (
        "As OneTrust has it",
        {
            "person": [{"at": "identifier", "kind": "email"}],
            "occurred_at": "receivedDate",
            "choices": {
                "at": "purposes",
                "id": "Id",
                "says": "TransactionType",
                "granted": ["CONFIRMED", "ACTIVE"],
                "withdrawn": ["WITHDRAWN", "OPT_OUT", "NOTGIVEN"],
            },
            "purposes": {"00000000-0000-0000-0000-000000000000": ["marketing:email"]},
        },
    ),
    "usercentrics": (
        "As Usercentrics has it",
        {
            "person": [{"at": "controllerId", "kind": "external_id", "source": "shop"}],
            "occurred_at": "updatedAt",
            "choices": {
                "at": "consents",
                "id": "templateId",
                "says": "status",
                "granted": [True],
                "withdrawn": [False],
            },
            "purposes": {"HkocEodjb7": ["tracking:web"]},
        },
    ),
}
"""Mappings to begin with: code → name, mapping. The ids of purposes are one's own."""


@dataclass(frozen=True, slots=True)
class Said:
    """What one body says. kind, value: by what the person is known, normalized; choices: purpose, channel, agreed;
    ignored: how many choices the mapping does not name.
    """

    kind: str
    value: str
    occurred_at: datetime
    choices: tuple[tuple[str, str, bool], ...]
    ignored: int


def mapping_problem(mapping: Any, *, purposes: Sequence[str], channels: Sequence[str]) -> str:
    """What is wrong with a mapping, "" if nothing."""
    if not isinstance(mapping, dict):
        return "A mapping is an object: begin with one of the examples"
    person, choices, named = mapping.get("person"), mapping.get("choices"), mapping.get("purposes")
    if not isinstance(person, list) or not person or not all(_is_way(one) for one in person):
        return "person: a list, each with at and kind (email, phone or external_id with its source)"
    if not _is_path(mapping.get("occurred_at")):
        return "occurred_at: the place of the moment; without it an old message could undo a newer choice"
    if not isinstance(choices, dict) or not _is_path(choices.get("at")):
        return "choices: an object, with at, granted and withdrawn"
    if ("id" in choices) != ("says" in choices):
        return "choices: id and says, both or neither"
    if not all(isinstance(choices.get(name), list) and choices[name] for name in ("granted", "withdrawn")):
        return "choices: granted and withdrawn, each a list of what is said for it"
    if any(_same(one, other) for one in choices["granted"] for other in choices["withdrawn"]):
        return "choices: the same can't mean granted and withdrawn"
    if not isinstance(named, dict) or not named:
        return "purposes: an object, of their ids to lists such as marketing:email"
    for targets in named.values():
        for target in targets if isinstance(targets, list) else [None]:
            purpose, _, channel = str(target).partition(":")
            if purpose not in purposes or channel not in channels:
                return f"purposes: {target!r} is none; write purpose:channel, such as marketing:email"
    return ""


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and len(value) <= 200


def _is_way(way: Any) -> bool:
    if not isinstance(way, dict) or not _is_path(way.get("at")) or way.get("kind") not in _KINDS:
        return False
    return way["kind"] != "external_id" or _is_path(way.get("source"))


def body_read(mapping: Mapping[str, Any], body: Any) -> Said:
    """What a body says. Raises Invalid `platform_body` where it names no person, no moment or no choices."""
    kind, value = _person(mapping["person"], body)
    rule = mapping["choices"]
    listed = _pairs(rule, _at(body, rule["at"]))
    choices: list[tuple[str, str, bool]] = []
    ignored = 0
    for their_id, says in listed:
        agreed = any(_same(says, one) for one in rule["granted"])
        if not (agreed or any(_same(says, one) for one in rule["withdrawn"])) or their_id not in mapping["purposes"]:
            ignored += 1
            continue
        for target in mapping["purposes"][their_id]:
            purpose, _, channel = target.partition(":")
            choices.append((purpose, channel, agreed))
    return Said(kind, value, _moment(_at(body, mapping["occurred_at"])), tuple(choices), ignored)


def _person(ways: Sequence[Mapping[str, str]], body: Any) -> tuple[str, str]:
    for way in ways:
        text = _at(body, way["at"])
        if isinstance(text, int) and not isinstance(text, bool):
            text = str(text)
        if not isinstance(text, str) or not text.strip():
            continue
        if way["kind"] == "email":
            return "email", email_normalize(text)
        if way["kind"] == "phone":
            return "phone", phone_normalize(text)
        return "external_id", external_id_scoped(way["source"], text)
    raise Invalid("platform_body", "The body names nobody where the mapping looks for a person")


def _pairs(rule: Mapping[str, Any], found: Any) -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    if "id" in rule and isinstance(found, list):
        pairs = [(str(_at(one, rule["id"])), _at(one, rule["says"])) for one in found if isinstance(one, dict)]
    elif "id" not in rule and isinstance(found, dict):
        pairs = [(str(their_id), says) for their_id, says in found.items()]
    if not pairs or len(pairs) > MOST_CHOICES:
        raise Invalid("platform_body", f"The body has no choices where the mapping looks, or over {MOST_CHOICES}")
    return pairs


def _moment(value: Any) -> datetime:
    """A moment as ISO 8601 with its zone, or in seconds or milliseconds since 1970."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value / 1000 if value > 1e11 else value, UTC)
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is not None:
            return moment
    except (TypeError, ValueError, OverflowError, OSError):
        pass
    raise Invalid("platform_body", "The body says no moment, with its time zone, where the mapping looks for it")


def _at(data: Any, path: str) -> Any:
    for name in path.split("."):
        data = data.get(name) if isinstance(data, dict) else None
    return data


def _same(one: Any, other: Any) -> bool:
    """Equal, and of one type: 1 is not true. Texts in whatever case."""
    if isinstance(one, str) and isinstance(other, str):
        return one.strip().casefold() == other.strip().casefold()
    return type(one) is type(other) and bool(one == other)
