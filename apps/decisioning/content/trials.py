"""Trial renders of what was compiled: the empty person, a full one, and the branches of the slots together.

The proof says that nothing can be blank; this looks at it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import islice, product
from typing import Any, Final

from apps.foundation.core.text import is_blank

from .contracts import CompiledSources, Problem
from .errors import RenderError
from .plain_text import html_words
from .rendering import render
from .steps import step

MAX_TRIALS: Final = 256
"""Combinations of slot branches that are rendered; of more, each branch at least once."""
CLIPPED_OVER: Final = 102 * 1024
"""Bytes of HTML above which Gmail clips a message and hides its end, the unsubscribe link with it."""
LINKS: Final = {"unsubscribe": "https://links.example/u/trial", "preferences": "https://links.example/p/trial"}


@dataclass(frozen=True, slots=True)
class TrialReport:
    """problems: why it can't be published; largest_bytes: HTML of the largest render, in UTF-8; renders: how many."""

    problems: list[Problem]
    largest_bytes: int
    renders: int


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


def contexts(
    compiled: CompiledSources, slots: Mapping[str, Sequence[str]], *, profile: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """A context for each combination of blocks, as many as MAX_TRIALS; every block stands in one at least."""
    names = list(slots)
    items = sample_items(compiled.shop_url)

    def context(blocks: Sequence[str]) -> dict[str, Any]:
        chosen = {
            name: {"block": block, "tier": "trial", "items": items} for name, block in zip(names, blocks, strict=True)
        }
        return {"profile": dict(profile), "slots": chosen, "links": LINKS}

    longest = max((len(blocks) for blocks in slots.values()), default=1)
    for turn in range(longest):
        yield context([blocks[turn % len(blocks)] for blocks in slots.values()])
    for blocks in islice(product(*slots.values()), MAX_TRIALS):
        yield context(blocks)


def trials_run(compiled: CompiledSources, slots: Mapping[str, Sequence[str]], *, address: str) -> TrialReport:
    """Render all trials. slots: the ids of the blocks of each slot; address: the postal address that must show."""
    problems: list[Problem] = []
    largest = renders = 0
    where = f"trial render, {compiled.language}"
    for profile in ({}, dict.fromkeys(compiled.tokens, "Alexandra")):
        for context in contexts(compiled, slots, profile=profile):
            step(f"{where}, number {renders + 1}")
            try:
                rendered = render(compiled, context)
            except RenderError as error:
                problems.append(Problem(where, 0, "", error.message))
                return TrialReport(problems, largest, renders)
            renders += 1
            largest = max(largest, len(rendered.html.encode()))
            if renders > 1:
                continue
            words = " ".join(html_words(rendered.html).split())
            if is_blank(words):
                problems.append(Problem(where, 0, "", "the HTML shows nothing"))
            for part, shown in (("HTML", words), ("text", " ".join(rendered.text.split()))):
                if " ".join(address.split()) not in shown:
                    problems.append(Problem(where, 0, address, f"does not show in the {part}"))
            if escape(LINKS["unsubscribe"]) not in rendered.html or LINKS["unsubscribe"] not in rendered.text:
                problems.append(Problem(where, 0, "links.unsubscribe", "does not show"))
            for bracket in ("{{", "{%", "[["):
                if bracket in rendered.html + rendered.text + rendered.subject:
                    problems.append(Problem(where, 0, bracket, "shows in the message"))
    return TrialReport(problems, largest, renders)
