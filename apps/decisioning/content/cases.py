"""Template tests: a persona, what is known of them, and what they must see. Read strictly, written in one way. Pure.

The format is in docs/how-it-works/template-tests.md. Beside the cases stands an arrangement: the brand, and for each
slot the tiers that the cases are asked with.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from difflib import get_close_matches
from typing import Any, Final

from apps.data.features.definitions import FEATURES
from apps.decisioning.audiences.rules import rule_parse
from apps.foundation.core.errors import Invalid

from .contracts import Problem
from .fields import language_is_valid
from .notation import Path, Reading

TIERS: Final = ("personal", "category", "country", "segment", "site", "static")
CHANNELS: Final = ("email", "sms", "push", "web")
PARTS: Final = ("subject", "html", "text")
MAX_CASES: Final = 200
MAX_ITEMS: Final = 24
_ITEM_KEYS = ("sku", "title", "price", "text", "url", "image_url")


@dataclass(frozen=True, slots=True)
class TierAsked:
    """A tier of an arrangement. block: its name (its id, as text, in the database); when: an audience rule."""

    tier: str
    name: str
    block: str
    when: dict[str, Any] | None = None
    source: str | None = None
    count: int = 0


@dataclass(frozen=True, slots=True)
class Arrangement:
    """What stands in the slots while cases run. brand: its code, "" for a stand-in."""

    brand: str = ""
    slots: Mapping[str, tuple[TierAsked, ...]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.brand or self.slots)


@dataclass(frozen=True, slots=True)
class Happened:
    """Orders (`name` is a category, or "") or events that happened `count` times, `days_ago` or `at` a moment (ISO
    8601, in UTC).
    """

    name: str
    count: int = 1
    days_ago: float = 1
    at: str = ""


@dataclass(frozen=True, slots=True)
class SlotExpected:
    """What answers in a slot; "" and None where it does not matter."""

    tier: str = ""
    name: str = ""
    block: str = ""
    items: int | None = None


@dataclass(frozen=True, slots=True)
class TextExpected:
    """Texts that a part of the message holds, and does not."""

    contains: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """One test of a template.

    persona: profile values, `language` and `country` among them; lists: how many items each list has, or the items;
    fallbacks: the tokens that show their fallback, all of them; None where it does not matter; features: values by
    name as JSON has them, the defaults for the others; audiences: codes of those that the persona is in.
    """

    name: str
    about: str = ""
    persona: Mapping[str, Any] = field(default_factory=dict)
    orders: tuple[Happened, ...] = ()
    events: tuple[Happened, ...] = ()
    consents: tuple[tuple[str, str], ...] = ()
    interests: tuple[str, ...] = ()
    features: Mapping[str, Any] = field(default_factory=dict)
    audiences: tuple[str, ...] = ()
    lists: Mapping[str, int | list[dict[str, Any]]] = field(default_factory=dict)
    as_of: str = ""
    language: str = ""
    slots: Mapping[str, SlotExpected] = field(default_factory=dict)
    texts: Mapping[str, TextExpected] = field(default_factory=dict)
    fallbacks: tuple[str, ...] | None = None


# --- reading ---


class Reader:
    """Values of a reading, each checked; what is wrong goes to `problems`."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.problems: list[Problem] = []

    def wrong(self, path: Path, mend: str) -> None:
        self.problems.append(self.reading.problem(path, mend))

    def mapping(self, value: Any, path: Path, keys: Sequence[str] | None = None) -> dict[str, Any]:
        """A mapping with none but these keys, or with any."""
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.wrong(path, f"must be keys with values, and is {_shown(value)}")
            return {}
        for key in value:
            if keys is not None and key not in keys:
                near = get_close_matches(key, keys, 1)
                hint = f'is "{near[0]}" meant?' if near else f"use {', '.join(keys)}"
                self.wrong((*path, key), f"is not known here: {hint}")
        return value

    def listed(self, value: Any, path: Path) -> list[Any]:
        if value is None:
            return []
        if not isinstance(value, list):
            self.wrong(path, f"must be a list, and is {_shown(value)}")
            return []
        return value

    def text(self, value: Any, path: Path, *, longest: int = 300, of: Collection[str] = (), what: str = "") -> str:
        """A text, of some choices if there are any; "" for none."""
        if value is None:
            return ""
        if not isinstance(value, str):
            self.wrong(path, f"must be a text, and is {_shown(value)}: put it in quotes")
            return ""
        if len(value) > longest or "\0" in value:
            self.wrong(path, f"must have at most {longest} characters, and no NUL")
            return ""
        if of and value and value not in of:
            near = get_close_matches(value, list(of), 1)
            hint = f'is "{near[0]}" meant?' if near else f"use {', '.join(of)}"
            self.wrong(path, f"{value!r} is not known{what}: {hint}")
            return ""
        return value

    def number(self, value: Any, path: Path, low: int, high: int, otherwise: int) -> int:
        if value is None:
            return otherwise
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.wrong(path, f"must be a whole number from {low} to {high}, and is {_shown(value)}")
            return otherwise
        return value

    def moment(self, value: Any, path: Path) -> str:
        """A moment in the one way it is written, "" for none."""
        if value is None:
            return ""
        try:
            if isinstance(value, str) and len(value) == 10:
                day = date.fromisoformat(value)
                value = f"{day.isoformat()}T00:00:00Z"
            found = datetime.fromisoformat(value) if isinstance(value, str) else None
        except ValueError:
            found = None
        if found is None or found.tzinfo is None or not 1900 < found.year < 2200:
            self.wrong(path, "must be a date such as 2026-03-01, or a time with its zone such as 2026-03-01T08:00Z")
            return ""
        return moment_text(found)


