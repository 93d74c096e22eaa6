"""Rules from JSON and back. A fault is told with its place: `all[1].orders.at_least must be…`."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, NoReturn, cast

from apps.data.features.definitions import FEATURES
from apps.data.profiles.attribute_values import token_of, value_read
from apps.data.profiles.contracts import AttributeShape
from apps.foundation.core.errors import Invalid

from .contracts import (
    FEATURE_OPS,
    SENSITIVE_OPS,
    All,
    AnyOf,
    AskedAgain,
    Attribute,
    Consent,
    Count,
    Counted,
    FeatureIs,
    FeatureScalar,
    InAudience,
    Interest,
    Not,
    Op,
    Rule,
    Scalar,
    Window,
)

MAX_DEPTH = 10
MAX_RULES = 200
MAX_VALUES = 1000
MAX_TEXT = 300
MAX_COUNT = 1_000_000
MAX_DAYS = 36_500
MAX_NUMBER = Decimal(10) ** 15

_KINDS = (
    *("all", "any", "not", "attribute", "feature", "orders", "event", "audience"),
    *("consent", "asked_again", "interest"),
)
_OPS: tuple[Op, ...] = ("is", "is_not", "in", "contains", "gte", "lte", "known")
_COUNT_KEYS = ("at_least", "at_most", "exactly", "since", "before", "within_days")
CHANNELS = ("email", "sms", "push", "web")  # those of data.consent; a test holds them together
_INTEREST = re.compile(r"[-a-zA-Z0-9_]{1,32}")  # the shape of a code; which of them exist is asked by selectors
_AUDIENCE = re.compile(r"[-a-z0-9_]{1,60}")  # likewise


def rule_parse(data: object, *, sensitive: Mapping[str, AttributeShape] | None = None) -> Rule:
    """The rule that JSON (already read into Python) describes.

    sensitive: attributes of which only that can be asked which their digests tell.
    Raises Invalid (`rule_invalid`) with the place and the mend in its message, and the place in extra["path"].
    """
    return _Parser(sensitive or {}).rule(data, "", 1)


def rule_to_json(rule: Rule) -> dict[str, Any]:
    """The rule as JSON, in one canonical form: parsing it again gives an equal rule."""
    if isinstance(rule, All):
        return {"all": [rule_to_json(child) for child in rule.rules]}
    if isinstance(rule, AnyOf):
        return {"any": [rule_to_json(child) for child in rule.rules]}
    if isinstance(rule, Not):
        return {"not": rule_to_json(rule.rule)}
    if isinstance(rule, Attribute):
        values = [_scalar_json(value) for value in rule.values]
        return {"attribute": rule.name, rule.op: values if rule.op == "in" else values[0]}
    if isinstance(rule, FeatureIs):
        compared = [_feature_json(value) for value in rule.values]
        return {"feature": rule.feature, rule.op: compared if rule.op == "in" else compared[0]}
    if isinstance(rule, InAudience):
        return {"audience": rule.audience, "is": rule.inside}
    if isinstance(rule, Consent):
        return {"consent": rule.purpose, "channel": rule.channel, "is": rule.granted}
    if isinstance(rule, AskedAgain):
        return {"asked_again": rule.purpose, "channel": rule.channel, "is": rule.asked}
    if isinstance(rule, Interest):
        return {"interest": rule.code, "is": rule.chosen}
    counted = _count_json(rule)
    if rule.what.kind == "event":
        return {"event": rule.what.name, **counted}
    return {"orders": {**counted, **({"category": rule.what.name} if rule.what.name else {})}}


def _scalar_json(value: Scalar) -> str | bool | int | float:
    return float(value) if isinstance(value, Decimal) else value


def _feature_json(value: FeatureScalar) -> str | bool | int | float:
    return _moment_json(value) if isinstance(value, datetime) else _scalar_json(value)


def _moment_json(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _count_json(rule: Count) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if rule.low == rule.high:
        data["exactly"] = rule.low
    else:
        if rule.low or rule.high is None:
            data["at_least"] = rule.low
        if rule.high is not None:
            data["at_most"] = rule.high
    window = rule.what.window
    for name, moment in (("since", window.since), ("before", window.before)):
        if moment is not None:
            data[name] = _moment_json(moment)
    if window.within_days is not None:
        data["within_days"] = window.within_days
    return data


def _fault(path: str, problem: str) -> NoReturn:
    raise Invalid("rule_invalid", f"{path or 'The rule'} {problem}", {"path": path})


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value[:40]}…"' if len(value) > 40 else f'"{value}"'
    return str(value)[:40]


def _words(names: tuple[str, ...]) -> str:
    return ", ".join(names[:-1]) + " or " + names[-1]


def _beside(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


class _Parser:
    """Counts the rules while it reads them: one rule must not be a way to keep the database busy."""

    def __init__(self, sensitive: Mapping[str, AttributeShape]) -> None:
        self.rules = 0
        self._sensitive = sensitive

    def rule(self, data: object, path: str, depth: int) -> Rule:
        if not isinstance(data, Mapping):
            _fault(path, f'must be an object such as {{"attribute": "country", "is": "DE"}}, and is {_shown(data)}')
        self.rules += 1
        if self.rules > MAX_RULES:
            _fault(path, f"is one too many: a rule may consist of {MAX_RULES} rules")
        if depth > MAX_DEPTH:
            _fault(path, f"is nested too deep: {MAX_DEPTH} levels may be")
        kinds = [kind for kind in _KINDS if kind in data]
        if not kinds:
            given = next((key for key in data if isinstance(key, str)), "")
            near = get_close_matches(given, _KINDS, 1)
            hint = f' (is "{given[:40]}" meant to be "{near[0]}"?)' if near else ""
            _fault(path, f"must have one of {_words(_KINDS)}{hint}")
        if len(kinds) > 1:
            _fault(path, f'has both "{kinds[0]}" and "{kinds[1]}": put each in an object of its own, inside "all"')
        kind = kinds[0]
        here = _beside(path, kind)
        if kind in ("all", "any"):
            self._only(data, path, (kind,))
            children = self._children(data[kind], here, depth)
            if kind == "all":
                return All(children)
            if not children:
                _fault(here, "must list at least one rule")
            return AnyOf(children)
        if kind == "not":
            self._only(data, path, (kind,))
            return Not(self.rule(data[kind], here, depth + 1))
        read: dict[str, Callable[[Mapping[str, Any], str], Rule]] = {
            "attribute": self._attribute,
            "feature": self._feature,
            "audience": self._audience,
            "orders": self._orders,
            "event": self._event,
            "consent": self._consent,
            "asked_again": self._asked_again,
            "interest": self._interest,
        }
        return read[kind](data, path)

    def _children(self, data: object, path: str, depth: int) -> tuple[Rule, ...]:
        if not isinstance(data, list):
            _fault(path, f"must be a list of rules, and is {_shown(data)}")
        return tuple(self.rule(child, f"{path}[{index}]", depth + 1) for index, child in enumerate(data))

    def _attribute(self, data: Mapping[str, Any], path: str) -> Attribute:
        name = _text(data["attribute"], _beside(path, "attribute"))
        self._only(data, path, ("attribute", *_OPS))
        op, value, here = _comparison(data, path, _OPS)
        shape = self._sensitive.get(name)
        if shape is not None:
            _sensitive_check(shape, op, value, here)
        if op == "known":
            return Attribute(name, op, (_flag(value, here),))
        if op == "in":
            listed = _listed(value, here)
            return Attribute(name, op, tuple(_scalar(one, f"{here}[{index}]") for index, one in enumerate(listed)))
        if op == "contains":
            return Attribute(name, op, (_text(value, here),))
        scalar = _scalar(value, here)
        if op in ("gte", "lte") and isinstance(scalar, bool):
            _fault(here, "must be a number or a text: true and false have no order")
        return Attribute(name, op, (scalar,))

    def _feature(self, data: Mapping[str, Any], path: str) -> FeatureIs:
        name, here = data["feature"], _beside(path, "feature")
        feature = FEATURES.get(name) if isinstance(name, str) else None
        if feature is None:
            near = get_close_matches(str(name)[:40], FEATURES, 1)
            hint = f'is "{near[0]}" meant?' if near else f"there are {', '.join(FEATURES)}"
            _fault(here, f"must name a feature, and is {_shown(name)}: {hint}")
        ops = FEATURE_OPS[feature.kind]
        if other := next((op for op in _OPS if op in data and op not in ops), None):
            _fault(_beside(path, other), f'can\'t be asked of "{name}": {_words(ops)} alone')
        self._only(data, path, ("feature", *ops))
        op, value, here = _comparison(data, path, ops)
        if op == "known":
            return FeatureIs(feature.name, op, (_flag(value, here),))
        if op != "in":
            return FeatureIs(feature.name, op, (_feature_scalar(feature.kind, value, here),))
        listed = _listed(value, here)
        compared = (_feature_scalar(feature.kind, one, f"{here}[{index}]") for index, one in enumerate(listed))
        return FeatureIs(feature.name, op, tuple(compared))

    def _audience(self, data: Mapping[str, Any], path: str) -> InAudience:
        self._only(data, path, ("audience", "is"))
        code = data["audience"]
        if not isinstance(code, str) or not _AUDIENCE.fullmatch(code):
            wanted = 'must be the code of an audience, such as "regulars"'
            _fault(_beside(path, "audience"), f"{wanted}, and is {_shown(code)}")
        return InAudience(code, _flag(data.get("is", True), _beside(path, "is")))

    def _orders(self, data: Mapping[str, Any], path: str) -> Count:
        self._only(data, path, ("orders",))
        here = _beside(path, "orders")
        inner = data["orders"]
        if not isinstance(inner, Mapping):
            _fault(here, f'must be an object such as {{"at_least": 2}}, and is {_shown(inner)}')
        self._only(inner, here, (*_COUNT_KEYS, "category"))
        category = _text(inner["category"], _beside(here, "category")) if "category" in inner else ""
        low, high = _bounds(inner, here)
        return Count(Counted("orders", category, _window(inner, here)), low, high)

    def _event(self, data: Mapping[str, Any], path: str) -> Count:
        self._only(data, path, ("event", *_COUNT_KEYS))
        name = _text(data["event"], _beside(path, "event"))
        low, high = _bounds(data, path)
        return Count(Counted("event", name, _window(data, path)), low, high)

    def _consent(self, data: Mapping[str, Any], path: str) -> Consent:
        return Consent(*self._choice(data, path, "consent"))

    def _asked_again(self, data: Mapping[str, Any], path: str) -> AskedAgain:
        return AskedAgain(*self._choice(data, path, "asked_again"))

    def _interest(self, data: Mapping[str, Any], path: str) -> Interest:
        self._only(data, path, ("interest", "is"))
        code = data["interest"]
        if not isinstance(code, str) or not _INTEREST.fullmatch(code):
            wanted = 'must be the code of an interest, such as "cooking"'
            _fault(_beside(path, "interest"), f"{wanted}, and is {_shown(code)}")
        return Interest(code, _flag(data.get("is", True), _beside(path, "is")))

    def _choice(self, data: Mapping[str, Any], path: str, key: str) -> tuple[str, str, bool]:
        self._only(data, path, (key, "channel", "is"))
        purpose = _text(data[key], _beside(path, key))
        channel = data.get("channel")
        if channel not in CHANNELS:
            _fault(_beside(path, "channel"), f"must be one of {_words(CHANNELS)}, and is {_shown(channel)}")
        return purpose, cast(str, channel), _flag(data.get("is", True), _beside(path, "is"))

    def _only(self, data: Mapping[str, Any], path: str, allowed: tuple[str, ...]) -> None:
        for key in data:
            if key not in allowed:
                shown = str(key)[:40]
                near = get_close_matches(shown, allowed, 1)
                hint = f'is "{near[0]}" meant?' if near else f"{_words(allowed) if allowed[1:] else allowed[0]} may be"
                _fault(_beside(path, shown), f"is not known here: {hint}")


def _sensitive_check(shape: AttributeShape, op: Op, value: object, path: str) -> None:
    """Refuse what no digest tells, and values that the attribute can't have: those would only ever be missed."""
    if op not in SENSITIVE_OPS:
        _fault(path, f'can\'t be asked of "{shape.name}", which is sensitive: is, is_not, in and known alone')
    if op == "known":
        return
    if shape.kind == "texts":
        _fault(path, f'can\'t be asked of "{shape.name}", which is a sensitive list: known alone')
    values = value if op == "in" and isinstance(value, list) else [value]
    for index, one in enumerate(values):
        place = f"{path}[{index}]" if op == "in" else path
        scalar = _scalar(one, place)
        try:
            read = value_read(shape, scalar)
        except ValueError as error:
            _fault(place, str(error))
        if token_of(read) != token_of(scalar):
            _fault(place, f"must be written as it is stored: {json.dumps(read, ensure_ascii=False)}")


