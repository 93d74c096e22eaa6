"""Trial renders of what was compiled: people of whom more or less is known, the branches of the slots, the languages.

The proof says that nothing can be blank; this looks at it. Every combination is rendered while there are at most
MAX_ALL of them, else so many that any two choices stand together in one (`pairs.py`). Always among them: the person of
whom nothing is known, one of whom all is, and one whose every value is hostile.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Any, Final

from jinja2 import nodes

from apps.foundation.core.text import is_blank

from . import contracts
from .contracts import CompiledSources, Problem, Rendered
from .environment import HTML
from .errors import RenderError
from .inspection import html_look, text_look
from .pairs import pairs_cover
from .rendering import MAX_ITEMS, render, render_ready
from .steps import step

MAX_ALL: Final = 256
"""Combinations up to which all are rendered; of more, all pairs."""
MAX_TRIALS: Final = 2_000
"""Renders that are tried at most; a message that needs more is refused."""
MAX_TOKENS: Final = 200
"""Profile values that a message may look at."""
MAX_LITERALS: Final = 6
"""Values of one token that its conditions compare it with, and that are tried."""
MAX_TOLD: Final = 20
MANY: Final = f"{MAX_ITEMS} products"
"""The longest list: tried with each block in its turn, not with everything else, because it takes long."""
CLIPPED_OVER: Final = 102 * 1024
"""Bytes of HTML above which Gmail clips a message and hides its end, the unsubscribe link with it."""
LINKS: Final = {name: f"https://links.example/{name}/trial" for name in (*contracts.LINKS, *contracts.SYSTEM_LINKS)}
KNOWN: Final = "Alexandra"
HOSTILE: Final = (
    "javascript:alert(1)//\"'><script>alert(1)</script><img src=x onerror=alert(1)>--> ]]> &#106;avascript: "
    "{{7*7}}{% if %}[[ brand ]]\r\nBcc: a@b.example\0\u202e\u2028=?utf-8?q?=0D=0ABcc:_a@b.example?= url(javascript:x)"
)
"""What a value might hold to get out of its place: each way at once."""
Value = str | int | None


@dataclass(frozen=True, slots=True)
class TrialReport:
    """problems: why it can't be published; largest_bytes: HTML of the largest render with a usual number of products,
    in UTF-8; renders: how many; largest_in: the largest of each language.
    """

    problems: list[Problem]
    largest_bytes: int
    renders: int
    largest_in: dict[str, int] = field(default_factory=dict)


def sample_items(shop_url: str) -> list[dict[str, str]]:
    """Three items as decisions give them, one of them without picture and price."""
    return [
        {"sku": f"sample-{number}", "title": title, "price": price, "url": shop_url, "image_url": ""}
        for number, (title, price) in enumerate(
            [
                ("White ceramic teapot", "£24.90"),
                ("Set of six linen napkins with hand-sewn edge", "£18.00"),
                ("Lamp", ""),
            ]
        )
    ]


def item_lists(shop_url: str) -> dict[str, list[dict[str, str]]]:
    """Lists of items by what they are tried for: none, one of which all is known, few, and as many as are shown."""
    few = sample_items(shop_url)
    whole = {**few[0], "text": "A line about it", "image_url": f"{shop_url.rstrip('/')}/sample.png"}
    return {
        "no products": [],
        "one product": [whole],
        "three products": [whole, *few[1:]],
        MANY: [{**whole, "sku": f"s-{number}", "title": "Long title " * 18} for number in range(MAX_ITEMS)],
    }


@dataclass(frozen=True, slots=True)
class Case:
    """One render: its language, what is known of the person, and what stands in each slot.

    name: for people; hostile: whether its values try to get out of their places.
    """

    language: str
    name: str
    profile: Mapping[str, Value]
    blocks: Mapping[str, str]
    items: Mapping[str, Sequence[Mapping[str, str]]]
    hostile: bool = False

    @property
    def usual(self) -> bool:
        """Whether a message may well be as large as this one; others are only tried."""
        return not self.hostile and all(len(items) < MAX_ITEMS for items in self.items.values())

    def context(self) -> dict[str, Any]:
        slots = {
            slot: {"block": block, "tier": "trial", "items": list(self.items.get(slot, ()))}
            for slot, block in self.blocks.items()
        }
        return {"profile": dict(self.profile), "slots": slots, "links": LINKS}


class Trials:
    """The cases of a message in its languages. slots: the ids of the blocks of each slot."""

    def __init__(self, sources: Sequence[CompiledSources], slots: Mapping[str, Sequence[str]]) -> None:
        self._sources = {compiled.language: compiled for compiled in sources}
        self._slots = slots
        self._lists = item_lists(sources[0].shop_url)
        trees = [
            HTML.parse(source) for compiled in sources for source in (compiled.subject, compiled.html, compiled.text)
        ]
        looked_at = _literals(trees)
        self._tokens: dict[str, list[Value]] = {
            token: [None, KNOWN, *looked_at.get(token, ())]
            for token in dict.fromkeys(token for compiled in sources for token in compiled.tokens)
        }
        named = {
            node.node.attr
            for tree in trees
            for node in tree.find_all(nodes.Getattr)
            if node.attr == "items" and isinstance(node.node, nodes.Getattr)
        }
        self._with_items = [slot for slot in slots if slot in named]

    @property
    def tokens(self) -> int:
        """How many profile values it looks at."""
        return len(self._tokens)

    def factors(self) -> list[tuple[str, str, Sequence[Any]]]:
        """What can vary: (kind, name, values)."""
        return [
            ("language", "", list(self._sources)),
            *(("block", slot, list(blocks)) for slot, blocks in self._slots.items()),
            *(("items", slot, [name for name in self._lists if name != MANY]) for slot in self._with_items),
            *(("token", token, values) for token, values in self._tokens.items()),
        ]

    def rows(self) -> list[tuple[int, ...]]:
        """Choices for all factors, by number: all there are, or all pairs."""
        sizes = [len(values) for _, _, values in self.factors()]
        if prod(sizes) <= MAX_ALL:
            return list(product(*(range(size) for size in sizes)))
        return pairs_cover(sizes)

    def cases(self) -> Iterator[Case]:
        """Everything that is tried; those that are always tried first."""
        few = self._lists["three products"]
        for language in self._sources:
            for name, value, items in (
                ("somebody of whom nothing is known", None, few),
                ("somebody of whom all is known", KNOWN, few),
                (f"somebody with {MANY}", KNOWN, self._lists[MANY]),
                ("somebody hostile", HOSTILE, [dict.fromkeys(item, HOSTILE) for item in few]),
            ):
                for turn in range(max((len(blocks) for blocks in self._slots.values()), default=1)):
                    yield self._turn(language, name, value, items, turn)
        factors = self.factors()
        for row in self.rows():
            chosen = [(kind, name, values[at]) for (kind, name, values), at in zip(factors, row, strict=True)]
            yield self._case(chosen)

    def _turn(self, language: str, name: str, value: Value, items: Sequence[Mapping[str, str]], turn: int) -> Case:
        """Every block of a slot has its turn."""
        return Case(
            language,
            name,
            dict.fromkeys(self._tokens, value),
            {slot: blocks[turn % len(blocks)] for slot, blocks in self._slots.items()},
            dict.fromkeys(self._slots, items),
            value == HOSTILE,
        )

    def _case(self, chosen: Sequence[tuple[str, str, Any]]) -> Case:
        profile = {name: value for kind, name, value in chosen if kind == "token"}
        lists = {name: value for kind, name, value in chosen if kind == "items"}
        missing = [name for name, value in profile.items() if value is None]
        known = [f"{name} = {value}" for name, value in profile.items() if value not in (None, KNOWN)]
        words = [
            f"somebody without {', '.join(missing[:3])}{' …' * (len(missing) > 3)}" if missing else "somebody known",
            *known[:3],
            *lists.values(),
        ]
        return Case(
            next(value for kind, _, value in chosen if kind == "language"),
            "; ".join(words),
            profile,
            {name: value for kind, name, value in chosen if kind == "block"},
            {name: self._lists[value] for name, value in lists.items()},
        )


def _literals(trees: Sequence[nodes.Template]) -> dict[str, list[Value]]:
    """The values that conditions compare profile values with, so that their branches are taken; of numbers also the
    next ones, for what is above or below.
    """
    found: dict[str, list[Value]] = {}
    for tree in trees:
        for compare in tree.find_all(nodes.Compare):
            sides = [compare.expr, *(operand.expr for operand in compare.ops)]
            literals = [
                const.value
                for side in sides
                for const in (side.items if isinstance(side, nodes.List | nodes.Tuple) else (side,))
                if isinstance(const, nodes.Const)
            ]
            near: list[Value] = []
            for literal in literals:
                if type(literal) is int:
                    near += [literal + 1, literal, literal - 1]
                elif type(literal) is str:
                    near.append(literal)
            for token in (token for side in sides for token in _tokens_in(side)):
                values = found.setdefault(token, [])
                values.extend(value for value in near if value not in values)
                del values[MAX_LITERALS:]
    return found


def _tokens_in(node: nodes.Node) -> list[str]:
    paths = (node, *node.find_all(nodes.Getattr))
    return [
        path.attr
        for path in paths
        if isinstance(path, nodes.Getattr) and isinstance(path.node, nodes.Name) and path.node.name == "profile"
    ]


def trials_run(
    compiled: CompiledSources, slots: Mapping[str, Sequence[str]], *, address: str, short: bool = False
) -> TrialReport:
    """Render all trials of one language. slots: the ids of the blocks of each slot; address: the postal address that
    must show; short: of an SMS or push, whose text needs none.
    """
    return message_try([compiled], slots, address=address, short=short)


def message_try(
    sources: Sequence[CompiledSources],
    slots: Mapping[str, Sequence[str]],
    *,
    address: str,
    links: Sequence[str] = (),
    short: bool = False,
) -> TrialReport:
    """Render all trials of a message, in all its languages at once. Arguments as of `trials_run`.

    links: names of links that must show to everybody, beside that for unsubscribing.
    """
    by_language = {compiled.language: compiled for compiled in sources}
    for compiled in sources:
        step(f"compiled template, {compiled.language}")
        try:
            render_ready(compiled)
        except RenderError as error:
            return TrialReport([Problem(f"trial render, {compiled.language}", 0, "", error.message)], 0, 0)
    step("trial renders")
    trials = Trials(sources, slots)
    if trials.tokens > MAX_TOKENS:
        mend = f"looks at {trials.tokens} profile values, and at most {MAX_TOKENS} can be tried: use fewer"
        return TrialReport([Problem("template", 0, "profile", mend)], 0, 0)
    problems: list[Problem] = []
    largest: dict[str, int] = dict.fromkeys(by_language, 0)
    seen: set[tuple[str, str, str, bool]] = set()
    renders = 0
    for case in trials.cases():
        where = f"trial render, {case.language}"
        if renders >= MAX_TRIALS:
            problems.append(Problem(where, 0, "", f"has more than {MAX_TRIALS} pairs of branches: use fewer tiers"))
            break
        step(f"{where}, number {renders + 1}")
        compiled = by_language[case.language]
        renders += 1
        try:
            rendered = render(compiled, case.context())
        except RenderError as error:
            found = [Problem(where, 0, "", f"{error.message}, for {case.name}")]
        else:
            if case.usual:
                largest[case.language] = max(largest[case.language], len(rendered.html.encode()))
            key = (rendered.subject, rendered.html, rendered.text, case.hostile)
            if key in seen:
                continue
            seen.add(key)
            found = list(_faults(compiled, case, rendered, address, ("unsubscribe", *links), where, short=short))
        problems.extend(problem for problem in found if problem not in problems)
        if len(problems) >= MAX_TOLD:
            break
    return TrialReport(problems[:MAX_TOLD], max(largest.values()), renders, largest)


def _faults(
    compiled: CompiledSources,
    case: Case,
    rendered: Rendered,
    address: str,
    needed: Sequence[str],
    where: str,
    *,
    short: bool,
) -> Iterator[Problem]:
    """What is wrong with a message as it came out."""
    hosts, links = compiled.link_hosts or None, LINKS.values()
    looked = html_look(rendered.html, hosts=hosts, links=links)
    for token, mend in looked.faults:
        yield Problem(where, 0, token, mend)
    if is_blank(looked.words):
        yield Problem(where, 0, "", f"the HTML shows nothing, for {case.name}")
    for part, shown in (("HTML", looked.words), ("text", " ".join(rendered.text.split()))):
        if " ".join(address.split()) not in shown and not (short and part == "text"):
            yield Problem(where, 0, address, f"does not show in the {part}")
    for name in needed:
        if f'href="{LINKS[name]}"' not in rendered.html or LINKS[name] not in rendered.text:
            yield Problem(where, 0, f"links.{name}", "does not show as a link")
    if not rendered.subject.isprintable() and not any(c in rendered.subject for c in "\u200c\u200d\u00ad"):
        yield Problem(where, 0, "subject", "holds control characters")
    if case.hostile:
        return  # its brackets and addresses are its own
    for token, mend in text_look(rendered.text, hosts=hosts, links=links):
        yield Problem(where, 0, token, f"(in the text) {mend}")
    for bracket in ("{{", "{%", "[["):
        if bracket in rendered.html + rendered.text + rendered.subject:
            yield Problem(where, 0, bracket, "shows in the message")