def moment_text(moment: datetime) -> str:
    """A moment as cases write it."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "keys with values"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "nothing" if value is None else f"{value!r:.60}"


def arrangement_read(reading: Reading, at: Path = ()) -> tuple[Arrangement, list[Problem]]:
    """An arrangement `{"brand": …, "slots": …}` at a place of a reading, and what is wrong with its form.

    Whether it fits the template is asked when cases run: a draft may be ahead of its cases.
    """
    reader = Reader(reading)
    data = reading.data
    for part in at:
        data = data[part]
    whole = data if isinstance(data, dict) else reader.mapping(data, at)
    brand = reader.text(whole.get("brand"), (*at, "brand"), longest=40)
    slots: dict[str, tuple[TierAsked, ...]] = {}
    for name, tiers in reader.mapping(whole.get("slots"), (*at, "slots")).items():
        path = (*at, "slots", name)
        if not name.isidentifier() or len(name) > 40:
            reader.wrong(path, "is no name of a slot")
            continue
        slots[name] = tuple(
            _tier_read(reader, tier, (*path, number)) for number, tier in enumerate(reader.listed(tiers, path))
        )
        if not slots[name]:
            reader.wrong(path, "needs its tiers, a static one last")
    return Arrangement(brand, slots), reader.problems


def _tier_read(reader: Reader, data: Any, path: Path) -> TierAsked:
    tier = reader.mapping(data, path, ("tier", "name", "block", "when", "source", "count"))
    kind = reader.text(tier.get("tier"), (*path, "tier"), of=TIERS)
    if not tier.get("tier"):
        reader.wrong((*path, "tier"), f"is needed: one of {', '.join(TIERS)}")
    block = reader.text(tier.get("block"), (*path, "block"), longest=120)
    if not tier.get("block"):
        reader.wrong((*path, "block"), "is needed: name the block that this tier shows")
    when = tier.get("when")
    if when is not None:
        try:
            rule_parse(when)
        except Invalid as error:
            reader.wrong((*path, "when"), error.message)
            when = None
    source = reader.text(tier.get("source"), (*path, "source"), longest=40)
    count = reader.number(tier.get("count"), (*path, "count"), 0, 12, 0) or (3 if source else 0)
    return TierAsked(
        tier=kind,
        name=reader.text(tier.get("name"), (*path, "name"), longest=80) or kind,
        block=block,
        when=when,
        source=source or None,
        count=count if source else 0,
    )


def case_read(
    reading: Reading, name: str, arrangement: Arrangement | None = None, at: Path = ()
) -> tuple[Case | None, list[Problem]]:
    """The case at a place of a reading, and what is wrong with it: None then.

    arrangement: holds slots, tiers and blocks that the case expects to those that there are; None leaves it.
    """
    reader = Reader(reading)
    data = reading.data
    for part in at:
        data = data[part]
    if not isinstance(data, dict):
        reader.wrong(at, 'must hold "persona", "context" and "expect"')
        return None, reader.problems
    whole = reader.mapping(data, at, ("about", "persona", "context", "expect"))
    keys = ("orders", "events", "consents", "interests", "features", "audiences", "lists", "as_of")
    context = reader.mapping(whole.get("context"), (*at, "context"), keys)
    expect = reader.mapping(whole.get("expect"), (*at, "expect"), ("language", "slots", *PARTS, "fallbacks"))
    if not expect:
        reader.wrong((*at, "expect"), "is needed: say what the persona must see")
    case = Case(
        name=name,
        about=reader.text(whole.get("about"), (*at, "about"), longest=1000).strip(),
        persona=_persona_read(reader, whole.get("persona"), (*at, "persona")),
        orders=_happened_read(reader, context.get("orders"), (*at, "context", "orders"), "category"),
        events=_happened_read(reader, context.get("events"), (*at, "context", "events"), "name"),
        consents=_consents_read(reader, context.get("consents"), (*at, "context", "consents")),
        interests=_codes_read(reader, context.get("interests"), (*at, "context", "interests"), 32),
        features=_features_read(reader, context.get("features"), (*at, "context", "features")),
        audiences=_codes_read(reader, context.get("audiences"), (*at, "context", "audiences"), 60),
        lists=_lists_read(reader, context.get("lists"), (*at, "context", "lists")),
        as_of=reader.moment(context.get("as_of"), (*at, "context", "as_of")),
        language=reader.text(expect.get("language"), (*at, "expect", "language"), longest=20),
        slots=_slots_read(reader, expect.get("slots"), (*at, "expect", "slots"), arrangement),
        texts=_texts_read(reader, expect, (*at, "expect")),
        fallbacks=_fallbacks_read(reader, expect, (*at, "expect", "fallbacks")),
    )
    if case.language and not language_is_valid(case.language):
        reader.wrong((*at, "expect", "language"), "must be a language tag such as en or de-AT")
    return (None if reader.problems else case), reader.problems


def _persona_read(reader: Reader, data: Any, path: Path) -> dict[str, Any]:
    persona: dict[str, Any] = {}
    for name, value in reader.mapping(data, path).items():
        simple = value if isinstance(value, list) else [value]
        if not all(isinstance(one, str | bool | int | float | None) for one in simple):
            reader.wrong((*path, name), "must be a text, a number, true, false, or a list of them")
        elif isinstance(value, str) and len(value) > 5_000:
            reader.wrong((*path, name), "must have at most 5000 characters")
        elif value is not None:
            persona[name] = value
    return persona


def _happened_read(reader: Reader, data: Any, path: Path, named: str) -> tuple[Happened, ...]:
    found = []
    for number, entry in enumerate(reader.listed(data, path)):
        here = (*path, number)
        values = reader.mapping(entry, here, (named, "count", "days_ago", "at"))
        name = reader.text(values.get(named), (*here, named))
        if named == "name" and not name:
            reader.wrong((*here, "name"), "is needed: the event's name")
        ago = values.get("days_ago", 1)
        if isinstance(ago, bool) or not isinstance(ago, int | float) or not 0 <= ago <= 36_500:
            reader.wrong((*here, "days_ago"), f"must be a number from 0 to 36500, and is {_shown(ago)}")
            ago = 1
        at = reader.moment(values.get("at"), (*here, "at"))
        if at and "days_ago" in values:
            reader.wrong((*here, "at"), "leaves no room for days_ago: take one or the other")
        count = reader.number(values.get("count"), (*here, "count"), 1, 10_000, 1)
        found.append(Happened(name, count, 1 if at else ago, at))
    return tuple(found)


def _consents_read(reader: Reader, data: Any, path: Path) -> tuple[tuple[str, str], ...]:
    found = []
    for number, entry in enumerate(reader.listed(data, path)):
        here = (*path, number)
        values = reader.mapping(entry, here, ("purpose", "channel"))
        purpose = reader.text(values.get("purpose"), (*here, "purpose"), longest=60)
        channel = reader.text(values.get("channel"), (*here, "channel"), of=CHANNELS)
        if not purpose or not channel:
            reader.wrong(here, f"needs purpose and channel ({', '.join(CHANNELS)})")
        found.append((purpose, channel))
    return tuple(sorted(found))


def _codes_read(reader: Reader, data: Any, path: Path, longest: int) -> tuple[str, ...]:
    listed = enumerate(reader.listed(data, path))
    return tuple(sorted({reader.text(code, (*path, number), longest=longest) for number, code in listed}))


def _features_read(reader: Reader, data: Any, path: Path) -> dict[str, Any]:
    """Values by name, each of its feature's kind; a moment as text, with its zone."""
    given = dict(reader.mapping(data, path, list(FEATURES)))
    for name, value in list(given.items()):
        here = (*path, name)
        kind = FEATURES[name].kind if name in FEATURES else ""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if kind == "moment":
            given[name] = reader.moment(value, here)
        elif kind == "text":
            reader.text(value, here)
        elif kind == "flag" and not isinstance(value, bool):
            reader.wrong(here, "must be true or false")
        elif kind in ("number", "amount") and not number:
            reader.wrong(here, "must be a number")
        elif kind == "items" and not (isinstance(value, list) and all(type(one) is int for one in value)):
            reader.wrong(here, "must be a list of the numbers of items")
    return given