def _comparison(data: Mapping[str, Any], path: str, ops: tuple[Op, ...]) -> tuple[Op, Any, str]:
    """The one comparison of a leaf, what it compares with, and where that stands."""
    given = [op for op in ops if op in data]
    if len(given) != 1:
        wanted = _words(ops) if ops[1:] else ops[0]
        _fault(path, f"must have one of {wanted}" + (f", and has {' and '.join(given)}" if given else ""))
    return given[0], data[given[0]], _beside(path, given[0])


def _listed(value: object, path: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        _fault(path, f"must be a list with at least one value, and is {_shown(value)}")
    if len(value) > MAX_VALUES:
        _fault(path, f"may have {MAX_VALUES} values, and has {len(value)}")
    return value


def _feature_scalar(kind: str, value: object, path: str) -> FeatureScalar:
    """A value of a feature's own kind."""
    if kind == "flag":
        return _flag(value, path)
    if kind == "moment":
        return _moment(value, path)
    if kind == "text":
        return _text(value, path)
    if kind == "items":
        return _whole(value, path, 1, 2**63 - 1)
    if isinstance(value, str | bool):
        _fault(path, f"must be a number, and is {_shown(value)}")
    return _scalar(value, path)


def _text(value: object, path: str) -> str:
    if not isinstance(value, str) or not value:
        _fault(path, f"must be a text, not empty, and is {_shown(value)}")
    if len(value) > MAX_TEXT:
        _fault(path, f"may have {MAX_TEXT} characters, and has {len(value)}")
    if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
        _fault(path, "has a character that no text may have (NUL, or half of a pair)")
    return value


def _flag(value: object, path: str) -> bool:
    if not isinstance(value, bool):
        _fault(path, f"must be true or false, and is {_shown(value)}")
    return value


def _scalar(value: object, path: str) -> Scalar:
    if isinstance(value, str):
        if not value:
            _fault(path, 'must not be empty: {"known": false} asks for those of whom it is not known')
        return _text(value, path)
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float | Decimal):
        number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
        if not number.is_finite() or abs(number) > MAX_NUMBER:
            _fault(path, f"must be between -{MAX_NUMBER:,} and {MAX_NUMBER:,}")
        return int(number) if number == number.to_integral_value() else number
    _fault(path, f"must be a text, a number, true or false, and is {_shown(value)}")