def _lists_read(reader: Reader, data: Any, path: Path) -> dict[str, int | list[dict[str, Any]]]:
    lists: dict[str, int | list[dict[str, Any]]] = {}
    for name, value in reader.mapping(data, path).items():
        here = (*path, name)
        if not isinstance(value, list):
            lists[name] = reader.number(value, here, 0, MAX_ITEMS, 0)
            continue
        if len(value) > MAX_ITEMS:
            reader.wrong(here, f"may have {MAX_ITEMS} items")
        items = []
        for number, entry in enumerate(value[:MAX_ITEMS]):
            item = reader.mapping(entry, (*here, number), _ITEM_KEYS)
            if not isinstance(item.get("title"), str):
                reader.wrong((*here, number, "title"), "is needed: a text")
            items.append(
                {
                    key: reader.text(item.get(key), (*here, number, key), longest=1000)
                    for key in _ITEM_KEYS
                    if key in item
                }
            )
        lists[name] = items
    return lists


def _slots_read(reader: Reader, data: Any, path: Path, arrangement: Arrangement | None) -> dict[str, SlotExpected]:
    slots: dict[str, SlotExpected] = {}
    for name, entry in reader.mapping(data, path).items():
        here = (*path, name)
        values = reader.mapping(entry, here, ("tier", "name", "block", "items"))
        standing = arrangement.slots.get(name, ()) if arrangement is not None else ()
        if arrangement is not None and not standing:
            known = ", ".join(arrangement.slots) or "none"
            reader.wrong(here, f"is no slot of this template's arrangement: it has {known}")
        blocks = sorted({tier.block for tier in standing})
        names = sorted({tier.name for tier in standing})
        slots[name] = SlotExpected(
            tier=reader.text(values.get("tier"), (*here, "tier"), of=TIERS),
            name=reader.text(values.get("name"), (*here, "name"), of=names, what=f" in slot {name}"),
            block=reader.text(values.get("block"), (*here, "block"), of=blocks, what=f" in slot {name}"),
            items=None
            if values.get("items") is None
            else reader.number(values["items"], (*here, "items"), 0, MAX_ITEMS, 0),
        )
        if not values:
            reader.wrong(here, "says nothing: expect a tier, name, block or items")
    return slots


def _texts_read(reader: Reader, expect: Mapping[str, Any], path: Path) -> dict[str, TextExpected]:
    texts = {}
    for part in PARTS:
        here = (*path, part)
        values = reader.mapping(expect.get(part), here, ("contains", "lacks"))
        found: dict[str, tuple[str, ...]] = {}
        for key in ("contains", "lacks"):
            given = values.get(key)
            wanted = [given] if isinstance(given, str) else reader.listed(given, (*here, key))
            read = [
                reader.text(one, (*here, key, number) if isinstance(given, list) else (*here, key), longest=2000)
                for number, one in enumerate(wanted)
            ]
            if not all(" ".join(one.split()) for one in read):
                reader.wrong((*here, key), "must be texts, none of them empty")
            found[key] = tuple(read)
        if values:
            texts[part] = TextExpected(**found)
    return texts


def _fallbacks_read(reader: Reader, expect: Mapping[str, Any], path: Path) -> tuple[str, ...] | None:
    if expect.get("fallbacks") is None:
        return None
    tokens = [
        reader.text(token, (*path, number)) for number, token in enumerate(reader.listed(expect["fallbacks"], path))
    ]
    return tuple(sorted(set(tokens)))


# --- writing ---


def arrangement_data(arrangement: Arrangement) -> dict[str, Any]:
    """An arrangement as JSON has it; reading it again gives it back. {} for none."""
    data: dict[str, Any] = {"brand": arrangement.brand} if arrangement.brand else {}
    if arrangement.slots:
        data["slots"] = {
            name: [
                _filled(
                    tier=tier.tier,
                    name=tier.name if tier.name != tier.tier else "",
                    block=tier.block,
                    when=tier.when,
                    source=tier.source,
                    count=tier.count,
                )
                for tier in tiers
            ]
            for name, tiers in arrangement.slots.items()
        }
    return data