def _whole(value: object, path: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        _fault(path, f"must be a whole number from {low} to {high:,}, and is {_shown(value)}")
    return value


def _bounds(data: Mapping[str, Any], path: str) -> tuple[int, int | None]:
    given = {
        key: _whole(data[key], _beside(path, key), 0, MAX_COUNT)
        for key in ("at_least", "at_most", "exactly")
        if key in data
    }
    if "exactly" in given:
        if len(given) > 1:
            _fault(_beside(path, "exactly"), "leaves no room for at_least or at_most: take one or the other")
        return given["exactly"], given["exactly"]
    high = given.get("at_most")
    low = given.get("at_least", 1 if high is None else 0)
    if high is not None and low > high:
        _fault(_beside(path, "at_least"), f"must not be above at_most, which is {high}")
    return low, high


def _window(data: Mapping[str, Any], path: str) -> Window:
    since, before = (_moment(data[key], _beside(path, key)) if key in data else None for key in ("since", "before"))
    if since is not None and before is not None and since >= before:
        _fault(_beside(path, "before"), "must be later than since")
    days = None
    if "within_days" in data:
        days = _whole(data["within_days"], _beside(path, "within_days"), 1, MAX_DAYS)
    return Window(since, before, days)


def _moment(value: object, path: str) -> datetime:
    """A moment with its offset, or a date: the start of that day in UTC. ISO 8601."""
    wanted = 'must be a date such as "2011-10-11", or a time with its zone such as "2011-10-11T08:00Z"'
    if not isinstance(value, str):
        _fault(path, f"{wanted}, and is {_shown(value)}")
    try:
        if len(value) == 10:
            day = date.fromisoformat(value)
            moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
        else:
            moment = datetime.fromisoformat(value)
    except ValueError:
        _fault(path, f"{wanted}, and is {_shown(value)}")
    if moment.tzinfo is None:
        _fault(path, f"{wanted}: its zone is missing")
    if not 1900 < moment.year < 2200:
        _fault(path, "must be between the years 1901 and 2199")
    return moment.astimezone(UTC)