def case_data(case: Case) -> dict[str, Any]:
    """A case as JSON has it, without its name and without what is empty; reading it again gives it back."""

    def happened(entries: tuple[Happened, ...], named: str) -> list[dict[str, Any]]:
        return [
            _filled(
                **{named: one.name},
                count=one.count if one.count != 1 else None,
                days_ago=None if one.at else one.days_ago,
                at=one.at,
            )
            for one in entries
        ]

    context = _filled(
        as_of=case.as_of,
        orders=happened(case.orders, "category"),
        events=happened(case.events, "name"),
        consents=[{"purpose": purpose, "channel": channel} for purpose, channel in case.consents],
        interests=list(case.interests),
        features=dict(case.features),
        audiences=list(case.audiences),
        lists=dict(case.lists),
    )
    expect = _filled(
        language=case.language,
        slots={
            name: _filled(tier=slot.tier, name=slot.name, block=slot.block, items=slot.items)
            for name, slot in case.slots.items()
        },
        **{part: _filled(contains=list(text.contains), lacks=list(text.lacks)) for part, text in case.texts.items()},
    )
    if case.fallbacks is not None:
        expect["fallbacks"] = list(case.fallbacks)
    return _filled(about=case.about, persona=dict(case.persona), context=context, expect=expect)


def _filled(**values: Any) -> dict[str, Any]:
    """Without what is not said; 0 and False are said."""
    return {key: value for key, value in values.items() if value is not None and value not in ("", [], {})}


def blocks_renamed(
    arrangement: Arrangement, cases: Sequence[Case], to: Callable[[str], str]
) -> tuple[Arrangement, list[Case]]:
    """Both with their blocks called otherwise: names stand in files and on pages, ids in the database."""
    standing = {
        name: tuple(replace(tier, block=to(tier.block)) for tier in tiers) for name, tiers in arrangement.slots.items()
    }
    renamed = [
        replace(
            case,
            slots={
                name: replace(slot, block=to(slot.block) if slot.block else "") for name, slot in case.slots.items()
            },
        )
        for case in cases
    ]
    return replace(arrangement, slots=standing), renamed
